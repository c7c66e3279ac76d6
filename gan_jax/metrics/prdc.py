"""Precision, recall, density, coverage: fidelity and diversity apart, from balls around nearest neighbours."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import Precision
from numpy.typing import ArrayLike

from gan_jax.metrics.arrays import blocks, pair


def prdc(real: ArrayLike, fake: ArrayLike, k: int = 5) -> dict[str, float]:
    """Shares over features real [N, D] and fake [M, D], with a ball around each sample that reaches its k-th neighbour.

    precision: fakes inside a real ball. recall: reals inside a fake ball. density: mean number of real balls around a fake,
    over k (can exceed 1; one outlier's huge ball does not fool it). coverage: real balls with a fake inside.
    All depend on N and M: compare only equal sizes. Distances are in the precision of the features: in float32, one that
    equals a radius to about 1e-6 may count either way. Time grows as the square of the number of samples; memory only as
    their number. Raises ValueError unless 1 <= k < min(N, M).

    Source: Kynkaanniemi et al. 2019, arXiv:1904.06991, eqs. 1 and 2; Naeem et al. 2020, arXiv:2002.09797, eqs. 3 to 5.
    Balls are open, as in the code of Naeem et al.
    """
    real, fake = pair(real, fake)
    if not 1 <= k < min(len(real), len(fake)):
        raise ValueError(f"k = {k} neighbours need more samples than k on each side: real {real.shape}, fake {fake.shape}")
    with jax.enable_x64(True):
        centre = real.mean(axis=0, dtype=np.float64).astype(real.dtype)  # distances do not change; x.y cancels less
        reals, fakes = ([_centred(*block, centre) for block in blocks(x)] for x in (real, fake))
        real_radii, fake_radii = _squared_radii(reals, k), _squared_radii(fakes, k)
        balls_around = covered = recalled = 0
        for x, x_radii in zip(reals, real_radii, strict=True):
            met = [_meet(*x, x_radii, *y, y_radii) for y, y_radii in zip(fakes, fake_radii, strict=True)]
            balls, covers, recalls = ([np.asarray(found) for found in kind] for kind in zip(*met, strict=True))
            balls_around = balls_around + np.concatenate(balls)
            covered += int(np.any(covers, axis=0).sum())
            recalled += int(np.any(recalls, axis=0).sum())
    balls_around = balls_around[: len(fake)]  # the rest is padding
    return {
        "precision": float((balls_around > 0).mean()),
        "recall": recalled / len(real),
        "density": float(balls_around.mean() / k),
        "coverage": covered / len(real),
    }


def squared_distances(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """|x_i - y_j|^2 for x [N, D], y [M, D]: [N, M], all at once, as one matrix product in their precision."""
    with jax.enable_x64(True):
        x, y = jnp.asarray(x), jnp.asarray(y)
        return np.asarray(_distances(x, jnp.square(x).sum(axis=1), y, jnp.square(y).sum(axis=1)))


def _squared_radii(x: list[tuple[jax.Array, jax.Array]], k: int) -> list[jax.Array]:
    """Squared distance of each sample to its k-th nearest other one: the k + 1-th smallest, for it is its own nearest."""
    nearest = [jnp.full((len(block), k + 1), jnp.inf, block.dtype) for block, _ in x]
    for i in range(len(x)):
        for j in range(i + 1):  # a distance serves both of its ends
            nearest[i], nearest[j] = _approach(*x[i], nearest[i], *x[j], nearest[j])
    return [distances[:, k] for distances in nearest]


@jax.jit
def _centred(block, rows, centre):
    """The block around `centre`, and the squared length of each row: infinite, so that it is near to none, if not meant."""
    block = block - centre
    return block, jnp.where(jnp.arange(len(block)) < rows, jnp.square(block).sum(axis=1), jnp.inf)


@jax.jit
def _distances(x, x_squares, y, y_squares):
    # The squares come from outside: XLA:CPU would sum them within the product's kernel, and take twice as long for it.
    product = jnp.matmul(x, y.T, precision=Precision.HIGHEST)
    return jnp.maximum(x_squares[:, None] + y_squares - 2 * product, 0)


@jax.jit
def _approach(x, x_squares, x_nearest, y, y_squares, y_nearest):
    """The nearest [B, k + 1] so far of the samples of blocks x and y, and now that these have met."""
    distances = _distances(x, x_squares, y, y_squares)

    def smallest(distances):
        return -jax.lax.top_k(-distances, min(x_nearest.shape[1], distances.shape[1]))[0]

    x_new, y_new = smallest(distances), smallest(distances.T)
    return smallest(jnp.concatenate([x_nearest, x_new], axis=1)), smallest(jnp.concatenate([y_nearest, y_new], axis=1))


@jax.jit
def _meet(x, x_squares, x_radii, y, y_squares, y_radii):
    """Of real block x and fake block y: real balls around each fake; is a fake in a real one's ball; it in a fake one's."""
    distances = _distances(x, x_squares, y, y_squares)
    inside = distances < x_radii[:, None]
    return inside.sum(axis=0, dtype=jnp.int32), inside.any(axis=1), (distances < y_radii).any(axis=1)
