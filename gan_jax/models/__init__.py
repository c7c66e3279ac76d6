"""Networks, one family per file, each a flax.linen `Generator` and `Discriminator`.

    Generator(sample_shape, num_classes, ...).__call__(z [B, Z], label or None, train) -> samples [B, *sample_shape]
    Discriminator(sample_shape, num_classes, ...).__call__(x [B, *sample_shape], label or None, train)
        -> logits [B], or (logits, features [B, F]) if it tells what its logits are made of

`train` chooses batch statistics over running ones. `num_classes` is the number of classes, or the length of a label that is a
vector; a label may come even where a network makes no use of it. Further fields (width, depth, norm, ...) are set by the
`Config` fields of the same name with `g_` or `d_` before it; a field that is not set has the network's own default.
"""
