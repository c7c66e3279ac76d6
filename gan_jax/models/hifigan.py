"""HiFi-GAN: a vocoder, which makes waves of their mel spectrograms, and discriminators that look at periods and at spectra.

For `audio(form="vocoder")`, where the label of a clip is its spectrogram, and the losses `vocoder_...` of `gan_jax/losses.py`.

Source: Kong et al. 2020, arXiv:2010.05646, section 2 and appendix A. Their second kind of discriminator, of scales, gave way
to spectra of several resolutions: Jang et al. 2021 (UnivNet), arXiv:2106.07889, as in Lee et al. 2023 (BigVGAN),
arXiv:2206.04658.
"""

import math

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax.ad_checkpoint import checkpoint_name

from gan_jax import spectrogram
from gan_jax.models.conv import convolve
from gan_jax.models.layers import Conv
from gan_jax.spectrogram import RESOLUTIONS
from gan_jax.types import Array, Shape

SLOPE = 0.1  # of leaky ReLUs
INIT = nn.initializers.normal(0.01)


class Generator(nn.Module):
    """The label, a spectrogram [B, F * bands] -> transposed convolutions of `strides`, which multiply to a frame's samples, and
    after each the mean of residual blocks with windows of `windows` -> waves [B, T, 1]. It makes no use of z.

    The channels are `width` and half as many after each stride. The defaults are V1 of the paper; with a width of 128 it is V2.
    Their generator has weight norm, ours none. Raises ValueError for a label that is no spectrogram, and other strides.
    """

    sample_shape: Shape
    num_classes: int = 0
    width: int = 512
    bands: int = 80
    strides: tuple[int, ...] = (8, 8, 2, 2)
    windows: tuple[int, ...] = (3, 7, 11)
    dilations: tuple[int, ...] = (1, 3, 5)

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool) -> Array:
        x = label_spectrogram(label, self.sample_shape, self.bands)
        hop = self.sample_shape[0] // x.shape[1]
        if math.prod(self.strides) != hop:
            raise ValueError(f"hifigan's strides must multiply to the {hop} samples of a frame, got {self.strides}")
        x = Conv(self.width, 7)(x)
        for stage, stride in enumerate(self.strides, 1):
            features = max(1, self.width >> stage)
            x = Conv(features, 2 * stride, stride, transpose=True, kernel_init=INIT)(nn.leaky_relu(x, SLOPE))
            x = sum(_residual(x, window, self.dilations) for window in self.windows) / len(self.windows)
        return jnp.tanh(Conv(1, 7, kernel_init=INIT)(nn.leaky_relu(x)))


