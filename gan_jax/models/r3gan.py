"""R3GAN: residual networks without normalisation, for the relativistic loss with R1 and R2; images of any size 2^k * m.

Source: Huang et al. 2024, arXiv:2501.05441, section 3 (configuration E), appendix D and table 9, whose parameter counts are
matched: inverted ResNeXt bottlenecks, Fix-up initialisation, bilinear resampling, and a learned grid at the start of G and the
end of D. The paper does not specify the padding of resampling; here it is zero.
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

SLOPE = 0.2  # of leaky ReLUs
MSR = nn.initializers.variance_scaling(1.0, "fan_in", "normal")  # for linear layers


class Generator(nn.Module):
    """z [B, Z] -> a learned grid whose channels are scaled by a linear map of z -> `blocks` residual blocks at each size,
    doubled in between -> images [B, H, W, C], not bounded to [-1, 1]. `condition` "concat" appends the label, embedded as Z
    numbers, to z.

    `width` is the number of channels up to 32 pixels, halved at each larger size; `group` is the number of channels in each
    group of a block's middle convolution: 16 of 2 x 768 give a cardinality of 96.
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
        channels = widths(self.sample_shape, self.width)
        height, width, image_channels = self.sample_shape
        stages = len(channels) - 1
        basis = self.param("basis", nn.initializers.normal(1.0), (height >> stages, width >> stages, channels[0]))
        x = basis.astype(z.dtype)[None] * Dense(channels[0], use_bias=False, kernel_init=MSR)(z)[:, None, None]
        for stage, count in enumerate(channels):
            if stage:
                x = double(_with_channels(x, count))
            for _ in range(self.blocks):
                x = Residual(self.blocks * len(channels), self.group)(x)
        return Conv(image_channels, 1, use_bias=False, kernel_init=MSR)(x)


class Discriminator(nn.Module):
    """images [B, H, W, C] -> `blocks` residual blocks at each size, halved in between -> the inner product of each channel
    with a learned grid, as features [B, F] -> logits. `width` and `group` as in the Generator. With `condition` "projection"
    the logit is the inner product of a linear map of the features and the label's embedding, with no unconditional term."""

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
        channels = widths(self.sample_shape, self.width)[::-1]
        x = Conv(channels[0], 1, use_bias=False, kernel_init=MSR)(x)
        for stage, count in enumerate(channels):
            if stage:
                x = _with_channels(halve(x), count)
            for _ in range(self.blocks):
                x = Residual(self.blocks * len(channels), self.group)(x)
        # A depthwise convolution whose window is the whole grid.
        init = nn.initializers.normal(math.prod(x.shape[1:3]) ** -0.5)
        features = (x * self.param("basis", init, x.shape[1:]).astype(x.dtype)[None]).sum(axis=(1, 2))
        if self.condition == "none":
            logits = Dense(self.outputs, use_bias=False, kernel_init=MSR)(features)
        else:
            embedded = embedding(label, self.num_classes, self.width).astype(x.dtype)
            mapped = Dense(self.outputs * self.width, use_bias=False, kernel_init=MSR)(features)
            logits = jnp.einsum("bof,bf->bo", mapped.reshape(-1, self.outputs, self.width), embedded) * self.width**-0.5
        return logits[:, 0] if self.outputs == 1 else logits, features


class Residual(nn.Module):
    """x [B, H, W, C] -> x + an inverted bottleneck: a 1x1 convolution to 2 C channels, a 3x3 convolution in groups of `group`
    channels, and a 1x1 convolution back to C; the first two are followed by a bias and a leaky ReLU.

    Each of the `blocks` blocks of a network starts as the identity: its last convolution is zero, and the standard deviation
    of the others is blocks^(-1/4) times that of He et al., so that the size of an update does not depend on the number of
    blocks. If `group` does not divide 2 C, the group size is their greatest common divisor.

    Source: Xie et al. 2017 (ResNeXt), arXiv:1611.05431; Zhang et al. 2019 (Fix-up), arXiv:1901.09321, L^(-1 / (2m - 2)), m = 3.
    """

    blocks: int
    group: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        inner = 2 * x.shape[-1]
        gain = 2 / (1 + SLOPE**2) * self.blocks**-0.5  # of the variance
        init = nn.initializers.variance_scaling(gain, "fan_in", "normal")
        h = nn.leaky_relu(Conv(inner, 1, kernel_init=init)(x), SLOPE)
        h = nn.leaky_relu(Conv(inner, 3, groups=inner // math.gcd(inner, self.group), kernel_init=init)(h), SLOPE)
        return x + Conv(x.shape[-1], 1, use_bias=False, kernel_init=nn.initializers.zeros)(h)


def widths(sample_shape: Shape, width: int) -> list[int]:
    """Return the channels at each size, from the smallest grid to the image."""
    stages, size = halvings(sample_shape), max(sample_shape[:2])
    return [max(1, min(width, 32 * width // (size >> stage))) for stage in reversed(range(stages + 1))]


def embedding(label: Array, num_classes: int, size: int) -> Array:
    """Embed labels as [B, size], initially of unit variance. Creates a layer in the calling module."""
    init = nn.initializers.normal(1.0)
    return Dense(size, use_bias=False, kernel_init=init, name="embedding")(label_vector(label, num_classes))


def _with_channels(x: Array, channels: int) -> Array:
    """Map x [B, H, W, C] to `channels` channels by a 1x1 convolution, if it has another number of them."""
    return x if x.shape[-1] == channels else Conv(channels, 1, use_bias=False, kernel_init=MSR)(x)


def double(x: Array) -> Array:
    """Upsample [B, H, W, C] -> [B, 2 H, 2 W, C] with [1, 2, 1] / 2 along each axis: even pixels are copied, odd pixels are
    the mean of their neighbours, with zeros beyond the border."""
    for axis in (1, 2):
        pairs = jnp.stack([x, 0.5 * (x + shift(x, axis, 1))], axis=axis + 1)
        x = pairs.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return x


def halve(x: Array) -> Array:
    """Downsample [B, 2 H, 2 W, C] -> [B, H, W, C] with [1, 2, 1] / 4 along each axis, centred on the even pixels: the
    transpose of `double`, divided by 2 along each axis."""
    for axis in (1, 2):
        pairs = x.reshape(*x.shape[:axis], -1, 2, *x.shape[axis + 1 :])
        even, odd = (jax.lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in range(2))
        x = 0.25 * shift(odd, axis, -1) + 0.5 * even + 0.25 * odd
    return x
