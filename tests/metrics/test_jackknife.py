"""The jackknife against statistics whose standard errors have a closed form."""

import math

import numpy as np
import pytest

from gan_jax.metrics.jackknife import standard_error, with_errors


def test_error_of_the_mean_is_exact_for_groups_of_one_sample():
    x = np.random.RandomState(0).normal(size=37)
    expected = x.std(ddof=1) / math.sqrt(37)
    assert standard_error(np.mean, (x,), groups=37) == pytest.approx(expected, rel=1e-12)


def test_error_of_the_mean_for_equal_groups_is_that_of_the_group_means():
    """Deleting group i of g moves the mean by (mean - m_i) / (g - 1): the error is std(m_i) / sqrt(g)."""
    x = np.random.RandomState(1).normal(size=60)
    groups = np.random.default_rng(3).permutation(60) % 6
    means = [x[groups == i].mean() for i in range(6)]
    assert standard_error(np.mean, (x,), groups=6, seed=3) == pytest.approx(np.std(means, ddof=1) / math.sqrt(6), rel=1e-12)
    assert standard_error(np.mean, (x,), groups=6, seed=4) != standard_error(np.mean, (x,), groups=6, seed=3)


def test_rows_of_all_arrays_are_deleted_together_and_a_dict_is_returned():
    rng = np.random.RandomState(2)
    x = rng.normal(size=(40, 2))
    y = x @ [1.0, -1.0]

    def statistic(a, b):
        assert len(a) == len(b) < 40
        return {"residual": float(np.abs(a @ [1.0, -1.0] - b).max()), "mean": float(b.mean()), "constant": 1.0}

    errors = standard_error(statistic, (x, y), groups=40)
    assert errors.keys() == {"residual", "mean", "constant"}
    assert errors["residual"] == errors["constant"] == 0
    assert errors["mean"] == pytest.approx(y.std(ddof=1) / math.sqrt(40), rel=1e-12)


def test_every_row_is_deleted_exactly_once_if_groups_are_of_unequal_size():
    sizes, times_deleted = [], np.zeros(23, int)

    def statistic(rows):
        deleted = np.setdiff1d(np.arange(23), rows)
        sizes.append(len(deleted))
        times_deleted[deleted] += 1
        assert (np.diff(rows) > 0).all()  # the order is preserved
        return 0.0

    assert standard_error(statistic, (np.arange(23),), groups=5) == 0
    assert sorted(sizes) == [4, 4, 5, 5, 5]
    assert (times_deleted == 1).all()


def test_error_of_a_ratio_with_ten_groups():
    """For the ratio of two means, over 200 sets of samples, the mean of the squared errors is the variance of the ratio."""
    rng = np.random.RandomState(4)
    ratios, errors = [], []
    for seed in range(200):
        x, y = rng.normal(size=300) + 3, rng.normal(size=300) + 5
        ratios.append(x.mean() / y.mean())
        errors.append(standard_error(lambda a, b: a.mean() / b.mean(), (x, y), seed=seed))
    ratio = np.mean(np.square(errors)) / np.var(ratios, ddof=1)
    # Both are chi-squared, with 200 x 9 and 199 degrees of freedom.
    assert ratio == pytest.approx(1, abs=3 * math.sqrt(2 / 1800 + 2 / 199))


@pytest.mark.parametrize(
    ("samples", "groups"),
    [((np.zeros(5), np.zeros(4)), 2), ((np.zeros(5),), 1), ((np.zeros(5),), 6), ((np.float64(0),), 2), ((), 2)],
)
def test_arrays_of_different_lengths_and_impossible_groups_are_errors(samples, groups):
    with pytest.raises(ValueError, match="groups"):
        standard_error(np.mean, samples, groups)


def test_no_errors_are_reported_for_few_samples():
    def mean(x):
        return {"mean": float(x.mean())}

    assert with_errors(mean, (np.arange(7.0),)) == {"mean": 3.0}
    assert with_errors(mean, (np.arange(20.0),)).keys() == {"mean", "mean_error"}


def test_the_error_of_values_whose_squares_overflow_is_finite():
    x = np.random.RandomState(4).normal(size=40)
    error = standard_error(lambda x: float(x.mean()), (x,))
    assert standard_error(lambda x: float(x.mean()) * 2.0**900, (x,)) == error * 2.0**900
