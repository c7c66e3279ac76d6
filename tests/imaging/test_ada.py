"""Adaptive discriminator augmentation: its transformations against pixel copies in NumPy and explicit formulas; its controller
against the probability at which it must settle."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.game.adaptive_augmentation import adapt, initial_controller
from gan_jax.imaging import ada

KEY = jax.random.key(3)
# Compiled once per shape, for any p.
BLIT, GEOMETRY, COLOR, FILTER, CORRUPTION = map(jax.jit, (ada.blit, ada.geometry, ada.color, ada.filtering, ada.corruption))


def images(*shape):
    """Images whose pixel values are all different."""
    return np.random.default_rng(0).permutation(np.linspace(-0.95, 0.9, np.prod(shape), dtype=np.float32)).reshape(shape)


def compiled(function, **options):
    """Compile `function` again, so that it uses monkeypatched functions."""
    return jax.jit(lambda key, x, p: function(key, x, p, **options))


def changed(y, x):
    return (np.asarray(y) != np.asarray(x)).any(axis=tuple(range(1, x.ndim)))


@pytest.mark.parametrize(
    ("group", "channels", "unchanged"),
    [
        # The probability that at least one of two rotations is applied is p, so they count once.
        (GEOMETRY, 3, lambda p: (1 - p) ** 4),
        (COLOR, 3, lambda p: (1 - p) ** 4 * (1 - p / 2)),
        (COLOR, 1, lambda p: (1 - p) ** 2 * (1 - p / 2)),
        (FILTER, 1, lambda p: (1 - p) ** 4),
        (CORRUPTION, 1, lambda p: (1 - p) ** 2),
    ],
)
def test_each_transformation_is_drawn_with_probability_p(group, channels, unchanged):
    x, p = images(1500, 4, 4, channels), 0.3
    expected = unchanged(p)
    fraction = 1 - changed(group(KEY, x, p), x).mean()
    assert abs(fraction - expected) < 4 * np.sqrt(expected * (1 - expected) / 1500)


@pytest.mark.parametrize(("height", "width", "turns"), [(8, 8, (0, 1, 2, 3)), (6, 8, (0, 2))])
def test_blit_copies_pixels(height, width, turns):
    x = images(128, height, width, 1)
    y = np.asarray(BLIT(KEY, x, 1.0))
    transformations = []
    for i in range(128):
        for flip, turn, row, column in itertools.product((1, -1), turns, (0, 1, 2), (0, 1, 2)):
            padded = np.pad(np.rot90(x[i, :, ::flip], turn), ((1, 1), (1, 1), (0, 0)), mode="reflect")
            if (y[i] == padded[row : row + height, column : column + width]).all():
                transformations.append((flip, turn, row, column))
    assert len(transformations) == 128
    for axis, values in zip(zip(*transformations, strict=True), ((1, -1), turns, (0, 1, 2), (0, 1, 2)), strict=True):
        assert set(axis) == set(values)


def fix_draws(monkeypatch, normal, uniform=()):
    """Make every transformation be applied, with these random numbers."""

    def shaped(values, shape):
        return jnp.broadcast_to(jnp.reshape(jnp.float32(values), (-1, *(1,) * (len(shape) - 1))), shape)

    monkeypatch.setattr(ada, "choose", lambda key, p, size: jnp.ones((len(p), size), bool))
    monkeypatch.setattr(jax.random, "normal", lambda key, shape: shaped(normal, shape))
    monkeypatch.setattr(jax.random, "uniform", lambda key, shape, **_: shaped(uniform, shape))


def test_geometry_inverts_scaling_rotation_stretching_rotation_translation(monkeypatch):
    before, after, right, down = 0.5, -1.1, 0.2, -0.1
    scale, stretch = np.exp(np.log(2) * 0.2 * np.array([1.5, -0.7]))
    fix_draws(monkeypatch, [1.5, -0.7, right / 0.125, down / 0.125], [before, after])
    monkeypatch.setattr(ada, "warp", lambda x, inverse: inverse)
    monkeypatch.setattr(ada, "select", lambda chosen, a, b: a)
    inverse = compiled(ada.geometry)(KEY, jnp.zeros((1, 10, 20, 3)), 1.0)[0]

    def rotate(angle):
        return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])

    translate = np.array([[1, 0, right * 20], [0, 1, down * 10], [0, 0, 1]])
    forward = translate @ rotate(after) @ np.diag([stretch, 1 / stretch, 1]) @ rotate(before) @ np.diag([scale, scale, 1])
    np.testing.assert_allclose(inverse @ forward, np.eye(3), atol=1e-5)


def test_color_is_brightness_contrast_flip_hue_saturation(monkeypatch):
    brightness, contrast, hue, saturation = 0.3, 2**0.6, 0.7, 2**-0.4
    fix_draws(monkeypatch, [brightness / 0.2, 0.6 / 0.5, -0.4], hue)
    x = images(2, 3, 4, 3)
    axis = np.ones(3) / np.sqrt(3)
    y = (x + brightness) * contrast
    y = y - 2 * (y @ axis)[..., None] * axis
    grey = (y @ axis)[..., None] * axis
    y = grey + np.cos(hue) * (y - grey) + np.sin(hue) * np.cross(np.broadcast_to(axis, y.shape), y)
    y = grey + saturation * (y - grey)
    np.testing.assert_allclose(compiled(ada.color)(KEY, x, 1.0), y, atol=1e-5)


def test_a_third_of_a_hue_rotation_permutes_the_channels():
    rotated = ada.hue_rotation(jnp.float32([2 * np.pi / 3]))[0] @ np.float32([1, 2, 3])
    np.testing.assert_allclose(rotated, [3, 1, 2], atol=1e-5)


def test_color_treats_one_channel_like_three_equal_ones():
    """Hue and saturation leave grey unchanged; everything else has the same effect on three equal channels as on one."""
    x = images(1500, 4, 4, 1)
    three_channels = COLOR(KEY, np.repeat(x, 3, axis=3), 0.7)
    np.testing.assert_allclose(three_channels, np.repeat(COLOR(KEY, x, 0.7), 3, axis=3), atol=1e-5)


def test_filter_preserves_the_expected_power(monkeypatch):
    """Gains t are divided by sqrt(sum of lambda_j t_j^2) after each octave; a constant image has the lowest octave only, which
    is filtered along both axes."""
    fix_draws(monkeypatch, [1, 0, 0, -1])
    gain = 2 / np.sqrt((40 + 3) / 13) / np.sqrt((10 + 2 + 0.25) / 13)
    y = compiled(ada.filtering)(KEY, jnp.full((1, 5, 6, 1), 0.4), 1.0)
    np.testing.assert_allclose(y, 0.4 * gain**2, rtol=1e-5)


def test_corruption_is_noise_and_a_box_of_half_the_size():
    x = images(1500, 4, 4, 1)
    y = np.asarray(CORRUPTION(KEY, x, 1.0))[..., 0]
    rows, columns = (y == 0).any(axis=2), (y == 0).any(axis=1)
    np.testing.assert_array_equal(y == 0, rows[:, :, None] & columns[:, None, :])
    for covered in (rows, columns):
        assert set(covered.sum(axis=1)) == {1, 2}
    noise = (y - x[..., 0])[y != 0]
    # E sigma^2 = 0.1^2; over 1,500 images of half-normal strength its mean has a relative standard deviation of sqrt(2 / 1500),
    # which the noise of about 13 pixels in each image increases only slightly.
    assert abs(np.square(noise).mean() / 0.01 - 1) < 5 * np.sqrt(2 / 1500)


def test_probability_rises_from_0_to_1_in_exactly_kimg():
    def call(running, _):
        running = adapt(running, jnp.ones(16), target=0.6, kimg=1.024)
        return running, running["p"]

    running, p = jax.lax.scan(call, initial_controller(), length=68)
    np.testing.assert_array_equal(p[:8], np.float32([0, 0, 0, 1, 1, 1, 1, 2]) / 16)  # every fourth call
    assert p[62] == 15 / 16
    assert p[63] == 1  # 64 calls of 16 samples
    assert p[67] == 1
    assert all((value.shape, value.dtype) == ((), jnp.float32) for value in running.values())
    running, p = jax.lax.scan(lambda r, _: (lambda r: (r, r["p"]))(adapt(r, -jnp.ones(16), 0.6, 1.024)), running, length=68)
    assert p[62] == 1 / 16
    assert p[63] == p[67] == 0


def test_probability_settles_where_the_statistic_meets_its_target():
    """Of 1,000 real logits, those with u < 1 - p / 2 are positive: r_t = 1 - p in steps of 0.002, which crosses 0.601 at
    p = 0.399, where the 801st logit becomes negative."""
    u = (jnp.arange(1000.0) + 0.5) / 1000

    def call(running, _):
        running = adapt(running, 1 - running["p"] / 2 - u, target=0.601, kimg=400)
        return running, running["p"]

    _, p = jax.lax.scan(call, initial_controller(), length=400)
    step = 4 * 1000 / 400_000
    assert p[155] < 0.399 - step / 2
    np.testing.assert_array_less(np.abs(p[160:] - 0.399), step)


def test_statistic_is_the_mean_over_the_interval_and_over_outputs():
    """The signs 1, 1, -1, -1 and 0, 1, 1, 1 average to 3/8, regardless of the magnitudes of the logits."""
    logits = jnp.bfloat16([[9, 1, -1, -7], [0, 2, 2, 2]])
    for target, p in ((0.37, 8 / 1000), (0.38, 0.0), (0.375, 0.0)):
        running = initial_controller()
        for _ in range(4):
            running = adapt(running, logits, target=target, kimg=1)
        np.testing.assert_allclose(running["p"], p, rtol=1e-6)
