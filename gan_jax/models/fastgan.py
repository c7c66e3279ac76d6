"""FastGAN: a light generator whose small feature maps gate its large ones, and a discriminator that must be able to draw again
what it saw, for a few hundred images of 64 to 1,024 pixels.

Source: Liu et al. 2021, arXiv:2101.04775, sections 3.1 and 3.2, figures 3 and 4. No noise but z; D's patches are averaged
before the loss; what D draws is held against the image by absolute differences, for want of a perceptual network.
"""

import flax.linen as nn
import jax.numpy as jnp

from gan_jax.models.conditioning import check_condition
from gan_jax.models.dcgan import halvings
from gan_jax.models.layers import Conv, Dense, check_norm, normalise
from gan_jax.models.resnet import double, halve
from gan_jax.types import Array, Critic, Sample, Shape

# Channels over `width` of a grid that has been doubled so often: 4, 8, 16, ... pixels.
CHANNELS = (16, 8, 4, 2, 2, 1, 0.5, 0.25, 0.125)


class Generator(nn.Module):
    """z [B, Z] -> the smallest grid -> doublings, each a convolution and a gated linear unit, every other one two -> images
    [B, H, W, C] in [-1, 1]. From the fourth doubling on, each channel is scaled by what the grid four doublings before says."""

    sample_shape: Shape
    num_classes: int = 0
    width: int = 64
    norm: str = "batch"
    condition: str = "none"

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool) -> Array:
        check_norm(self.norm, ("batch", "layer", "instance"))
        check_condition(self.condition, ("none",), label, self.num_classes)
        stages = halvings(self.sample_shape)
        height, width, planes = self.sample_shape
        channels = widths(self.width, stages)

        def gated(x: Array) -> Array:
            """Half the channels, opened by the other half."""
            value, gate = jnp.split(normalise(self.norm, x, train), 2, axis=-1)
            return value * nn.sigmoid(gate)

        shape = (height >> stages, width >> stages, 2 * channels[0])
        x = gated(Dense(shape[0] * shape[1] * shape[2], spectral=True, use_bias=False)(z).reshape(-1, *shape))
        grids = [x]
        for stage in range(1, stages + 1):
            x = gated(_conv(2 * channels[stage])(double(x)))
            if stage % 2:
                x = gated(_conv(2 * channels[stage])(x))
            if stage >= 4:
                x = x * Excitation(channels[stage])(grids[stage - 4])
            grids.append(x)
        return jnp.tanh(_conv(planes)(x))


class Discriminator(nn.Module):
    """images [B, H, W, C] -> halvings down to the smallest grid but one, each by convolutions beside a mean of pixels -> a
    logit at each of its positions, whose mean is the sample's -> logits and features [B, F + P].

    The last P features are the image as it is drawn again from the last grid, an eighth of its size where that is no smaller
    than the grid, which `reconstruction` wants; the F before them are the last grid's means over positions."""

    sample_shape: Shape
    num_classes: int = 0
    width: int = 64
    norm: str = "batch"
    condition: str = "none"

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        check_norm(self.norm, ("none", "batch", "layer", "instance"))
        check_condition(self.condition, ("none",), label, self.num_classes)
        stages = halvings(self.sample_shape)
        channels = widths(self.width, stages)[::-1]

        def seen(x: Array) -> Array:
            return nn.leaky_relu(normalise(self.norm, x, train), 0.2)

        x = nn.leaky_relu(_conv(channels[0])(x), 0.2)
        for count in channels[1:stages]:
            direct = seen(_conv(count, 1)(halve(x)))
            x = seen(Conv(count, 4, 2, 1, spectral=True, use_bias=False)(x))
            x = 0.5 * (seen(_conv(count)(x)) + direct)
        logits = Dense(1, spectral=True)(seen(_conv(x.shape[-1], 1)(x)))[..., 0].mean(axis=(1, 2))
        drawn = x
        while drawn.shape[1] < self.sample_shape[0] >> reconstruction_halvings(self.sample_shape):
            drawn = nn.relu(_conv(max(4, drawn.shape[-1] // 2))(double(drawn)))
        drawn = jnp.tanh(_conv(self.sample_shape[-1])(drawn))
        return logits, jnp.concatenate([x.mean(axis=(1, 2)), drawn.reshape(len(x), -1)], axis=-1)


class Excitation(nn.Module):
    """A small grid x [B, h, w, c] -> a factor between 0 and 1 for each channel of a large one, [B, 1, 1, features]."""

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        height, width = x.shape[1] // 4, x.shape[2] // 4
        if height > 1 or width > 1:
            x = x[:, : 4 * max(1, height), : 4 * max(1, width)]
            x = nn.avg_pool(x, (max(1, height), max(1, width)), (max(1, height), max(1, width)))
        x = nn.swish(Dense(self.features, spectral=True)(x.reshape(len(x), -1)))
        return nn.sigmoid(Dense(self.features, spectral=True)(x))[:, None, None]


def reconstruction(critic: Critic, real: Sample, fake: Sample, key: Array) -> Array:
    """E |x - drawn(D(x))| of real images, made as small as what D draws: D must keep of an image what it takes to draw it
    again. A value of `--penalty`, as `gan_jax.models.fastgan:reconstruction`.

    Source: Liu et al. 2021, arXiv:2101.04775, eq. 4, with absolute differences for their perceptual ones.
    """
    features = critic.features(real)
    small = real
    for _ in range(reconstruction_halvings(real.shape[1:])):
        small = halve(small)
    small = small.reshape(len(real), -1)
    return jnp.abs(features[:, features.shape[1] - small.shape[1] :] - small).mean()


def reconstruction_halvings(sample_shape: Shape) -> int:
    """How often the image that D draws is."""
    return min(3, halvings(sample_shape) - 1)


def widths(width: int, stages: int) -> list[int]:
    """Channels from the smallest grid to the image. Raises ValueError for an image that is too large."""
    if stages >= len(CHANNELS):
        raise ValueError(f"fastgan has at most {len(CHANNELS) - 1} doublings, and these images {stages}")
    return [max(1, int(multiple * width)) for multiple in CHANNELS[: stages + 1]]


def _conv(count: int, window: int = 3) -> Conv:
    return Conv(count, window, spectral=True, use_bias=False, kernel_init=nn.initializers.normal(0.02))
