"""Path lengths of linear generators."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import Config
from gan_jax.data.images.metrics import choose_extractor
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.evaluation.generator import LoadedGenerator
from gan_jax.evaluation.path_length import _reduced as reduced
from gan_jax.evaluation.path_length import path_length
from gan_jax.metrics.features.extractor import Extractor

KEY = jax.random.key(3)


class Plain(nn.Module):
    """An image with z in its first row."""

    def __call__(self, z, label, train):
        return jnp.zeros((len(z), 8, 8, 1)).at[:, 0, :, 0].set(z)


class Mapped(nn.Module):
    """z -> w = 2 z + 1 in one layer -> an image with z in its first row and w in its second."""

    takes_w = True

    @nn.compact
    def __call__(self, z, label, train, w=None):
        if w is None:
            w = 2 * z[:, None] + 1
            self.sow("intermediates", "w", w)
        return jnp.zeros((len(z), 8, 8, 1)).at[:, 0, :, 0].set(z).at[:, 1, :, 0].set(w[:, 0])


def draw_latents(key, count):
    return jax.random.normal(key, (count, 8))


def loaded(generator):
    game = SimpleNamespace(generator=generator, z_dim=8, sample_shape=(8, 8, 1), label=None, draw_latents=draw_latents)
    data = SimpleNamespace(sample_shape=(8, 8, 1), num_shown=4)
    return LoadedGenerator(Config(), data, game, {}, {}, *jax.random.split(KEY))


def row(number, factor, **fields):
    """An extractor: `factor` times the image's row of that number."""
    return Extractor(lambda x: (factor * x[:, number, :, 0], None), "row", "", "none", **fields)


def trimmed(values):
    low, high = np.percentile(values, [1, 99])
    return values[(values >= low) & (values <= high)].mean()


def test_path_length_in_w():
    """Three times w = 2 z + 1 changes by 6 (z' - z), whose squared length is 36 x 2 times a chi-square of 8 degrees."""
    value = path_length(loaded(Mapped()), row(1, 3.0), 1_000, KEY)
    expected = 72 * trimmed(np.random.RandomState(0).chisquare(8, 100_000))
    assert value == pytest.approx(expected, rel=4 * 0.5 / 1_000**0.5)
    full = path_length(loaded(Mapped()), row(1, 3.0), 1_000, KEY, place="full")
    assert full == pytest.approx(value, rel=0.02)  # along a line the speed is constant, up to rounding


def test_path_length_in_z():
    """At the start of the arc from z to z' the speed is (angle / sin angle) |z' - z cos angle|."""
    value = path_length(loaded(Plain()), row(0, 1.0), 1_000, KEY)
    first, last = np.random.RandomState(1).normal(size=(2, 100_000, 8))
    cosine = (first * last).sum(axis=1) / np.linalg.norm(first, axis=1) / np.linalg.norm(last, axis=1)
    angle = np.arccos(cosine)[:, None]
    expected = trimmed(np.square(angle / np.sin(angle) * (last - first * np.cos(angle))).sum(axis=1))
    assert value == pytest.approx(expected, rel=0.1)


def test_path_length_by_a_perceptual_distance():
    """The squared change of the first row by a `distance`, which sees images that are not rounded, is that of its features."""

    def distance(x, y):
        return np.square(y.astype(np.float64) - x)[:, 0, :, 0].sum(axis=1)

    perceptual = Extractor(None, "d", "", "none", rounds=True, distance=distance)
    value = path_length(loaded(Plain()), perceptual, 100, KEY)
    assert value == pytest.approx(path_length(loaded(Plain()), row(0, 1.0), 100, KEY), rel=1e-6)


def test_images_above_256_pixels_are_reduced_by_averaging():
    """As StyleGAN2-ADA's metric does: 1,024 pixels by 4, 512 by 2, 300 not at all."""
    images = np.arange(2 * 512 * 512 * 1, dtype=np.float64).reshape(2, 512, 512, 1)
    expected = (images[:, ::2, ::2] + images[:, 1::2, ::2] + images[:, ::2, 1::2] + images[:, 1::2, 1::2]) / 4
    np.testing.assert_array_equal(reduced(images), expected)
    assert reduced(images[:, :300, :300]).shape == (2, 300, 300, 1)
    assert reduced(np.zeros((1, 1024, 1024, 3))).shape == (1, 256, 256, 3)
    with pytest.raises(InputError, match="513 x 512 pixels cannot be reduced by 2"):
        reduced(np.zeros((1, 513, 512, 3)))


def test_invalid_path_lengths():
    with pytest.raises(InputError, match="row rounds images to 8 bits"):
        path_length(loaded(Plain()), row(0, 1.0, rounds=True), 10, KEY)
    with pytest.raises(InputError, match="space must be z and place end or full, got w and end"):
        path_length(loaded(Plain()), row(0, 1.0), 10, KEY, space="w")
    with pytest.raises(InputError, match="at least 2 pairs of images, got 1"):
        path_length(loaded(Plain()), row(0, 1.0), 1, KEY)


@pytest.mark.parametrize("name", [None, "random", "inception"])
def test_data_that_is_not_images_has_no_extractor(name):
    with pytest.raises(InputError, match=r"the extractor \w+ needs images: samples of ring are \(2,\)"):
        choose_extractor(load("ring", 0, 16), name)
