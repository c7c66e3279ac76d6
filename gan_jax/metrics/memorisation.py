"""Memorisation: does G give back samples that it was trained on? Distances to the nearest of them, and what they tell."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import Precision
from numpy.typing import ArrayLike
from sklearn.cluster import KMeans

from gan_jax.metrics.arrays import blocks, matrix

_COLUMNS = 128  # of the table in which a minimum is looked up


def nearest_distances(queries: ArrayLike, bank: ArrayLike, skip: ArrayLike | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Euclidean distance [N] of each of queries [N, D] to the nearest row of bank [M, D], and which row it is [N].

    `skip` [N] int names, for each query, a row of the bank that it is not compared with: itself, where it is one of them.

    Compared in the precision of the features, while the distance to the row found is computed again in float64: to a copy it
    is exactly 0. In float32, of rows whose squared distances differ by some 1e-7 of the squared spread, it may find either.
    Raises ValueError where D differ, anything is not finite, or `skip` is no row for each query.
    """
    queries, bank = np.asarray(queries), matrix("bank", bank)
    if queries.ndim != 2 or queries.shape[1] != bank.shape[1] or not len(queries):
        raise ValueError(f"queries must be [N, D] with the D of bank {bank.shape}, got {queries.shape}")
    if not np.isfinite(queries).all():
        raise ValueError(f"queries {queries.shape} must be finite")
    own = None if skip is None else np.asarray(skip)
    if own is not None and (own.shape != queries.shape[:1] or own.dtype.kind not in "iu"):
        raise ValueError(f"skip must be int [N] for queries {queries.shape}, got {own.dtype} {own.shape}")
    if own is not None and not 0 <= own.min() <= own.max() < len(bank):
        raise ValueError(f"skip must be rows of bank {bank.shape}, found {own.min()}..{own.max()}")
    dtype = np.promote_types(queries.dtype, bank.dtype)
    distances, nearest = [], []
    with jax.enable_x64(True):
        centre = bank.mean(axis=0, dtype=np.float64).astype(dtype)  # distances do not change; x.y cancels less
        banks = [(y - centre, rows) for y, rows in blocks(bank.astype(dtype, copy=False))]
        start = 0
        for x, rows in blocks(queries.astype(dtype, copy=False)):
            here = slice(start, start + rows)
            start += rows
            x_own = None if own is None else np.pad(own[here], (0, len(x) - rows))
            found = _nearest(x - centre, banks, x_own)[:rows]
            nearest.append(found)
            distances.append(np.linalg.norm(queries[here].astype(np.float64) - bank[found], axis=1))
    return np.concatenate(distances), np.concatenate(nearest)


def authenticity(real: ArrayLike, fake: ArrayLike) -> float:
    """Share of fake [M, D] that are not mere noise around a training sample, of real [N, D]: 0 where all are copies.

    A fake is authentic if it lies further from its nearest real sample than that one lies from its own nearest other one.
    A perfect generator scores below 1 (on a line 1/3, in more dimensions more): show the score of held-out samples beside it.

    Source: Alaa et al. 2022, arXiv:2102.08921, the authenticity score of sample-level metrics. In widely used code the roles
    of real and fake are swapped in the search; this is the definition in the paper's text.
    """
    distance, nearest = nearest_distances(fake, real)
    targets, target = np.unique(nearest, return_inverse=True)
    own, _ = nearest_distances(np.asarray(real)[targets], real, skip=targets)
    return float((distance > own[target]).mean())


