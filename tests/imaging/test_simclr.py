"""SimCLR's transformations: boxes that a ramp reveals, colours against the standard library, the published ranges."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax import augment
from gan_jax.imaging import simclr

KEY = jax.random.key(0)


def test_crops_have_the_published_sizes_and_ratios():
    """The value of a pixel is its column (row) plus 1/2: a box [start, start + length) stretched to 40 pixels has the slope
    length / 40 and starts at start + length / 80, away from the borders."""
    height, width, count = 30, 40, 400
    ramps = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1).astype(np.float32)
    ramps = np.concatenate([ramps, ramps[..., :1]], axis=-1)
    y = np.asarray(jax.jit(simclr.crop)(KEY, jnp.broadcast_to(ramps, (count, *ramps.shape)), 1.0))
    columns, rows = y[:, height // 2, :, 0], y[:, :, width // 2, 1]
    boxes = []
    for line, size in ((columns, width), (rows, height)):
        slope = line[:, size // 2 + 1] - line[:, size // 2]
        start = line[:, size // 2] - (size // 2 + 0.5) * slope
        boxes += [slope * size, start]
    boxes = np.array(boxes)
    np.testing.assert_allclose(boxes, np.round(boxes), atol=2e-3)
    widths, lefts, heights, tops = np.round(boxes)
    assert (lefts >= 0).all() and (tops >= 0).all() and (lefts + widths <= width).all() and (tops + heights <= height).all()
    area, ratio = widths * heights / (width * height), widths / heights
    assert 0.18 < area.min() < 0.25 and 0.85 < area.max() <= 1
    assert 0.7 < ratio.min() < 0.8 and 1.25 < ratio.max() < 1.4


def test_hue_saturation_and_value_are_those_of_the_standard_library():
    x = np.random.default_rng(0).uniform(size=(3, 4, 5, 3)).astype(np.float32)
    x[0, 0, 0] = 0.5  # grey has no hue
    x[0, 0, 1] = 0
    hue, saturation, value = np.array([[0.07, 1.3, 0.8], [-0.07, 0.7, 1.3], [0.0, 1.0, 1.0]], np.float32).T.reshape(3, 3, 1, 1)
    y = jax.jit(simclr.change_hsv)(x, hue, saturation, value)
    for i in range(3):
        for colour, changed in zip(x[i].reshape(-1, 3), y[i].reshape(-1, 3), strict=True):
            h, s, v = colorsys.rgb_to_hsv(*colour)
            s, v = min(1, s * saturation[i, 0, 0]), min(1, v * value[i, 0, 0])
            np.testing.assert_allclose(changed, colorsys.hsv_to_rgb((h + hue[i, 0, 0]) % 1, s, v), atol=1e-5)


def test_jitter_multiplies_the_value_and_contrast_of_grey_images():
    """A factor for the value and one for the contrast about the mean, each in .6 to 1.4, if nothing is clipped."""
    x = np.where(np.arange(16).reshape(1, 4, 4, 1) % 2, -0.1, -0.5).astype(np.float32) * np.ones((500, 1, 1, 1), np.float32)
    y = (np.asarray(jax.jit(simclr.jitter)(KEY, x, 1.0)) + 1) / 2
    value = y.mean(axis=(1, 2, 3)) / 0.35
    contrast = (y[:, 0, 1, 0] - y[:, 0, 0, 0]) / 0.2 / value
    for factor in (value, contrast):
        assert 0.6 <= factor.min() + 1e-5 and factor.min() < 0.62 and 1.38 < factor.max() <= 1.4 + 1e-5
    assert abs(np.corrcoef(value, contrast)[0, 1]) < 0.2


def test_greyscale_is_luma():
    x = np.random.default_rng(0).uniform(-1, 1, (4, 2, 2, 3)).astype(np.float32)
    luma = (x * [0.299, 0.587, 0.114]).sum(axis=3, keepdims=True)
    np.testing.assert_allclose(simclr.greyscale(KEY, x, 1.0), np.broadcast_to(luma, x.shape), atol=1e-6)


def test_blur_is_a_normalised_gaussian():
    """An impulse of 40 x 40 pixels: windows of 5; neighbours in the ratio exp(-1 / 2 s^2), with s in .1 to 2."""
    x = np.zeros((300, 40, 40, 1), np.float32)
    x[:, 20, 20] = 1
    y = np.asarray(jax.jit(simclr.blur)(KEY, x, 1.0))[..., 0]
    np.testing.assert_allclose(y.sum(axis=(1, 2)), 1, rtol=1e-5)
    assert (y[:, 20, [17, 23]] == 0).all() and (y[:, 20, 22] > 0).any()
    ratio = y[:, 20, 21] / y[:, 20, 20]
    np.testing.assert_allclose(y[:, 20, 22] / y[:, 20, 20], ratio**4, rtol=1e-4, atol=1e-7)
    assert ratio.min() < 1e-6 and 0.87 < ratio.max() <= np.exp(-1 / 8) + 1e-6


def test_probabilities_of_simclr():
    """Colour images are changed by the jitter (.8) or made grey (.2), times p; with an area of 1 they may still be mirrored."""
    x = np.random.default_rng(0).uniform(-0.9, 0.9, (1000, 3, 3, 3)).astype(np.float32)
    y = np.asarray(jax.jit(lambda key, x, p: augment.simclr(key, x, p, area=1.0))(KEY, x, 0.5))
    grey = (y == y[..., :1]).all(axis=(1, 2, 3)).mean()
    unchanged = ((y == x).all(axis=(1, 2, 3)) | (y == x[:, :, ::-1]).all(axis=(1, 2, 3))).mean()
    for fraction, expected in ((grey, 0.1), (unchanged, 0.6 * 0.9)):
        assert abs(fraction - expected) < 4 * np.sqrt(expected * (1 - expected) / 1000)
