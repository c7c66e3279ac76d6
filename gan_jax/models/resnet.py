"""Residual networks of SNGAN, WGAN-GP and SAGAN, for images of any size 2^k * m; as published for 32, 48, 64 and 128.

Source: Miyato et al. 2018 (SNGAN), arXiv:1802.05957, appendix B.4, tables 4 to 6; Gulrajani et al. 2017, arXiv:1704.00028,
appendix F, whose critic has layer norm; Zhang et al. 2019 (SAGAN), arXiv:1805.08318, section 3, for self-attention and
spectral norm in G. The 64 pixels are between the tables of 48 and 128.
"""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp

from gan_jax.models.attention import SelfAttention
from gan_jax.models.conditioning import check_condition, label_vector, discriminator_head, with_label
from gan_jax.models.dcgan import LABEL_CHANNELS, halvings
from gan_jax.models.layers import Conv, Dense, check_norm, normalise
from gan_jax.types import Array

GLOROT = nn.initializers.glorot_uniform()
RESIDUAL = nn.initializers.variance_scaling(
    2.0, "fan_avg", "uniform"
)  # Glorot's for layers before a ReLU: sqrt 2 times as wide


class Generator(nn.Module):
    """z [B, Z] -> a small grid -> a residual block for each doubling -> images [B, H, W, C] in [-1, 1].

    Below 48 pixels every block has 4 `width` channels; from there on the last has `width`, and each earlier one twice as
    many, up to 16 `width`. `condition`: "concat" puts the label, embedded as Z numbers, beside z; "norm" has it set each
    norm's gain and bias. `attention` is the height at which there is self-attention, 0 for nowhere; `spectral` gives all
    layers but the norms spectral norm.
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
        height, width, channels = self.sample_shape
        features = [
            self.width * (4 if is_small(self.sample_shape) else min(16, 2**stage)) for stage in reversed(range(stages + 1))
        ]
        x = Dense((height >> stages) * (width >> stages) * features[0], self.spectral, kernel_init=GLOROT)(z)
        x = x.reshape(-1, height >> stages, width >> stages, features[0])

        def conv(x: Array, size: int, window: int = 3, init: Callable = RESIDUAL) -> Array:
            return Conv(size, window, spectral=self.spectral, kernel_init=init)(x)

        for size in features[1:]:
            h = nn.relu(normalise(self.norm, x, train, style=style))
            h = conv(double(h), size)
            h = nn.relu(normalise(self.norm, h, train, style=style))
            h = conv(h, size)
            x = h + conv(double(x), size, 1, GLOROT)
            if x.shape[1] == self.attention:
                x = SelfAttention(self.spectral)(x)
        # What comes before the picture is no longer set by the label.
        x = nn.relu(normalise(self.norm, x, train))
        return jnp.tanh(conv(x, channels, init=GLOROT))


class Discriminator(nn.Module):
    """images [B, H, W, C] -> residual blocks, the first ones halving -> sums over positions -> logits and features, by
    `discriminator_head`. `condition`: "concat" puts the label beside the image, as constant planes; "projection" is `discriminator_head`'s.

    Below 48 pixels four blocks of 2 `width` channels, two of them halving; else five of `width` to 16 `width`, halving while
    the sides are even, and one more that does not where 4 x 4 positions or more are left. `attention` as in the Generator,
    after the halving.
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
        halvings(self.sample_shape)  # refuses what is no image
        for number, (multiple, halving) in enumerate(discriminator_blocks(self.sample_shape)):
            size, first = multiple * self.width, number == 0

            def conv(x: Array, window: int, size: int = size) -> Array:
                init = RESIDUAL if window > 1 else GLOROT
                return Conv(size, window, spectral=spectral, kernel_init=init)(x)

            # No norm and no ReLU before the first: D must see the samples as they are.
            h = conv(x if first else nn.relu(normalise(self.norm, x, train)), 3)
            h = conv(nn.relu(normalise(self.norm, h, train)), 3)
            if first:
                x = conv(halve(x), 1)
            elif halving or size != x.shape[-1]:
                x = halve(conv(x, 1)) if halving else conv(x, 1)
            x = x + (halve(h) if halving else h)
            if halving and x.shape[1] == self.attention:
                x = SelfAttention(spectral)(x)
        x = nn.relu(x).sum(axis=(1, 2))
        end = {"condition": self.condition, "outputs": self.outputs, "minibatch": self.minibatch, "spectral": spectral}
        return discriminator_head(x, label, self.num_classes, kernel_init=GLOROT, **end)


def is_small(sample_shape: Sequence[int]) -> bool:
    """Whether the networks are CIFAR's, of one width throughout."""
    return max(sample_shape[:2]) < 48


def discriminator_blocks(sample_shape: Sequence[int]) -> list[tuple[int, bool]]:
    """Of the discriminator's blocks: (multiple of the width, whether it halves)."""
    if is_small(sample_shape):
        return [(2, True), (2, True), (2, False), (2, False)]
    sides, found = sample_shape[:2], []
    for stage in range(5):
        halving = all(side % 2 == 0 for side in sides)
        sides = [side // 2 for side in sides] if halving else sides
        found.append((2**stage, halving))
    return [*found, (16, False)] if min(sides) >= 4 else found


def double(x: Array) -> Array:
    """Each pixel four times: [B, H, W, C] -> [B, 2 H, 2 W, C]."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


def halve(x: Array) -> Array:
    """Means over 2 x 2 pixels: [B, H, W, C] -> [B, H / 2, W / 2, C]."""
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