def c_t(train: ArrayLike, test: ArrayLike, fake: ArrayLike, cells: int = 10, minimum: int = 20, seed: int = 0) -> float:
    """The data-copying test: are fake [M, D] nearer to the samples of train [N, D] than those of test [K, D], held out, are?

    In each cell of a k-means partition of train, z = (U - mk/2) / sqrt(mk(m + k + 1) / 12), where U counts the pairs of a fake
    and a held-out sample of which the fake is the further from its nearest training sample, a tie as half; then the mean of
    z over cells, weighted by their held-out samples. Negative: copying; positive: underfitting; where fakes are as new real
    samples are, about 0 with a deviation of at most 1. Otherwise it grows with the root of the numbers of samples.

    Cells of fewer than `minimum` fakes, or none held out, are left out; ValueError where no cell is left, or there are more
    cells than training samples. It does not see modes that G has dropped. In features, not pixels, distances mean something.

    Source: Meehan, Chaudhuri and Dasgupta 2020, arXiv:2004.05675. Their experiments drop cells of 20 fakes or fewer and take 50
    cells for the 60,000 digits of MNIST; their code looks for the nearest training sample in the cell only, and corrects U by
    1/2 for continuity.
    """
    train, test, fake = matrix("train", train), matrix("test", test), matrix("fake", fake)
    if not 1 <= cells <= len(train):
        raise ValueError(f"cells must lie between 1 and the {len(train)} samples of train {train.shape}, got {cells}")
    partition = KMeans(cells, n_init=1, random_state=seed).fit(train)
    (test_distance, _), (fake_distance, _) = nearest_distances(test, train), nearest_distances(fake, train)
    test_cell, fake_cell = partition.predict(test), partition.predict(fake)
    held, fakes = np.bincount(test_cell, minlength=cells), np.bincount(fake_cell, minlength=cells)
    used = np.flatnonzero((held > 0) & (fakes >= minimum))
    if not len(used):
        raise ValueError(f"no cell of {cells} holds {minimum} samples of fake {fake.shape} and one of test {test.shape}")
    scores = [_rank_score(test_distance[test_cell == cell], fake_distance[fake_cell == cell]) for cell in used]
    return float(np.average(scores, weights=held[used]))


def _rank_score(held: np.ndarray, fake: np.ndarray) -> float:
    """The z-score of Mann and Whitney's U: positive where `fake` [m] are larger than `held` [k]."""
    held = np.sort(held)
    u = (np.searchsorted(held, fake, "left") + np.searchsorted(held, fake, "right")).sum() / 2
    pairs = len(held) * len(fake)
    return (u - pairs / 2) / math.sqrt(pairs * (len(held) + len(fake) + 1) / 12)


def _nearest(x: jax.Array, banks: list[tuple[jax.Array, int]], own: np.ndarray | None) -> np.ndarray:
    """Which row of all blocks of the bank is nearest to each of x [B, D]."""
    least, nearest, start = jnp.full(len(x), jnp.inf, x.dtype), jnp.zeros(len(x), int), 0
    for y, rows in banks:
        least, nearest = _nearer(least, nearest, x, y, rows, start, own)
        start += rows
    return np.asarray(nearest)


@jax.jit
def _nearer(least, nearest, x, y, y_rows, start, own):
    """The least (|x - y|^2 - |x|^2) / 2 so far and the row it is at, and now that the block y is known too."""
    halves = jnp.where(jnp.arange(len(y)) < y_rows, jnp.square(y).sum(axis=1) / 2, jnp.inf)
    scores = halves - jnp.matmul(x, y.T, precision=Precision.HIGHEST)
    if own is not None:
        scores = jnp.where(jnp.arange(len(y)) == (own - start)[:, None], jnp.inf, scores)
    # XLA:CPU finds a minimum many times faster than its place: first the least of each column of a table, then the place.
    table = jnp.pad(scores, ((0, 0), (0, -len(y) % _COLUMNS)), constant_values=jnp.inf).reshape(len(x), -1, _COLUMNS)
    of_column = table.min(axis=1)
    column = of_column.argmin(axis=1)
    row = jnp.take_along_axis(table, column[:, None, None], axis=2)[:, :, 0].argmin(axis=1)
    here = of_column.min(axis=1)
    return jnp.minimum(least, here), jnp.where(here < least, start + row * _COLUMNS + column, nearest)
