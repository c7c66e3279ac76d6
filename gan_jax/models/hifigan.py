"""HiFi-GAN: a vocoder, which converts mel spectrograms to waveforms, with discriminators over periods and over spectrograms.

For `audio(form="vocoder")`, where the label of a clip is its spectrogram, and the losses `vocoder_...` of `gan_jax/losses.py`.

Source: Kong et al. 2020, arXiv:2010.05646, section 2 and appendix A. Their second kind of discriminator, over several scales,
is replaced by one over spectrograms of several resolutions: Jang et al. 2021 (UnivNet), arXiv:2106.07889, as in Lee et al.
2023 (BigVGAN), arXiv:2206.04658.
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
    """The label, a spectrogram [B, F * bands] -> transposed convolutions of `strides`, whose product is the number of samples
    per frame, each followed by the mean of residual blocks with windows of `windows` -> waveforms [B, T, 1]. z is ignored.

    There are `width` channels, halved after each stride. The defaults are V1 of the paper; a width of 128 gives V2. The paper's
    generator has weight norm, ours has none. Raises ValueError if the label is not a spectrogram or the strides do not fit.
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
    """Waveforms [B, T, 1] -> one sub-discriminator for each of `periods` and each of `resolutions` (FFT, hop, window) ->
    logits, and the activations of all their layers as features. `width` is the number of channels of the first layers. Labels
    are ignored.

    `outputs` is 1 for the mean over all sub-discriminators, or k times their number: each of them then returns k logits, its
    means over k equal parts of the clip in order. (In the papers every position has its own logit.)

    The features [B, F] are the activations of every layer, divided by their number in that layer, so that a sum of absolute
    differences of features is a sum of the layers' mean absolute differences.
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
            raise ValueError(f"an audio discriminator needs waveforms (T, 1), got samples of shape {self.sample_shape}")
        count = len(self.periods) + len(self.resolutions)
        if self.outputs != 1 and self.outputs % count:
            raise ValueError(
                f"{count} discriminators have 1 output or a multiple of {count}: set d_outputs, not {self.outputs}"
            )
        stacks = [self._period_layers(x, period) for period in self.periods]
        stacks += [self._spectrum_layers(x[..., 0], *resolution) for resolution in self.resolutions]
        logits = jnp.concatenate([_means_of_parts(layers[-1], max(1, self.outputs // count)) for layers in stacks], axis=1)
        flat = [layer.reshape(len(x), -1) for layers in stacks for layer in layers]
        features = jnp.concatenate([layer / layer.shape[1] for layer in flat], axis=1)
        return logits.mean(axis=1) if self.outputs == 1 else logits, features

    def _period_layers(self, x: Array, period: int) -> list[Array]:
        """Reshape the waveform to rows of `period` samples and convolve along columns only: windows of 5 rows, strides of 3.

        Source: Kong et al. 2020, arXiv:2010.05646, section 2.3."""
        x = jnp.pad(x, [(0, 0), (0, -x.shape[1] % period), (0, 0)], mode="reflect")
        x, layers = x.reshape(len(x), -1, period, 1), []
        for multiple, stride in ((1, 3), (4, 3), (16, 3), (32, 3), (32, 1)):
            x = nn.leaky_relu(_Normed(self.width * multiple, (5, 1), (stride, 1))(x), SLOPE)
            layers.append(x)
        return [*layers, _Normed(1, (3, 1))(x)]

    def _spectrum_layers(self, x: Array, fft: int, hop: int, window: int) -> list[Array]:
        """Convolve the magnitude spectrogram, scaled so that noise of unit variance has magnitudes of about one: windows of 3
        frames by 9 bins, strides of 2 bins.

        Source: Jang et al. 2021, arXiv:2106.07889; their strides are along frames."""
        padded = jnp.pad(x.astype(jnp.float32), [(0, 0), (0, -x.shape[1] % hop)])
        magnitude = jnp.abs(spectrogram.stft(padded, fft, hop, window)) * math.sqrt(window / 1.5)
        y, layers = magnitude[..., None].astype(x.dtype), []
        for bins, stride in ((9, 1), (9, 2), (9, 2), (9, 2), (3, 1)):
            y = nn.leaky_relu(_Normed(self.width, (3, bins), (1, stride))(y), SLOPE)
            layers.append(y)
        return [*layers, _Normed(1, (3, 3))(y)]


class _Normed(nn.Module):
    """A convolution with weight norm: each filter is a learned length, initialised to one, times a direction.

    Source: Salimans and Kingma 2016, arXiv:1602.07868, eq. 2."""

    features: int
    window: tuple[int, int]
    strides: tuple[int, int] = (1, 1)

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (*self.window, x.shape[-1], self.features))
        kernel = kernel * (jnp.square(kernel).sum(axis=(0, 1, 2)) + 1e-12)[None, None, None] ** -0.5
        kernel = kernel * self.param("length", nn.initializers.ones, (self.features,))[None, None, None]
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        y = convolve(x, kernel.astype(x.dtype), self.strides, tuple(size // 2 for size in self.window))
        return checkpoint_name(y + bias.astype(x.dtype)[None, None, None], "layer")


def label_spectrogram(label: Array | None, sample_shape: Shape, bands: int) -> Array:
    """Reshape labels [B, F * bands] to spectrograms [B, F, bands] of waveforms (T, 1). Raises ValueError if the shapes do not
    fit."""
    size = 0 if label is None or label.ndim != 2 else label.shape[1]
    if size == 0 or size % bands or len(sample_shape) != 2 or sample_shape[1] != 1 or sample_shape[0] % (size // bands):
        shapes = f"got labels {'none' if label is None else label.shape} of samples {sample_shape}"
        raise ValueError(f'a vocoder with bands={bands} needs data audio(form="vocoder", bands={bands}): {shapes}')
    return label.reshape(label.shape[0], -1, bands)


def _residual(x: Array, window: int, dilations: tuple[int, ...]) -> Array:
    """Residual block over x [B, T, C]: for each of `dilations`, add a dilated convolution followed by an undilated one."""
    for dilation in dilations:
        y = _dilated(nn.leaky_relu(x, SLOPE), window, dilation)
        x = x + _dilated(nn.leaky_relu(y, SLOPE), window, 1)
    return x


def _dilated(x: Array, window: int, dilation: int) -> Array:
    """Dilated convolution of x [B, T, C], computed as a convolution along the columns of rows of `dilation` positions."""
    length = x.shape[1]
    rows = jnp.pad(x, [(0, 0), (0, -length % dilation), (0, 0)]).reshape(x.shape[0], -1, dilation, x.shape[2])
    return Conv(x.shape[2], (window, 1), kernel_init=INIT)(rows).reshape(x.shape[0], -1, x.shape[2])[:, :length]


def _means_of_parts(x: Array, parts: int) -> Array:
    """Return the means [B, parts] over equal parts of x [B, positions, ...], whose positions are in temporal order; a position
    that lies in two parts counts in both, in proportion to its overlap."""
    flat = x.reshape(len(x), -1)
    ends = np.arange(flat.shape[1] + 1)[:, None] / flat.shape[1] * parts - np.arange(parts)
    fractions = np.diff(np.clip(ends, 0, 1), axis=0)  # [positions, parts], columns sum to 1
    return flat @ jnp.asarray(fractions, x.dtype)
