"""Vocos: a vocoder that works at the frame rate and predicts the magnitudes and phases of a spectrogram, whose inverse
transform is the waveform.

For `audio(form="vocoder")`, where the label of a clip is its spectrogram, and the losses `vocoder_...` of
`gan_jax/losses.py`. The discriminators are those of `hifigan.py`.

Source: Siuzdak 2023, arXiv:2306.00814, section 3. Their waveforms at 24 kHz are generated from 100 mel bands.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax import spectrogram
from gan_jax.models import hifigan
from gan_jax.models.layers import Conv, Dense
from gan_jax.types import Array, Shape

WINDOW = 7
MAX_MAGNITUDE = 100.0  # of a bin, before division by the sum of the analysis window
INIT = nn.initializers.truncated_normal(0.02)


class Generator(nn.Module):
    """The label, a spectrogram [B, F * bands] -> `depth` ConvNeXt blocks of `width` channels -> log magnitudes and phases of
    F frames of `fft` samples -> their inverse transform, waveforms [B, T, 1]. z is ignored.

    Raises ValueError if the label is not a spectrogram, or if `fft` is not a multiple of the number of samples per frame.
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
        bins = Dense(self.fft + 2, kernel_init=INIT)(nn.LayerNorm()(x)).astype(jnp.float32)
        log_magnitude, phase = jnp.split(bins, 2, axis=-1)
        magnitude = jnp.minimum(jnp.exp(log_magnitude), MAX_MAGNITUDE) / (self.fft / 2)  # fft / 2 is the sum of the window
        return spectrogram.istft(magnitude.astype(jnp.complex64) * jnp.exp(1j * phase.astype(jnp.complex64)), hop)[..., None]


class Discriminator(hifigan.Discriminator):
    """HiFi-GAN's discriminators, over periods and over spectrograms."""


class _Block(nn.Module):
    """A ConvNeXt block: x [B, F, C] + scale * (a depthwise convolution along time, then a layer three times as wide per frame).

    Source: Liu et al. 2022 (ConvNeXt), arXiv:2201.03545, figure 4."""

    scale: float  # initial value of the learned scale

    @nn.compact
    def __call__(self, x: Array) -> Array:
        channels = x.shape[-1]
        kernel = self.param("kernel", INIT, (WINDOW, channels)).astype(x.dtype)
        bias = self.param("bias", nn.initializers.zeros, (channels,)).astype(x.dtype)
        # This sum is a depthwise convolution, which is slow on CPUs in the form of a grouped convolution.
        padded = jnp.pad(x, [(0, 0), (WINDOW // 2, WINDOW // 2), (0, 0)])
        y = sum(padded[:, i : i + x.shape[1]] * row[None, None] for i, row in enumerate(kernel)) + bias[None, None]
        y = jax.nn.gelu(Dense(3 * channels, kernel_init=INIT)(nn.LayerNorm()(y)), approximate=False)
        y = Dense(channels, kernel_init=INIT)(y)
        return x + y * self.param("scale", nn.initializers.constant(self.scale), (channels,)).astype(x.dtype)[None, None]
