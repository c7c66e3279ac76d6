"""Precision, recall, density and coverage: golden values of the reference, and limits."""

import numpy as np
import pytest

from gan_jax.metrics.prdc import prdc, squared_distances

# Of prdc 0.2 (github.com/clovaai/generative-evaluation-prdc) with numpy 2.4.6, scikit-learn 1.9.1: compute_prdc(real, fake, k).
PRDC = [
    (700, 600, 3, (0.7166666666666667, 0.9614285714285714, 0.6105555555555555, 0.5785714285714286)),
    (700, 600, 5, (0.775, 0.99, 0.5683333333333334, 0.7271428571428571)),
    (60, 40, 5, (0.825, 0.9166666666666666, 0.8, 0.9)),
]


@pytest.mark.parametrize("n, m, k, expected", PRDC)
def test_prdc_is_that_of_the_reference(monkeypatch, n, m, k, expected):
    monkeypatch.setattr("gan_jax.metrics.arrays.BLOCK", 250)
    rng = np.random.RandomState(0)
    real, fake = rng.normal(size=(700, 4)), 1.3 * rng.normal(size=(600, 4)) + 0.7
    found = prdc(real[:n], fake[:m], k)
    assert found == pytest.approx(dict(zip(("precision", "recall", "density", "coverage"), expected, strict=True)))


def test_prdc_of_the_same_and_of_distant_samples():
    real = np.random.RandomState(9).normal(size=(100, 3))
    same, far = prdc(real, real), prdc(real, real + 100)
    assert same == pytest.approx({"precision": 1, "recall": 1, "density": 1, "coverage": 1}, abs=0.2)
    assert same["precision"] == same["recall"] == same["coverage"] == 1
    assert set(far.values()) == {0.0}
    with pytest.raises(ValueError, match="k = 5"):
        prdc(real[:5], real)


def test_a_neighbour_is_counted_once_and_twins_are_neighbours():
    """On a line, at 0, 1, 3 and 3: radii for k = 1 are 1, 1, 0 and 0; and balls are open."""
    real, fake = np.array([[0.0], [1], [3], [3]]), np.array([[0.5], [2], [3], [10]])
    found = prdc(real, fake, k=1)  # radii of the fakes are 1.5, 1, 1 and 7
    assert found == pytest.approx({"precision": 1 / 4, "recall": 1, "density": 2 / 4, "coverage": 2 / 4})


def test_more_neighbours_than_a_block_holds(monkeypatch):
    real, fake = np.random.RandomState(11).normal(size=(2, 90, 3))
    whole = prdc(real, fake + 1, k=40)
    monkeypatch.setattr("gan_jax.metrics.arrays.BLOCK", 32)
    assert prdc(real, fake + 1, k=40) == whole


def test_squared_distances_keep_their_precision():
    x, y = np.random.RandomState(10).normal(size=(2, 30, 5))
    expected = np.square(x[:, None] - y[None, :20]).sum(axis=2)
    found = squared_distances(x, y[:20])
    assert isinstance(found, np.ndarray) and found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert squared_distances(x.astype(np.float32), y.astype(np.float32)).dtype == np.float32
