"""Tests over seeds, against published examples: R's sleep data, Cohen's tables, pingouin's and Borenstein's examples."""

import math

import numpy as np
import pytest

from gan_jax.reports.significance import hedges_g, holm, paired_test, seeds_needed, welch_test

# Student 1908, as in R's `sleep`: extra hours of sleep of ten patients after each of two drugs.
DRUG_1 = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
DRUG_2 = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])


def values(n: int, mean: float, deviation: float) -> np.ndarray:
    """n values of exactly this mean and sample standard deviation."""
    x = np.arange(n) - (n - 1) / 2
    return mean + deviation * x / x.std(ddof=1)


def test_paired_test():
    """R: t.test(Pair(extra.1, extra.2) ~ 1, data = sleep2) prints t = -4.0621, p-value = 0.002833 and this interval."""
    test = paired_test(DRUG_1, DRUG_2)
    assert test.difference == pytest.approx(-1.58)
    assert test.p_value == pytest.approx(0.002833, abs=5e-7)
    assert test.interval == pytest.approx((-2.4598858, -0.7001142), abs=5e-8)


def test_welch_test():
    """R: t.test(extra ~ group, data = sleep) prints t = -1.8608, df = 17.776, p-value = 0.07939 and this interval."""
    test = welch_test(DRUG_1, DRUG_2)
    assert test.p_value == pytest.approx(0.07939, abs=5e-6)
    assert test.interval == pytest.approx((-3.3654832, 0.2054832), abs=5e-8)


def test_effect_size():
    """Borenstein et al. 2009, Introduction to Meta-Analysis, chapter 4: means 103 and 100, deviations 5.5 and 4.5, 50 each."""
    assert hedges_g(values(50, 103, 5.5), values(50, 100, 4.5)) == pytest.approx(0.5924, abs=5e-5)


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([0.50, 0.003, 0.32, 0.054, 0.0003], [0.64, 0.012, 0.64, 0.162, 0.0015]),  # the documentation of pingouin.multicomp
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # by hand: 3 x .01, then 2 x .03, which .04 may not fall below
        ([0.7, 0.6], [1.0, 1.0]),
        ([], []),
    ],
)
def test_holm(p_values, adjusted):
    assert holm(p_values) == pytest.approx(adjusted)


@pytest.mark.parametrize(("effect", "independent", "pairs"), [(0.2, 394, 199), (0.5, 64, 34), (0.8, 26, 15)])
def test_seeds_needed(effect, independent, pairs):
    """Two-sided, level .05, power .8: Cohen 1988, Statistical Power Analysis (table 2.4.1), and exactly G*Power 3.1."""
    a, b = values(10, effect, 1), values(10, 0, 1)
    assert seeds_needed(a, b, False, 0.05) == independent
    assert seeds_needed(a, np.zeros(10), True, 0.05) == pairs


def test_a_power_that_no_affordable_number_of_seeds_reaches():
    assert seeds_needed(values(3, 0.001, 1), values(3, 0, 1), False, 0.05) is None
    assert seeds_needed(values(3, 1, 1), values(3, 1, 2), False, 0.05) is None
    assert seeds_needed(values(3, 1e6, 1), values(3, 0, 1), False, 0.05) == 2


def test_values_without_spread_are_not_tested():
    constant = np.full(3, 0.1)
    assert welch_test(constant, np.full(4, 0.3)) is None
    assert paired_test(values(3, 1, 1), values(3, 1, 1) + 0.1) is None  # a difference that varies by rounding only
    one_constant = welch_test(np.full(3, 8.0), np.array([6.0, 7.0, 6.0]))
    # A one-sample t-test: t = (8 - 19/3) / (sqrt(1/3) / sqrt(3)) = 5 with two degrees of freedom, p = 1 - t / sqrt(t^2 + 2).
    assert one_constant.p_value == pytest.approx(1 - 5 / math.sqrt(27))


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_tests_do_not_depend_on_the_unit(unit):
    """Student's t is a ratio: squares that overflow or vanish must not change it."""
    for test in (paired_test, welch_test):
        expected, scaled = test(DRUG_1, DRUG_2), test(unit * DRUG_1, unit * DRUG_2)
        assert scaled.p_value == pytest.approx(expected.p_value)
        assert scaled.effect_size == pytest.approx(expected.effect_size)
        assert np.array(scaled.interval) / unit == pytest.approx(expected.interval)
    assert seeds_needed(unit * DRUG_1, unit * DRUG_2, False, 0.05) == seeds_needed(DRUG_1, DRUG_2, False, 0.05)
