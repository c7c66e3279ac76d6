"""How far sounds are from those that they are to be, pair by pair: what vocoders are measured by.

All take signals [N, T] in [-1, 1], the real one and what was made of its mel spectrogram, in step with each other, and give
a number for each pair, [N], 0 for equal ones. What is quieter than `spectral.FLOOR` of full scale counts as silence on both
sides.
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
    """Mean absolute difference of the logarithms (natural) of mel bands' magnitudes, over bands and frames.

    Source: Kong et al. 2020 (HiFi-GAN), arXiv:2010.05646, section 2.3, whose bands are scaled otherwise and whose floor is
    1e-5 of that. Raises ValueError for signals of two shapes, or of a length that is no multiple of the hop.
    """
    return jnp.abs(_nepers(real, fake, rate, bands, fft, hop)).mean(axis=(1, 2))


def spectral_convergence(real: Array, fake: Array, fft: int, hop: int, window: int) -> Array:
    """|| |S| - |S'| || / || |S| ||, Frobenius norms of the magnitudes of two transforms: its loudest parts decide. 1 for
    silence in place of a sound.

    Source: Arik et al. 2019, arXiv:1808.06719, section 3; Yamamoto et al. 2020 (Parallel WaveGAN), arXiv:1910.11480, eq. 4.
    """
    a, b = _magnitudes(real, fake, fft, hop, window)
    return jnp.linalg.norm(a - b, axis=(1, 2)) / jnp.maximum(jnp.linalg.norm(a, axis=(1, 2)), spectrogram.FLOOR)


def log_magnitude(real: Array, fake: Array, fft: int, hop: int, window: int) -> Array:
    """Mean absolute difference of the logarithms (natural) of the magnitudes: its quiet parts count as much.

    Source: Yamamoto et al. 2020, arXiv:1910.11480, eq. 5.
    """
    a, b = (jnp.log(jnp.maximum(x, spectrogram.FLOOR)) for x in _magnitudes(real, fake, fft, hop, window))
    return jnp.abs(a - b).mean(axis=(1, 2))


def multi_resolution_stft(real: Array, fake: Array) -> Array:
    """`spectral_convergence` + `log_magnitude`, the mean over three resolutions in time and frequency.

    Source: Yamamoto et al. 2020, arXiv:1910.11480, eq. 6 and table 1; their floor is far lower, so figures are not theirs.
    Raises ValueError for signals of two shapes, or too short to be reflected.
    """
    each = [spectral_convergence(real, fake, *r) + log_magnitude(real, fake, *r) for r in RESOLUTIONS]
    return sum(each) / len(each)


def mel_cepstral_distortion(
    real: Array,
    fake: Array,
    rate: int,
    bands: int = 64,
    coefficients: int = 13,
    fft: int = spectrogram.FFT,
    hop: int = spectrogram.HOP,
) -> Array:
    """How far the spectral envelopes are apart, in dB, loudness aside: 10 / ln 10 sqrt(2 sum_k (c_k - c'_k)^2), the mean over
    frames. c_1 .. c_13 are a log-mel spectrum's Fourier coefficients, ln m_n = c_0 + sum_k c_k cos(pi k (n + 1/2) / bands).

    With as many coefficients as there are bands, less one, it would be the difference of the spectra in dB, root mean square
    over the bands, each less its mean. Source: Kubichek 1993, Mel-cepstral distance measure (PacRim). There coefficients
    come from a mel-generalised analysis of the signal, ours from mel bands: the figures compare with their like alone.
    """
    if not 1 <= coefficients < bands:
        raise ValueError(f"mel_cepstral_distortion of {bands} bands has 1 to {bands - 1} coefficients, got {coefficients}")
    k, n = np.arange(1, coefficients + 1), np.arange(bands) + 0.5
    cosines = np.float32(2 / bands * np.cos(np.pi * np.outer(n, k) / bands))
    apart = _nepers(real, fake, rate, bands, fft, hop) @ cosines
    return 10 / math.log(10) * jnp.sqrt(2 * jnp.square(apart).sum(axis=2)).mean(axis=1)


def _nepers(real: Array, fake: Array, rate: int, bands: int, fft: int, hop: int) -> Array:
    """Differences of ln mel, [N, F, bands]."""
    _check(real, fake)
    a, b = (spectrogram.log_mel(x, rate, bands, fft, hop) for x in (real, fake))
    return (a - b) * (-math.log(spectrogram.FLOOR) / 2)  # log_mel has 2 for the whole range


def _magnitudes(real: Array, fake: Array, fft: int, hop: int, window: int) -> tuple[Array, Array]:
    _check(real, fake)

    def of(x: Array) -> Array:
        whole = jnp.pad(x, [(0, 0), (0, -x.shape[1] % hop)])
        return jnp.abs(spectrogram.stft(whole, fft, hop, window))

    return of(real), of(fake)


def _check(real: Array, fake: Array) -> None:
    if real.ndim != 2 or real.shape != fake.shape:
        raise ValueError(f"sounds must be two sets [N, T] of one shape, got {real.shape} and {fake.shape}")
