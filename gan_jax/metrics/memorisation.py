"""Memorisation: does G reproduce training samples? Distances to the nearest of them, and statistics of those distances."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import Precision
from numpy.typing import ArrayLike
from sklearn.cluster import KMeans

from gan_jax.metrics.arrays import matrix, power_of_two, row_blocks, squarable

_COLUMNS = 128  # of the table used to find the argmin


def nearest_distances(queries: ArrayLike, bank: ArrayLike, skip: ArrayLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Euclidean distance [N] of each of queries [N, D] to its nearest row of bank [M, D], and the index [N] of that row.

    `skip` [N] int holds, for each query, the index of a bank row to exclude: its own, if the queries are part of the bank.

    The search runs in the precision of the features; the distance to the row found is then recomputed in float64, so that it
    is exactly 0 for a copy. In float32, among rows whose squared distances differ by about 1e-7 of the squared spread, it may
    return any. Raises ValueError if the dimensions differ, a value is not finite, or `skip` is not one valid row per query.
    """
    queries, bank = np.asarray(queries), matrix("bank", bank)
    if queries.ndim != 2 or queries.shape[1] != bank.shape[1] or not len(queries):
        raise ValueError(f"queries must be [N, D] with the D of bank {bank.shape}, got {queries.shape}")
    if not np.isfinite(queries).all():
        raise ValueError(f"queries {queries.shape} must be finite")
    skip = None if skip is None else np.asarray(skip)
    if skip is not None and (skip.shape != queries.shape[:1] or skip.dtype.kind not in "iu"):
        raise ValueError(f"skip must be int [N] for queries {queries.shape}, got {skip.dtype} {skip.shape}")
    if skip is not None and not 0 <= skip.min() <= skip.max() < len(bank):
        raise ValueError(f"skip must hold row indices of bank {bank.shape}, got {skip.min()}..{skip.max()}")
    dtype = squarable("queries and bank", queries, bank)
    distances, nearest = [], []
    with jax.enable_x64(True):
        centre = bank.mean(axis=0, dtype=np.float64).astype(dtype)[None]  # distances are unchanged, x.y loses less precision
        bank_blocks = [(y - centre, rows) for y, rows in row_blocks(bank.astype(dtype, copy=False))]
        start = 0
        for x, rows in row_blocks(queries.astype(dtype, copy=False)):
            chunk = slice(start, start + rows)
            start += rows
            skip_rows = None if skip is None else np.pad(skip[chunk], (0, len(x) - rows))
            nearest_rows = _nearest(x - centre, bank_blocks, skip_rows)[:rows]
            nearest.append(nearest_rows)
            distances.append(np.linalg.norm(queries[chunk].astype(np.float64) - bank[nearest_rows], axis=1))
    return np.concatenate(distances), np.concatenate(nearest)


def authenticity(real: ArrayLike, fake: ArrayLike) -> float:
    """Fraction of fake [M, D] that are more than noise around a training sample of real [N, D]: 0 if all are copies.

    A fake is authentic if it is further from its nearest real sample than that sample is from its own nearest real neighbour.
    A perfect generator scores below 1 (1/3 in one dimension, more in higher dimensions): report the score of held-out samples
    next to it.

    Source: Alaa et al. 2022, arXiv:2102.08921, the authenticity score of sample-level metrics. Widely used code swaps the roles
    of real and fake in the search; this is the definition in the paper's text.
    """
    distance, nearest = nearest_distances(fake, real)
    targets, target = np.unique(nearest, return_inverse=True)
    neighbour_distance, _ = nearest_distances(np.asarray(real)[targets], real, skip=targets)
    return float((distance > neighbour_distance[target]).mean())


