"""FastGAN: a light generator whose small feature maps gate its large ones, and a discriminator that must be able to reconstruct
the image, for a few hundred images of 32 to 1,024 pixels.

Source: Liu et al. 2021, arXiv:2101.04775, sections 3.1 and 3.2, and the authors' code, whose networks these are at 256, 512 and
1,024 pixels, down to the number of parameters, except that

- their G also has a 1x1 convolution from its grid of 128 pixels to an image (3 `width` parameters). D's branch for small images
  receives that from G, and here, as for real images, every second, fourth or eighth pixel of the large one;
- their images go through tanh at 1,024 pixels only, here always;
- D's reconstructions are compared by LPIPS, here by `perceptual`, or by absolute differences if it is not set. They reconstruct
  the same quarter of all images of a batch, here one drawn for each image;
- the gains of their norms start at 1 +- .02, here at 1.

Smaller images have fewer stages. Noise is drawn from a key derived from the bits of z, so that samples are a function of z.
"""

from collections.abc import Callable
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.imaging.resample import apply_separable
from gan_jax.models.conditioning import check_condition
from gan_jax.models.dcgan import INIT, halvings
from gan_jax.models.layers import Conv, check_norm, latent_key, normalise
from gan_jax.types import Array, Critic, Sample, Shape

# Channels as multiples of `width`: of G for 4, 8, 16, ... pixels, of D for 8, 16, 32, ...
G_CHANNELS = (16, 8, 4, 2, 2, 1, 0.5, 0.25, 0.125)
D_CHANNELS = (8, 4, 2, 1, 0.5, 0.25, 0.125)
DECODER_CHANNELS = (2, 1, 1, 0.5)
BLOCKS = 5  # residual halvings of D, from 256 to 8 pixels; larger images are first halved by single convolutions


class Generator(nn.Module):
    """z [B, Z] -> the smallest grid -> doublings, each followed by a convolution and a gated linear unit, or, after every other
    doubling, by two, with noise -> images [B, H, W, C] in [-1, 1]. From the fourth to the seventh doubling, each channel is
    scaled by a gate (`Excitation`) computed from the grid four doublings earlier. Raises ValueError for a z of one number."""

    sample_shape: Shape
    num_classes: int = 0
    width: int = 64
    norm: str = "batch"
    condition: str = "none"

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool) -> Array:
        check_norm(self.norm, ("batch", "layer", "instance"))
        check_condition(self.condition, ("none",), label, self.num_classes)
        if z.shape[-1] < 2:
            raise ValueError(f"fastgan needs a z_dim of at least 2, got {z.shape[-1]}")
        stages = halvings(self.sample_shape)
        height, width, image_channels = self.sample_shape
        channels = _channels(G_CHANNELS, self.width, stages + 1)
        keys = jax.vmap(latent_key)(z)

        def noisy(x: Array, layer: int) -> Array:
            """Add noise that is the same for all channels, at a learned strength."""
            strength = self.param(f"noise_{layer}", nn.initializers.zeros, ())
            noise = jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, layer), x.shape[1:3]))(keys)
            return x + (strength.astype(noise.dtype) * noise[..., None]).astype(x.dtype)

        grid = (height >> stages, width >> stages)
        x = Conv(2 * channels[0], grid, 1, "VALID", transpose=True, spectral=True, use_bias=False, kernel_init=INIT)(
            z[:, None, None, :]
        )
        x = gated(self.norm, x, train)
        grids = [x]
        for stage in range(1, stages + 1):
            x = _conv(2 * channels[stage], resample="double")(x)
            if stage % 2:
                x = gated(self.norm, noisy(x, 2 * stage), train)
                x = noisy(_conv(2 * channels[stage])(x), 2 * stage + 1)
            x = gated(self.norm, x, train)
            if 4 <= stage < 8:
                x = x * Excitation(channels[stage])(grids[stage - 4])
            grids.append(x)
        return jnp.tanh(_conv(image_channels)(x))


