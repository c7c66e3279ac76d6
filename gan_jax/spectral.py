"""Spectrograms and back: short-time Fourier transform, mel bands, Griffin-Lim. Signals are float32 [..., T] in [-1, 1].

Frames lie so that T = HOP frames: a signal is padded by (FFT - HOP) / 2 on both sides, by reflection. Magnitudes are over the
sum of the window, so that a sine of amplitude 1 has 1/2 in its bin.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.types import Array

FFT, HOP = 256, 128
FLOOR = 1e-4  # of a mel band's magnitude: below it is silence
_WINDOW = np.float32(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT))  # Hann's, periodic
_PAD = (FFT - HOP) // 2


def stft(signal: Array) -> Array:
    """[..., T] -> complex [..., T / HOP, FFT / 2 + 1]. Raises ValueError where T is no multiple of HOP."""
    if signal.shape[-1] % HOP:
        raise ValueError(f"a signal must be a multiple of {HOP} samples long, got {signal.shape}")
    padded = jnp.pad(signal, [(0, 0)] * (signal.ndim - 1) + [(_PAD, _PAD)], mode="reflect")
    # Hops side by side: a frame is FFT / HOP of them.
    hops = padded.reshape(*padded.shape[:-1], -1, HOP)
    count = FFT // HOP
    frames = jnp.concatenate([hops[..., i : hops.shape[-2] - count + 1 + i, :] for i in range(count)], axis=-1)
    return jnp.fft.rfft(frames * _WINDOW) / _WINDOW.sum()


def istft(spectrum: Array) -> Array:
    """The signal [..., F HOP] whose transform is nearest to [..., F, FFT / 2 + 1]: the inverse, where there is one.

    Source: Griffin and Lim 1984, IEEE Transactions on Acoustics, Speech and Signal Processing 32(2), eq. 6."""
    frames = jnp.fft.irfft(spectrum * _WINDOW.sum(), n=FFT) * _WINDOW
    count, total = FFT // HOP, spectrum.shape[-2] + FFT // HOP - 1

    def added(x: Array) -> Array:
        parts = x.reshape(*x.shape[:-1], count, HOP)
        before = [(0, 0)] * (parts.ndim - 3)
        shifted = [jnp.pad(parts[..., i, :], [*before, (i, total - parts.shape[-3] - i), (0, 0)]) for i in range(count)]
        return sum(shifted).reshape(*x.shape[:-2], total * HOP)

    weight = added(jnp.broadcast_to(_WINDOW**2, frames.shape[-2:]))
    return (added(frames) / jnp.maximum(weight, 1e-6))[..., _PAD:-_PAD]


def mel_bands(rate: int, bands: int) -> np.ndarray:
    """Triangles of height 1, [FFT / 2 + 1, bands], whose middles are evenly spaced on the mel scale, 2595 log10(1 + f / 700),
    from 0 to half the `rate` of samples a second. One too narrow to hold a bin is widened to reach the nearest."""
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), bands + 2) / 2595) - 1)
    bins = np.arange(FFT // 2 + 1) * rate / FFT
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    width = rate / FFT
    rising = (bins[:, None] - np.minimum(low, middle - width)) / (middle - np.minimum(low, middle - width))
    falling = (np.maximum(high, middle + width) - bins[:, None]) / (np.maximum(high, middle + width) - middle)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def log_mel(signal: Array, rate: int, bands: int = 64) -> Array:
    """[..., T] -> [..., T / HOP, bands]: -1 for silence, about 1 for a band that holds a tone of amplitude 1."""
    mel = jnp.abs(stft(signal)) @ mel_bands(rate, bands)
    return 1 - 2 * jnp.log(jnp.maximum(mel, FLOOR)) / np.log(FLOOR)


@partial(jax.jit, static_argnums=(1, 2, 3))
def from_log_mel(x: Array, rate: int, steps: int = 64, fits: int = 200) -> Array:
    """A signal [..., F HOP] with the log-mel spectrogram [..., F, bands]: magnitudes by `fits` steps of non-negative least
    squares, phases by `steps` of fast Griffin-Lim.

    Source: Perraudin et al. 2013, A fast Griffin-Lim algorithm (WASPAA), algorithm 2, alpha .99.
    """
    bands = mel_bands(rate, x.shape[-1])
    mel = jnp.where(x <= -0.999, 0.0, jnp.exp((1 - x) / 2 * np.log(FLOOR)))
    step = np.float32(1 / np.linalg.norm(bands, 2) ** 2)

    def fit(_: int, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        now, ahead, t = carry
        new = jnp.maximum(0, ahead - step * (ahead @ bands - mel) @ bands.T)
        t_new = (1 + jnp.sqrt(1 + 4 * t**2)) / 2
        return new, new + (t - 1) / t_new * (new - now), t_new

    start = mel @ (bands / bands.sum(axis=0)).T
    magnitude = jax.lax.fori_loop(0, fits, fit, (start, start, jnp.float32(1)))[0]

    def improve(_: int, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        before, ahead = carry
        new = stft(istft(magnitude * ahead / jnp.maximum(jnp.abs(ahead), 1e-8)))
        return new, new + 0.99 * (new - before)

    # Phases begin at random, always the same.
    phases = jnp.exp(2j * np.pi * jax.random.uniform(jax.random.key(0), magnitude.shape))
    last = jax.lax.fori_loop(0, steps, improve, (phases, phases))[1]
    return istft(magnitude * last / jnp.maximum(jnp.abs(last), 1e-8))
