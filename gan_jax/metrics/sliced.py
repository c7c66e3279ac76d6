"""Sliced Wasserstein distance: how far samples have to move, seen along many directions, one at a time."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import Precision
from numpy.typing import ArrayLike

from gan_jax.metrics.arrays import blocks, pair

_BLOCK = 2**24  # projected samples held at once


def sliced_wasserstein(real: ArrayLike, fake: ArrayLike, projections: int = 1000, seed: int = 0) -> tuple[float, float]:
    """E_u W1(u.real, u.fake) over directions u uniform on the sphere, for real [N, D] and fake [M, D], and its standard error.

    In one dimension W1 is the mean difference of sorted samples; where N and M differ, of the two quantile functions, exactly.
    For a mere shift s it is E|s.u| = |s| Gamma(D/2) / (sqrt(pi) Gamma((D + 1)/2)): divide by that for a figure that does not
    shrink with D. Two samples of one law lie above 0: compare equal sizes. The error is that of drawing the directions
    alone; `jackknife.standard_error` tells how the samples vary. Raises ValueError for fewer than 2 projections.

    Source: Rabin et al. 2011, Wasserstein barycenter and its application to texture mixing; for GANs Deshpande et al. 2018,
    arXiv:1803.11188. They take squares (W2), we the plain distance, in the samples' units. Not the distance of Laplacian
    patches of Karras et al. 2018, arXiv:1710.10196.
    """
    real, fake = pair(real, fake)
    if projections < 2:
        raise ValueError(f"sliced_wasserstein needs projections >= 2, got {projections} for {real.shape}, {fake.shape}")
    directions = np.random.default_rng(seed).normal(size=(projections, real.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    real_rank, fake_rank, share = _coupling(len(real), len(fake))
    distances = []
    size = max(1, _BLOCK // (len(real) + len(fake)))
    with jax.enable_x64(True):
        centre = real.mean(axis=0, dtype=np.float64).astype(real.dtype)  # no distance changes; less is lost to rounding
        reals, fakes = ([(block - centre, rows) for block, rows in blocks(x)] for x in (real, fake))
        for start in range(0, projections, size):
            some = directions[start : start + size].astype(real.dtype)
            real_sorted, fake_sorted = _sorted(some, reals), _sorted(some, fakes)
            distances.append(np.abs(real_sorted[:, real_rank] - fake_sorted[:, fake_rank]) @ share)
    distances = np.concatenate(distances)
    return float(distances.mean()), float(distances.std(ddof=1) / np.sqrt(projections))


def _sorted(directions: np.ndarray, x: list[tuple[jax.Array, int]]) -> np.ndarray:
    """Samples x, in blocks, projected onto directions [P, D] and sorted: [P, N]."""
    projected = np.concatenate([np.asarray(_project(directions, block))[:, :rows] for block, rows in x], axis=1)
    # On the host: XLA:CPU takes a hundred times as long as NumPy, and a GPU has done its part with the products.
    projected.sort(axis=1)
    return projected


def _coupling(n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which of n sorted samples moves to which of m, and what share of all: the intervals between steps of either quantile
    function, in whole multiples of 1 / nm."""
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    starts = np.concatenate([[0], ends[:-1]])
    return starts // m, starts // n, (ends - starts) / (n * m)


@jax.jit
def _project(directions, x):
    return jnp.matmul(directions, x.T, precision=Precision.HIGHEST)
