"""Residual networks of SNGAN, WGAN-GP and SAGAN, for images of any size 2^k * m; as published for 32, 48, 64 and 128 pixels.

Source: Miyato et al. 2018 (SNGAN), arXiv:1802.05957, appendix B.4, tables 4 to 6; Gulrajani et al. 2017, arXiv:1704.00028,
appendix F, whose critic has no norm (layer norm is an option of the authors' code); Zhang et al. 2019 (SAGAN),
arXiv:1805.08318, section 3, for self-attention and spectral norm in G. The networks for 64 pixels interpolate between the
tables for 48 and 128.
"""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp

from gan_jax.models.attention import SelfAttention
from gan_jax.models.conditioning import check_condition, discriminator_head, label_vector, with_label
from gan_jax.models.dcgan import LABEL_CHANNELS, halvings
from gan_jax.models.layers import Conv, Dense, check_norm, normalise
from gan_jax.types import Array

GLOROT = nn.initializers.glorot_uniform()
# Glorot's with twice the variance, for the layers of residual branches.
RESIDUAL = nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")


class Generator(nn.Module):
    """z [B, Z] -> a small grid -> one residual block per doubling -> images [B, H, W, C] in [-1, 1].

    Images below 48 pixels: every block has 4 `width` channels. Larger images: the last block has `width`, and each earlier
    one twice as many, up to 16 `width`. `condition`: "concat" appends the label, embedded as Z numbers, to z; "norm" sets the
    gain and bias of the norms in the blocks by the label. `attention` is the height of the feature map that has
    self-attention, 0 for none; `spectral` gives all dense and convolutional layers spectral norm.
    """

    sample_shape: tuple[int, ...]
    num_classes: int = 0
    width: int = 64
    norm: str = "batch"
    condition: str = "none"
    attention: int = 0
    spectral: bool = False

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool) -> Array:
        check_norm(self.norm, ("none", "batch", "layer", "instance"))
        check_condition(self.condition, ("none", "concat", "norm"), label, self.num_classes)
        style = label_vector(label, self.num_classes) if self.condition == "norm" else None
        if self.condition == "concat":
            z = with_label(z, label, self.num_classes, z.shape[-1])
        stages = halvings(self.sample_shape)
        height, width, image_channels = self.sample_shape
        features = [
            self.width * (4 if is_small(self.sample_shape) else min(16, 2**stage)) for stage in reversed(range(stages + 1))
        ]
        x = Dense((height >> stages) * (width >> stages) * features[0], self.spectral, kernel_init=GLOROT)(z)
        x = x.reshape(-1, height >> stages, width >> stages, features[0])

        def conv(x: Array, channels: int, window: int = 3, init: Callable = RESIDUAL, resample: str = "none") -> Array:
            return Conv(channels, window, resample=resample, spectral=self.spectral, kernel_init=init)(x)

        for channels in features[1:]:
            h = nn.relu(normalise(self.norm, x, train, style=style))
            h = conv(h, channels, resample="double")
            h = nn.relu(normalise(self.norm, h, train, style=style))
            h = conv(h, channels)
            x = h + conv(x, channels, 1, GLOROT, "double")
            if x.shape[1] == self.attention:
                x = SelfAttention(self.spectral)(x)
        # The last norm does not depend on the label.
        x = nn.relu(normalise(self.norm, x, train))
        return jnp.tanh(conv(x, image_channels, init=GLOROT))


class Discriminator(nn.Module):
    """images [B, H, W, C] -> residual blocks, the first ones halving -> sum over positions -> logits and features, by
    `discriminator_head`. `condition`: "concat" appends the label to the image as constant channels; for "projection" see
    `discriminator_head`.

    Images below 48 pixels: four blocks of 2 `width` channels, the first two halving. Larger images: five blocks of `width` to
    16 `width`, halving while height and width are even, and one more that does not halve if at least 4x4 positions are left.
    `attention` as in the Generator, after the halving.
    """

    sample_shape: tuple[int, ...]
    num_classes: int = 0
    width: int = 64
    norm: str = "spectral"
    condition: str = "none"
    outputs: int = 1
    minibatch: str = "none"
    attention: int = 0

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        check_norm(self.norm)
        check_condition(self.condition, ("none", "concat", "projection"), label, self.num_classes)
        if self.condition == "concat":
            x = with_label(x, label, self.num_classes, LABEL_CHANNELS)
        spectral = self.norm == "spectral"
        halvings(self.sample_shape)  # raises if the samples are not images
        for number, (multiple, halving) in enumerate(discriminator_blocks(self.sample_shape)):
            channels, first = multiple * self.width, number == 0

            def conv(x: Array, window: int, halves: bool = False, channels: int = channels) -> Array:
                init, resample = RESIDUAL if window > 1 else GLOROT, "halve" if halves else "none"
                return Conv(channels, window, resample=resample, spectral=spectral, kernel_init=init)(x)

            # No norm and no ReLU before the first layer, so that D receives unmodified samples.
            h = conv(x if first else nn.relu(normalise(self.norm, x, train)), 3)
            h = conv(nn.relu(normalise(self.norm, h, train)), 3, halving)
            if halving or channels != x.shape[-1]:
                x = conv(x, 1, halving)
            x = x + h
            if halving and x.shape[1] == self.attention:
                x = SelfAttention(spectral)(x)
        x = nn.relu(x).sum(axis=(1, 2))
        options = {"condition": self.condition, "outputs": self.outputs, "minibatch": self.minibatch, "spectral": spectral}
        return discriminator_head(x, label, self.num_classes, kernel_init=GLOROT, **options)


def is_small(sample_shape: Sequence[int]) -> bool:
    """Return whether images are small enough for the CIFAR networks, whose width is constant."""
    return max(sample_shape[:2]) < 48


def discriminator_blocks(sample_shape: Sequence[int]) -> list[tuple[int, bool]]:
    """Return (multiple of the width, whether it halves) for each block of the discriminator."""
    if is_small(sample_shape):
        return [(2, True), (2, True), (2, False), (2, False)]
    sizes, blocks = sample_shape[:2], []
    for stage in range(5):
        halving = all(size % 2 == 0 for size in sizes)
        sizes = [size // 2 for size in sizes] if halving else sizes
        blocks.append((2**stage, halving))
    return [*blocks, (16, False)] if min(sizes) >= 4 else blocks
