"""Kernel distance: a maximum mean discrepancy whose estimate has no bias, so that it can be compared across sample sizes."""

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.metrics.inputs import pair

_BLOCK = 512  # rows of a kernel matrix held at once


def kernel_distance(
    real: ArrayLike, fake: ArrayLike, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """KID: the mean of `squared_mmd` over random subsets of features real [N, D] and fake [M, D], and its standard error.

    Subsets are drawn without replacement and hold `subset_size` samples of each side, or half of the smaller side where
    that is less: then all samples enter through many halves. The error is the delete-d jackknife's,
    std over subsets * sqrt(s / (n - s)) with s the subset size and n = min(N, M) (for s = n/2 the plain std), plus the
    noise of drawing subsets: it tells how the *samples* vary, and errs on the large side where both laws are equal.
    KID proper means Inception features. Raises ValueError for fewer than 4 samples a side.

    Source: Binkowski et al. 2018, arXiv:1801.01401, section 3; error: Shao and Wu 1989, eq. 2.3.
    """
    real, fake = pair(real, fake)
    n = min(len(real), len(fake))
    size = min(subset_size, n // 2)
    if size < 2 or subsets < 2:
        raise ValueError(
            f"kernel_distance needs 4 samples a side, subset_size >= 2 and subsets >= 2: got real {real.shape}, "
            f"fake {fake.shape}, subset_size {subset_size}, subsets {subsets}"
        )
    rng = np.random.default_rng(seed)
    draws = [
        _unbiased(real[rng.choice(len(real), size, replace=False)], fake[rng.choice(len(fake), size, replace=False)])
        for _ in range(subsets)
    ]
    return float(np.mean(draws)), float(np.std(draws, ddof=1) * np.sqrt(size / (n - size) + 1 / subsets))


def squared_mmd(real: ArrayLike, fake: ArrayLike) -> float:
    """Unbiased squared MMD of all samples, real [N, D] against fake [M, D]; may be negative.

    mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{ij} k(x_i, y_j) with k(x, y) = (x.y / D + 1)^3.
    Time grows as the square of the number of samples, memory does not.

    Source: Gretton et al. 2012, JMLR 13, eq. 3, for N = M; kernel: Binkowski et al. 2018, arXiv:1801.01401, eq. 4.
    """
    return _unbiased(*pair(real, fake))


def _unbiased(real: np.ndarray, fake: np.ndarray) -> float:
    cross = _kernel_sum(real, fake) / (len(real) * len(fake))
    return _mean_off_diagonal(real) + _mean_off_diagonal(fake) - 2 * cross


def _mean_off_diagonal(x: np.ndarray) -> float:
    diagonal = ((np.square(x).mean(axis=1) + 1) ** 3).sum()
    return float(_kernel_sum(x, x) - diagonal) / (len(x) * (len(x) - 1))


def _kernel_sum(x: np.ndarray, y: np.ndarray) -> float:
    total = 0.0
    for start in range(0, len(x), _BLOCK):
        inner = x[start : start + _BLOCK] @ y.T / x.shape[1] + 1
        total += float((inner * inner * inner).sum())  # ** 3 calls pow, ten times slower
    return total
