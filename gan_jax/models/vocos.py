"""Vocos: a vocoder that works at the rate of frames, and says magnitudes and phases of a spectrum whose inverse is the wave.

For `audio(form="vocoder")`, where the label of a clip is its spectrogram, and the losses `vocoder_...` of `gan_jax/losses.py`. The
discriminators are those of `hifigan.py`.

Source: Siuzdak 2023, arXiv:2306.00814, section 3. Their wave at 24 kHz is of 100 bands.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import spectrogram
from gan_jax.models import hifigan
from gan_jax.models.layers import Conv, Dense
from gan_jax.types import Array, Shape

WINDOW = 7
MAX_MAGNITUDE = 100.0  # magnitude in a bin, of frames that are not divided by the sum of their window
INIT = nn.initializers.truncated_normal(0.02)


class Generator(nn.Module):
    """The label, a spectrogram [B, F * bands] -> `depth` ConvNeXt blocks of `width` channels -> log magnitudes and phases of
    F frames of `fft` samples -> their inverse transform, waves [B, T, 1]. It makes no use of z.

    Raises ValueError for a label that is no spectrogram, and for an fft that is no multiple of a frame's samples.
    """

    sample_shape: Shape
    num_classes: int = 0
    width: int = 512
    depth: int = 8
    bands: int = 80
    fft: int = 1_024

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool) -> Array:
        x = hifigan.label_spectrogram(label, self.sample_shape, self.bands)
        hop = self.sample_shape[0] // x.shape[1]
        x = nn.LayerNorm()(Conv(self.width, WINDOW, kernel_init=INIT)(x))
        for _ in range(self.depth):
            x = _Block(1 / self.depth)(x)
        said = Dense(self.fft + 2, kernel_init=INIT)(nn.LayerNorm()(x)).astype(jnp.float32)
        magnitude, phase = jnp.split(said, 2, axis=-1)
        magnitude = jnp.minimum(jnp.exp(magnitude), MAX_MAGNITUDE) / (self.fft / 2)  # the sum of the window
        return spectrogram.istft(magnitude * jnp.exp(1j * phase), hop)[..., None]


class Discriminator(hifigan.Discriminator):
    """HiFi-GAN's: periods and spectra."""


class _Block(nn.Module):
    """x [B, F, C] + scale (each channel along time, then all channels of a frame through a layer three times as wide).

    Source: Liu et al. 2022 (ConvNeXt), arXiv:2201.03545, figure 4."""

    scale: float  # at first

    @nn.compact
    def __call__(self, x: Array) -> Array:
        channels = x.shape[-1]
        kernel = self.param("kernel", INIT, (WINDOW, channels)).astype(x.dtype)
        bias = self.param("bias", nn.initializers.zeros, (channels,)).astype(x.dtype)
        # A convolution with as many groups as channels is this sum; as a convolution it is slow on CPUs.
        padded = jnp.pad(x, [(0, 0), (WINDOW // 2, WINDOW // 2), (0, 0)])
        y = sum(padded[:, place : place + x.shape[1]] * row for place, row in enumerate(kernel)) + bias
        y = jax.nn.gelu(Dense(3 * channels, kernel_init=INIT)(nn.LayerNorm()(y)), approximate=False)
        y = Dense(channels, kernel_init=INIT)(y)
        return x + y * self.param("scale", nn.initializers.constant(self.scale), (channels,)).astype(x.dtype)
