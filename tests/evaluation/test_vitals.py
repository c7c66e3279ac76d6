"""Vital signs of training, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.evaluation.vitals import duplicates, effective_rank, rotation
from gan_jax.reports.doctor import ALARMS


@pytest.mark.parametrize(
    ("jacobian", "expected"),
    [
        ([[0.0, 1.0], [-1.0, 0.0]], 1.0),  # bilinear: the players cycle for ever
        ([[2.0, 1.0], [1.0, 3.0]], 0.0),  # potential: both descend one function
        ([[1.0, 1.0], [-1.0, 1.0]], 0.5),
    ],
)
def test_rotation_of_a_linear_game(jacobian, expected):
    matrix = jnp.array(jacobian)
    value = rotation(lambda w: matrix @ w, jnp.array([0.3, -0.7]), jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(value, expected, atol=1e-6)


def test_rotation_of_a_jacobian_without_structure():
    """If all entries of J are independent and normal, J - J^T and J + J^T have equal variances: one half, which is no cycle."""
    matrix, direction = np.random.RandomState(0).normal(size=(1000, 1000)), np.random.RandomState(1).normal(size=1000)
    value = rotation(lambda w: jnp.float32(matrix) @ w, jnp.zeros(1000), jnp.float32(direction))
    np.testing.assert_allclose(value, 0.5, atol=0.02)
    assert next(alarm for alarm in ALARMS if alarm.name == "cycling").threshold > 0.5 + 0.02


def test_effective_rank_of_known_spectra():
    rng = np.random.RandomState(0)
    basis = rng.normal(size=(64, 5))
    basis, _ = np.linalg.qr(basis - basis.mean(axis=0))  # centred, orthonormal columns
    for widths, rank in (([1, 1, 1, 1, 0], 4.0), ([1, 0, 0, 0, 0], 1.0), ([np.sqrt(3), 1, 0, 0, 0], 4 / 3**0.75)):
        np.testing.assert_allclose(effective_rank(jnp.float32(basis * widths)), rank, rtol=1e-4)


def test_fraction_of_duplicates():
    real = jax.random.normal(jax.random.key(0), (64, 2))
    assert duplicates(real, real) < 0.1
    half = jnp.concatenate([real[:32], jnp.broadcast_to(real[0] + 9, (32, 2))])
    np.testing.assert_allclose(duplicates(half, real), 0.5, atol=0.05)
