"""The generator's penalties on generators whose Jacobians are known: linear ones, scaled and constant ones. Its consistency is
in test_consistency.py. Expectations over directions are met within 5 standard errors.
"""

from dataclasses import replace
from functools import partial
from math import gamma, pi, sqrt

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import g_penalties
from gan_jax.types import Critic, Synthesis

KEY = jax.random.key(0)
Z = jax.random.normal(jax.random.key(1), (20_000, 4))
MATRIX = jnp.array([[1.0, 2.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]])  # |A|_F^2 = 15
NO_CRITIC = Critic(lambda x: x)
lengths_spread = partial(g_penalties.path_length, decay=0.0)  # the variance of the lengths, and their mean


def synthesis(samples, z=Z, params=None, mean=0.0):
    return Synthesis(samples, z, params, {"mean": mean})


def test_path_length_of_a_scaled_identity():
    """G(z) = 3 z as an image of 2 x 2 pixels: J^T y is 3 y / 2 of 4 normal numbers, whose length has a chi distribution."""
    value, memory = lengths_spread(synthesis(lambda z: 3 * z.reshape(-1, 2, 2, 1)), NO_CRITIC, Z, KEY)
    chi_mean = sqrt(2) * gamma(2.5) / gamma(2)
    chi_variance = 4 - chi_mean**2
    np.testing.assert_allclose(memory["mean"], 1.5 * chi_mean, rtol=5 * sqrt(chi_variance / len(Z)) / chi_mean)
    np.testing.assert_allclose(value, 2.25 * chi_variance, rtol=5 * sqrt(2 / len(Z)) * 1.1)  # its kurtosis is near 3


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (lambda z: z @ MATRIX, 15.0),  # points: y as it is
        (lambda z: (z @ MATRIX)[:, :, None], 5.0),  # three positions
        (lambda z: {"a": (z @ MATRIX)[:, 0], "b": (z @ MATRIX)[:, None, None, 1:]}, 15.0),  # a number; an image of 1 x 1
        (lambda z: {"a": (z @ MATRIX)[:, :, None], "b": 2 * z}, 5.0 + 16.0),
    ],
)
def test_path_length_of_a_linear_generator(samples, expected):
    """E |A^T y|^2 = |A|_F^2, over the number of positions: the variance of the lengths and their squared mean together."""
    value, memory = lengths_spread(synthesis(samples), NO_CRITIC, Z, KEY)
    # |A^T y|^2 has at most the relative variance of one squared normal number, 2.
    np.testing.assert_allclose(value + memory["mean"] ** 2, expected, rtol=5 * sqrt(2 / len(Z)))


def test_path_length_of_a_mapping_network():
    """In w, whatever the mapping: the root mean square over its layers, here of A and 2 A."""
    mapped = replace(
        synthesis(None),
        styles=lambda z: jnp.stack([7 * z, -z], axis=1),
        from_styles=lambda z, w: (w[:, 0] + 2 * w[:, 1]) @ MATRIX,
    )
    value, memory = lengths_spread(mapped, NO_CRITIC, Z, KEY)
    np.testing.assert_allclose(value + memory["mean"] ** 2, (15 + 4 * 15) / 2, rtol=5 * sqrt(2 / len(Z)))


def test_path_length_keeps_a_running_mean_that_counts_as_constant():
    """With the lengths' mean L and variance V: V + (L - a)^2. Of G(z) = c z the lengths are c |y|, and d/dc of that is
    2 (c (V + L^2) - a L) at V and L of c = 1."""
    variance, spread = lengths_spread(synthesis(lambda z: z), NO_CRITIC, Z, KEY)
    length, mean = float(spread["mean"]), g_penalties.path_length.memory["mean"]
    for expected_mean in (0.01 * length, 0.0199 * length):

        def value(c, mean=mean):
            return g_penalties.path_length(synthesis(lambda z: c * z, mean=mean), NO_CRITIC, Z, KEY)

        (got, memory), slope = jax.value_and_grad(value, has_aux=True)(1.0)
        mean = memory["mean"]
        np.testing.assert_allclose(mean, expected_mean, rtol=1e-5)
        np.testing.assert_allclose(got, variance + (length - expected_mean) ** 2, rtol=1e-5)
        np.testing.assert_allclose(slope, 2 * (variance + length**2 - expected_mean * length), rtol=1e-5)


