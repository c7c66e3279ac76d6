"""Precision, recall, density and coverage: golden values of the reference implementation, and limits."""

import numpy as np
import pytest

from gan_jax.metrics.prdc import prdc, squared_distances

# compute_prdc(real, fake, k) of prdc 0.2 (github.com/clovaai/generative-evaluation-prdc), with numpy 2.4.6, scikit-learn 1.9.1.
PRDC = [
    (700, 600, 3, (0.7166666666666667, 0.9614285714285714, 0.6105555555555555, 0.5785714285714286)),
    (700, 600, 5, (0.775, 0.99, 0.5683333333333334, 0.7271428571428571)),
    (60, 40, 5, (0.825, 0.9166666666666666, 0.8, 0.9)),
]


@pytest.mark.parametrize("n, m, k, expected", PRDC)
def test_prdc_agrees_with_the_reference(monkeypatch, n, m, k, expected):
    monkeypatch.setattr("gan_jax.metrics.arrays.BLOCK", 250)
    rng = np.random.RandomState(0)
    real, fake = rng.normal(size=(700, 4)), 1.3 * rng.normal(size=(600, 4)) + 0.7
    result = prdc(real[:n], fake[:m], k)
    assert result == pytest.approx(dict(zip(("precision", "recall", "density", "coverage"), expected, strict=True)))


def test_prdc_of_equal_and_of_distant_samples():
    real = np.random.RandomState(9).normal(size=(100, 3))
    same, far = prdc(real, real), prdc(real, real + 100)
    assert same == pytest.approx({"precision": 1, "recall": 1, "density": 1, "coverage": 1}, abs=0.2)
    assert same["precision"] == same["recall"] == same["coverage"] == 1
    assert set(far.values()) == {0.0}
    with pytest.raises(ValueError, match="k = 5"):
        prdc(real[:5], real)


def test_duplicates_are_neighbours_and_a_sample_is_not_its_own():
    """In one dimension, at 0, 1, 3 and 3: radii for k = 1 are 1, 1, 0 and 0; and balls are open."""
    real, fake = np.array([[0.0], [1], [3], [3]]), np.array([[0.5], [2], [3], [10]])
    result = prdc(real, fake, k=1)  # radii of the fakes are 1.5, 1, 1 and 7
    assert result == pytest.approx({"precision": 1 / 4, "recall": 1, "density": 2 / 4, "coverage": 2 / 4})


def test_closed_balls_include_their_surface():
    """The same samples: fake 2 lies on the ball around 1, and fake 3 on both copies of 3, whose radii are 0."""
    real, fake = np.array([[0.0], [1], [3], [3]]), np.array([[0.5], [2], [3], [10]])
    result = prdc(real, fake, k=1, closed=True)
    assert result == pytest.approx({"precision": 3 / 4, "recall": 1, "density": 5 / 4, "coverage": 1})
    assert prdc(real, real, k=1, closed=True)["precision"] == 1 > prdc(real, real, k=1)["precision"]


@pytest.mark.parametrize("n, m, k, expected", PRDC[:1])
def test_closed_balls_by_a_loop(n, m, k, expected):
    """NVIDIA's definition, sample by sample. Without ties it is that of open balls."""
    rng = np.random.RandomState(0)
    real, fake = rng.normal(size=(700, 4)), 1.3 * rng.normal(size=(600, 4)) + 0.7
    distances = np.linalg.norm(real[:, None] - fake[None, :], axis=2)
    radii = [np.sort(np.linalg.norm(x[:, None] - x[None, :], axis=2), axis=1)[:, k] for x in (real, fake)]
    precision, recall = (distances <= radii[0][:, None]).any(axis=0).mean(), (distances <= radii[1]).any(axis=1).mean()
    result = prdc(real, fake, k, closed=True)
    assert (result["precision"], result["recall"]) == pytest.approx((precision, recall))
    assert expected[:2] == pytest.approx((precision, recall))


def test_k_larger_than_a_block(monkeypatch):
    real, fake = np.random.RandomState(11).normal(size=(2, 90, 3))
    whole = prdc(real, fake + 1, k=40)
    monkeypatch.setattr("gan_jax.metrics.arrays.BLOCK", 32)
    assert prdc(real, fake + 1, k=40) == whole


def test_squared_distances_preserve_the_precision():
    x, y = np.random.RandomState(10).normal(size=(2, 30, 5))
    expected = np.square(x[:, None] - y[None, :20]).sum(axis=2)
    result = squared_distances(x, y[:20])
    assert isinstance(result, np.ndarray) and result.dtype == np.float64
    np.testing.assert_allclose(result, expected, rtol=1e-12)
    assert squared_distances(x.astype(np.float32), y.astype(np.float32)).dtype == np.float32
