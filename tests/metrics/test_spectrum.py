"""Average power spectra: white noise, waves and a constant."""

import numpy as np
import pytest

from gan_jax.metrics.spectrum import radial_power


def test_white_noise_has_its_variance_at_every_frequency():
    noise = 0.5 * np.random.RandomState(0).normal(size=(150, 16, 24, 2))
    power = radial_power(noise)
    assert power.shape == (9,)
    np.testing.assert_allclose(power[1:], 0.25, rtol=0.05)


def test_a_wave_has_power_at_its_frequency_alone():
    """A wave of amplitude a has |FFT|^2 = (a H W / 2)^2 at two frequencies; a constant c has (c H W)^2 at frequency 0."""
    x = np.arange(8) / 8
    wave = 3.0 * np.cos(2 * np.pi * 2 * x)[None, :, None, None] * np.ones((1, 1, 8, 1)) + 0.5
    power = radial_power(wave)
    ring = np.rint(np.hypot(*np.meshgrid(np.fft.fftfreq(8) * 8, np.fft.fftfreq(8) * 8)))
    expected = np.zeros(5)
    expected[2] = 2 * (3 * 64 / 2) ** 2 / 64 / (ring == 2).sum()
    expected[0] = (0.5 * 64) ** 2 / 64
    np.testing.assert_allclose(power, expected, atol=1e-9)
    with pytest.raises(ValueError, match=r"needs images \[N, H, W, C\], got \(8, 8, 1\)"):
        radial_power(wave[0])
