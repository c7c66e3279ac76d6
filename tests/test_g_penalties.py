"""The generator's penalties on generators with known Jacobians: linear, scaled and constant ones. Its consistency penalty is in
test_consistency.py. Expectations over random directions are met within 5 standard errors.
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
length_variance = partial(g_penalties.path_length, decay=0.0)  # returns the variance of the lengths, and their mean


def synthesis(samples, z=Z, params=None, mean=0.0):
    return Synthesis(samples, z, params, {"mean": mean})


def test_path_length_of_a_scaled_identity():
    """G(z) = 3 z as an image of 2 x 2 pixels: J^T y is 3/2 times a vector of 4 normal numbers, whose length has a chi
    distribution."""
    value, memory = length_variance(synthesis(lambda z: 3 * z.reshape(-1, 2, 2, 1)), NO_CRITIC, Z, KEY)
    chi_mean = sqrt(2) * gamma(2.5) / gamma(2)
    chi_variance = 4 - chi_mean**2
    np.testing.assert_allclose(memory["mean"], 1.5 * chi_mean, rtol=5 * sqrt(chi_variance / len(Z)) / chi_mean)
    np.testing.assert_allclose(value, 2.25 * chi_variance, rtol=5 * sqrt(2 / len(Z)) * 1.1)  # kurtosis close to 3


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (lambda z: z @ MATRIX, 15.0),  # points: y is not scaled
        (lambda z: (z @ MATRIX)[:, :, None], 5.0),  # three positions
        (lambda z: {"a": (z @ MATRIX)[:, 0], "b": (z @ MATRIX)[:, None, None, 1:]}, 15.0),  # a scalar; an image of 1 x 1
        (lambda z: {"a": (z @ MATRIX)[:, :, None], "b": 2 * z}, 5.0 + 16.0),
    ],
)
def test_path_length_of_a_linear_generator(samples, expected):
    """E |A^T y|^2 = |A|_F^2 / number of positions, which is the variance of the lengths plus their squared mean."""
    value, memory = length_variance(synthesis(samples), NO_CRITIC, Z, KEY)
    # |A^T y|^2 has at most the relative variance of one squared normal number, 2.
    np.testing.assert_allclose(value + memory["mean"] ** 2, expected, rtol=5 * sqrt(2 / len(Z)))


def test_path_length_of_a_mapping_network():
    """The Jacobian is taken at w, whatever the mapping. The length is the root mean square over layers, here of A and 2 A."""
    mapped = replace(
        synthesis(None),
        styles=lambda z: jnp.stack([7 * z, -z], axis=1),
        from_styles=lambda z, w: (w[:, 0] + 2 * w[:, 1]) @ MATRIX,
    )
    value, memory = length_variance(mapped, NO_CRITIC, Z, KEY)
    np.testing.assert_allclose(value + memory["mean"] ** 2, (15 + 4 * 15) / 2, rtol=5 * sqrt(2 / len(Z)))


def test_path_length_treats_its_running_mean_as_constant():
    """For lengths with mean L and variance V the penalty is V + (L - a)^2. For G(z) = c z the lengths are c |y|, and the
    derivative with respect to c is 2 (c (V + L^2) - a L), with V and L those of c = 1."""
    variance, mean_length = length_variance(synthesis(lambda z: z), NO_CRITIC, Z, KEY)
    length, mean = float(mean_length["mean"]), g_penalties.path_length.memory["mean"]
    for expected_mean in (0.01 * length, 0.0199 * length):

        def value(c, mean=mean):
            return g_penalties.path_length(synthesis(lambda z: c * z, mean=mean), NO_CRITIC, Z, KEY)

        (result, memory), slope = jax.value_and_grad(value, has_aux=True)(1.0)
        mean = memory["mean"]
        np.testing.assert_allclose(mean, expected_mean, rtol=1e-5)
        np.testing.assert_allclose(result, variance + (length - expected_mean) ** 2, rtol=1e-5)
        np.testing.assert_allclose(slope, 2 * (variance + length**2 - expected_mean * length), rtol=1e-5)


def test_path_length_differentiates_twice():
    """The gradient for a nonlinear generator against finite differences along a direction in parameter space. With this decay
    the running mean changes with the parameters by only 1e-6 times the change of the lengths."""
    params, direction = jax.random.normal(KEY, (2, 4, 3))

    @jax.jit
    def value(step):
        generator = synthesis(lambda z: jnp.tanh(z @ (params + step * direction)), Z[:64], mean=0.5)
        return g_penalties.path_length(generator, NO_CRITIC, Z, KEY, decay=1 - 1e-6)[0]

    difference = (value(0.002) - value(-0.002)) / 0.004
    assert abs(difference) > 0.1
    # Halving the step from 0.01 three times showed a third-order term of 1.2e-4 here; float32 rounds by 3e-5.
    np.testing.assert_allclose(jax.grad(value)(0.0), difference, rtol=1e-3)


@pytest.mark.parametrize("penalty", [g_penalties.path_length, g_penalties.latent_consistency, g_penalties.mode_seeking])
def test_constant_generator_has_finite_gradients(penalty):
    """A generator whose last layer is initialised with zeros."""

    def value(last):
        out = penalty(synthesis(lambda z: jnp.tanh(z) @ last), NO_CRITIC, Z, KEY)
        return out[0] if isinstance(out, tuple) else out

    np.testing.assert_array_equal(np.isfinite(jax.grad(value)(jnp.zeros((4, 3)))), True)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (lambda z: 3 * z, 1 / 3),
        (lambda z: {"a": 3 * z, "b": -z[:, None]}, 1 / 2),  # 2 per value on average
        (lambda z: 0 * z, 1e5),
    ],
)
def test_mode_seeking_of_a_scaled_identity(samples, expected):
    """The ratio of distances is the scale, whatever the other latents are."""
    value = g_penalties.mode_seeking(synthesis(samples), NO_CRITIC, Z, KEY)
    np.testing.assert_allclose(value, expected, rtol=1e-4)


def test_mode_seeking_draws_the_other_latents_from_the_prior():
    """For two normal numbers |z - z'| is 2 / sqrt(pi) on average, and the distance of their signs is 1 on average."""
    ratio = 1 / g_penalties.mode_seeking(synthesis(jnp.sign), NO_CRITIC, Z, KEY)
    # Signs differ by 0 or 2, so the standard error of their mean distance is 1 / sqrt(80,000).
    np.testing.assert_allclose(ratio, sqrt(pi) / 2, rtol=5 / sqrt(Z.size))


