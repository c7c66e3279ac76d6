"""Moving averages of the generator: by a decay, and by power functions, from which averages of any width are made afterwards.

A power-function average after step t weighs the parameters of step s by s^gamma. Its width is told by sigma, the standard
deviation of that profile over the length of training: sigma .10 looks back over about a tenth of it.

Source: Karras et al. 2024 (EDM2), arXiv:2312.02696, section 3 and appendix C.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

from gan_jax.types import Array

SIGMAS = (0.05, 0.10)  # of the two averages that are kept: two profiles span the others between well (their section 3.2)


def toward(average: Any, now: Any, decay: Array) -> Any:
    """decay * average + (1 - decay) * now, leaf by leaf."""
    return jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, average, now)


def power_decay(step: Array, sigma: float) -> Array:
    """The decay of a power-function average at `step` = 1, 2, ...: (1 - 1/t)^(gamma + 1). The first step forgets all before it.

    Source: Karras et al. 2024, arXiv:2312.02696, section 3.1."""
    return (1 - 1 / step) ** (exponent(sigma) + 1)


def exponent(sigma: float) -> float:
    """gamma of the profile s^gamma whose relative standard deviation is sigma: sigma^2 = (g + 1) / ((g + 2)^2 (g + 3)).

    Raises ValueError for a sigma outside (0, 12^-1/2], which no gamma >= 0 has. Source: ibid., section 3.1."""
    if not 0 < sigma <= 12**-0.5:
        raise ValueError(f"sigma must be above 0 and at most 0.2886 (a uniform average), got {sigma}")
    inverse = sigma**-2
    roots = np.roots([1, 7, 16 - inverse, 12 - inverse])  # (g + 2)^2 (g + 3) = (g + 1) / sigma^2, multiplied out
    return float(roots.real.max())


def weights(steps: Sequence[int], sigmas: Sequence[float], step: int, sigma: float) -> np.ndarray:
    """The weights w_i with which averages saved at `steps` with `sigmas` (one each) sum to that of width `sigma` at `step`,
    as nearly as can be: least squares between the profiles, and then scaled to a sum of 1, without which a weight that never
    changed would come out smaller.

    Source: ibid., section 3.2 and algorithm 3; the scaling is in the authors' code."""
    of, wanted = np.array([exponent(s) for s in sigmas]), np.array([exponent(sigma)])
    ends, end = np.asarray(steps, float), np.array([float(step)])
    solved = np.linalg.solve(_products(ends, of, ends, of), _products(ends, of, end, wanted))[:, 0]
    return solved / solved.sum()


def _products(a_end: np.ndarray, a: np.ndarray, b_end: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Inner products of profiles p(s) = (gamma + 1) s^gamma / t^(gamma + 1) on [0, t], [I, J]."""
    a_end, a, b_end, b = a_end[:, None], a[:, None], b_end[None], b[None]
    # In logarithms: t^gamma overflows.
    first = np.minimum(a_end, b_end)
    power = (a + b + 1) * np.log(first) - (a + 1) * np.log(a_end) - (b + 1) * np.log(b_end)
    return (a + 1) * (b + 1) / (a + b + 1) * np.exp(power)


def combine(averages: Iterable[Any], weights: np.ndarray) -> Any:
    """The weighted sum of trees of arrays, in float64, as float32; takes them one at a time."""
    total = None
    for tree, weight in zip(averages, weights, strict=True):
        part = jax.tree.map(lambda x, weight=weight: weight * np.asarray(x, np.float64), tree)
        total = part if total is None else jax.tree.map(np.add, total, part)
    return jax.tree.map(lambda x: x.astype(np.float32), total)
