"""Precision, recall, density, coverage: fidelity and diversity apart, from balls around nearest neighbours."""

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.metrics.inputs import pair

_BLOCK = 512  # rows of a distance matrix held at once: 512 x 10,000 float64 are 40 MB


def prdc(real: ArrayLike, fake: ArrayLike, k: int = 5) -> dict[str, float]:
    """Shares over features real [N, D] and fake [M, D], with a ball around each sample that reaches its k-th neighbour.

    precision: fakes inside a real ball. recall: reals inside a fake ball. density: mean number of real balls around a fake,
    over k (can exceed 1; one outlier's huge ball does not fool it). coverage: real balls with a fake inside.
    All depend on N and M: compare only equal sizes. Raises ValueError unless 1 <= k < min(N, M).

    Source: Kynkaanniemi et al. 2019, arXiv:1904.06991, eqs. 1 and 2; Naeem et al. 2020, arXiv:2002.09797, eqs. 3 to 5.
    """
    real, fake = pair(real, fake)
    if not 1 <= k < min(len(real), len(fake)):
        raise ValueError(f"k = {k} neighbours need more samples than k on each side: real {real.shape}, fake {fake.shape}")
    centre = real.mean(axis=0)  # distances do not change; x.y cancels less
    real, fake = real - centre, fake - centre
    real_radii, fake_radii = _squared_radii(real, k), _squared_radii(fake, k)
    balls_around = np.zeros(len(fake), np.int64)
    recalled = covered = 0
    for start in range(0, len(real), _BLOCK):
        block = slice(start, start + _BLOCK)
        distances = squared_distances(real[block], fake)
        inside = distances < real_radii[block, None]
        balls_around += inside.sum(axis=0)
        covered += int(inside.any(axis=1).sum())
        recalled += int((distances < fake_radii).any(axis=1).sum())
    return {
        "precision": float((balls_around > 0).mean()),
        "recall": recalled / len(real),
        "density": float(balls_around.mean() / k),
        "coverage": covered / len(real),
    }


def squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """|x_i - y_j|^2 for x [N, D], y [M, D]: [N, M], as one matrix product in their precision."""
    cross = x @ y.T
    cross *= -2
    cross += np.square(x).sum(axis=1)[:, None]
    cross += np.square(y).sum(axis=1)
    return np.maximum(cross, 0, out=cross)


def _squared_radii(x: np.ndarray, k: int) -> np.ndarray:
    """Squared distance of each sample to its k-th nearest other one: the k + 1-th smallest, for it is its own nearest."""
    blocks = (squared_distances(x[start : start + _BLOCK], x) for start in range(0, len(x), _BLOCK))
    return np.concatenate([np.partition(block, k, axis=1)[:, k] for block in blocks])
