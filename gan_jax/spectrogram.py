"""Spectrograms and their inversion: short-time Fourier transform, mel bands, Griffin-Lim. Signals are float32 [..., T] in
[-1, 1].

A signal of T samples has exactly T / hop frames: it is padded by reflection, by (window - hop) / 2 on both sides. Transforms
are divided by the sum of the window, so that a sine of amplitude 1 has magnitude 1/2 in its bin.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

FFT, HOP = 256, 128
FLOOR = 1e-4  # magnitudes of mel bands below this count as silence

# (fft, hop, window) in samples, for multi-resolution distances: windows of 25, 50 and 10 ms at 24 kHz
RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))


def stft(signal: Array, fft: int = FFT, hop: int = HOP, window: int | None = None) -> Array:
    """Short-time Fourier transform: [..., T] -> complex [..., T / hop, fft / 2 + 1].

    The Hann window has `window` samples, by default `fft`; a shorter one is followed by zeros. Raises ValueError if T is not a
    multiple of the hop, or too small for padding by reflection."""
    window = fft if window is None else window
    before = (window - hop) // 2
    after = window - hop - before
    if signal.shape[-1] % hop or signal.shape[-1] <= after:
        raise ValueError(
            f"a signal must be a multiple of {hop} samples long, and more than {after} samples, got shape {signal.shape}"
        )
    padded = jnp.pad(signal, [(0, 0)] * (signal.ndim - 1) + [(before, after)], mode="reflect")
    # Each frame is concatenated from consecutive segments of `hop` samples; of the last one it may take only a part.
    count, frames = -(-window // hop), signal.shape[-1] // hop
    padded = jnp.pad(padded, [(0, 0)] * (signal.ndim - 1) + [(0, count * hop - window)])
    segments = padded.reshape(*padded.shape[:-1], -1, hop)
    parts = [segments[..., i : frames + i, : min(hop, window - i * hop)] for i in range(count)]
    weights = _hann(window)
    frame = jnp.concatenate(parts, axis=-1)
    return jnp.fft.rfft(frame * jax.lax.broadcast_to_rank(weights, frame.ndim), n=fft) / jnp.complex64(weights.sum())


def istft(spectrum: Array, hop: int = HOP) -> Array:
    """Return the signal [..., F hop] whose transform is closest to `spectrum` [..., F, fft / 2 + 1] in the least-squares sense:
    the exact inverse if `spectrum` is the transform of a signal. Raises ValueError if fft is not a multiple of the hop.

    Source: Griffin and Lim 1984, IEEE Transactions on Acoustics, Speech and Signal Processing 32(2), eq. 6."""
    fft, length = 2 * (spectrum.shape[-1] - 1), spectrum.shape[-2] * hop
    if fft % hop:
        raise ValueError(f"the length of the transform, {fft}, is not a multiple of the hop, {hop}")
    weights, before = _hann(fft), (fft - hop) // 2
    frames = jnp.fft.irfft(spectrum * jnp.complex64(weights.sum()), n=fft)
    frames = frames * jax.lax.broadcast_to_rank(weights, frames.ndim)
    count, total = fft // hop, spectrum.shape[-2] + fft // hop - 1

    def overlap_add(x: Array) -> Array:
        parts = x.reshape(*x.shape[:-1], count, hop)
        outer = [(0, 0)] * (parts.ndim - 3)
        shifted = [jnp.pad(parts[..., i, :], [*outer, (i, total - parts.shape[-3] - i), (0, 0)]) for i in range(count)]
        return sum(shifted).reshape(*x.shape[:-2], total * hop)

    weight = overlap_add(jnp.broadcast_to(weights**2, frames.shape[-2:]))
    whole = overlap_add(frames)
    return (whole / jax.lax.broadcast_to_rank(jnp.maximum(weight, 1e-6), whole.ndim))[..., before : before + length]


def mel_bands(rate: int, bands: int, fft: int = FFT) -> np.ndarray:
    """Triangular filters of height 1, [fft / 2 + 1, bands], with centres evenly spaced on the mel scale,
    2595 log10(1 + f / 700), from 0 to half the sample `rate` in Hz. Narrow filters are widened to one bin spacing on each side
    of the centre, so that none is empty."""
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), bands + 2) / 2595) - 1)
    bins = np.arange(fft // 2 + 1) * rate / fft
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    width = rate / fft
    rising = (bins[:, None] - np.minimum(low, centre - width)) / (centre - np.minimum(low, centre - width))
    falling = (np.maximum(high, centre + width) - bins[:, None]) / (np.maximum(high, centre + width) - centre)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def log_mel(signal: Array, rate: int, bands: int = 64, fft: int = FFT, hop: int = HOP) -> Array:
    """Log-mel spectrogram, [..., T] -> [..., T / hop, bands]: -1 for silence, about 1 for a band that contains a tone of
    amplitude 1."""
    mel = jnp.abs(stft(signal, fft, hop)) @ mel_bands(rate, bands, fft)
    return 1 - 2 * jnp.log(jnp.maximum(mel, FLOOR)) / np.log(FLOOR)


@partial(jax.jit, static_argnums=(1, 2, 3, 4, 5))
def from_log_mel(
    x: Array, rate: int, phase_steps: int = 64, magnitude_steps: int = 200, fft: int = FFT, hop: int = HOP
) -> Array:
    """Return a signal [..., F hop] whose log-mel spectrogram is close to `x` [..., F, bands]. Magnitudes are estimated by
    `magnitude_steps` steps of accelerated non-negative least squares, phases by `phase_steps` steps of fast Griffin-Lim.

    Source: Perraudin et al. 2013, A fast Griffin-Lim algorithm (WASPAA), algorithm 2, alpha .99.
    """
    bands = mel_bands(rate, x.shape[-1], fft)
    mel = jnp.where(x <= -0.999, 0.0, jnp.exp((1 - x) / 2 * np.log(FLOOR)))
    step_size = np.float32(1 / np.linalg.norm(bands, 2) ** 2)

    def magnitude_step(_: int, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        current, extrapolated, t = carry
        new = jnp.maximum(0, extrapolated - step_size * (extrapolated @ bands - mel) @ bands.T)
        t_new = (1 + jnp.sqrt(1 + 4 * t**2)) / 2
        return new, new + (t - 1) / t_new * (new - current), t_new

    start = mel @ (bands / bands.sum(axis=0)).T
    magnitudes = jax.lax.fori_loop(0, magnitude_steps, magnitude_step, (start, start, jnp.float32(1)))[0]

    def with_phase(x: Array) -> Array:
        return magnitudes.astype(x.dtype) * x / jnp.maximum(jnp.abs(x), 1e-8).astype(x.dtype)

    def phase_step(_: int, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        previous, extrapolated = carry
        new = stft(istft(with_phase(extrapolated), hop), fft, hop)
        return new, new + 0.99 * (new - previous)

    # Random initial phases, from a fixed key: the same input always gives the same signal.
    phases = jnp.exp(2j * np.pi * jax.random.uniform(jax.random.key(0), magnitudes.shape).astype(jnp.complex64))
    last = jax.lax.fori_loop(0, phase_steps, phase_step, (phases, phases))[1]
    return istft(with_phase(last), hop)


def _hann(length: int) -> np.ndarray:
    return np.float32(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length))  # periodic
