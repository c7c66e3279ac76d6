"""Spectrograms and back: short-time Fourier transform, mel bands, Griffin-Lim. Signals are float32 [..., T] in [-1, 1].

Frames lie so that T = hop frames: a signal is padded by (fft - hop) / 2 on both sides, by reflection. Magnitudes are over the
sum of the window, so that a sine of amplitude 1 has 1/2 in its bin. `fft` and `hop` are FFT and HOP unless given.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

FFT, HOP = 256, 128
FLOOR = 1e-4  # of a mel band's magnitude: below it is silence


def stft(signal: Array, fft: int = FFT, hop: int = HOP, window: int | None = None) -> Array:
    """[..., T] -> complex [..., T / hop, fft / 2 + 1], by Hann's window of `window` samples: `fft` unless given, and zeros
    after a shorter one. Raises ValueError where T is no multiple of the hop, or too short to be reflected."""
    window = fft if window is None else window
    before = (window - hop) // 2
    after = window - hop - before
    if signal.shape[-1] % hop or signal.shape[-1] <= after:
        raise ValueError(f"a signal must be a multiple of {hop} samples long, and above {after}: got {signal.shape}")
    padded = jnp.pad(signal, [(0, 0)] * (signal.ndim - 1) + [(before, after)], mode="reflect")
    # Hops side by side: a frame is window / hop of them, the last perhaps in part.
    count, frames = -(-window // hop), signal.shape[-1] // hop
    padded = jnp.pad(padded, [(0, 0)] * (signal.ndim - 1) + [(0, count * hop - window)])
    hops = padded.reshape(*padded.shape[:-1], -1, hop)
    parts = [hops[..., i : frames + i, : min(hop, window - i * hop)] for i in range(count)]
    weights = _hann(window)
    return jnp.fft.rfft(jnp.concatenate(parts, axis=-1) * weights, n=fft) / weights.sum()


def istft(spectrum: Array, hop: int = HOP) -> Array:
    """The signal [..., F hop] whose transform is nearest to [..., F, fft / 2 + 1]: the inverse, where there is one. Raises
    ValueError where the transform's length is no multiple of the hop.

    Source: Griffin and Lim 1984, IEEE Transactions on Acoustics, Speech and Signal Processing 32(2), eq. 6."""
    fft, length = 2 * (spectrum.shape[-1] - 1), spectrum.shape[-2] * hop
    if fft % hop:
        raise ValueError(f"a transform of {fft} samples is no multiple of the hop, {hop}")
    weights, before = _hann(fft), (fft - hop) // 2
    frames = jnp.fft.irfft(spectrum * weights.sum(), n=fft) * weights
    count, total = fft // hop, spectrum.shape[-2] + fft // hop - 1

    def added(x: Array) -> Array:
        parts = x.reshape(*x.shape[:-1], count, hop)
        outer = [(0, 0)] * (parts.ndim - 3)
        shifted = [jnp.pad(parts[..., i, :], [*outer, (i, total - parts.shape[-3] - i), (0, 0)]) for i in range(count)]
        return sum(shifted).reshape(*x.shape[:-2], total * hop)

    weight = added(jnp.broadcast_to(weights**2, frames.shape[-2:]))
    return (added(frames) / jnp.maximum(weight, 1e-6))[..., before : before + length]


def mel_bands(rate: int, bands: int, fft: int = FFT) -> np.ndarray:
    """Triangles of height 1, [fft / 2 + 1, bands], whose middles are evenly spaced on the mel scale, 2595 log10(1 + f / 700),
    from 0 to half the `rate` of samples a second. One too narrow to hold a bin is widened to reach the nearest."""
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), bands + 2) / 2595) - 1)
    bins = np.arange(fft // 2 + 1) * rate / fft
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    width = rate / fft
    rising = (bins[:, None] - np.minimum(low, middle - width)) / (middle - np.minimum(low, middle - width))
    falling = (np.maximum(high, middle + width) - bins[:, None]) / (np.maximum(high, middle + width) - middle)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def log_mel(signal: Array, rate: int, bands: int = 64, fft: int = FFT, hop: int = HOP) -> Array:
    """[..., T] -> [..., T / hop, bands]: -1 for silence, about 1 for a band that holds a tone of amplitude 1."""
    mel = jnp.abs(stft(signal, fft, hop)) @ mel_bands(rate, bands, fft)
    return 1 - 2 * jnp.log(jnp.maximum(mel, FLOOR)) / np.log(FLOOR)


@partial(jax.jit, static_argnums=(1, 2, 3, 4, 5))
def from_log_mel(x: Array, rate: int, steps: int = 64, fits: int = 200, fft: int = FFT, hop: int = HOP) -> Array:
    """A signal [..., F hop] with the log-mel spectrogram [..., F, bands]: magnitudes by `fits` steps of non-negative least
    squares, phases by `steps` of fast Griffin-Lim.

    Source: Perraudin et al. 2013, A fast Griffin-Lim algorithm (WASPAA), algorithm 2, alpha .99.
    """
    bands = mel_bands(rate, x.shape[-1], fft)
    mel = jnp.where(x <= -0.999, 0.0, jnp.exp((1 - x) / 2 * np.log(FLOOR)))
    step = np.float32(1 / np.linalg.norm(bands, 2) ** 2)

    def fit(_: int, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        now, ahead, t = carry
        new = jnp.maximum(0, ahead - step * (ahead @ bands - mel) @ bands.T)
        t_new = (1 + jnp.sqrt(1 + 4 * t**2)) / 2
        return new, new + (t - 1) / t_new * (new - now), t_new

    start = mel @ (bands / bands.sum(axis=0)).T
    fitted = jax.lax.fori_loop(0, fits, fit, (start, start, jnp.float32(1)))[0]

    def improve(_: int, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        before, ahead = carry
        new = stft(istft(fitted * ahead / jnp.maximum(jnp.abs(ahead), 1e-8), hop), fft, hop)
        return new, new + 0.99 * (new - before)

    # Phases begin at random, always the same.
    phases = jnp.exp(2j * np.pi * jax.random.uniform(jax.random.key(0), fitted.shape))
    last = jax.lax.fori_loop(0, steps, improve, (phases, phases))[1]
    return istft(fitted * last / jnp.maximum(jnp.abs(last), 1e-8), hop)


def _hann(length: int) -> np.ndarray:
    return np.float32(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length))  # periodic


# (FFT, hop, window) of 25, 50 and 10 ms at 24 kHz.
RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
