"""Resampling: defining properties of the wavelets, and exact properties of the warp."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.imaging import resample
from gan_jax.imaging.ada import matmul, rotation, scaling, translation

WARP = jax.jit(resample.warp)


def images(*shape):
    """Images whose pixel values are all different."""
    return np.random.default_rng(0).permutation(np.linspace(-0.95, 0.9, np.prod(shape), dtype=np.float32)).reshape(shape)


@pytest.mark.parametrize(("wavelet", "moments"), [(resample.SYM6, 6), (resample.SYM2, 2)])
def test_wavelets_are_orthonormal_with_vanishing_moments(wavelet, moments):
    """The defining properties, except for the choice of the least asymmetric solution."""
    taps = np.arange(len(wavelet))
    np.testing.assert_allclose(wavelet.sum(), np.sqrt(2), rtol=1e-11)
    for shift in range(0, len(wavelet), 2):
        np.testing.assert_allclose(wavelet[shift:] @ wavelet[: len(wavelet) - shift], shift == 0, atol=1e-11)
    for power in range(moments):
        alternating = (-1.0) ** taps * (taps / len(taps)) ** power
        np.testing.assert_allclose(alternating @ wavelet, 0, atol=1e-10)


@pytest.mark.parametrize("size", [1, 2, 5, 16])
def test_downsampling_inverts_upsampling(size):
    np.testing.assert_allclose(resample.downsampling(size) @ resample.upsampling(size), np.eye(size), atol=1e-6)


@pytest.mark.parametrize(("right", "down"), [(0, 0), (3, -2)])
def test_warp_by_whole_pixels_is_lossless(right, down):
    x = images(2, 6, 9, 2)
    warped = WARP(x, translation(jnp.full(2, -right), jnp.full(2, -down)))
    np.testing.assert_allclose(warped[:, : 6 + down, right:], x[:, -down:, : 9 - right], atol=1e-5)


def test_warp_reflects_far_outside_the_image():
    x = images(1, 16, 16, 1)
    shift = translation(jnp.full(1, -15.0), jnp.zeros(1))
    far = WARP(x, shift)
    # Beyond the padding the upsampled image is mirrored, and with it the filter: close, but not equal.
    np.testing.assert_allclose(far[0, :, 15], x[0, :, 0], atol=0.2)
    smooth = np.cos(np.arange(16, dtype=np.float32) * np.pi / 15).reshape(1, 1, 16, 1) * np.ones((1, 16, 1, 1), np.float32)
    np.testing.assert_allclose(WARP(smooth, shift), smooth[:, :, ::-1], atol=2e-3)


def test_warp_maps_a_plane_to_a_plane():
    """A filter with vanishing moments and bilinear sampling are exact for x + 2 y + 3, so positions are exact for any map."""
    height, width = 24, 20
    x, y = np.meshgrid(np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2)
    matrix = matmul(rotation(jnp.full(1, 0.4)), scaling(jnp.full(1, 0.8), jnp.full(1, 0.7)))
    matrix = matmul(matrix, translation(jnp.full(1, 1.3), jnp.full(1, -0.6)))
    source = np.asarray(matrix[0]) @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    expected = (source[0] + 2 * source[1] + 3).reshape(height, width)
    warped = WARP(jnp.asarray(x + 2 * y + 3, jnp.float32)[None, :, :, None], matrix)[0, :, :, 0]
    np.testing.assert_allclose(warped[9:15, 7:13], expected[9:15, 7:13], atol=1e-4)


def test_octaves_sum_to_the_identity_and_separate_frequencies():
    size = 64
    octaves = resample.bands(size)
    np.testing.assert_allclose(octaves.sum(axis=0), np.eye(size), atol=1e-6)
    middle, wave = size // 2, np.arange(size)
    for octave, frequency in enumerate((0, 3 * np.pi / 16, 3 * np.pi / 8, np.pi)):
        # A symmetric filter multiplies a wave by its frequency response, if the ends are out of reach.
        response = [matrix[middle] @ np.cos(frequency * (wave - middle)) for matrix in octaves]
        assert np.argmax(response) == octave
        assert response[octave] > 0.7
    np.testing.assert_allclose(octaves[0] @ np.ones(size), 1, atol=1e-6)
    np.testing.assert_allclose(octaves[3] @ (-1.0) ** wave, (-1.0) ** wave, atol=1e-6)
