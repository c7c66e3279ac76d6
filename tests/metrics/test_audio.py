"""Distances between waveforms: zero for equal signals, closed forms for changes of volume and ripples of the spectrum."""

import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import spectrogram
from gan_jax.metrics import audio

RATE = 8_000
NOISE = np.float32(0.1 * np.random.RandomState(0).randn(2, 2_048))


def test_equal_signals_have_distance_zero():
    for value in (
        audio.mel_l1(NOISE, NOISE, RATE),
        audio.multi_resolution_stft(NOISE, NOISE),
        audio.mel_cepstral_distortion(NOISE, NOISE, RATE),
    ):
        np.testing.assert_array_equal(value, [0, 0])


def test_closed_forms_for_a_change_of_volume():
    """Every magnitude is scaled by e^a, i.e. by a nepers; the cepstral distortion ignores loudness."""
    louder = NOISE * np.array([[np.exp(0.5)], [np.exp(-0.25)]], np.float32)
    np.testing.assert_allclose(audio.mel_l1(NOISE, louder, RATE), [0.5, 0.25], rtol=1e-3)
    np.testing.assert_allclose(audio.mel_cepstral_distortion(NOISE, louder, RATE), [0, 0], atol=1e-3)
    for resolution in spectrogram.RESOLUTIONS:
        np.testing.assert_allclose(
            audio.spectral_convergence(NOISE, louder, *resolution), np.abs(np.exp([0.5, -0.25]) - 1), rtol=1e-4
        )
        np.testing.assert_allclose(audio.log_magnitude(NOISE, louder, *resolution), [0.5, 0.25], rtol=0.02)
    silence = np.zeros_like(NOISE)
    np.testing.assert_allclose(audio.spectral_convergence(NOISE, silence, 512, 64, 256), [1, 1], rtol=1e-6)
    assert np.isfinite(audio.multi_resolution_stft(silence, NOISE)).all()


def test_magnitudes_agree_with_numpy():
    """White noise against other noise, at the resolution whose window is not a multiple of the hop."""
    other = np.float32(0.1 * np.random.RandomState(1).randn(2, 2_048))

    def magnitude(x):
        padded = np.pad(np.pad(x, (0, -2_048 % 50)), 95, mode="reflect")
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(240) / 240)
        return np.abs([np.fft.rfft(padded[i * 50 : i * 50 + 240] * window, 512) for i in range(41)]) / window.sum()

    a, b = magnitude(NOISE[0]), magnitude(other[0])
    result = [f(NOISE, other, 512, 50, 240)[0] for f in (audio.spectral_convergence, audio.log_magnitude)]
    logs = np.abs(np.log(np.maximum(a, 1e-4)) - np.log(np.maximum(b, 1e-4))).mean()
    np.testing.assert_allclose(result, [np.linalg.norm(a - b) / np.linalg.norm(a), logs], rtol=1e-4)


def test_cepstral_distortion_of_a_ripple(monkeypatch):
    """If two log-mel spectra differ by a cosine of amplitude A dB, their root mean square distance is A / sqrt 2 dB if the
    cosine is among the coefficients, and 0 if it is a finer one."""
    monkeypatch.setattr(spectrogram, "log_mel", lambda x, *_: x.reshape(len(x), -1, 64) * 2 / np.log(1e-4) * -np.log(10) / 20)
    n = np.arange(64) + 0.5
    for k, expected in ((5, 3 / np.sqrt(2)), (13, 3 / np.sqrt(2)), (14, 0.0)):
        ripple = np.tile(3 * np.cos(np.pi * k * n / 64), 4)[None]  # four frames
        distortion = audio.mel_cepstral_distortion(jnp.float32(ripple), jnp.zeros((1, 256)), RATE)
        np.testing.assert_allclose(distortion, [expected], atol=1e-5)


def test_bad_arguments_are_errors():
    with pytest.raises(
        ValueError, match=r"signals must be two arrays \[N, T\] of the same shape, got \(2, 2048\) and \(1, 2048\)"
    ):
        audio.mel_l1(NOISE, NOISE[:1], RATE)
    with pytest.raises(ValueError, match="with 64 bands needs 1 to 63 coefficients, got 64"):
        audio.mel_cepstral_distortion(NOISE, NOISE, RATE, coefficients=64)
