"""Network families, one per file: each defines a flax.linen `Generator` and a `Discriminator`.

    Generator(sample_shape, num_classes, ...).__call__(z [B, Z], label or None, train) -> samples [B, *sample_shape]
    Discriminator(sample_shape, num_classes, ...).__call__(x [B, *sample_shape], label or None, train)
        -> logits [B] ([B, outputs] if there are several, [B, P] for P patches of a sample from a D whose class attribute
           `patches` is True), optionally with features: (logits, features [B, F])

A Discriminator whose attribute `joint` is True may receive real and fake samples in one batch, which is faster for small layers
(not for convolutions on a CPU). Its output for a sample must not depend on other samples, earlier calls or random numbers.

`train` selects batch statistics instead of running averages. `num_classes` is the number of classes, or the length of the label
if it is a vector. A label may be passed to a network that ignores it. The other fields (width, depth, norm, ...) are set by the
`Config` fields of the same name with the prefix `g_` or `d_`; a field that is not set keeps the network's default.
"""
