"""R3GAN: residual networks without any norm, for the relativistic game with R1 and R2; images of any size 2^k * m.

Source: Huang et al. 2024, arXiv:2501.05441, section 3 (configuration E), appendix D and table 9, whose numbers of parameters
are met: ResNeXt's bottlenecks turned inside out, Fix-up's initialisation, bilinear resampling, a learned grid at the ends. What
is beyond the border of an image when it is resampled they do not tell; here it is 0.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.models.conditioning import check_condition, label_vector
from gan_jax.models.dcgan import halvings
from gan_jax.models.fir import shift
from gan_jax.models.layers import Conv, Dense, check_norm
from gan_jax.types import Array, Shape

SLOPE = 0.2
MSR = nn.initializers.variance_scaling(1.0, "fan_in", "normal")  # of a linear layer


class Generator(nn.Module):
    """z [B, Z] -> a learned grid, scaled by z channel by channel -> `blocks` residual blocks at each size, doubled in between
    -> images [B, H, W, C], which nothing keeps within [-1, 1]. `condition` "concat" puts the label, embedded as Z numbers,
    beside z.

    `width` is the channels up to 32 pixels, and half as many at each size beyond; `group` is how many of a block's channels
    the middle convolution sees together: 16 of 2 x 768 make a cardinality of 96.
    """

    sample_shape: Shape
    num_classes: int = 0
    width: int = 768
    norm: str = "none"
    condition: str = "none"
    blocks: int = 2
    group: int = 16

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool) -> Array:
        check_norm(self.norm, ("none",))
        check_condition(self.condition, ("none", "concat"), label, self.num_classes)
        if self.condition == "concat":
            z = jnp.concatenate([z, embedding(label, self.num_classes, z.shape[-1]).astype(z.dtype)], axis=-1)
        sizes = widths(self.sample_shape, self.width)
        height, width, planes = self.sample_shape
        halved = len(sizes) - 1
        basis = self.param("basis", nn.initializers.normal(1.0), (height >> halved, width >> halved, sizes[0]))
        x = basis.astype(z.dtype) * Dense(sizes[0], use_bias=False, kernel_init=MSR)(z)[:, None, None]
        for number, size in enumerate(sizes):
            if number:
                x = double(_fitted(x, size))
            for _ in range(self.blocks):
                x = Residual(self.blocks * len(sizes), self.group)(x)
        return Conv(planes, 1, use_bias=False, kernel_init=MSR)(x)


class Discriminator(nn.Module):
    """images [B, H, W, C] -> `blocks` residual blocks at each size, halved in between -> each channel's product with a learned
    grid, its features [B, F] -> logits. `width` and `group` as in the Generator. With `condition` "projection" the logit is
    the product of a linear map of the features with the label's embedding, and there is no other."""

    sample_shape: Shape
    num_classes: int = 0
    width: int = 768
    norm: str = "none"
    condition: str = "none"
    outputs: int = 1
    blocks: int = 2
    group: int = 16

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        check_norm(self.norm, ("none",))
        check_condition(self.condition, ("none", "projection"), label, self.num_classes)
        sizes = widths(self.sample_shape, self.width)[::-1]
        x = Conv(sizes[0], 1, use_bias=False, kernel_init=MSR)(x)
        for number, size in enumerate(sizes):
            if number:
                x = _fitted(halve(x), size)
            for _ in range(self.blocks):
                x = Residual(self.blocks * len(sizes), self.group)(x)
        # A convolution of each channel by itself whose window is the whole grid.
        init = nn.initializers.normal(math.prod(x.shape[1:3]) ** -0.5)
        features = (x * self.param("basis", init, x.shape[1:]).astype(x.dtype)).sum(axis=(1, 2))
        if self.condition == "none":
            logits = Dense(self.outputs, use_bias=False, kernel_init=MSR)(features)
        else:
            asked = embedding(label, self.num_classes, self.width).astype(x.dtype)
            seen = Dense(self.outputs * self.width, use_bias=False, kernel_init=MSR)(features)
            logits = jnp.einsum("bof,bf->bo", seen.reshape(-1, self.outputs, self.width), asked) * self.width**-0.5
        return logits[:, 0] if self.outputs == 1 else logits, features


class Residual(nn.Module):
    """x [B, H, W, C] -> x + a 1 x 1 convolution to 2 C channels, 3 x 3 in groups of `group` of them, and 1 x 1 back; a bias and
    a leaky ReLU after either of the first two. Of the `blocks` in a network each begins as the identity: the last convolution
    is zero, and the others' are blocks^-1/4 times as wide as He et al.'s, so that a step of training changes no more for their
    number. Where `group` does not divide 2 C, the groups are what divides both.

    Source: Xie et al. 2017 (ResNeXt), arXiv:1611.05431; Zhang et al. 2019 (Fix-up), arXiv:1901.09321, L^(-1 / (2m - 2)), m = 3.
    """

    blocks: int
    group: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        wide = 2 * x.shape[-1]
        gain = 2 / (1 + SLOPE**2) * self.blocks**-0.5  # of the variance
        init = nn.initializers.variance_scaling(gain, "fan_in", "normal")
        h = nn.leaky_relu(Conv(wide, 1, kernel_init=init)(x), SLOPE)
        h = nn.leaky_relu(Conv(wide, 3, groups=wide // math.gcd(wide, self.group), kernel_init=init)(h), SLOPE)
        return x + Conv(x.shape[-1], 1, use_bias=False, kernel_init=nn.initializers.zeros)(h)


def widths(sample_shape: Shape, width: int) -> list[int]:
    """Channels at each size, from the smallest grid to the image."""
    stages, side = halvings(sample_shape), max(sample_shape[:2])
    return [max(1, min(width, 32 * width // (side >> stage))) for stage in reversed(range(stages + 1))]


def embedding(label: Array, num_classes: int, size: int) -> Array:
    """[B, size], of unit variance at first; it makes a layer of the module that calls it."""
    init = nn.initializers.normal(1.0)
    return Dense(size, use_bias=False, kernel_init=init, name="embedding")(label_vector(label, num_classes))


def _fitted(x: Array, size: int) -> Array:
    """x [B, H, W, C] with `size` channels: as it is, or through a 1 x 1 convolution."""
    return x if x.shape[-1] == size else Conv(size, 1, use_bias=False, kernel_init=MSR)(x)


def double(x: Array) -> Array:
    """[B, H, W, C] -> [B, 2 H, 2 W, C] through [1, 2, 1] / 2 along each axis: linear interpolation at the even pixels' places
    and half way to the next one, 0 beyond the border."""
    for axis in (1, 2):
        pairs = jnp.stack([x, 0.5 * (x + shift(x, axis, 1))], axis=axis + 1)
        x = pairs.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return x


def halve(x: Array) -> Array:
    """[B, 2 H, 2 W, C] -> [B, H, W, C] through [1, 2, 1] / 4 along each axis, about the even pixels: the transpose of `double`
    over 2 along each axis."""
    for axis in (1, 2):
        pairs = x.reshape(*x.shape[:axis], -1, 2, *x.shape[axis + 1 :])
        even, odd = (jax.lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in range(2))
        x = 0.25 * shift(odd, axis, -1) + 0.5 * even + 0.25 * odd
    return x
