"""Distances between paired waveforms, by which vocoders are evaluated.

All functions take signals [N, T] in [-1, 1], the real ones and those synthesized from their mel spectrograms, time-aligned,
and return one value per pair, [N], which is 0 for equal signals. Magnitudes below `spectrogram.FLOOR` of full scale count as
silence in both signals.
"""

import math

import jax.numpy as jnp
import numpy as np

from gan_jax import spectrogram
from gan_jax.spectrogram import RESOLUTIONS
from gan_jax.types import Array


def mel_l1(
    real: Array, fake: Array, rate: int, bands: int = 64, fft: int = spectrogram.FFT, hop: int = spectrogram.HOP
) -> Array:
    """Mean absolute difference of log-mel magnitudes (natural logarithm), over bands and frames.

    Raises ValueError if the signals differ in shape, or if their length is not a multiple of the hop.

    Source: Kong et al. 2020 (HiFi-GAN), arXiv:2010.05646, section 2.3, whose mel bands are scaled differently and whose floor
    is 1e-5 on that scale.
    """
    return jnp.abs(_log_mel_difference(real, fake, rate, bands, fft, hop)).mean(axis=(1, 2))


def spectral_convergence(real: Array, fake: Array, fft: int, hop: int, window: int) -> Array:
    """|| |S| - |S'| || / || |S| ||, Frobenius norms of STFT magnitudes: dominated by the loudest parts. It is 1 if `fake` is
    silent.

    Source: Arik et al. 2019, arXiv:1808.06719, section 3; Yamamoto et al. 2020 (Parallel WaveGAN), arXiv:1910.11480, eq. 4.
    """
    real_magnitude, fake_magnitude = _magnitudes(real, fake, fft, hop, window)
    difference = jnp.linalg.norm(real_magnitude - fake_magnitude, axis=(1, 2))
    return difference / jnp.maximum(jnp.linalg.norm(real_magnitude, axis=(1, 2)), spectrogram.FLOOR)


def log_magnitude(real: Array, fake: Array, fft: int, hop: int, window: int) -> Array:
    """Mean absolute difference of log magnitudes (natural logarithm): quiet parts count as much as loud ones.

    Source: Yamamoto et al. 2020, arXiv:1910.11480, eq. 5.
    """
    magnitudes = _magnitudes(real, fake, fft, hop, window)
    real_log, fake_log = (jnp.log(jnp.maximum(magnitude, spectrogram.FLOOR)) for magnitude in magnitudes)
    return jnp.abs(real_log - fake_log).mean(axis=(1, 2))


def multi_resolution_stft(real: Array, fake: Array) -> Array:
    """`spectral_convergence` + `log_magnitude`, averaged over three STFT resolutions.

    Raises ValueError if the signals differ in shape, or are too short to be padded by reflection.

    Source: Yamamoto et al. 2020, arXiv:1910.11480, eq. 6 and table 1. Their floor is far lower, so values are not comparable.
    """
    distances = [spectral_convergence(real, fake, *r) + log_magnitude(real, fake, *r) for r in RESOLUTIONS]
    return sum(distances) / len(distances)


def mel_cepstral_distortion(
    real: Array,
    fake: Array,
    rate: int,
    bands: int = 64,
    coefficients: int = 13,
    fft: int = spectrogram.FFT,
    hop: int = spectrogram.HOP,
) -> Array:
    """Distance of the spectral envelopes in dB, ignoring loudness: 10 / ln 10 sqrt(2 sum_k (c_k - c'_k)^2), averaged over
    frames. c_1 .. c_13 are the cosine coefficients of a log-mel spectrum, ln m_n = c_0 + sum_k c_k cos(pi k (n + 1/2) / bands).

    With bands - 1 coefficients it equals the root mean square difference over bands of the two spectra in dB, each minus its
    mean. Source: Kubichek 1993, Mel-cepstral distance measure (PacRim). There the coefficients come from a mel-generalised
    analysis of the signal, here from mel bands: values are comparable only with values computed the same way.
    """
    if not 1 <= coefficients < bands:
        raise ValueError(f"mel_cepstral_distortion with {bands} bands needs 1 to {bands - 1} coefficients, got {coefficients}")
    k, n = np.arange(1, coefficients + 1), np.arange(bands) + 0.5
    cosines = np.float32(2 / bands * np.cos(np.pi * np.outer(n, k) / bands))
    difference = _log_mel_difference(real, fake, rate, bands, fft, hop) @ cosines
    return 10 / math.log(10) * jnp.sqrt(2 * jnp.square(difference).sum(axis=2)).mean(axis=1)


def _log_mel_difference(real: Array, fake: Array, rate: int, bands: int, fft: int, hop: int) -> Array:
    """Differences of ln mel magnitudes, [N, F, bands]."""
    _check(real, fake)
    real_mel, fake_mel = (spectrogram.log_mel(x, rate, bands, fft, hop) for x in (real, fake))
    return (real_mel - fake_mel) * (-math.log(spectrogram.FLOOR) / 2)  # log_mel maps [ln FLOOR, 0] to a range of length 2


def _magnitudes(real: Array, fake: Array, fft: int, hop: int, window: int) -> tuple[Array, Array]:
    _check(real, fake)

    def magnitude(x: Array) -> Array:
        padded = jnp.pad(x, [(0, 0), (0, -x.shape[1] % hop)])
        return jnp.abs(spectrogram.stft(padded, fft, hop, window))

    return magnitude(real), magnitude(fake)


def _check(real: Array, fake: Array) -> None:
    if real.ndim != 2 or real.shape != fake.shape:
        raise ValueError(f"signals must be two arrays [N, T] of the same shape, got {real.shape} and {fake.shape}")