def c_t(train: ArrayLike, test: ArrayLike, fake: ArrayLike, cells: int = 10, minimum: int = 20, seed: int = 0) -> float:
    """Data-copying test: are fake [M, D] closer to the training samples train [N, D] than held-out samples test [K, D] are?

    In each cell of a k-means partition of train, z = (U - mk/2) / sqrt(mk(m + k + 1) / 12), where U counts the pairs of one of
    m fakes and one of k held-out samples in which the fake is further from its nearest training sample, ties as one half. The
    result is the mean of z over cells, weighted by their held-out samples. Negative: copying; positive: underfitting. If fakes
    follow the distribution of real samples, it is about 0 with a standard deviation of at most 1. Otherwise it grows with the
    square root of the numbers of samples.

    Cells with fewer than `minimum` fakes or without held-out samples are skipped. Raises ValueError if no cell is left, or
    there are more cells than training samples. It does not detect dropped modes. Use features rather than pixels, in which
    distances mean little.

    Source: Meehan, Chaudhuri and Dasgupta 2020, arXiv:2004.05675. Their experiments drop cells of 20 fakes or fewer and use 50
    cells for the 60,000 digits of MNIST; their code searches for the nearest training sample within the cell only, and applies
    a continuity correction of 1/2 to U.
    """
    train, test, fake = matrix("train", train), matrix("test", test), matrix("fake", fake)
    if not 1 <= cells <= len(train):
        raise ValueError(f"cells must lie between 1 and the {len(train)} samples of train {train.shape}, got {cells}")
    scale = power_of_two(train, test, fake)  # k-means squares its input
    partition = KMeans(cells, n_init=1, random_state=seed).fit(train / scale)
    (test_distance, _), (fake_distance, _) = nearest_distances(test, train), nearest_distances(fake, train)
    test_cell, fake_cell = partition.predict(test / scale), partition.predict(fake / scale)
    test_count, fake_count = np.bincount(test_cell, minlength=cells), np.bincount(fake_cell, minlength=cells)
    used = np.flatnonzero((test_count > 0) & (fake_count >= minimum))
    if not len(used):
        raise ValueError(f"none of {cells} cells contains {minimum} samples of fake {fake.shape} and one of test {test.shape}")
    scores = [_rank_score(test_distance[test_cell == cell], fake_distance[fake_cell == cell]) for cell in used]
    return float(np.average(scores, weights=test_count[used]))


def _rank_score(test: np.ndarray, fake: np.ndarray) -> float:
    """z-score of the Mann-Whitney U statistic: positive if the values of `fake` [m] are larger than those of `test` [k]."""
    test = np.sort(test)
    u = (np.searchsorted(test, fake, "left") + np.searchsorted(test, fake, "right")).sum() / 2
    pairs = len(test) * len(fake)
    return (u - pairs / 2) / math.sqrt(pairs * (len(test) + len(fake) + 1) / 12)


def _nearest(x: jax.Array, bank_blocks: list[tuple[jax.Array, int]], skip: np.ndarray | None) -> np.ndarray:
    """Index of the bank row nearest to each of x [B, D], over all blocks of the bank."""
    smallest, nearest, start = jnp.full(len(x), jnp.inf, x.dtype), jnp.zeros(len(x), int), 0
    for y, rows in bank_blocks:
        smallest, nearest = _update_nearest(smallest, nearest, x, y, rows, start, skip)
        start += rows
    return np.asarray(nearest)


@jax.jit
def _update_nearest(smallest, nearest, x, y, y_rows, start, skip):
    """Update the smallest (|x - y|^2 - |x|^2) / 2 so far, and the bank row that attains it, with block y of the bank."""
    halves = jnp.where(jnp.arange(len(y)) < y_rows, jnp.square(y).sum(axis=1) / 2, jnp.inf)
    scores = halves[None] - jnp.matmul(x, y.T, precision=Precision.HIGHEST)
    if skip is not None:
        scores = jnp.where(jnp.arange(len(y))[None] == (skip - start)[:, None], jnp.inf, scores)
    # XLA:CPU computes a minimum many times faster than an argmin: take the minimum of each column of a table, then search it.
    table = jnp.pad(scores, ((0, 0), (0, -len(y) % _COLUMNS)), constant_values=jnp.inf).reshape(len(x), -1, _COLUMNS)
    column_minima = table.min(axis=1)
    column = column_minima.argmin(axis=1)
    row = jnp.take_along_axis(table, column[:, None, None], axis=2)[:, :, 0].argmin(axis=1)
    block_minimum = column_minima.min(axis=1)
    index = jnp.where(block_minimum < smallest, start + row * _COLUMNS + column, nearest)
    return jnp.minimum(smallest, block_minimum), index