class Discriminator(nn.Module):
    """images [B, H, W, C] -> residual halvings down to twice the smallest grid, of which those from the third on are gated by
    the grid three halvings earlier -> one logit for each window of 4x4 positions; a branch of plain halvings does the same for
    a small image, every 2^k-th pixel of the large one. Returns the logits of both, [B, P] (50 for square images whose side is a
    power of two), and features [B, F + 1].

    Three decoders reconstruct the small image from the last grid of either branch, and a random quarter of the large image from
    that quarter of the last grid but one. The last feature is the sum of their errors, for the penalty `reconstruction`; the F
    before it are the means of the last grid over positions.

    `perceptual` is path/file.py:function or package.module:function, such as gan_jax.data.images.perceptual:lpips, and holds
    its own weights: (images, images), both [B, h, w, C] in [-1, 1] -> their distances [B]. Raises ValueError for images that
    cannot be halved three times."""

    sample_shape: Shape
    num_classes: int = 0
    width: int = 64
    norm: str = "batch"
    condition: str = "none"
    perceptual: Callable[[Array, Array], Array] | None = None
    patches: ClassVar[bool] = True

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        check_norm(self.norm, ("none", "batch", "layer", "instance"))
        check_condition(self.condition, ("none",), label, self.num_classes)
        stages = halvings(self.sample_shape)
        if stages < 3:
            raise ValueError(f"fastgan's D needs images that can be halved three times, got {self.sample_shape}")
        blocks = min(BLOCKS, stages - 1)
        channels = _channels(D_CHANNELS, self.width, max(blocks + 1, stages - 1))
        step = 1 << max(1, stages - BLOCKS)
        small_image = x[:, ::step, ::step]
        *_, fine, last = self._large(x, channels, stages, train)
        small = self._small(small_image, channels[1:blocks], train)

        hidden = self._activation(_conv(2 * channels[0], 1)(last), train)
        logits = [_conv(1, 4, 1, "VALID")(hidden), _conv(1, 4, 1, "VALID")(small)]
        index = random_quarter(x)
        targets = [small_image, small_image, quarter(x, index)[:, :: step // 2, :: step // 2]]
        error = jnp.zeros(len(x))
        for grid, target in zip((last, small, quarter(fine, index)), targets, strict=True):
            image = Decoder(blocks - 1, x.shape[-1], self.width, self.norm)(grid, train)
            image, target = image.astype(jnp.float32), target.astype(jnp.float32)
            error += (self.perceptual or absolute_distance)(image, target).reshape(len(x))
        features = jnp.concatenate([last.mean(axis=(1, 2)), error[:, None].astype(last.dtype)], axis=-1)
        return jnp.concatenate([y.reshape(len(x), -1) for y in logits], axis=-1), features

    def _large(self, x: Array, channels: list[int], stages: int, train: bool) -> list[Array]:
        """The grids of the branch for the whole image, from large to small."""
        blocks = min(BLOCKS, stages - 1)
        if stages - 1 == blocks:
            x = nn.leaky_relu(_conv(channels[blocks])(x), 0.2)
        for index in reversed(range(blocks, stages - 1)):
            x = _conv(channels[index], 4, 2, 1)(x)
            x = nn.leaky_relu(x, 0.2) if index == stages - 2 else self._activation(x, train)
        grids = [x]
        for index in reversed(range(blocks)):
            direct = self._activation(_conv(channels[index], 1, resample="halve")(x), train)
            x = self._activation(_conv(channels[index], 4, 2, 1)(x), train)
            x = (self._activation(_conv(channels[index])(x), train) + direct) / 2
            if len(grids) >= 3:
                x = x * Excitation(channels[index])(grids[-3])
            grids.append(x)
        return grids

    def _small(self, x: Array, channels: list[int], train: bool) -> Array:
        """The last grid of the branch for the small image; `channels` are those of its grids, from small to large."""
        x = nn.leaky_relu(_conv(channels[-1], 4, 2, 1)(x), 0.2)
        for count in reversed(channels[:-1]):
            x = self._activation(_conv(count, 4, 2, 1)(x), train)
        return x

    def _activation(self, x: Array, train: bool) -> Array:
        return nn.leaky_relu(normalise(self.norm, x, train), 0.2)


class Decoder(nn.Module):
    """A grid [B, h, w, c] -> doublings -> images [B, H, W, channels] in [-1, 1]."""

    doublings: int
    channels: int
    width: int
    norm: str

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        for count in _channels(DECODER_CHANNELS, self.width, self.doublings):
            x = gated(self.norm, _conv(2 * count, resample="double")(x), train)
        return jnp.tanh(_conv(self.channels)(x))


class Excitation(nn.Module):
    """A small grid x [B, h, w, c] -> gates in (0, 1) for the channels of a large grid, [B, 1, 1, features], by pooling to 4x4
    and two convolutions."""

    features: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        rows, columns = (pooling(size).astype(x.dtype) for size in x.shape[1:3])
        x = nn.swish(_conv(self.features, 4, 1, "VALID")(apply_separable(rows, columns, x)))
        return nn.sigmoid(_conv(self.features, 1)(x))


def reconstruction(critic: Critic, real: Sample, fake: Sample, key: Array) -> Array:
    """The error with which D reconstructs real images, averaged over them: D's features must retain what is needed to do so.
    The images are those that D receives, after augmentation. Use it as `--penalty gan_jax.models.fastgan:reconstruction`.

    Source: Liu et al. 2021, arXiv:2101.04775, eq. 4. Their code sums over the batch: `gamma` is the batch size there.
    """
    return critic.features(real)[:, -1].astype(jnp.float32).mean()


def random_margin_hinge(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """`hinge` with a margin m drawn from [.8, 1) for each logit, in expectation over m: E max(0, m - D(x)) + E max(0, m + D(G))
    and -E D(G). Logits are [B] or [B, P]. Use it as `--loss gan_jax.models.fastgan:random_margin_hinge`.

    Source: the authors' code, which draws the margins; the expected gradient is the same.
    """
    real, fake = real_logits.astype(jnp.float32), fake_logits.astype(jnp.float32)

    def expected(x: Array) -> Array:
        far, near = nn.relu(1 - x), nn.relu(0.8 - x)
        return ((far - near) * (far + near) / 0.4).mean()

    return expected(real) + expected(-fake), -fake.mean()


def absolute_distance(x: Array, y: Array) -> Array:
    """The mean absolute difference of each pair of images [B, h, w, C]: [B]."""
    return jnp.abs(x - y).mean(axis=(1, 2, 3))


def quarter(x: Array, index: Array) -> Array:
    """The quarter [B, H / 2, W / 2, C] of each x [B, H, W, C] with this index (int [B]): 0 to 3 for top left, top right, bottom
    left, bottom right."""
    batch, height, width, channels = x.shape
    parts = x.reshape(batch, 2, height // 2, 2, width // 2, channels).swapaxes(2, 3)
    return jax.vmap(lambda part, i: part[i // 2, i % 2])(parts, index)


def random_quarter(x: Array) -> Array:
    """An index for `quarter`, int [B], derived from the bits of each x [B, ...]: a network receives no key."""
    bits = jax.lax.bitcast_convert_type(x.astype(jnp.float32), jnp.uint32).reshape(len(x), -1).sum(axis=1)
    return (bits * jnp.uint32(2654435761) >> 30).astype(jnp.int32)  # the top bits of a multiplicative hash


def pooling(size: int) -> np.ndarray:
    """Matrix [4, size] that averages a line to four values as PyTorch's adaptive pooling does: value i is the mean of
    those from floor(i size / 4) to ceil((i + 1) size / 4)."""
    position, i = np.arange(size)[None], np.arange(4)[:, None]
    inside = (position >= i * size // 4) & (position < -(-(i + 1) * size // 4))
    return inside / inside.sum(axis=1, keepdims=True)


def gated(norm: str, x: Array, train: bool) -> Array:
    """Normalise x [B, ..., 2 C], then a gated linear unit, [B, ..., C]: half of the channels, gated by the other half. Creates
    layers in the calling module."""
    value, gate = jnp.split(normalise(norm, x, train), 2, axis=-1)
    return value * nn.sigmoid(gate)


def _channels(multiples: tuple[float, ...], width: int, count: int) -> list[int]:
    """The numbers of channels of the first `count` grids. Raises ValueError if the image has more."""
    if count > len(multiples):
        raise ValueError("fastgan supports at most 8 halvings, such as from 1,024 to 4 pixels")
    return [max(1, int(multiple * width)) for multiple in multiples[:count]]


def _conv(channels: int, window: int = 3, strides: int = 1, padding: str | int = "SAME", resample: str = "none") -> Conv:
    return Conv(channels, window, strides, padding, resample=resample, spectral=True, use_bias=False, kernel_init=INIT)
