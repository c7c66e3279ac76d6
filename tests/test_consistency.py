"""The consistency penalties of both players on linear networks, for which they equal variances. Expectations over noise are met
within 5 standard errors.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import g_penalties, penalties
from gan_jax.types import Critic, Synthesis

KEY = jax.random.key(0)
REAL = jax.random.normal(jax.random.key(1), (8, 2))
WIDE = 3 * jax.random.normal(jax.random.key(3), (20_000, 2)) + jnp.array([5.0, -5.0])
# A mean of 20,000 squares of normal numbers has a relative standard error of sqrt(2 / 20,000).
NOISE_ERROR = 5 * np.sqrt(2 / 20_000)


def linear(x):
    return x @ jnp.array([3.0, 4.0])


def test_consistency_adds_noise_to_points():
    """w.n for noise n of standard deviation s has variance |w|^2 s^2. The penalty sums over D's outputs, and noise is added to
    every leaf of a tree."""
    expected = 25 * (0.05 * np.std(WIDE)) ** 2
    value = penalties.consistency(linear, WIDE, jnp.nan * WIDE, KEY)
    np.testing.assert_allclose(value, expected, rtol=NOISE_ERROR)
    value = penalties.consistency(lambda x: jnp.stack([linear(x), 2 * linear(x)], axis=1), WIDE, WIDE, KEY, noise=0.1)
    np.testing.assert_allclose(value, 4 * 5 * expected, rtol=NOISE_ERROR)
    tree = {"a": WIDE, "b": 10 * WIDE[..., None, None]}
    value = penalties.consistency(lambda x: linear(x["a"]) + linear(x["b"][..., 0, 0]), tree, tree, KEY)
    np.testing.assert_allclose(value, 101 * expected, rtol=NOISE_ERROR)


IMAGES = jnp.full((5_000, 8, 8, 1), -1.0).at[:, 3, 2].set(0.0)  # a bright pixel in column 2


@pytest.mark.parametrize(
    ("options", "expected", "error"),
    [
        ({"flip": False}, 2 / 3, 0.0067),  # shifts of -1, 0, 1 pixels: sqrt(2 / 9 / 5,000)
        ({"flip": False, "reach": 0.25}, 2, 0.0237),  # -2 to 2
        ({}, 2 / 3 + 9 / 2, 0.078),  # column 2 becomes 5 for half the samples
    ],
)
def test_consistency_shifts_and_flips_images(options, expected, error):
    """The critic returns the column of the bright pixel. `error` is the standard error."""

    def column(x):
        return ((x + 1).sum(axis=(1, 3)) * jnp.arange(8.0)[None]).sum(axis=1)

    value = penalties.consistency(column, IMAGES, jnp.nan * IMAGES, KEY, **options)
    np.testing.assert_allclose(value, expected, atol=5 * error)


def test_consistency_reflects_images_at_their_borders():
    """As StudioGAN's: shifts by up to int(size * reach) pixels, 3 of 28 for a reach of 1/8."""
    x = jax.random.uniform(KEY, (64, 28, 16, 1))
    received = []
    penalties.consistency(lambda x: received.append(np.asarray(x)) or x.sum(axis=(1, 2, 3)), x, x, KEY, flip=False)
    padded = np.pad(x, ((0, 0), (3, 3), (2, 2), (0, 0)), mode="reflect")
    offsets = [
        (row, column)
        for i in range(64)
        for row in range(7)
        for column in range(5)
        if (received[1][i] == padded[i, row : row + 28, column : column + 16]).all()
    ]
    assert len(offsets) == 64
    assert {row for row, _ in offsets} == set(range(7))


def test_consistency_of_an_invariant_critic_is_zero():
    np.testing.assert_allclose(penalties.consistency(lambda x: (x + 1).sum(axis=(1, 2, 3)), IMAGES, IMAGES, KEY), 0, atol=1e-9)


def test_improved_consistency_is_the_sum_of_its_parts():
    """For a linear D, and G(z) = A z with |A^T w|^2 = 73: each part is the variance due to its noise."""
    matrix = jnp.array([[1.0, 0.0], [0.0, 2.0]])
    synthesis = Synthesis(lambda z: z @ matrix, WIDE[::-1])
    critic, fake = Critic(linear, synthesis=synthesis), 2 * WIDE
    real_part = 25 * (0.05 * np.std(WIDE)) ** 2
    fake_part, latent_part = 4 * real_part, 73 * 0.03**2
    latent = penalties.latent_consistency(critic, WIDE, fake, KEY)
    np.testing.assert_allclose(latent, latent_part, rtol=NOISE_ERROR)
    np.testing.assert_allclose(penalties.latent_consistency(critic, WIDE, fake, KEY, sigma=0.3), 100 * latent, rtol=1e-3)
    balanced = penalties.balanced_consistency(linear, WIDE, fake, KEY)
    np.testing.assert_allclose(balanced, real_part + fake_part, rtol=NOISE_ERROR)
    improved = penalties.improved_consistency(critic, WIDE, fake, KEY)
    np.testing.assert_allclose(improved, 10 * (real_part + fake_part) + 5 * latent_part, rtol=NOISE_ERROR)
    for name, part in (("real", real_part), ("fake", fake_part), ("latent", latent_part)):
        weights = {"real_weight": 0.0, "fake_weight": 0.0, "latent_weight": 0.0, f"{name}_weight": 2.0}
        value = penalties.improved_consistency(critic, WIDE, fake, KEY, **weights)
        np.testing.assert_allclose(value, 2 * part, rtol=NOISE_ERROR)


@pytest.mark.parametrize("penalty", [penalties.latent_consistency, penalties.improved_consistency])
def test_latent_consistency_needs_latents_of_single_samples(penalty):
    for critic in (linear, Critic(linear), Critic(linear, synthesis=Synthesis(linear))):
        with pytest.raises(ValueError, match="latent_consistency needs the generator: "):
            penalty(critic, REAL, REAL, KEY)
    packed = Critic(lambda x: x.sum(axis=1), synthesis=Synthesis(lambda z: z, REAL))
    with pytest.raises(ValueError, match=r"\(8, 2\), but D receives \(4, 4\): set pack to 1"):
        penalty(packed, REAL.reshape(4, 4), REAL.reshape(4, 4), KEY)


def test_generator_latent_consistency_is_minus_the_mean_squared_change():
    """G(z) = A z with |A|_F^2 = 5: -5 sigma^2 / 2 per value, and -7.5 sigma^2 / 3 with a third value in another leaf."""
    matrix = jnp.array([[1.0, 0.0], [0.0, 2.0]])
    value = g_penalties.latent_consistency(Synthesis(lambda z: z @ matrix, WIDE), linear, WIDE, KEY)
    np.testing.assert_allclose(value, -2.5 * 0.03**2, rtol=NOISE_ERROR)
    tree = Synthesis(lambda z: {"a": z @ matrix, "b": z[:, :1] * 2.5**0.5}, WIDE)
    value = g_penalties.latent_consistency(tree, linear, WIDE, KEY, sigma=0.3)
    np.testing.assert_allclose(value, -2.5 * 0.3**2, rtol=NOISE_ERROR)
