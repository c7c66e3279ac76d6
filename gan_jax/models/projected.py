"""Projected GAN: discriminators on the features of a network that was trained on other images, and never moves; G is FastGAN's.

Source: Sauer et al. 2021, arXiv:2111.01007, section 3: four scales, mixed across channels and across scales by random layers
that never move either. The loss is the mean over all scales' logits where the authors add up one for each scale.
"""

import itertools
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.models import fastgan
from gan_jax.models.conditioning import check_condition
from gan_jax.models.conv import convolve
from gan_jax.models.layers import Conv, Dense, check_norm
from gan_jax.models.resnet import double
from gan_jax.types import Array, Shape

Generator = fastgan.Generator


class Discriminator(nn.Module):
    """images [B, H, W, C] -> feature maps, from fine to coarse -> mixed -> for each a stack of convolutions down to 4 positions
    a side at most -> logits [B], the mean over positions and maps, and their features.

    `features` is path/file.py:function or package.module:function, of yours: images in [-1, 1] -> maps [B, h, w, c], each half
    as high and wide as the one before. It holds the network and its weights, whose licence is their own."""

    sample_shape: Shape
    num_classes: int = 0
    width: int = 64
    norm: str = "spectral"
    condition: str = "none"
    features: Callable[[Array], Sequence[Array]] | None = None

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        check_norm(self.norm, ("spectral",))
        check_condition(self.condition, ("none",), label, self.num_classes)
        if self.features is None:
            raise ValueError('it needs a feature network of yours: projected(features="path/file.py:function")')
        maps = project_features(self.features(x), self.width)
        logits, ends = [], []
        for y in maps:
            for _ in range(max(1, (y.shape[1] - 1).bit_length() - 2)):
                y = nn.leaky_relu(Conv(2 * self.width, 4, 2, 1, spectral=True)(y), 0.2)
            ends.append(y.mean(axis=(1, 2)))
            logits.append(Dense(1, spectral=True)(y)[..., 0].mean(axis=(1, 2)))
        return sum(logits) / len(logits), jnp.concatenate(ends, axis=-1)


def project_features(maps: Sequence[Array], width: int) -> list[Array]:
    """Maps [B, h, w, c] from fine to coarse -> as many of `width` channels, each with what the coarser ones have: random 1 x 1
    convolutions, and from coarse to fine doublings and random 3 x 3 ones, the same in every run.

    Raises ValueError for maps that do not halve."""
    for fine, coarse in itertools.pairwise(maps):
        if any(side != 2 * half for side, half in zip(fine.shape[1:3], coarse.shape[1:3], strict=True)):
            shapes = ", ".join(str(y.shape[1:]) for y in maps)
            raise ValueError(f"feature maps must be each half as high and wide as the one before, got {shapes}")
    found: list[Array] = []
    for number, y in reversed(list(enumerate(maps))):
        y = _random(y, width, 1, 2 * number)
        if found:
            y = _random(y + double(found[0]), width, 3, 2 * number + 1)
        found.insert(0, y)
    return found


def _random(x: Array, channels: int, window: int, number: int) -> Array:
    """Through a convolution of numbers that are always the same, He et al.'s in size."""
    shape = (window, window, x.shape[-1], channels)
    kernel = nn.initializers.he_normal()(jax.random.fold_in(jax.random.key(0), number), shape)
    return convolve(x, kernel.astype(x.dtype))
