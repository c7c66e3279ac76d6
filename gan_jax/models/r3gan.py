"""R3GAN: residual networks without any norm, for the relativistic game with R1 and R2; images of any size 2^k * m.

Source: Huang et al. 2024, arXiv:2501.05441, section 3 and the appendix on architecture: ResNeXt's bottlenecks turned inside
out, Fix-up's initialisation, resampling through [1, 2, 1], a learned grid at the ends. Written from the paper's description.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.models.conditioning import check_condition, label_vector
from gan_jax.models.dcgan import halvings
from gan_jax.models.fir import shifted
from gan_jax.models.layers import Conv, Dense, check_norm
from gan_jax.types import Array, Shape

SLOPE = 0.2
MSR = nn.initializers.variance_scaling(1.0, "fan_in", "normal")  # of a linear layer
EMBEDDED = 256  # numbers of a class's embedding, in either player


class Generator(nn.Module):
    """z [B, Z] -> a learned grid, scaled by z channel by channel -> `blocks` residual blocks at each size -> images
    [B, H, W, C], which nothing keeps within [-1, 1]. `condition` "concat" puts the label, embedded, beside z.

    All sizes have `width` channels, and `cardinality` groups in the middle of a block; an eighth of `width` unless given.
    """

    sample_shape: Shape
    num_classes: int = 0
    width: int = 768
    norm: str = "none"
    condition: str = "none"
    blocks: int = 2
    cardinality: int | None = None

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool) -> Array:
        check_norm(self.norm, ("none",))
        check_condition(self.condition, ("none", "concat"), label, self.num_classes)
        if self.condition == "concat":
            z = jnp.concatenate([z, embedding(label, self.num_classes).astype(z.dtype)], axis=-1)
        stages = halvings(self.sample_shape)
        height, width, planes = self.sample_shape
        shape = (height >> stages, width >> stages, self.width)
        basis = self.param("basis", nn.initializers.normal(1.0), shape)
        scale = Dense(self.width, use_bias=False, kernel_init=MSR)(z)
        x = basis.astype(z.dtype) * scale[:, None, None]
        for stage in range(stages + 1):
            x = double(x) if stage else x
            for _ in range(self.blocks):
                x = Residual(self.blocks * (stages + 1), groups(self.width, self.cardinality))(x)
        return Conv(planes, 1, use_bias=False, kernel_init=MSR)(x)


class Discriminator(nn.Module):
    """images [B, H, W, C] -> `blocks` residual blocks at each size, halved in between -> each channel's product with a learned
    grid -> logits and features [B, width]. With `condition` "projection" the logit is the product of a linear map of the
    features with the label's embedding, and there is no other."""

    sample_shape: Shape
    num_classes: int = 0
    width: int = 768
    norm: str = "none"
    condition: str = "none"
    blocks: int = 2
    cardinality: int | None = None

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        check_norm(self.norm, ("none",))
        check_condition(self.condition, ("none", "projection"), label, self.num_classes)
        stages = halvings(self.sample_shape)
        x = Conv(self.width, 1, use_bias=False, kernel_init=MSR)(x)
        for stage in range(stages + 1):
            x = halve(x) if stage else x
            for _ in range(self.blocks):
                x = Residual(self.blocks * (stages + 1), groups(self.width, self.cardinality))(x)
        init = nn.initializers.normal((x.shape[1] * x.shape[2]) ** -0.5)  # each channel's own map of the grid to one number
        basis = self.param("basis", init, x.shape[1:])
        features = (x * basis.astype(x.dtype)).sum(axis=(1, 2))
        if self.condition == "none":
            return Dense(1, use_bias=False, kernel_init=MSR)(features)[:, 0], features
        seen = Dense(EMBEDDED, use_bias=False, kernel_init=MSR)(features)
        asked = embedding(label, self.num_classes).astype(seen.dtype)
        return (seen * asked).sum(axis=1) * EMBEDDED**-0.5, features


class Residual(nn.Module):
    """x [B, H, W, C] -> x + a 1 x 1 convolution to 2 C channels, 3 x 3 in `groups`, and 1 x 1 back; a bias and a leaky ReLU
    after either of the first two. Of `blocks` such blocks in a network each begins as the identity: the last convolution
    is zero, and the others' are blocks^-1/4 times as wide as He et al.'s, that no step of training changes more for their
    number.

    Source: Xie et al. 2017 (ResNeXt), arXiv:1611.05431; Zhang et al. 2019 (Fix-up), arXiv:1901.09321, L^(-1 / (2m - 2)), m = 3.
    """

    blocks: int
    groups: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        channels = x.shape[-1]
        gain = 2 / (1 + SLOPE**2) * self.blocks**-0.5  # of the variance
        init = nn.initializers.variance_scaling(gain, "fan_in", "normal")
        h = nn.leaky_relu(Conv(2 * channels, 1, kernel_init=init)(x), SLOPE)
        h = nn.leaky_relu(Conv(2 * channels, 3, groups=self.groups, kernel_init=init)(h), SLOPE)
        return x + Conv(channels, 1, use_bias=False, kernel_init=nn.initializers.zeros)(h)


def embedding(label: Array, num_classes: int) -> Array:
    """[B, EMBEDDED], of unit variance; it makes a layer of the module that calls it."""
    init = nn.initializers.normal(1.0)
    return Dense(EMBEDDED, use_bias=False, kernel_init=init, name="embedding")(label_vector(label, num_classes))


def groups(width: int, cardinality: int | None) -> int:
    """Of a block's 2 `width` channels in the middle. Raises ValueError where they do not divide."""
    count = max(1, width // 8) if cardinality is None else cardinality
    if count < 1 or 2 * width % count:
        raise ValueError(f"cardinality must divide twice the width, which is {2 * width}, got {count}")
    return count


def double(x: Array) -> Array:
    """[B, H, W, C] -> [B, 2 H, 2 W, C] through [1, 2, 1] / 2 along each axis: linear interpolation at the even pixels' places
    and half way to the next one, 0 beyond the border."""
    for axis in (1, 2):
        pairs = jnp.stack([x, 0.5 * (x + shifted(x, axis, 1))], axis=axis + 1)
        x = pairs.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return x


def halve(x: Array) -> Array:
    """[B, 2 H, 2 W, C] -> [B, H, W, C] through [1, 2, 1] / 4 along each axis, about the even pixels: the transpose of `double`
    over 2 along each axis."""
    for axis in (1, 2):
        pairs = x.reshape(*x.shape[:axis], -1, 2, *x.shape[axis + 1 :])
        even, odd = (jax.lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in range(2))
        x = 0.25 * shifted(odd, axis, -1) + 0.5 * even + 0.25 * odd
    return x