class Discriminator(nn.Module):
    """Waves [B, T, 1] -> a discriminator for each of `periods` and of `resolutions` (FFT, hop, window) -> logits, and what all
    their layers say. `width` is the channels of the first layers. It makes no use of labels.

    `outputs` is 1, the mean of all discriminators, or so many times their number: then each judges so many equal parts of the
    clip, one after the other, a logit being its mean over one. (In the papers a logit is each of its places, which are more.)

    The features [B, F] are every layer's activations over how many there are: sums of their differences are the layers' means.
    """

    sample_shape: Shape
    num_classes: int = 0
    width: int = 32
    outputs: int = 1
    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    resolutions: tuple[tuple[int, int, int], ...] = RESOLUTIONS

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        if len(self.sample_shape) != 2 or self.sample_shape[1] != 1:
            raise ValueError(f"a discriminator of sounds needs waves (T, 1), got samples of shape {self.sample_shape}")
        count = len(self.periods) + len(self.resolutions)
        if self.outputs != 1 and self.outputs % count:
            raise ValueError(
                f"{count} discriminators have 1 output or a multiple of {count}: set d_outputs, not {self.outputs}"
            )
        judged = [self._by_period(x, period) for period in self.periods]
        judged += [self._by_spectrum(x[..., 0], *resolution) for resolution in self.resolutions]
        logits = jnp.concatenate([_in_parts(layers[-1], max(1, self.outputs // count)) for layers in judged], axis=1)
        each = [layer.reshape(len(x), -1) for layers in judged for layer in layers]
        features = jnp.concatenate([layer / layer.shape[1] for layer in each], axis=1)
        return logits.mean(axis=1) if self.outputs == 1 else logits, features

    def _by_period(self, x: Array, period: int) -> list[Array]:
        """Every `period`-th sample is of one row: windows of 5 rows, in strides of 3, see nothing of the others.

        Source: Kong et al. 2020, arXiv:2010.05646, section 2.3."""
        x = jnp.pad(x, [(0, 0), (0, -x.shape[1] % period), (0, 0)], mode="reflect")
        x, layers = x.reshape(len(x), -1, period, 1), []
        for times, stride in ((1, 3), (4, 3), (16, 3), (32, 3), (32, 1)):
            x = nn.leaky_relu(_Normed(self.width * times, (5, 1), (stride, 1))(x), SLOPE)
            layers.append(x)
        return [*layers, _Normed(1, (3, 1))(x)]

    def _by_spectrum(self, x: Array, fft: int, hop: int, window: int) -> list[Array]:
        """Magnitudes of all frames, in such units that those of noise with a variance of one are about one: windows of 3 frames
        by 9 bins, in strides of 2 bins.

        Source: Jang et al. 2021, arXiv:2106.07889; their strides are along frames."""
        whole = jnp.pad(x.astype(jnp.float32), [(0, 0), (0, -x.shape[1] % hop)])
        magnitude = jnp.abs(spectrogram.stft(whole, fft, hop, window)) * math.sqrt(window / 1.5)
        y, layers = magnitude[..., None].astype(x.dtype), []
        for bins, stride in ((9, 1), (9, 2), (9, 2), (9, 2), (3, 1)):
            y = nn.leaky_relu(_Normed(self.width, (3, bins), (1, stride))(y), SLOPE)
            layers.append(y)
        return [*layers, _Normed(1, (3, 3))(y)]


class _Normed(nn.Module):
    """A convolution with weight norm: kernels are a length, learned, times a direction. Lengths begin as one.

    Source: Salimans and Kingma 2016, arXiv:1602.07868, eq. 2."""

    features: int
    window: tuple[int, int]
    strides: tuple[int, int] = (1, 1)

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (*self.window, x.shape[-1], self.features))
        kernel = kernel * (jnp.square(kernel).sum(axis=(0, 1, 2)) + 1e-12) ** -0.5
        kernel = kernel * self.param("length", nn.initializers.ones, (self.features,))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        y = convolve(x, kernel.astype(x.dtype), self.strides, tuple(side // 2 for side in self.window))
        return checkpoint_name(y + bias.astype(x.dtype), "layer")


def label_spectrogram(label: Array | None, sample_shape: Shape, bands: int) -> Array:
    """Labels [B, F * bands] as spectrograms [B, F, bands] of waves (T, 1). Raises ValueError for what is none."""
    size = 0 if label is None or label.ndim != 2 else label.shape[1]
    if size == 0 or size % bands or len(sample_shape) != 2 or sample_shape[1] != 1 or sample_shape[0] % (size // bands):
        got = f"got labels {'none' if label is None else label.shape} of samples {sample_shape}"
        raise ValueError(f'a vocoder with bands={bands} needs data audio(form="vocoder", bands={bands}): {got}')
    return label.reshape(len(label), -1, bands)


def _residual(x: Array, window: int, dilations: tuple[int, ...]) -> Array:
    """x [B, T, C], to which two convolutions are added, once for each of `dilations`, the first of the two dilated so."""
    for dilation in dilations:
        y = _dilated(nn.leaky_relu(x, SLOPE), window, dilation)
        x = x + _dilated(nn.leaky_relu(y, SLOPE), window, 1)
    return x


def _dilated(x: Array, window: int, dilation: int) -> Array:
    """A convolution of x [B, T, C] with `dilation` - 1 places between those it sees: along the columns of rows that long."""
    length = x.shape[1]
    rows = jnp.pad(x, [(0, 0), (0, -length % dilation), (0, 0)]).reshape(len(x), -1, dilation, x.shape[2])
    return Conv(x.shape[2], (window, 1), kernel_init=INIT)(rows).reshape(len(x), -1, x.shape[2])[:, :length]


def _in_parts(x: Array, parts: int) -> Array:
    """The means [B, parts] over equal parts of x [B, places, ...], whose places in time follow each other; a place that lies in
    two parts counts in both, by its share."""
    flat = x.reshape(len(x), -1)
    ends = np.arange(flat.shape[1] + 1)[:, None] / flat.shape[1] * parts - np.arange(parts)
    shares = np.diff(np.clip(ends, 0, 1), axis=0)  # [places, parts], each column's sum 1
    return flat @ jnp.asarray(shares, x.dtype)
