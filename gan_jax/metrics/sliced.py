"""Sliced Wasserstein distance: the optimal transport distance of one-dimensional projections, averaged over directions."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import Precision
from numpy.typing import ArrayLike

from gan_jax.metrics.arrays import pair, row_blocks

_BLOCK = 2**24  # projections held in memory at once


def sliced_wasserstein(real: ArrayLike, fake: ArrayLike, projections: int = 1000, seed: int = 0) -> tuple[float, float]:
    """E_u W1(u.real, u.fake) over directions u uniform on the sphere, for real [N, D] and fake [M, D], and its standard error.

    In one dimension W1 is the mean difference of sorted samples; if N and M differ, of the two quantile functions, exactly.
    For a shift s it is E|s.u| = |s| Gamma(D/2) / (sqrt(pi) Gamma((D + 1)/2)): divide by that factor for a value that does not
    shrink with D. For two samples of the same distribution it is positive: compare equal sizes. The standard error is that of
    drawing the directions only; for the variation of the samples use `jackknife.standard_error`. Raises ValueError for fewer
    than 2 projections.

    Source: Rabin et al. 2011, Wasserstein barycenter and its application to texture mixing; for GANs Deshpande et al. 2018,
    arXiv:1803.11188. They use squared distances (W2), we plain ones, in the units of the samples. Not the distance of Laplacian
    patches of Karras et al. 2018, arXiv:1710.10196.
    """
    real, fake = pair(real, fake)
    if projections < 2:
        raise ValueError(f"sliced_wasserstein needs projections >= 2, got {projections} for {real.shape}, {fake.shape}")
    directions = np.random.default_rng(seed).normal(size=(projections, real.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    real_rank, fake_rank, mass = _coupling(len(real), len(fake))
    distances = []
    size = max(1, _BLOCK // (len(real) + len(fake)))
    with jax.enable_x64(True):
        centre = real.mean(axis=0, dtype=np.float64).astype(real.dtype)  # distances are unchanged, less precision is lost
        reals, fakes = ([(block - centre[None], rows) for block, rows in row_blocks(x)] for x in (real, fake))
        for start in range(0, projections, size):
            batch = directions[start : start + size].astype(real.dtype)
            real_sorted, fake_sorted = _sorted(batch, reals), _sorted(batch, fakes)
            distances.append(np.abs(real_sorted[:, real_rank] - fake_sorted[:, fake_rank]) @ mass)
    distances = np.concatenate(distances)
    return float(distances.mean()), float(distances.std(ddof=1) / np.sqrt(projections))


def _sorted(directions: np.ndarray, x: list[tuple[jax.Array, int]]) -> np.ndarray:
    """Project samples x, given in blocks, onto directions [P, D] and sort them: [P, N]."""
    projected = np.concatenate([np.asarray(_project(directions, block))[:, :rows] for block, rows in x], axis=1)
    # Sort on the host: XLA:CPU takes a hundred times as long as NumPy, and on a GPU the products are the main cost.
    projected.sort(axis=1)
    return projected


def _coupling(n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Optimal coupling of n and m sorted samples: source index, target index, and fraction of the total mass, for each interval
    between steps of either quantile function (whole multiples of 1 / nm)."""
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    starts = np.concatenate([[0], ends[:-1]])
    return starts // m, starts // n, (ends - starts) / (n * m)


@jax.jit
def _project(directions, x):
    return jnp.matmul(directions, x.T, precision=Precision.HIGHEST)
