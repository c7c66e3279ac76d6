"""Frechet distance: closed forms for Gaussians, moments against NumPy, and the bias of finite samples."""

import numpy as np
import pytest

from gan_jax.metrics.frechet import frechet_distance, frechet_distance_infinity, gaussian_frechet_distance, merge, moments


def positive(rng: np.random.RandomState, d: int) -> np.ndarray:
    """A random symmetric positive definite matrix, well conditioned."""
    x = rng.normal(size=(d, 2 * d))
    return x @ x.T / (2 * d)


def test_frechet_of_gaussians_with_commuting_covariances():
    rng = np.random.RandomState(0)
    m1, m2, s1, s2 = rng.uniform(0.1, 2, (4, 6))
    c = positive(rng, 6)
    assert gaussian_frechet_distance(m1, c, m2, c) == pytest.approx(np.square(m1 - m2).sum(), abs=1e-12)
    expected = np.square(m1 - m2).sum() + np.square(s1 - s2).sum()
    assert gaussian_frechet_distance(m1, np.diag(s1**2), m2, np.diag(s2**2)) == pytest.approx(expected, abs=1e-12)


def test_frechet_of_gaussians_with_covariances_that_do_not_commute():
    rng = np.random.RandomState(1)
    mean, c, a = np.zeros(6), positive(rng, 6), positive(rng, 6)  # x -> A x is the optimal map, at cost E |A x - x|^2
    expected = np.trace((a - np.eye(6)) @ c @ (a - np.eye(6)))
    assert not np.allclose(c @ a @ c @ a, a @ c @ a @ c)
    assert gaussian_frechet_distance(mean, c, mean, a @ c @ a) == pytest.approx(expected, abs=1e-10)
    assert gaussian_frechet_distance(mean, a @ c @ a, mean, c) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_frechet_of_rank_one_covariances(scale):
    v, w = scale * np.random.RandomState(2).normal(size=(2, 50))
    expected = v @ v + w @ w - 2 * abs(v @ w)
    distance = gaussian_frechet_distance(np.zeros(50), np.outer(v, v), np.zeros(50), np.outer(w, w))
    assert distance == pytest.approx(expected, rel=1e-6)
    assert gaussian_frechet_distance(v, np.zeros((50, 50)), w, np.zeros((50, 50))) == pytest.approx(np.square(v - w).sum())


def test_frechet_of_samples_is_symmetric_rotation_invariant_and_zero_on_itself():
    rng = np.random.RandomState(3)
    real, fake = rng.normal(size=(300, 5)) * [1, 2, 3, 4, 5], rng.normal(size=(200, 5)) + 1
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    distance = frechet_distance(real, fake)
    assert frechet_distance(fake, real) == pytest.approx(distance, rel=1e-10)
    assert frechet_distance(real @ rotation, fake @ rotation) == pytest.approx(distance, rel=1e-10)
    assert 0 <= frechet_distance(real, real) < 1e-10


def test_frechet_finite_sample_bias():
    """(d + d(d+1)/4)(1/n1 + 1/n2) between samples from the same Gaussian: SCIENCE section 1, first order in 1/n."""
    rng, d, n = np.random.RandomState(4), 32, 900
    mean = np.mean([frechet_distance(*rng.normal(size=(2, n, d))) for _ in range(20)])
    assert mean == pytest.approx((d + d * (d + 1) / 4) * 2 / n, rel=0.04)


@pytest.mark.parametrize(("n", "m"), [(50, 60), (200, 250), (50, 2000)])
def test_frechet_of_fewer_float32_samples_than_dimensions_is_accurate(n, m):
    """By another formula: with C = A'A and B'B, the trace of the root of their product is the nuclear norm of A B'."""
    rng = np.random.RandomState(8)
    real, fake = ((rng.normal(size=(count, 8)) @ rng.normal(size=(8, 256)) + 0.1).astype(np.float32) for count in (n, m))
    a, b = ((x - x.mean(axis=0)) / np.sqrt(len(x) - 1) for x in (real.astype(np.float64), fake.astype(np.float64)))
    root_trace = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    means = np.square(real.mean(axis=0, dtype=np.float64) - fake.mean(axis=0, dtype=np.float64)).sum()
    expected = means + np.square(a).sum() + np.square(b).sum() - 2 * root_trace
    with pytest.warns(UserWarning, match="mostly bias"):
        assert frechet_distance(real, fake) == pytest.approx(expected, rel=1e-6)


