"""Spectrograms: inverses, a tone's band and height, what becomes of a sound on the way there and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import spectrogram

RATE, LENGTH = 8_000, 2_048
TIME = np.arange(LENGTH) / RATE


def test_there_and_back():
    x = np.random.RandomState(0).randn(2, LENGTH).astype(np.float32)
    spectrum = spectrogram.stft(x)
    assert spectrum.shape == (2, LENGTH // spectrogram.HOP, spectrogram.FFT // 2 + 1)
    np.testing.assert_allclose(spectrogram.istft(spectrum), x, atol=1e-5)
    with pytest.raises(ValueError, match="a signal must be a multiple of 128 samples long"):
        spectrogram.stft(x[:, :100])


def test_other_frames():
    """Three quarters of overlap are inverted too; a window that is no multiple of the hop, in a longer one, is NumPy's."""
    x = np.random.RandomState(0).randn(1_000).astype(np.float32)
    np.testing.assert_allclose(spectrogram.istft(spectrogram.stft(x[:960], 256, 64), 64), x[:960], atol=1e-5)
    padded = np.pad(x, 95, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(240) / 240)
    expected = [np.fft.rfft(padded[i * 50 : i * 50 + 240] * window, 512) / window.sum() for i in range(20)]
    np.testing.assert_allclose(spectrogram.stft(x, 512, 50, 240), expected, atol=1e-6)
    assert spectrogram.log_mel(x[:768], RATE, 80, 1024, 256).shape == (3, 80)
    with pytest.raises(ValueError, match="a transform of 256 samples is no multiple of the hop, 100"):
        spectrogram.istft(spectrogram.stft(x, 256, 100), 100)


def test_silence_has_a_derivative():
    gradient = jax.grad(lambda x: jnp.abs(spectrogram.stft(x)).sum())(jnp.zeros(512))
    np.testing.assert_array_equal(gradient, 0)


def test_a_tone_is_half_its_amplitude_in_its_bin():
    tone = 0.6 * np.cos(2 * np.pi * 1_000 * TIME)  # 1,000 Hz is bin 32 of 256 at 8,000
    magnitude = np.abs(spectrogram.stft(jnp.float32(tone)))[4:-4]
    np.testing.assert_allclose(magnitude[:, 32], 0.3, rtol=1e-4)
    np.testing.assert_allclose(magnitude[:, [20, 50]], 0, atol=1e-5)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(256) / 256)
    frame = tone[128 * 5 - 64 :][:256]
    expected = [(frame * window).sum() / window.sum()]
    np.testing.assert_allclose(np.real(spectrogram.stft(jnp.float32(tone)))[5, 0], expected[0], atol=1e-5)


def test_bands():
    """Every band holds a bin, none more than height 1; their middles rise evenly on the mel scale."""
    bands = spectrogram.mel_bands(RATE, 64)
    assert bands.shape == (129, 64) and bands.min() == 0 and bands.max() <= 1
    assert (bands.max(axis=0) > 0.4).all()
    wide = spectrogram.mel_bands(RATE, 8)  # 8 bands are wide enough to be triangles as drawn
    mel = 2595 * np.log10(1 + np.arange(129) * RATE / 256 / 700)
    middles = 2595 * np.log10(1 + 4_000 / 700) / 9 * np.arange(1, 9)
    np.testing.assert_allclose(mel[wide.argmax(axis=0)], middles, atol=25)


def test_silence_and_full_scale():
    np.testing.assert_allclose(spectrogram.log_mel(jnp.zeros(LENGTH), RATE), -1, rtol=1e-6)
    loud = spectrogram.log_mel(jnp.float32(np.cos(2 * np.pi * 1_000 * TIME)), RATE)
    assert 0.7 < loud.max() < 1.1


def test_a_sound_survives():
    """A chirp through its log-mel spectrogram and back has nearly the same one."""
    chirp = jnp.float32(0.8 * np.sin(2 * np.pi * (500 * TIME + 2_000 * TIME**2)))
    x = spectrogram.log_mel(chirp, RATE)
    again = spectrogram.log_mel(spectrogram.from_log_mel(x, RATE), RATE)
    assert np.abs(again - x).mean() < 0.1 < np.abs(x + 1).mean()
