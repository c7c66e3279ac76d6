"""Nearest neighbours against brute force; memorisation statistics of generators that copy, and of some that do not."""

import math

import numpy as np
import pytest

from gan_jax.metrics import arrays
from gan_jax.metrics.memorisation import authenticity, c_t, nearest_distances


def pairwise(queries: np.ndarray, bank: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(queries[:, None].astype(np.float64) - bank[None]).sum(axis=2))


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks small enough that a few hundred rows span several."""
    monkeypatch.setattr(arrays, "BLOCK", 150)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nearest_distances_agree_with_brute_force(small_blocks, dtype):
    rng = np.random.RandomState(0)
    queries, bank = rng.normal(size=(100, 7)).astype(dtype), rng.normal(size=(400, 7)).astype(dtype)
    expected = pairwise(queries, bank)
    distance, nearest = nearest_distances(queries, bank)
    np.testing.assert_array_equal(nearest, expected.argmin(axis=1))
    np.testing.assert_allclose(distance, expected.min(axis=1), rtol=1e-12)
    single, row = nearest_distances(queries[7:8], bank)
    assert (single[0], row[0]) == (distance[7], nearest[7])


def test_skipped_rows_are_not_their_own_neighbours(small_blocks):
    bank = np.random.RandomState(1).normal(size=(400, 3))
    bank[350] = bank[20]  # a duplicate counts as another row
    rows = np.array([399, 20, 0, 150, 149])
    expected = pairwise(bank[rows], bank)
    expected[np.arange(5), rows] = np.inf
    distance, nearest = nearest_distances(bank[rows], bank, skip=rows)
    np.testing.assert_array_equal(nearest, expected.argmin(axis=1))
    np.testing.assert_allclose(distance, expected.min(axis=1), rtol=1e-12)
    assert (distance[1], nearest[1]) == (0, 350)


@pytest.mark.parametrize(("scale", "shift"), [(1e-4, 0), (1, 1e4), (1e4, 0)])
def test_copies_are_at_distance_exactly_zero_for_any_scale_and_shift(scale, shift):
    rng = np.random.RandomState(2)
    bank = (scale * rng.normal(size=(300, 50)) + shift).astype(np.float32)
    order = rng.permutation(300)[:200]
    distance, nearest = nearest_distances(bank[order], bank)
    assert not distance.any()
    np.testing.assert_array_equal(nearest, order)


@pytest.mark.parametrize(
    ("queries", "bank", "skip"),
    [
        (np.zeros((3, 2)), np.zeros((4, 3)), None),
        (np.zeros((0, 3)), np.zeros((4, 3)), None),
        (np.full((3, 3), np.nan), np.zeros((4, 3)), None),
        (np.zeros((3, 3)), np.full((4, 3), np.inf), None),
        (np.zeros((3, 3)), np.zeros((4, 3)), [0, 1]),
        (np.zeros((3, 3)), np.zeros((4, 3)), [0.0, 1.0, 2.0]),
        (np.zeros((3, 3)), np.zeros((4, 3)), [-1, 0, 1]),
        (np.zeros((3, 3)), np.zeros((4, 3)), [0, 1, 4]),
    ],
)
def test_bad_queries_banks_and_skips_are_errors(queries, bank, skip):
    with pytest.raises(ValueError, match=r"\(\d, \d\)"):
        nearest_distances(queries, bank, skip)


def test_authenticity_compares_with_the_nearest_neighbour_of_the_nearest_real_sample():
    real = np.array([[0.0], [1.0], [10.0], [14.0]])  # distances to the nearest other: 1, 1, 4, 4
    fake = np.array([[-0.9], [-1.1], [10.0], [6.5], [18.5]])  # distances to the nearest real: 0.9, 1.1, 0, 3.5, 4.5
    assert authenticity(real, fake) == pytest.approx(2 / 5)
    assert authenticity(real, real) == 0
    duplicates = np.concatenate([real, real])
    assert authenticity(duplicates, fake) == pytest.approx(4 / 5)  # each real has another at 0: only the copy is inauthentic
    assert authenticity(real, np.array([[9.9], [10.1]])) == 0  # one real sample is nearest to both


def test_authenticity_of_the_true_distribution_is_one_third_in_one_dimension():
    """Gaps between n uniform points are exponential. A fake falls into a gap with probability proportional to its length, so
    that gap is the sum of two exponentials, and the distance to its nearer end is r = u gap / 2 with u uniform. As r < gap, the
    fake is authentic if r exceeds the next gap: 1 - E exp(-r) = 1 - int (1 + u/2)^-2 du."""
    rng = np.random.RandomState(3)
    real, fake = rng.uniform(size=(2000, 1)), rng.uniform(size=(4000, 1))
    assert authenticity(real, fake) == pytest.approx(1 / 3, abs=3 * math.sqrt(1 / 3 * 2 / 3 / 2000))


def test_c_t_of_one_cell_is_the_mann_whitney_z_score():
    from scipy.stats import mannwhitneyu

    rng = np.random.RandomState(4)
    train, test, fake = rng.normal(size=(300, 2)), rng.normal(size=(90, 2)), 0.8 * rng.normal(size=(70, 2))
    test_distance, fake_distance = pairwise(test, train).min(axis=1), pairwise(fake, train).min(axis=1)
    u = mannwhitneyu(fake_distance, test_distance).statistic
    expected = (u - 90 * 70 / 2) / math.sqrt(90 * 70 * 161 / 12)
    assert c_t(train, test, fake, cells=1) == pytest.approx(expected, abs=1e-9)


def test_c_t_weights_cells_by_held_out_samples_and_drops_cells_with_few_fakes():
    """Three distant clusters. In the first all fakes are copies, z = -(k m / 2) / sqrt(...); in the second all are further away
    than any held-out sample; the third has too few fakes to count."""
    rng = np.random.RandomState(5)
    centres = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0]])

    def around(counts, spread):
        return np.concatenate([centres[i] + spread * rng.normal(size=(n, 2)) for i, n in enumerate(counts)])

    train, test = around((50, 50, 50), 0.1), around((10, 30, 20), 1.0)
    fake = np.concatenate([train[:20], centres[1] + 20 + rng.normal(size=(25, 2)), train[100:119]])

    def z(sign, k, m):
        return sign * (k * m / 2) / math.sqrt(k * m * (k + m + 1) / 12)

    expected = (10 * z(-1, 10, 20) + 30 * z(1, 30, 25)) / 40
    assert c_t(train, test, fake, cells=3) == pytest.approx(expected, abs=1e-9)
    expected = (10 * z(-1, 10, 20) + 30 * z(1, 30, 25) + 20 * z(-1, 20, 19)) / 60
    assert c_t(train, test, fake, cells=3, minimum=19) == pytest.approx(expected, abs=1e-9)
    assert c_t(train, test, train, cells=3) < -5
    assert c_t(train, test, test, cells=3, minimum=10) == 0  # ties count as one half
    with pytest.raises(ValueError, match="none of 3 cells"):
        c_t(train, test, fake, cells=3, minimum=26)
    with pytest.raises(ValueError, match="cells"):
        c_t(train, test, fake, cells=151)


def test_c_t_is_near_zero_for_the_true_distribution_and_decreases_with_the_fraction_of_copies():
    rng = np.random.RandomState(6)
    train, test, fake = rng.normal(size=(1000, 4)), rng.normal(size=(600, 4)), rng.normal(size=(600, 4))
    scores = []
    for copies in (0, 100, 200, 300):
        copied = train[rng.permutation(1000)[:copies]] + 1e-3 * rng.normal(size=(copies, 4))
        scores.append(c_t(train, test, np.concatenate([fake[copies:], copied]), cells=5))
    assert abs(scores[0]) < 2
    assert scores[3] < scores[2] < scores[1] < scores[0] - 1
    assert c_t(train, test, 1.5 * fake, cells=5) > 2
    assert c_t(train, test, fake, cells=5, seed=1) == c_t(train, test, fake, cells=5, seed=1)


@pytest.mark.parametrize(("dtype", "exponent"), [(np.float64, 490), (np.float32, 100), (np.float32, -100)])
def test_c_t_does_not_depend_on_the_scale(dtype, exponent):
    """k-means squares its input, which must not overflow."""
    train, test, fake = np.random.RandomState(8).normal(size=(3, 300, 4)).astype(dtype)
    scale = dtype(2.0**exponent)
    assert c_t(train * scale, test * scale, fake * scale, cells=4) == pytest.approx(c_t(train, test, fake, cells=4), abs=1e-6)
