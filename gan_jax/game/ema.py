"""Moving averages of the generator: exponential ones, and power-function averages, from which averages of any width can be
computed after training.

A power-function average after step t weighs the parameters of step s by s^gamma. Its width sigma is the standard deviation of
that profile relative to the length of training: sigma .10 averages over about the last tenth.

Source: Karras et al. 2024 (EDM2), arXiv:2312.02696, section 3 and appendix C.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

from gan_jax.types import Array

SIGMAS = (0.05, 0.10)  # widths of the two averages that are stored: two profiles approximate the rest well (section 3.2)


AVERAGED = "average"  # collection of variables that are averages already (StyleGAN2's mean w)


def follow(average: Any, current: Any, decay: Array) -> Any:
    """The variables of the averaged generator after a step: `toward` for parameters and batch statistics; a copy of the
    collection AVERAGED, as in StyleGAN2's code."""
    return {name: tree if name == AVERAGED else toward(average[name], tree, decay) for name, tree in current.items()}


def toward(average: Any, current: Any, decay: Array) -> Any:
    """decay * average + (1 - decay) * current, leaf by leaf."""
    return jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, average, current)


def power_decay(step: Array, sigma: float) -> Array:
    """The decay of a power-function average at `step` = 1, 2, ...: (1 - 1/t)^(gamma + 1). The first step discards the initial
    value.

    Source: Karras et al. 2024, arXiv:2312.02696, section 3.1."""
    return (1 - 1 / step) ** (exponent(sigma) + 1)


def exponent(sigma: float) -> float:
    """gamma of the profile s^gamma whose relative standard deviation is sigma: sigma^2 = (g + 1) / ((g + 2)^2 (g + 3)).

    Raises ValueError for a sigma outside (0, 12^-1/2], the range of gamma >= 0. Source: ibid., section 3.1."""
    if not 0 < sigma <= 12**-0.5:
        raise ValueError(f"sigma must be above 0 and at most 0.2886 (a uniform average), got {sigma}")
    inverse = sigma**-2
    roots = np.roots([1, 7, 16 - inverse, 12 - inverse])  # (g + 2)^2 (g + 3) = (g + 1) / sigma^2, multiplied out
    return float(roots.real.max())


def weights(steps: Sequence[int], sigmas: Sequence[float], step: int, sigma: float) -> np.ndarray:
    """The weights w_i with which averages saved at `steps` with widths `sigmas` best approximate the average of width `sigma`
    at `step`: least squares between the profiles, then scaled to a sum of 1, so that a parameter that never changed is kept.

    Source: ibid., section 3.2 and algorithm 3; the scaling is in the authors' code."""
    exponents, target = np.array([exponent(s) for s in sigmas]), np.array([exponent(sigma)])
    ends, end = np.asarray(steps, float), np.array([float(step)])
    solved = np.linalg.solve(_products(ends, exponents, ends, exponents), _products(ends, exponents, end, target))[:, 0]
    return solved / solved.sum()


def _products(a_end: np.ndarray, a: np.ndarray, b_end: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Inner products of profiles p(s) = (gamma + 1) s^gamma / t^(gamma + 1) on [0, t], [I, J]."""
    a_end, a, b_end, b = a_end[:, None], a[:, None], b_end[None], b[None]
    # In logarithms: t^gamma overflows.
    first = np.minimum(a_end, b_end)
    power = (a + b + 1) * np.log(first) - (a + 1) * np.log(a_end) - (b + 1) * np.log(b_end)
    return (a + 1) * (b + 1) / (a + b + 1) * np.exp(power)


def combine(averages: Iterable[Any], weights: np.ndarray) -> Any:
    """The weighted sum of trees of arrays, computed in float64, returned as float32; reads them one at a time."""
    total = None
    for tree, weight in zip(averages, weights, strict=True):
        part = jax.tree.map(lambda x, weight=weight: weight * np.asarray(x, np.float64), tree)
        total = part if total is None else jax.tree.map(np.add, total, part)
    return jax.tree.map(lambda x: x.astype(np.float32), total)
