"""R3GAN: residual networks without normalisation, for the relativistic loss with R1 and R2; images of any size 2^k * m.

Source: Huang et al. 2024, arXiv:2501.05441, section 3 (configuration E), appendix D and table 9, whose parameter counts are
matched: inverted ResNeXt bottlenecks, Fix-up initialisation, bilinear resampling, and a learned grid at the start of G and the
end of D. What the paper leaves open follows the authors' code: the filter [1, 3, 3, 1] of `fir.py` with zeros beyond the
border, the initial embeddings, and bfloat16 at the largest sizes, which is off by default.
"""

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from gan_jax.models.conditioning import check_condition, label_vector
from gan_jax.models.dcgan import halvings
from gan_jax.models.fir import double, halve
from gan_jax.models.layers import Conv, Dense, check_norm
from gan_jax.types import Array, Shape

SLOPE = 0.2  # of leaky ReLUs
MSR = nn.initializers.variance_scaling(1.0, "fan_in", "normal")  # for linear layers


class Generator(nn.Module):
    """z [B, Z] -> a learned grid whose channels are scaled by a linear map of z -> `blocks` residual blocks at each size,
    doubled in between -> images [B, H, W, C], not bounded to [-1, 1]. `condition` "concat" appends the label, embedded as Z
    numbers, to z.

    `width` is the number of channels up to `taper_above` pixels, halved at each larger size; `group` is the number of channels
    in each group of a block's middle convolution: 16 of 2 x 768 give a cardinality of 96. The `bfloat16` largest sizes are
    computed in that type, in training and in sampling (`--compute bfloat16` is for training, and for the whole network). Raises
    ValueError if there are fewer sizes.
    """

    sample_shape: Shape
    num_classes: int = 0
    width: int = 768
    norm: str = "none"
    condition: str = "none"
    blocks: int = 2
    group: int = 16
    taper_above: int = 32
    bfloat16: int = 0

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool) -> Array:
        check_norm(self.norm, ("none",))
        check_condition(self.condition, ("none", "concat"), label, self.num_classes)
        if self.condition == "concat":
            z = jnp.concatenate([z, embedding(label, self.num_classes, z.shape[-1], 1.0).astype(z.dtype)], axis=-1)
        channels = widths(self.sample_shape, self.width, self.taper_above)
        dtypes = stage_dtypes(len(channels), self.bfloat16, z.dtype)
        height, width, image_channels = self.sample_shape
        stages = len(channels) - 1
        basis = self.param("basis", nn.initializers.normal(1.0), (height >> stages, width >> stages, channels[0]))
        x = basis.astype(z.dtype)[None] * Dense(channels[0], use_bias=False, kernel_init=MSR)(z)[:, None, None]
        for stage, count in enumerate(channels):
            x = x.astype(dtypes[stage])
            if stage:
                x = double(_with_channels(x, count))
            for _ in range(self.blocks):
                x = Residual(self.blocks * len(channels), self.group)(x)
        return Conv(image_channels, 1, use_bias=False, kernel_init=MSR)(x).astype(z.dtype)


class Discriminator(nn.Module):
    """images [B, H, W, C] -> `blocks` residual blocks at each size, halved in between -> the inner product of each channel
    with a learned grid, as features [B, F] -> logits. `width`, `group`, `taper_above` and `bfloat16` as in the Generator. With
    `condition` "projection" the logit is the inner product of a linear map of the features and the label's embedding, with no
    unconditional term."""

    sample_shape: Shape
    num_classes: int = 0
    width: int = 768
    norm: str = "none"
    condition: str = "none"
    outputs: int = 1
    blocks: int = 2
    group: int = 16
    taper_above: int = 32
    bfloat16: int = 0

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        check_norm(self.norm, ("none",))
        check_condition(self.condition, ("none", "projection"), label, self.num_classes)
        channels = widths(self.sample_shape, self.width, self.taper_above)[::-1]
        dtypes, input_dtype = stage_dtypes(len(channels), self.bfloat16, x.dtype)[::-1], x.dtype
        x = Conv(channels[0], 1, use_bias=False, kernel_init=MSR)(x.astype(dtypes[0]))
        for stage, count in enumerate(channels):
            if stage:
                x = _with_channels(halve(x), count).astype(dtypes[stage])
            for _ in range(self.blocks):
                x = Residual(self.blocks * len(channels), self.group)(x)
        # A depthwise convolution whose window is the whole grid.
        init = nn.initializers.normal(math.prod(x.shape[1:3]) ** -0.5)
        features = (x * self.param("basis", init, x.shape[1:]).astype(x.dtype)[None]).sum(axis=(1, 2))
        if self.condition == "none":
            logits = Dense(self.outputs, use_bias=False, kernel_init=MSR)(features)
        else:
            embedded = embedding(label, self.num_classes, self.width, 1 / self.width).astype(x.dtype)
            mapped = Dense(self.outputs * self.width, use_bias=False, kernel_init=MSR)(features)
            logits = jnp.einsum("bof,bf->bo", mapped.reshape(-1, self.outputs, self.width), embedded)
        logits, features = logits.astype(input_dtype), features.astype(input_dtype)
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


def widths(sample_shape: Shape, width: int, taper_above: int) -> list[int]:
    """Return the channels at each size, from the smallest grid to the image."""
    stages, size = halvings(sample_shape), max(sample_shape[:2])
    return [max(1, min(width, taper_above * width // (size >> stage))) for stage in reversed(range(stages + 1))]


def stage_dtypes(stages: int, bfloat16: int, dtype: Any) -> list[Any]:
    """Return the type of computation at each size, from the smallest to the largest: `dtype`, and bfloat16 at the last ones."""
    if not 0 <= bfloat16 <= stages:
        raise ValueError(f"bfloat16 is the number of sizes computed in bfloat16, 0 to {stages} here, got {bfloat16}")
    return [dtype] * (stages - bfloat16) + [jnp.bfloat16] * bfloat16


def embedding(label: Array, num_classes: int, size: int, scale: float) -> Array:
    """Embed labels as [B, size] by a matrix of initial variance scale / num_classes, that of a layer with `num_classes` inputs.
    Creates a layer in the calling module."""
    init = nn.initializers.variance_scaling(scale, "fan_in", "normal")
    return Dense(size, use_bias=False, kernel_init=init, name="embedding")(label_vector(label, num_classes))


def _with_channels(x: Array, channels: int) -> Array:
    """Map x [B, H, W, C] to `channels` channels by a 1x1 convolution, if it has another number of them."""
    return x if x.shape[-1] == channels else Conv(channels, 1, use_bias=False, kernel_init=MSR)(x)
