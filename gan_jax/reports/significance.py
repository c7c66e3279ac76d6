"""Tests of the difference between two methods over seeds, Holm's correction, and the number of seeds that a test needs.

`scipy.stats` is imported in the functions: it takes a second, and training imports the reports.

Sources: paired and Welch's t-test from `scipy.stats`; Holm 1979, Scandinavian Journal of Statistics 6(2), 65-70; Hedges 1981,
Journal of Educational Statistics 6(2), 107-128, equation 6e for the correction of the effect size.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

LEVEL = 0.05  # of the tests after Holm's correction, and of the intervals
POWER = 0.8  # of the test with the number of seeds that `seeds_needed` returns
MAX_SEEDS = 1_000
_ROUNDING = 1e-9  # relative to the values: a smaller spread is rounding


class Test(NamedTuple):
    """The two-sided test of the mean of `a` minus the mean of `b`."""

    difference: float
    interval: tuple[float, float]  # of the difference, at the confidence 1 - LEVEL
    p_value: float
    effect_size: float  # Hedges' g: the difference in standard deviations over seeds


def paired_test(a: np.ndarray, b: np.ndarray) -> Test | None:
    """The paired t-test of values [N] and [N] of the same seeds, N >= 2; None if their differences do not vary."""
    from scipy import stats

    scale, a, b = _unit_scale(a, b)
    if not _varies(a - b, 1.0):
        return None
    return _test(stats.ttest_rel(a, b), scale, a, b)


def welch_test(a: np.ndarray, b: np.ndarray) -> Test | None:
    """Welch's t-test of values [N] and [M] of different seeds, N, M >= 2; None if neither varies."""
    from scipy import stats

    scale, a, b = _unit_scale(a, b)
    if not (_varies(a, np.abs(a).max()) or _varies(b, np.abs(b).max())):
        return None
    with warnings.catch_warnings():  # about precision, if one of them is constant: its variance of 0 is right
        warnings.simplefilter("ignore", RuntimeWarning)
        return _test(stats.ttest_ind(a, b, equal_var=False), scale, a, b)


def hedges_g(a: np.ndarray, b: np.ndarray) -> float:
    """The difference of the means over the root mean square of the standard deviations, corrected for small samples."""
    scale = math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2)
    correction = 1 - 3 / (4 * (len(a) + len(b) - 2) - 1)
    return float(correction * (a.mean() - b.mean()) / scale) if scale else math.copysign(math.inf, a.mean() - b.mean())


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values after Holm's correction, in the same order. Those below the level are significant, however the tests depend
    on each other."""
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def seeds_needed(a: np.ndarray, b: np.ndarray, paired: bool, level: float) -> int | None:
    """The smallest number of seeds of each method with which a two-sided test at `level` detects the difference with
    probability POWER, if the difference and the spread are those observed; None if more than MAX_SEEDS."""
    from scipy import stats

    _, a, b = _unit_scale(a, b)
    variances = [(a - b).var(ddof=1)] if paired else [a.var(ddof=1), b.var(ddof=1)]
    total = float(sum(variances))
    if total == 0 or a.mean() == b.mean():
        return None
    # Welch-Satterthwaite for equal numbers of seeds: n - 1 times this.
    freedom = 1.0 if paired else total**2 / float(sum(v**2 for v in variances))
    n = np.arange(2, MAX_SEEDS + 1)
    noncentrality = abs(a.mean() - b.mean()) * np.sqrt(n / total)
    critical = stats.t.isf(level / 2, freedom * (n - 1))
    # The other tail is negligible. scipy returns nan for a noncentrality so large that the power is 1.
    power = np.nan_to_num(stats.nct.sf(critical, freedom * (n - 1), noncentrality), nan=1.0)
    enough = n[power >= POWER]
    return int(enough[0]) if len(enough) else None


def _unit_scale(a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """The largest absolute value, and both divided by it: no square of theirs overflows or vanishes."""
    scale = float(max(np.abs(a).max(), np.abs(b).max())) or 1.0
    return scale, a / scale, b / scale


def _test(result: Any, scale: float, a: np.ndarray, b: np.ndarray) -> Test:
    low, high = result.confidence_interval(1 - LEVEL)
    interval = float(scale * low), float(scale * high)
    return Test(float(scale * (a.mean() - b.mean())), interval, float(result.pvalue), hedges_g(a, b))


def _varies(values: np.ndarray, scale: float) -> bool:
    return bool(np.ptp(values) > _ROUNDING * scale)
