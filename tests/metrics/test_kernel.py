"""Kernel distance: exact expectations, the definition pair by pair, and the calibration of its standard error."""

import itertools
import math

import numpy as np
import pytest

from gan_jax.metrics.kernel import kernel_distance, squared_mmd


def test_expectation_over_two_point_distributions_is_exact():
    """In one dimension (x y + 1)^3 compares three moments: the mean over samples of size two is 3 dm1^2 + 3 dm2^2 + dm3^2."""
    (x, p), (y, q) = ((-0.7, 1.1), (0.3, 0.7)), ((0.4, 2.0), (0.6, 0.4))
    pairs = list(itertools.product(range(2), repeat=2))
    expectation = sum(
        p[i] * p[j] * q[k] * q[m] * squared_mmd([[x[i]], [x[j]]], [[y[k]], [y[m]]]) for i, j in pairs for k, m in pairs
    )
    d1, d2, d3 = (np.dot(p, np.power(x, n)) - np.dot(q, np.power(y, n)) for n in (1, 2, 3))
    assert expectation == pytest.approx(3 * d1**2 + 3 * d2**2 + d3**2, rel=1e-12)


def test_squared_mmd_agrees_with_the_definition_and_can_be_negative(monkeypatch):
    monkeypatch.setattr("gan_jax.metrics.arrays.BLOCK", 128)
    rng = np.random.RandomState(6)
    real, fake = rng.normal(size=(600, 3)), rng.normal(size=(37, 3)) + 1  # five blocks, and a partial one

    def mean(x, y, same):
        return np.mean([(x[i] @ y[j] / 3 + 1) ** 3 for i in range(len(x)) for j in range(len(y)) if i != j or not same])

    expected = mean(real[:40], real[:40], True) + mean(fake, fake, True) - 2 * mean(real[:40], fake, False)
    assert squared_mmd(real[:40], fake) == pytest.approx(expected, rel=1e-12)
    gram = (real @ real.T / 3 + 1) ** 3
    off_diagonal = (gram.sum() - np.trace(gram)) / (600 * 599)
    expected = off_diagonal + mean(fake, fake, True) - 2 * ((real @ fake.T / 3 + 1) ** 3).mean()
    assert squared_mmd(real, fake) == pytest.approx(expected, rel=1e-12)
    assert squared_mmd(real[:50], real[:50]) < 0


def test_kernel_distance_is_unbiased_with_a_correct_error():
    """Two Gaussians one unit apart per axis in 2-D: the distance, from moment tensors, and the spread of 40 estimates of it."""
    rng, d = np.random.RandomState(7), 2
    estimates = [kernel_distance(rng.normal(size=(200, d)), rng.normal(size=(150, d)) + 1, subsets=40) for _ in range(40)]
    mean, error = np.mean(estimates, axis=0)
    deviation = np.std([value for value, _ in estimates], ddof=1)
    # Moment tensors differ by dM1 = 1, dM2 = 1 1', (dM3)_ijk = 1 + [i = j] + [j = k] + [i = k].
    third = 1 + np.eye(d)[:, :, None] + np.eye(d)[None] + np.eye(d)[:, None]
    expected = 3 * d / d + 3 * d**2 / d**2 + np.square(third).sum() / d**3
    assert mean == pytest.approx(expected, abs=4 * deviation / math.sqrt(40))
    assert 0.75 * deviation < error < 1.6 * deviation


def test_kernel_distance_is_determined_by_the_seed_and_accepts_small_sets():
    rng = np.random.RandomState(8)
    real, fake = rng.normal(size=(2, 400, 3))
    assert kernel_distance(real, fake, 10, 50, seed=1) == kernel_distance(real, fake, 10, 50, seed=1)
    assert kernel_distance(real, fake, 10, 50, seed=1) != kernel_distance(real, fake, 10, 50, seed=2)
    assert kernel_distance(real[:4], fake[:4], 10)[1] >= 0
    with pytest.raises(ValueError, match=r"\(3, 3\)"):
        kernel_distance(real[:3], fake)
