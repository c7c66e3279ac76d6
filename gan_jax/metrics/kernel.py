"""Kernel distance: a maximum mean discrepancy with an unbiased estimate, hence comparable across sample sizes."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import Precision
from numpy.typing import ArrayLike

from gan_jax.metrics.arrays import pair, row_blocks


def kernel_distance(
    real: ArrayLike, fake: ArrayLike, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """KID: the mean of `squared_mmd` over random subsets of features real [N, D] and fake [M, D], and its standard error.

    Subsets are drawn without replacement, with `subset_size` real and as many fake samples, or half of the smaller set if that
    is less, in which case all samples are covered by many random halves. The standard error is that of the delete-d jackknife,
    std over subsets * sqrt(s / (n - s)) with s the subset size and n = min(N, M) (for s = n/2 the plain std), plus the noise of
    drawing subsets: it reflects the variation of the *samples*, and is too large if the two distributions are equal.
    The name KID is reserved for Inception features. Raises ValueError for fewer than 4 real or fake samples.

    Source: Binkowski et al. 2018, arXiv:1801.01401, section 3; error: Shao and Wu 1989, eq. 2.3.
    """
    real, fake = pair(real, fake)
    n = min(len(real), len(fake))
    size = min(subset_size, n // 2)
    if size < 2 or subsets < 2:
        raise ValueError(
            f"kernel_distance needs 4 real and 4 fake samples, subset_size >= 2 and subsets >= 2, got real {real.shape}, "
            f"fake {fake.shape}, subset_size {subset_size}, subsets {subsets}"
        )
    rng = np.random.default_rng(seed)
    estimates = [
        _unbiased(real[rng.choice(len(real), size, replace=False)], fake[rng.choice(len(fake), size, replace=False)])
        for _ in range(subsets)
    ]
    _check_finite(estimates, real, fake)
    return float(np.mean(estimates)), float(np.std(estimates, ddof=1) * np.sqrt(size / (n - size) + 1 / subsets))


def squared_mmd(real: ArrayLike, fake: ArrayLike) -> float:
    """Unbiased squared MMD between all samples of real [N, D] and fake [M, D]; may be negative.

    mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{ij} k(x_i, y_j) with k(x, y) = (x.y / D + 1)^3,
    x.y in the precision of the features, the rest in float64.
    Time is quadratic in the number of samples, memory linear.

    Raises ValueError for values so large that the kernel overflows, above about 1e25.

    Source: Gretton et al. 2012, JMLR 13, eq. 3, for N = M; kernel: Binkowski et al. 2018, arXiv:1801.01401, eq. 4.
    """
    real, fake = pair(real, fake)
    value = _unbiased(real, fake)
    _check_finite([value], real, fake)
    return value


def _check_finite(values: list[float], real: np.ndarray, fake: np.ndarray) -> None:
    """Raise ValueError for features whose kernel, of their sixth powers, overflows, or would overflow in a variance."""
    if not np.all(np.abs(values) < math.sqrt(np.finfo(np.float64).max) / len(values)):
        largest = max(np.abs(x).max() for x in (real, fake))
        raise ValueError(f"features {real.shape} with values of {largest:.3g} are too large: the kernel overflows")


def _unbiased(real: np.ndarray, fake: np.ndarray) -> float:
    with jax.enable_x64(True):
        real_blocks, fake_blocks = list(row_blocks(real)), list(row_blocks(fake))
        cross = sum(float(_kernel_sum(*x, *y, False)) for x in real_blocks for y in fake_blocks)
        real_pairs, fake_pairs = _sum_of_pairs(real_blocks), _sum_of_pairs(fake_blocks)
    n, m = len(real), len(fake)
    return 2 * (real_pairs / (n * (n - 1)) + fake_pairs / (m * (m - 1)) - cross / (n * m))


def _sum_of_pairs(x: list[tuple[jax.Array, int]]) -> float:
    """Sum of k(x_i, x_j) over i < j."""
    within = sum(float(_kernel_sum(*block, *block, True)) for block in x)
    return within / 2 + sum(float(_kernel_sum(*x[i], *x[j], False)) for i in range(len(x)) for j in range(i))


@jax.jit
def _kernel_sum(x, x_rows, y, y_rows, same):
    """Sum of k over the valid rows of blocks x and y, without the diagonal if they are the `same` block."""
    inner = jnp.matmul(x, y.T, precision=Precision.HIGHEST).astype(jnp.float64) / x.shape[1] + 1
    valid = (jnp.arange(len(x))[:, None] < x_rows) & (jnp.arange(len(y))[None] < y_rows)
    valid &= ~(same & jnp.eye(*inner.shape, dtype=bool))
    return jnp.where(valid, inner * inner * inner, 0).sum()
