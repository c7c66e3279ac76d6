"""Standard errors of metrics: what a figure would vary by, had other samples been drawn."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

LEAST = 20  # samples, two in each of ten groups


def standard_error(statistic: Callable[..., Any], samples: tuple[ArrayLike, ...], groups: int = 10, seed: int = 0) -> Any:
    """The delete-a-group jackknife's standard error of `statistic(*samples)`, a float or a dict of floats: of the same form.

    sqrt((g - 1)/g sum_i (t_i - mean t)^2), t_i being the statistic without the i-th of g groups, into which `seed` deals the
    rows of all arrays [N, ...] together, as evenly as N allows. It is itself known to 1 / sqrt(2(g - 1)): 24% for ten groups.

    Where a distance is nothing but bias, two samples of one law being compared, it errs on the large side.

    For a figure of two independent sets (real and fake of different numbers), bind one, delete from the other, and add the
    squares of the two errors. Not the bootstrap, whose samples come twice: then nearest neighbours lie at distance 0, and a
    sample has fewer distinct members than its size says, which raises a Frechet distance. Nor for a smallest or largest
    value: no jackknife is right for those.
    Raises ValueError unless the arrays are of one length N and 2 <= groups <= N.

    Source: Quenouille 1956; Efron and Tibshirani 1993, An introduction to the bootstrap, chapter 11; Shao and Wu 1989 on
    deleting several at a time.
    """
    arrays = [np.asarray(x) for x in samples]
    sizes = {x.shape[0] if x.ndim else 0 for x in arrays}
    if len(sizes) != 1 or not 2 <= groups <= min(sizes):
        shapes = ", ".join(str(x.shape) for x in arrays)
        raise ValueError(f"standard_error needs arrays of one length N and 2 <= groups <= N: got {shapes}, {groups} groups")
    group = np.random.default_rng(seed).permutation(sizes.pop()) % groups
    values = [statistic(*(x[group != i] for x in arrays)) for i in range(groups)]
    return jax.tree.map(lambda *leaves: float(np.sqrt(groups - 1) * np.std(leaves)), *values)


def with_errors(statistic: Callable[..., dict[str, float]], samples: tuple[ArrayLike, ...]) -> dict[str, float]:
    """The values of `statistic(*samples)`, and of each that a jackknife is right for its error as NAME_error: not of counts of
    modes, nor of the smallest and the largest share of a class. Fewer than `LEAST` samples tell no errors."""
    if len(samples[0]) < LEAST:
        return statistic(*samples)
    errors = standard_error(statistic, samples)
    known = {f"{name}_error": error for name, error in errors.items() if name not in ("modes", "class_min", "class_max")}
    return statistic(*samples) | known
