"""FastGAN: a light generator whose small feature maps gate its large ones, and a discriminator that must be able to reconstruct
the image, for a few hundred images of 64 to 1,024 pixels.

Source: Liu et al. 2021, arXiv:2101.04775, sections 3.1 and 3.2, figures 3 and 4. Our generator has no noise inputs other than
z; our D averages its patch logits before the loss; and reconstructions are compared with the image by absolute differences,
because there is no perceptual network here.
"""

import flax.linen as nn
import jax.numpy as jnp

from gan_jax.models.conditioning import check_condition
from gan_jax.models.dcgan import halvings
from gan_jax.models.layers import Conv, Dense, check_norm, normalise
from gan_jax.models.resnet import double, halve
from gan_jax.types import Array, Critic, Sample, Shape

# Channels as multiples of `width`, by the number of doublings: for 4, 8, 16, ... pixels.
CHANNELS = (16, 8, 4, 2, 2, 1, 0.5, 0.25, 0.125)


class Generator(nn.Module):
    """z [B, Z] -> the smallest grid -> doublings, each followed by one convolution and gated linear unit, or two after every
    other doubling -> images [B, H, W, C] in [-1, 1]. From the fourth doubling on, each channel is scaled by a gate
    (`Excitation`) computed from the grid four doublings earlier."""

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
        height, width, image_channels = self.sample_shape
        channels = widths(self.width, stages)

        def gated(x: Array) -> Array:
            """Gated linear unit: one half of the channels, gated by the other half."""
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
        return jnp.tanh(_conv(image_channels)(x))


class Discriminator(nn.Module):
    """images [B, H, W, C] -> halvings down to twice the smallest grid, each the mean of a strided convolution path and an
    average-pooling path -> one logit per position, averaged over positions -> logits and features [B, F + P].

    The last P features are the image, reconstructed from the last grid at an eighth of its size (or at the size of that grid,
    if it is larger), for the penalty `reconstruction`; the F before them are the means of the last grid over positions."""

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

        def activation(x: Array) -> Array:
            return nn.leaky_relu(normalise(self.norm, x, train), 0.2)

        x = nn.leaky_relu(_conv(channels[0])(x), 0.2)
        for count in channels[1:stages]:
            pooled = activation(_conv(count, 1)(halve(x)))
            x = activation(Conv(count, 4, 2, 1, spectral=True, use_bias=False)(x))
            x = 0.5 * (activation(_conv(count)(x)) + pooled)
        logits = Dense(1, spectral=True)(activation(_conv(x.shape[-1], 1)(x)))[..., 0].mean(axis=(1, 2))
        decoded = x
        while decoded.shape[1] < self.sample_shape[0] >> reconstruction_halvings(self.sample_shape):
            decoded = nn.relu(_conv(max(4, decoded.shape[-1] // 2))(double(decoded)))
        decoded = jnp.tanh(_conv(self.sample_shape[-1])(decoded))
        return logits, jnp.concatenate([x.mean(axis=(1, 2)), decoded.reshape(len(x), -1)], axis=-1)


class Excitation(nn.Module):
    """A small grid x [B, h, w, c] -> gates in (0, 1) for the channels of a large grid, [B, 1, 1, features]."""

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
    """E |x - decoder(D(x))| over real images x, downsampled to the size of D's reconstruction: the features of D must retain
    what is needed to reconstruct an image. Use it as `--penalty gan_jax.models.fastgan:reconstruction`.

    Source: Liu et al. 2021, arXiv:2101.04775, eq. 4, with absolute differences in place of perceptual ones.
    """
    features = critic.features(real)
    target = real
    for _ in range(reconstruction_halvings(real.shape[1:])):
        target = halve(target)
    target = target.reshape(len(real), -1)
    return jnp.abs(features[:, features.shape[1] - target.shape[1] :] - target).mean()


def reconstruction_halvings(sample_shape: Shape) -> int:
    """Return how often the image is halved to the size of D's reconstruction."""
    return min(3, halvings(sample_shape) - 1)


def widths(width: int, stages: int) -> list[int]:
    """Return the channels at each size, from the smallest grid to the image. Raises ValueError if the image is too large."""
    if stages >= len(CHANNELS):
        raise ValueError(f"fastgan supports at most {len(CHANNELS) - 1} doublings, these images need {stages}")
    return [max(1, int(multiple * width)) for multiple in CHANNELS[: stages + 1]]


def _conv(channels: int, window: int = 3) -> Conv:
    return Conv(channels, window, spectral=True, use_bias=False, kernel_init=nn.initializers.normal(0.02))
