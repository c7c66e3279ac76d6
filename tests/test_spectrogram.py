"""Spectrograms: inversion, the position and height of a tone, and the reconstruction of a sound."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import spectrogram

RATE, LENGTH = 8_000, 2_048
TIME = np.arange(LENGTH) / RATE


def test_istft_inverts_stft():
    x = np.random.RandomState(0).randn(2, LENGTH).astype(np.float32)
    spectrum = spectrogram.stft(x)
    assert spectrum.shape == (2, LENGTH // spectrogram.HOP, spectrogram.FFT // 2 + 1)
    np.testing.assert_allclose(spectrogram.istft(spectrum), x, atol=1e-5)
    with pytest.raises(ValueError, match="a signal must be a multiple of 128 samples long"):
        spectrogram.stft(x[:, :100])


def test_other_hops_and_windows():
    """An overlap of three quarters can be inverted too; a window that is not a multiple of the hop, padded to a longer
    transform, agrees with NumPy."""
    x = np.random.RandomState(0).randn(1_000).astype(np.float32)
    np.testing.assert_allclose(spectrogram.istft(spectrogram.stft(x[:960], 256, 64), 64), x[:960], atol=1e-5)
    padded = np.pad(x, 95, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(240) / 240)
    expected = [np.fft.rfft(padded[i * 50 : i * 50 + 240] * window, 512) / window.sum() for i in range(20)]
    np.testing.assert_allclose(spectrogram.stft(x, 512, 50, 240), expected, atol=1e-6)
    assert spectrogram.log_mel(x[:768], RATE, 80, 1024, 256).shape == (3, 80)
    with pytest.raises(ValueError, match="the length of the transform, 256, is not a multiple of the hop, 100"):
        spectrogram.istft(spectrogram.stft(x, 256, 100), 100)


def test_the_gradient_at_silence_is_zero():
    gradient = jax.grad(lambda x: jnp.abs(spectrogram.stft(x)).sum())(jnp.zeros(512))
    np.testing.assert_array_equal(gradient, 0)


def test_a_tone_has_half_its_amplitude_in_its_bin():
    tone = 0.6 * np.cos(2 * np.pi * 1_000 * TIME)  # 1,000 Hz is bin 32 of 256 at 8,000
    magnitude = np.abs(spectrogram.stft(jnp.float32(tone)))[4:-4]
    np.testing.assert_allclose(magnitude[:, 32], 0.3, rtol=1e-4)
    np.testing.assert_allclose(magnitude[:, [20, 50]], 0, atol=1e-5)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    frame = tone[128 * 5 - 64 :][:256]
    expected = [(frame * window).sum() / window.sum()]
    np.testing.assert_allclose(np.real(spectrogram.stft(jnp.float32(tone)))[5, 0], expected[0], atol=1e-5)


def test_mel_bands():
    """Every band contains a bin, no weight exceeds 1, and the centres are evenly spaced on the mel scale."""
    bands = spectrogram.mel_bands(RATE, 64)
    assert bands.shape == (129, 64) and bands.min() == 0 and bands.max() <= 1
    assert (bands.max(axis=0) > 0.4).all()
    wide = spectrogram.mel_bands(RATE, 8)  # bands this wide need no widening
    mel = 2595 * np.log10(1 + np.arange(129) * RATE / 256 / 700)
    centres = 2595 * np.log10(1 + 4_000 / 700) / 9 * np.arange(1, 9)
    np.testing.assert_allclose(mel[wide.argmax(axis=0)], centres, atol=25)


def test_silence_and_full_scale():
    np.testing.assert_allclose(spectrogram.log_mel(jnp.zeros(LENGTH), RATE), -1, rtol=1e-6)
    loud = spectrogram.log_mel(jnp.float32(np.cos(2 * np.pi * 1_000 * TIME)), RATE)
    assert 0.7 < loud.max() < 1.1


def test_reconstruction_from_a_log_mel_spectrogram():
    """A chirp reconstructed from its log-mel spectrogram has nearly the same spectrogram."""
    chirp = jnp.float32(0.8 * np.sin(2 * np.pi * (500 * TIME + 2_000 * TIME**2)))
    x = spectrogram.log_mel(chirp, RATE)
    reconstructed = spectrogram.log_mel(spectrogram.from_log_mel(x, RATE), RATE)
    assert np.abs(reconstructed - x).mean() < 0.1 < np.abs(x + 1).mean()