def test_path_length_differentiates_twice():
    """Of a generator that is not linear, against finite differences along a direction of its parameters. The mean moves with
    them by 1e-6 of what the lengths do."""
    params, along = jax.random.normal(KEY, (2, 4, 3))

    @jax.jit
    def value(step):
        toy = synthesis(lambda z: jnp.tanh(z @ (params + step * along)), Z[:64], mean=0.5)
        return g_penalties.path_length(toy, NO_CRITIC, Z, KEY, decay=1 - 1e-6)[0]

    difference = (value(0.002) - value(-0.002)) / 0.004
    assert abs(difference) > 0.1
    # Halving the steps of 0.01 three times showed a third-order term of 1.2e-4 here; float32 rounds by 3e-5.
    np.testing.assert_allclose(jax.grad(value)(0.0), difference, rtol=1e-3)


@pytest.mark.parametrize("penalty", [g_penalties.path_length, g_penalties.latent_consistency, g_penalties.mode_seeking])
def test_constant_generator_has_finite_gradients(penalty):
    """As one that begins with a last layer of zeros."""

    def value(last):
        out = penalty(synthesis(lambda z: jnp.tanh(z) @ last), NO_CRITIC, Z, KEY)
        return out[0] if isinstance(out, tuple) else out

    np.testing.assert_array_equal(np.isfinite(jax.grad(value)(jnp.zeros((4, 3)))), True)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (lambda z: 3 * z, 1 / 3),
        (lambda z: {"a": 3 * z, "b": -z[:, None]}, 1 / 2),  # 2 a number on average
        (lambda z: 0 * z, 1e5),
    ],
)
def test_mode_seeking_of_a_scaled_identity(samples, expected):
    """Whatever the other latents are, its samples are as many times as far apart."""
    value = g_penalties.mode_seeking(synthesis(samples), NO_CRITIC, Z, KEY)
    np.testing.assert_allclose(value, expected, rtol=1e-4)


def test_mode_seeking_draws_the_other_latents_from_the_prior():
    """Of two normal numbers |z - z'| is 2 / sqrt(pi) on average, and their signs are 1 apart."""
    ratio = 1 / g_penalties.mode_seeking(synthesis(jnp.sign), NO_CRITIC, Z, KEY)
    # Signs differ by 0 or 2, give or take 1 / sqrt(80,000) on average.
    np.testing.assert_allclose(ratio, sqrt(pi) / 2, rtol=5 / sqrt(Z.size))


def test_orthogonal_is_of_the_generators_kernels():
    """[[1, 2], [3, 4]] has W^T W = [[10, 14], [14, 20]]: 2 * 14^2."""

    def value(kernel):
        toy = synthesis(lambda z: z, params={"kernel": kernel, "bias": jnp.ones(2)})
        return g_penalties.orthogonal(toy, Critic(lambda x: x, params=jnp.ones((2, 2))), Z, KEY)

    np.testing.assert_allclose(value(jnp.array([[1.0, 2.0], [3.0, 4.0]])), 392, rtol=1e-6)
    with pytest.raises(ValueError, match="orthogonal needs a network that shows its parameters"):
        g_penalties.orthogonal(synthesis(lambda z: z), NO_CRITIC, Z, KEY)


def test_feature_matching_by_hand():
    """Features 2x: real ones are (4, 8) on average, those of G(z) = c z (3, 1) at c = 1. The gap is (1, 7)."""
    real = jnp.array([[1.0, 3.0], [3.0, 5.0], [2.0, 4.0]])
    z = jnp.array([[0.5, 0.0], [2.5, 1.0]])
    critic = Critic(lambda x: x[:, 0], lambda x: 2 * x)

    def value(c):
        return g_penalties.feature_matching(synthesis(lambda z: c * z, z), critic, real, KEY)

    got, slope = jax.value_and_grad(value)(1.0)
    np.testing.assert_allclose(got, 50, rtol=1e-6)
    np.testing.assert_allclose(slope, -2 * (1 * 3 + 7 * 1), rtol=1e-6)


@pytest.mark.parametrize("critic", [lambda x: x, NO_CRITIC, Critic(lambda x: x, lambda x: None)])
def test_feature_matching_needs_features(critic):
    with pytest.raises(ValueError, match="feature_matching needs a Discriminator that returns"):
        g_penalties.feature_matching(synthesis(lambda z: z), critic, Z, KEY)


@pytest.mark.parametrize(
    ("penalty", "line"),
    [
        (partial(g_penalties.path_length, decay=1.0), "path_length's decay .* got 1.0"),
        (partial(g_penalties.mode_seeking, eps=0.0), "mode_seeking's eps .* got 0.0"),
    ],
)
def test_impossible_options_are_refused(penalty, line):
    with pytest.raises(ValueError, match=line):
        penalty(synthesis(lambda z: z), NO_CRITIC, Z, KEY)
