"""The jackknife against the statistics whose standard errors have a formula."""

import math

import numpy as np
import pytest

from gan_jax.metrics.jackknife import standard_error, with_errors


def test_of_the_mean_it_is_exact_when_groups_are_single_samples():
    x = np.random.RandomState(0).normal(size=37)
    expected = x.std(ddof=1) / math.sqrt(37)
    assert standard_error(np.mean, (x,), groups=37) == pytest.approx(expected, rel=1e-12)


def test_of_the_mean_in_equal_groups_it_is_the_scatter_of_the_groups():
    """Deleting group i of g moves the mean by (mean - m_i) / (g - 1): the error is std(m_i) / sqrt(g)."""
    x = np.random.RandomState(1).normal(size=60)
    groups = np.random.default_rng(3).permutation(60) % 6
    means = [x[groups == i].mean() for i in range(6)]
    assert standard_error(np.mean, (x,), groups=6, seed=3) == pytest.approx(np.std(means, ddof=1) / math.sqrt(6), rel=1e-12)
    assert standard_error(np.mean, (x,), groups=6, seed=4) != standard_error(np.mean, (x,), groups=6, seed=3)


def test_rows_of_all_arrays_go_together_and_a_dict_comes_back():
    rng = np.random.RandomState(2)
    x = rng.normal(size=(40, 2))
    y = x @ [1.0, -1.0]

    def statistic(a, b):
        assert len(a) == len(b) < 40
        return {"residual": float(np.abs(a @ [1.0, -1.0] - b).max()), "mean": float(b.mean()), "constant": 1.0}

    found = standard_error(statistic, (x, y), groups=40)
    assert found.keys() == {"residual", "mean", "constant"}
    assert found["residual"] == found["constant"] == 0
    assert found["mean"] == pytest.approx(y.std(ddof=1) / math.sqrt(40), rel=1e-12)


def test_every_row_is_left_out_exactly_once_when_groups_do_not_divide_them():
    sizes, seen = [], np.zeros(23, int)

    def statistic(rows):
        left_out = np.setdiff1d(np.arange(23), rows)
        sizes.append(len(left_out))
        seen[left_out] += 1
        assert (np.diff(rows) > 0).all()  # the others keep their order
        return 0.0

    assert standard_error(statistic, (np.arange(23),), groups=5) == 0
    assert sorted(sizes) == [4, 4, 5, 5, 5]
    assert (seen == 1).all()


def test_ten_groups_know_the_error_of_a_ratio():
    """E.g. the ratio of two means, over 200 sets of samples: the mean squared error estimate is the variance of the ratio."""
    rng = np.random.RandomState(4)
    ratios, errors = [], []
    for seed in range(200):
        x, y = rng.normal(size=300) + 3, rng.normal(size=300) + 5
        ratios.append(x.mean() / y.mean())
        errors.append(standard_error(lambda a, b: a.mean() / b.mean(), (x, y), seed=seed))
    ratio = np.mean(np.square(errors)) / np.var(ratios, ddof=1)
    # Both sides are chi-squared: of 200 x 9 and of 199 degrees of freedom.
    assert ratio == pytest.approx(1, abs=3 * math.sqrt(2 / 1800 + 2 / 199))


@pytest.mark.parametrize(
    ("samples", "groups"),
    [((np.zeros(5), np.zeros(4)), 2), ((np.zeros(5),), 1), ((np.zeros(5),), 6), ((np.float64(0),), 2), ((), 2)],
)
def test_arrays_of_several_lengths_and_impossible_groups_are_errors(samples, groups):
    with pytest.raises(ValueError, match="groups"):
        standard_error(np.mean, samples, groups)


def test_few_samples_tell_no_errors():
    def mean(x):
        return {"mean": float(x.mean())}

    assert with_errors(mean, (np.arange(7.0),)) == {"mean": 3.0}
    assert with_errors(mean, (np.arange(20.0),)).keys() == {"mean", "mean_error"}