def test_frechet_of_fewer_samples_than_dimensions_warns_and_is_real():
    rng = np.random.RandomState(5)
    real, fake = rng.normal(size=(2, 10, 40)).astype(np.float32)
    with pytest.warns(UserWarning, match=r"\(10, 40\)"):
        distance = frechet_distance(real, fake)
    assert isinstance(distance, float) and np.isfinite(distance) and distance > 0


@pytest.mark.parametrize("dtype, tolerance, mean_tolerance", [(np.float64, 1e-12, 1e-14), (np.float32, 1e-6, 1e-9)])
def test_moments_agree_with_numpy_far_from_zero_and_in_blocks(monkeypatch, dtype, tolerance, mean_tolerance):
    """The mean is a thousand standard deviations and differs in the first rows: sums of plain squares would lose all digits."""
    monkeypatch.setattr("gan_jax.metrics.arrays.BLOCK", 48)
    rng = np.random.RandomState(6)
    x = (rng.normal(size=(1100, 5)) @ positive(rng, 5) + 1000 + np.linspace(0, 3, 1100)[:, None]).astype(dtype)
    exact = x.astype(np.float64)
    result = moments(x)
    assert result.count == 1100
    np.testing.assert_allclose(result.mean, exact.mean(axis=0), rtol=mean_tolerance)
    np.testing.assert_allclose(result.covariance, np.cov(exact, rowvar=False), rtol=tolerance)
    parts = merge(*(moments(part) for part in np.split(x, [7, 500])))
    assert parts.count == 1100
    np.testing.assert_allclose(parts.mean, exact.mean(axis=0), rtol=mean_tolerance)
    np.testing.assert_allclose(parts.covariance, np.cov(exact, rowvar=False), rtol=tolerance)


def test_infinity_of_two_parts_is_linear_extrapolation():
    """From the distances at n and n/2: twice the former minus the latter."""
    rng = np.random.RandomState(7)
    real, fake = rng.normal(size=(100, 3)), 2 * rng.normal(size=(80, 3))
    halves = [frechet_distance(real, half) for half in np.split(fake[np.random.default_rng(5).permutation(80)], 2)]
    value, error = frechet_distance_infinity(real, fake, parts=2, seed=5)
    assert value == pytest.approx(2 * frechet_distance(real, fake) - np.mean(halves), rel=1e-10)
    assert error == pytest.approx(abs(halves[0] - halves[1]) / 2, rel=1e-10)  # std of two values over the square root of two
    assert frechet_distance_infinity(real, fake, parts=2, seed=6) != (value, error)


def test_infinity_is_unbiased_in_the_fakes_with_a_correct_error():
    """The expected value uses the exact moments of the fakes and the sample moments of the real data."""
    rng, d = np.random.RandomState(8), 8
    real, scale = rng.normal(size=(5000, d)), np.linspace(0.5, 1.5, d)
    mean, covariance = real.mean(axis=0), np.cov(real, rowvar=False)
    expected = gaussian_frechet_distance(mean, covariance, np.full(d, 0.1), np.diag(scale**2))
    draws = [scale * rng.normal(size=(600, d)) + 0.1 for _ in range(40)]
    values, error = np.transpose([frechet_distance_infinity(real, fake) for fake in draws])
    plain = np.mean([frechet_distance(real, fake) for fake in draws])
    deviation = values.std(ddof=1)
    assert values.mean() == pytest.approx(expected, abs=3 * deviation / np.sqrt(40))
    assert plain > expected + 4 * deviation / np.sqrt(40)
    assert 0.75 * deviation < error.mean() < 1.6 * deviation


def test_infinity_of_too_few_samples_is_an_error():
    real = np.random.RandomState(9).normal(size=(30, 4))
    with pytest.raises(ValueError, match=r"10 parts of fake \(19, 4\)"):
        frechet_distance_infinity(real, real[:19])
    with pytest.raises(ValueError, match="parts >= 2"):
        frechet_distance_infinity(real, real, parts=1)
    with pytest.warns(UserWarning, match="of 3 samples"):
        frechet_distance_infinity(real, real)


def test_infinity_of_values_whose_fourth_powers_overflow_has_a_finite_error():
    real, fake = np.random.RandomState(9).normal(size=(2, 60, 4))
    expected = frechet_distance_infinity(real, fake, parts=4)
    scaled = frechet_distance_infinity(real * 2.0**490, fake * 2.0**490, parts=4)
    np.testing.assert_allclose(np.array(scaled) * 2.0**-980, expected, rtol=1e-9)
