"""Augmentations against the same operations in NumPy, and the ranges and probabilities that their options set."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import augment
from gan_jax.imaging import ada

KEY = jax.random.key(3)


def images(*shape):
    """Images in which no two values are equal."""
    return np.random.default_rng(0).permutation(np.linspace(-0.95, 0.9, np.prod(shape), dtype=np.float32)).reshape(shape)


def traced(function, **options):
    """`function` compiled afresh, so that monkeypatches take effect."""
    return jax.jit(lambda key, x, p: function(key, x, p, **options))


def changed(y, x):
    """Whether each sample of y differs from that of x, [B]."""
    return (np.asarray(y) != np.asarray(x)).any(axis=tuple(range(1, x.ndim)))


@pytest.mark.parametrize(("options", "fill"), [({}, 0), ({"reach": 0.5}, 0), ({"fill": -1.0}, -1)])
def test_translation_moves_by_whole_pixels_within_reach(options, fill):
    """Up to int(size * reach + 1/2) pixels: 1 of 6 and 2 of 12 for a reach of 1/8, where int(size * reach) is 0 and 1."""
    x = images(128, 6, 12, 2)
    y = np.asarray(traced(augment.translation, **options)(KEY, x, 1.0))
    rows, columns = (3, 6) if options.get("reach") else (1, 2)
    padded = np.pad(x, ((0, 0), (rows, rows), (columns, columns), (0, 0)), constant_values=fill)
    offsets = set()
    for i in range(128):
        matches = [
            (row, column)
            for row in range(2 * rows + 1)
            for column in range(2 * columns + 1)
            if (y[i] == padded[i, row : row + 6, column : column + 12]).all()
        ]
        assert len(matches) == 1
        offsets.update(matches)
    assert {row for row, _ in offsets} == set(range(2 * rows + 1))
    assert {column for _, column in offsets} == set(range(2 * columns + 1))


def test_flip_mirrors_half_the_images_at_one():
    x = images(400, 2, 3, 1)
    flip = traced(augment.flip)
    for p in (0.4, 1.0):
        y = np.asarray(flip(KEY, x, p))
        flipped = changed(y, x)
        np.testing.assert_array_equal(y[flipped], x[flipped, :, ::-1])
        assert abs(flipped.mean() - p / 2) < 4 * np.sqrt(p / 2 * (1 - p / 2) / 400)


def test_color_adds_the_same_number_to_the_whole_image():
    x = images(64, 3, 4, 3)
    added = traced(augment.color, saturation=0, contrast=0)(KEY, x, 1.0) - x
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1, :1, :1], x.shape), atol=1e-6)
    assert 0.4 < np.abs(added).max() < 0.5
    assert added.min() < -0.4


def test_color_scales_saturation_about_grey_and_contrast_about_the_mean():
    x = images(64, 3, 4, 3)
    for options, axes, max_factor in (({"contrast": 0}, 3, 2.0), ({"saturation": 0}, (1, 2, 3), 1.5)):
        y = traced(augment.color, brightness=0, **options)(KEY, x, 1.0)
        center = x.mean(axis=axes, keepdims=True)
        factor = ((y - center) * (x - center)).sum(axis=(1, 2, 3)) / np.square(x - center).sum(axis=(1, 2, 3))
        np.testing.assert_allclose(y, center + factor[:, None, None, None] * (x - center), atol=1e-6)
        assert max_factor - 0.2 < factor.max() < max_factor
        assert 2 - max_factor < factor.min() < 2.2 - max_factor


def test_saturation_has_no_effect_on_one_channel():
    x = images(8, 3, 4, 1)
    np.testing.assert_allclose(traced(augment.color, brightness=0, contrast=0)(KEY, x, 1.0), x, atol=1e-7)


@pytest.mark.parametrize(("size", "lengths"), [(0.5, (4, 6)), (0.25, (2, 3)), (0.3125, (3, 4))])
def test_cutout_sets_only_a_box_to_grey(size, lengths):
    """int(length * size + 1/2) pixels: 2.5 of 8 become 3, not 2."""
    x = images(200, 8, 12, 2)
    y = np.asarray(traced(augment.cutout, size=size)(KEY, x, 1.0))
    cut = (y != x).any(axis=3)
    np.testing.assert_array_equal(y, np.where(cut[..., None], 0, x))
    rows, columns = cut.any(axis=2), cut.any(axis=1)
    np.testing.assert_array_equal(cut, rows[:, :, None] & columns[:, None, :])
    for in_box, length in zip((rows, columns), lengths, strict=True):
        assert in_box.sum(axis=1).max() == length
        assert in_box.sum(axis=1).min() == np.ceil(length / 2)  # the centre is inside the image
        assert (np.abs(np.diff(in_box.astype(int), axis=1)).sum(axis=1) <= 2).all()
        assert in_box.any(axis=0).all()


def test_noise_has_standard_deviation_sigma_and_accepts_points():
    x = images(2000, 2)
    y = traced(augment.noise, sigma=0.3)(KEY, x, 0.5)
    noisy = changed(y, x)
    assert abs(noisy.mean() - 0.5) < 4 * np.sqrt(0.5 * 0.5 / 2000)
    added = (y - x)[noisy]
    assert abs(added.mean()) < 4 * 0.3 / np.sqrt(2000)
    assert abs(added.std() / 0.3 - 1) < 4 / np.sqrt(2 * 2000)


@pytest.mark.parametrize("name", ["color", "cutout"])
def test_fraction_of_changed_images_is_p(name):
    x = images(1000, 2, 2, 3)
    fraction = changed(traced(getattr(augment, name))(KEY, x, 0.3), x).mean()
    assert abs(fraction - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 1000)


@pytest.mark.parametrize("name", ["translation", "color", "cutout", "flip", "ada", "simclr"])
def test_other_shapes_are_rejected(name):
    with pytest.raises(ValueError, match=rf"{name} needs images \[B, H, W, C\], got \(16, 2\)"):
        getattr(augment, name)(KEY, jnp.zeros((16, 2)), 1.0)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("translation", {"reach": 0}, "translation's reach is a fraction"),
        ("cutout", {"size": 1.5}, "cutout's size is a fraction"),
        ("color", {"contrast": -1}, "color's ranges must not be negative"),
        ("noise", {"sigma": -1}, "noise's sigma must not be negative"),
        ("simclr", {}, r"simclr needs images \[B, H, W, 1\] or \[B, H, W, 3\], got \(2, 4, 4, 2\)"),
        ("ada", {}, r"ada's color needs images \[B, H, W, 1\] or \[B, H, W, 3\], got \(2, 4, 4, 2\)"),
    ],
)
def test_invalid_options_are_rejected(name, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(augment, name)(KEY, jnp.zeros((2, 4, 4, 2)), 1.0, **options)


def test_ada_applies_the_enabled_groups_in_order(monkeypatch):
    """Each patched group doubles the image, then adds a constant that identifies it and p times a number that depends on its
    key."""
    numbers = {"blit": 1, "geometry": 2, "color": 3, "filtering": 4, "corruption": 5}
    for name, number in numbers.items():
        monkeypatch.setattr(
            ada, name, lambda key, x, p, number=number: 2 * x + number + jax.random.key_data(key).sum().astype(jnp.float32) * p
        )
    x = np.zeros((1, 2, 2, 3), np.float32)
    for options, expected in (
        ({}, (1 * 2 + 2) * 2 + 3),
        ({"color": False}, 1 * 2 + 2),
        ({"blit": False, "geometry": False, "filter": True, "corruption": True}, (3 * 2 + 4) * 2 + 5),
    ):
        np.testing.assert_array_equal(augment.ada(KEY, x, 0.0, **options), x + expected)
    first, second = (augment.ada(KEY, x, 1.0, blit=i == 0, geometry=i == 1, color=False) for i in range(2))
    assert (first != second - 1).all()  # each group has a different key
    monkeypatch.setattr(ada, "color", lambda key, x, p: x + p)
    np.testing.assert_array_equal(augment.ada(KEY, x, 0.5, blit=False, geometry=False, color=0.5), x + 0.25)
    with pytest.raises(ValueError, match=r"ada's color is a fraction of p in \[0, 1\], got 2"):
        augment.ada(KEY, x, 0.5, color=2)


def test_ada_is_affine_twice_differentiable_and_can_be_vmapped_over_seeds():
    """On images that are not square. Affine: the difference of two outputs is the derivative. Twice differentiable: a gradient
    penalty on augmented images has a gradient. Only the warp is enabled; all other groups are products and selections."""
    x, other = images(4, 6, 10, 1), images(4, 6, 10, 1)[::-1]
    weights = jnp.linspace(-1, 1, 60).reshape(6, 10, 1)

    @jax.jit
    @partial(jax.vmap, in_axes=(0, None, None))
    def evaluate(key, x, other):
        def transformed(x):
            return augment.ada(key, x, 0.8, blit=False, color=False)

        def penalty(weights):
            gradient = jax.grad(lambda x: jnp.tanh((transformed(x) * weights[None]).sum(axis=(1, 2, 3))).sum())(x)
            return jnp.square(gradient).sum()

        return *jax.jvp(transformed, (x,), (other - x,)), transformed(other), jax.grad(penalty)(weights)

    y, difference, y_other, gradient = evaluate(jax.random.split(KEY, 2), x, other)
    assert y.shape == (2, *x.shape)
    assert np.abs(y[0] - y[1]).max() > 0.1
    np.testing.assert_allclose(y_other - y, difference, atol=1e-4)
    assert np.isfinite(gradient).all()
    assert (np.abs(gradient).max(axis=(1, 2, 3)) > 1e-3).all()
