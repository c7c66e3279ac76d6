"""Resampling: defining properties of the wavelets, and exact properties of the warp."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

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


def authors_warp(image, inverse, margin):
    """ADA's geometry by the order of operations of the authors' code, for an image [H, W]: reflect by `margin` pixels, insert
    zeros and filter (6 values of padding before, 5 after), sample bilinearly a grid that is larger than twice the image by 6
    values on either side, crop one of them, filter reversed and keep every second value. The map is given about the centre in
    pixels; about that of the upsampled image it is doubled and moved by half a value."""
    low_pass = resample.SYM6 / resample.SYM6.sum()
    image = np.pad(image, margin, mode="reflect")
    upsampled = np.zeros((2 * image.shape[0], 2 * image.shape[1]))
    upsampled[::2, ::2] = image
    for axis in range(2):
        upsampled = np.apply_along_axis(
            lambda line: np.convolve(np.pad(line, (6, 5)), 2 * low_pass, mode="valid"), axis, upsampled
        )
    moved = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    doubled = np.linalg.inv(moved) @ np.diag([2, 2, 1]) @ inverse @ np.diag([0.5, 0.5, 1]) @ moved
    height, width = (size - 4 * margin + 12 for size in upsampled.shape)
    rows, columns = np.mgrid[:height, :width]
    points = np.stack([columns - (width - 1) / 2, rows - (height - 1) / 2, np.ones((height, width))])
    x, y, _ = np.einsum("ij,jhw->ihw", doubled, points)
    centre = [(size - 1) / 2 for size in upsampled.shape]
    warped = scipy.ndimage.map_coordinates(upsampled, [y + centre[0], x + centre[1]], order=1)
    for axis in range(2):
        warped = np.apply_along_axis(lambda line: np.correlate(line[1:-1], low_pass, mode="valid")[::2], axis, warped)
    return warped


def test_warp_is_that_of_the_authors():
    """Away from the borders, where they pad by what the map needs and we always by the length of the filter."""
    image = scipy.ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(40, 36)), 1)
    matrix = matmul(rotation(jnp.full(1, 0.5)), scaling(jnp.full(1, 0.8), jnp.full(1, 1.1)))
    matrix = matmul(matrix, translation(jnp.full(1, 1.3), jnp.full(1, -0.6)))
    warped = WARP(jnp.asarray(image, jnp.float32)[None, :, :, None], matrix)[0, :, :, 0]
    expected = authors_warp(image, np.float64(matrix[0]), 15)
    np.testing.assert_allclose(warped[8:32, 8:28], expected[8:32, 8:28], atol=2e-6)


def test_half_a_turn_moves_a_pixel_as_in_the_authors_code():
    """Pixel (11, 9) of 24 x 24 would be turned to (12, 14). Their filter's centre of mass lies at 5.0983 and they take it to be
    at 5, so that it lands at .0983 less on either axis."""
    image = jnp.zeros((1, 24, 24, 1)).at[0, 11, 9, 0].set(1.0)
    turned = np.asarray(WARP(image, jnp.diag(jnp.array([-1.0, -1.0, 1.0]))[None]))[0, :, :, 0]
    position = [turned.sum(axis=axis) @ np.arange(24) / turned.sum() for axis in (1, 0)]
    np.testing.assert_allclose(position, [12 - 0.0983, 14 - 0.0983], atol=1e-4)


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