def test_orthogonal_applies_to_the_generators_kernels():
    """[[1, 2], [3, 4]] has W^T W = [[10, 14], [14, 20]]: 2 * 14^2."""

    def value(kernel):
        generator = synthesis(lambda z: z, params={"kernel": kernel, "bias": jnp.ones(2)})
        return g_penalties.orthogonal(generator, Critic(lambda x: x, params=jnp.ones((2, 2))), Z, KEY)

    np.testing.assert_allclose(value(jnp.array([[1.0, 2.0], [3.0, 4.0]])), 392, rtol=1e-6)
    with pytest.raises(ValueError, match="orthogonal needs the parameters of the network"):
        g_penalties.orthogonal(synthesis(lambda z: z), NO_CRITIC, Z, KEY)


def test_feature_matching_by_hand():
    """Features 2x: the mean of real ones is (4, 8), that of G(z) = c z is (3, 1) at c = 1. The gap is (1, 7)."""
    real = jnp.array([[1.0, 3.0], [3.0, 5.0], [2.0, 4.0]])
    z = jnp.array([[0.5, 0.0], [2.5, 1.0]])
    critic = Critic(lambda x: x[:, 0], lambda x: 2 * x)

    def value(c):
        return g_penalties.feature_matching(synthesis(lambda z: c * z, z), critic, real, KEY)

    result, slope = jax.value_and_grad(value)(1.0)
    np.testing.assert_allclose(result, 50, rtol=1e-6)
    np.testing.assert_allclose(slope, -2 * (1 * 3 + 7 * 1), rtol=1e-6)


@pytest.mark.parametrize("name", ["feature_matching", "layer_feature_matching"])
@pytest.mark.parametrize("critic", [lambda x: x, NO_CRITIC, Critic(lambda x: x, lambda x: None)])
def test_feature_matching_needs_features(name, critic):
    with pytest.raises(ValueError, match=f"^{name} needs a Discriminator that returns .*: this one returns logits only"):
        getattr(g_penalties, name)(synthesis(lambda z: z), critic, Z, KEY)


@pytest.mark.parametrize(
    ("penalty", "message"),
    [
        (partial(g_penalties.path_length, decay=1.0), "path_length's decay .* got 1.0"),
        (partial(g_penalties.mode_seeking, eps=0.0), "mode_seeking's eps .* got 0.0"),
    ],
)
def test_invalid_options_are_rejected(penalty, message):
    with pytest.raises(ValueError, match=message):
        penalty(synthesis(lambda z: z), NO_CRITIC, Z, KEY)
