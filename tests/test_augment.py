"""Augmentations against the same pixels moved by NumPy and what their parameters say."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import augment
from gan_jax.imaging import ada

KEY = jax.random.key(3)


def images(*shape):
    """Of numbers that all differ."""
    return np.random.default_rng(0).permutation(np.linspace(-0.95, 0.9, np.prod(shape), dtype=np.float32)).reshape(shape)


def traced(function, **options):
    """Compiled anew, so that it sees what is patched."""
    return jax.jit(lambda key, x, p: function(key, x, p, **options))


def changed(y, x):
    return (np.asarray(y) != np.asarray(x)).any(axis=tuple(range(1, x.ndim)))


@pytest.mark.parametrize(("reach", "furthest"), [(0.125, 1), (0.5, 3)])
def test_translation_moves_by_whole_pixels_within_reach(reach, furthest):
    x = images(64, 6, 8, 2)
    y = np.asarray(traced(augment.translation, reach=reach)(KEY, x, 1.0))
    furthest_columns = max(1, int(8 * reach))
    margin = ((0, 0), (furthest, furthest), (furthest_columns, furthest_columns), (0, 0))
    padded = np.pad(x, margin, constant_values=-1)
    seen = set()
    for i in range(64):
        fits = [
            (row, column)
            for row in range(2 * furthest + 1)
            for column in range(2 * furthest_columns + 1)
            if (y[i] == padded[i, row : row + 6, column : column + 8]).all()
        ]
        assert len(fits) == 1
        seen.update(fits)
    assert {row for row, _ in seen} == set(range(2 * furthest + 1))


def test_flip_is_a_fair_coin_at_one():
    x = images(400, 2, 3, 1)
    flip = traced(augment.flip)
    for p in (0.4, 1.0):
        y = np.asarray(flip(KEY, x, p))
        flipped = changed(y, x)
        np.testing.assert_array_equal(y[flipped], x[flipped, :, ::-1])
        assert abs(flipped.mean() - p / 2) < 4 * np.sqrt(p / 2 * (1 - p / 2) / 400)


def test_color_adds_one_number_to_all_of_an_image():
    x = images(64, 3, 4, 3)
    added = traced(augment.color, saturation=0, contrast=0)(KEY, x, 1.0) - x
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1, :1, :1], x.shape), atol=1e-6)
    assert 0.4 < np.abs(added).max() < 0.5
    assert added.min() < -0.4


def test_color_scales_saturation_about_grey_and_contrast_about_the_mean():
    x = images(64, 3, 4, 3)
    for options, axes, most in (({"contrast": 0}, 3, 2.0), ({"saturation": 0}, (1, 2, 3), 1.5)):
        y = traced(augment.color, brightness=0, **options)(KEY, x, 1.0)
        middle = x.mean(axis=axes, keepdims=True)
        factor = ((y - middle) * (x - middle)).sum(axis=(1, 2, 3)) / np.square(x - middle).sum(axis=(1, 2, 3))
        np.testing.assert_allclose(y, middle + factor[:, None, None, None] * (x - middle), atol=1e-6)
        assert most - 0.2 < factor.max() < most
        assert 2 - most < factor.min() < 2.2 - most


def test_color_leaves_the_saturation_of_one_channel():
    x = images(8, 3, 4, 1)
    np.testing.assert_allclose(traced(augment.color, brightness=0, contrast=0)(KEY, x, 1.0), x, atol=1e-7)


@pytest.mark.parametrize("size", [0.5, 0.25])
def test_cutout_sets_a_box_to_grey_and_nothing_else(size):
    x = images(200, 8, 12, 2)
    y = np.asarray(traced(augment.cutout, size=size)(KEY, x, 1.0))
    cut = (y != x).any(axis=3)
    np.testing.assert_array_equal(y, np.where(cut[..., None], 0, x))
    rows, columns = cut.any(axis=2), cut.any(axis=1)
    np.testing.assert_array_equal(cut, rows[:, :, None] & columns[:, None, :])
    for side, length in ((rows, 8), (columns, 12)):
        assert side.sum(axis=1).max() == length * size
        assert side.sum(axis=1).min() == np.ceil(length * size / 2)  # the middle is inside
        assert (np.abs(np.diff(side.astype(int), axis=1)).sum(axis=1) <= 2).all()
        assert side.any(axis=0).all()


def test_noise_has_the_given_strength_and_takes_points():
    x = images(2000, 2)
    y = traced(augment.noise, sigma=0.3)(KEY, x, 0.5)
    noisy = changed(y, x)
    assert abs(noisy.mean() - 0.5) < 4 * np.sqrt(0.5 * 0.5 / 2000)
    added = (y - x)[noisy]
    assert abs(added.mean()) < 4 * 0.3 / np.sqrt(2000)
    assert abs(added.std() / 0.3 - 1) < 4 / np.sqrt(2 * 2000)


@pytest.mark.parametrize("name", ["color", "cutout"])
def test_share_that_is_changed_is_p(name):
    x = images(1000, 2, 2, 3)
    share = changed(traced(getattr(augment, name))(KEY, x, 0.3), x).mean()
    assert abs(share - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 1000)


@pytest.mark.parametrize("name", ["translation", "color", "cutout", "flip", "ada"])
def test_images_only(name):
    with pytest.raises(ValueError, match=rf"{name} needs images \[B, H, W, C\], got \(16, 2\)"):
        getattr(augment, name)(KEY, jnp.zeros((16, 2)), 1.0)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("translation", {"reach": 0}, "translation's reach is a share"),
        ("cutout", {"size": 1.5}, "cutout's size is a share"),
        ("color", {"contrast": -1}, "color's ranges must not be negative"),
        ("noise", {"sigma": -1}, "noise's sigma must not be negative"),
        ("ada", {}, r"ada's color needs images \[B, H, W, 1\] or \[B, H, W, 3\], got \(2, 4, 4, 2\)"),
    ],
)
def test_impossible_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(augment, name)(KEY, jnp.zeros((2, 4, 4, 2)), 1.0, **options)


def test_ada_has_the_groups_that_are_on_in_order(monkeypatch):
    """Each group here doubles the image and adds a number of its own and of its key."""
    numbers = {"blit": 1, "geometry": 2, "color": 3, "filtering": 4, "corruption": 5}
    for name, number in numbers.items():
        monkeypatch.setattr(ada, name, lambda key, x, p, number=number: 2 * x + number + jax.random.key_data(key).sum() * p)
    x = np.zeros((1, 2, 2, 3), np.float32)
    for options, expected in (
        ({}, (1 * 2 + 2) * 2 + 3),
        ({"color": False}, 1 * 2 + 2),
        ({"blit": False, "geometry": False, "filter": True, "corruption": True}, (3 * 2 + 4) * 2 + 5),
    ):
        np.testing.assert_array_equal(augment.ada(KEY, x, 0.0, **options), x + expected)
    once, twice = (augment.ada(KEY, x, 1.0, blit=i == 0, geometry=i == 1, color=False) for i in range(2))
    assert (once != twice - 1).all()  # no two draw from the same key
    monkeypatch.setattr(ada, "color", lambda key, x, p: x + p)
    np.testing.assert_array_equal(augment.ada(KEY, x, 0.5, blit=False, geometry=False, color=0.5), x + 0.25)
    with pytest.raises(ValueError, match=r"ada's color is a share of p in \[0, 1\], got 2"):
        augment.ada(KEY, x, 0.5, color=2)


def test_ada_is_affine_twice_differentiable_and_batched_over_seeds():
    """On images that are not square: the difference of two outputs is the derivative, and the gradient penalty of a critic
    behind it has a gradient. Of the groups only the warp leaves the family of products and choices."""
    x, other = images(4, 6, 10, 1), images(4, 6, 10, 1)[::-1]
    weights = jnp.linspace(-1, 1, 60).reshape(6, 10, 1)

    @jax.jit
    @partial(jax.vmap, in_axes=(0, None, None))
    def look(key, x, other):
        def transformed(x):
            return augment.ada(key, x, 0.8, blit=False, color=False)

        def penalty(weights):
            gradient = jax.grad(lambda x: jnp.tanh((transformed(x) * weights).sum(axis=(1, 2, 3))).sum())(x)
            return jnp.square(gradient).sum()

        return *jax.jvp(transformed, (x,), (other - x,)), transformed(other), jax.grad(penalty)(weights)

    y, difference, y_other, gradient = look(jax.random.split(KEY, 2), x, other)
    assert y.shape == (2, *x.shape)
    assert np.abs(y[0] - y[1]).max() > 0.1
    np.testing.assert_allclose(y_other - y, difference, atol=1e-4)
    assert np.isfinite(gradient).all()
    assert (np.abs(gradient).max(axis=(1, 2, 3)) > 1e-3).all()
