"""Projected GAN: discriminators on the features of a frozen network that was trained on other images; G is FastGAN's.

Source: Sauer et al. 2021, arXiv:2111.01007, section 3: four scales, mixed across channels and across scales by frozen random
layers. The paper sums one loss per scale; here, as in the authors' code, the loss is the mean over the patches of all scales,
which have equal numbers of patches if every map is at least 8 pixels high.

This is the idea, not the published network. The authors' code doubles maps bilinearly, mixes scales by 1x1 convolutions with
more channels for coarser maps, and has batch norm in D, whose logits come from a 4x4 convolution of 8x8 maps. Its G, FastGAN's
of twice the width, has no tanh and normalises z.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.models import fastgan
from gan_jax.models.conditioning import check_condition
from gan_jax.models.conv import convolve
from gan_jax.models.layers import Conv, Dense, check_norm, double
from gan_jax.types import Array, Shape

Generator = fastgan.Generator


class Discriminator(nn.Module):
    """images [B, H, W, C] -> feature maps, from fine to coarse -> random projections of them -> for each a stack of
    convolutions down to a height of at most 4 -> logits [B, P], one for each position of each map, and the pooled features of
    all maps.

    `features` is path/file.py:function or package.module:function, supplied by the user: images in [-1, 1] -> maps [B, h, w,
    c], each half as high and wide as the one before. The function holds the network and its weights, which have a licence of
    their own."""

    sample_shape: Shape
    num_classes: int = 0
    width: int = 64
    norm: str = "spectral"
    condition: str = "none"
    features: Callable[[Array], Sequence[Array]] | None = None
    patches: ClassVar[bool] = True

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        check_norm(self.norm, ("spectral",))
        check_condition(self.condition, ("none",), label, self.num_classes)
        if self.features is None:
            raise ValueError('projected needs a feature network: projected(features="path/file.py:function")')
        maps = project_features(self.features(x), self.width)
        logits, pooled = [], []
        for y in maps:
            for _ in range(max(1, (y.shape[1] - 1).bit_length() - 2)):
                y = nn.leaky_relu(Conv(2 * self.width, 4, 2, 1, spectral=True)(y), 0.2)
            pooled.append(y.mean(axis=(1, 2)))
            logits.append(Dense(1, spectral=True)(y).reshape(len(y), -1))
        return jnp.concatenate(logits, axis=-1), jnp.concatenate(pooled, axis=-1)


def project_features(maps: Sequence[Array], width: int) -> list[Array]:
    """Mix maps [B, h, w, c], ordered from fine to coarse, across channels and scales: a random 1x1 convolution of each map to
    `width` channels, then from coarse to fine the sum with the doubled coarser map and a random 3x3 convolution. The random
    kernels are the same in every run.

    Raises ValueError if a map is not half as high and wide as the one before."""
    for fine, coarse in itertools.pairwise(maps):
        if any(size != 2 * half for size, half in zip(fine.shape[1:3], coarse.shape[1:3], strict=True)):
            shapes = ", ".join(str(y.shape[1:]) for y in maps)
            raise ValueError(f"each feature map must be half as high and wide as the one before, got {shapes}")
    projected: list[Array] = []
    for number, y in reversed(list(enumerate(maps))):
        y = _random_convolution(y, width, 1, 2 * number)
        if projected:
            y = _random_convolution(y + double(projected[0]), width, 3, 2 * number + 1)
        projected.insert(0, y)
    return projected


def _random_convolution(x: Array, channels: int, window: int, number: int) -> Array:
    """Convolve x with the kernel number `number`: fixed random values at the scale of He initialisation."""
    shape = (window, window, x.shape[-1], channels)
    kernel = nn.initializers.he_normal()(jax.random.fold_in(jax.random.key(0), number), shape)
    return convolve(x, kernel.astype(x.dtype))
