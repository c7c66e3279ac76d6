"""Networks, one family per file, each a flax.linen `Generator` and `Discriminator`.

    Generator(sample_shape, num_classes, ...).__call__(z [B, Z], label [B] or None, train) -> samples [B, *sample_shape]
    Discriminator(sample_shape, num_classes, ...).__call__(x [B, *sample_shape], label, train) -> logits [B]

`train` chooses batch statistics over running ones. Further fields (width, depth, norm, ...) are set by the `Config` fields
of the same name with `g_` or `d_` before it; a field that is not set has the network's own default.
"""
