"""Precision, recall, density, coverage: fidelity and diversity measured separately, by balls around nearest neighbours."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import Precision
from numpy.typing import ArrayLike

from gan_jax.metrics.arrays import pair, row_blocks


def prdc(real: ArrayLike, fake: ArrayLike, k: int = 5, *, closed: bool = False) -> dict[str, float]:
    """Precision, recall, density and coverage of features real [N, D] and fake [M, D]. The ball around each sample has the
    distance to its k-th nearest neighbour as its radius.

    precision: fraction of fakes inside a real ball. recall: fraction of reals inside a fake ball. density: mean number of real
    balls around a fake, over k (can exceed 1; it is robust to the huge ball of an outlier). coverage: fraction of real balls
    that contain a fake. All depend on N and M: compare only equal sizes. Distances are computed in the precision of the
    features: in float32, a distance within about 1e-6 of a radius may count either way. Time is quadratic in the number of
    samples, memory linear. Raises ValueError unless 1 <= k < min(N, M).

    Source: Kynkaanniemi et al. 2019, arXiv:1904.06991, eqs. 1 and 2; Naeem et al. 2020, arXiv:2002.09797, eqs. 3 to 5.
    Balls are open, as in the code of Naeem et al., or `closed`, as in that of Kynkaanniemi et al. and of StyleGAN2, with k = 3:
    samples that occur several times have balls of radius 0, which contain nothing if they are open.
    """
    real, fake = pair(real, fake)
    if not 1 <= k < min(len(real), len(fake)):
        raise ValueError(
            f"k = {k} neighbours need more than k real and k fake samples, got real {real.shape}, fake {fake.shape}"
        )
    with jax.enable_x64(True):
        centre = real.mean(axis=0, dtype=np.float64).astype(real.dtype)  # distances are unchanged, x.y loses less precision
        reals, fakes = ([_centred(*block, centre) for block in row_blocks(x)] for x in (real, fake))
        real_radii, fake_radii = _squared_radii(reals, k), _squared_radii(fakes, k)
        ball_count = covered = recalled = 0
        for x, x_radii in zip(reals, real_radii, strict=True):
            results = [_membership(*x, x_radii, *y, y_radii, closed) for y, y_radii in zip(fakes, fake_radii, strict=True)]
            balls, contains_fake, in_fake_ball = ([np.asarray(a) for a in arrays] for arrays in zip(*results, strict=True))
            ball_count = ball_count + np.concatenate(balls)
            covered += int(np.any(contains_fake, axis=0).sum())
            recalled += int(np.any(in_fake_ball, axis=0).sum())
    ball_count = ball_count[: len(fake)]  # the rest is padding
    return {
        "precision": float((ball_count > 0).mean()),
        "recall": recalled / len(real),
        "density": float(ball_count.mean() / k),
        "coverage": covered / len(real),
    }


def squared_distances(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """|x_i - y_j|^2 for x [N, D], y [M, D]: [N, M], computed at once as one matrix product in their precision."""
    with jax.enable_x64(True):
        x, y = jnp.asarray(x), jnp.asarray(y)
        return np.asarray(_distances(x, jnp.square(x).sum(axis=1), y, jnp.square(y).sum(axis=1)))


def _squared_radii(x: list[tuple[jax.Array, jax.Array]], k: int) -> list[jax.Array]:
    """Squared distance of each sample to its k-th nearest other sample: the k + 1-th smallest, as each is its own nearest."""
    nearest = [jnp.full((len(block), k + 1), jnp.inf, block.dtype) for block, _ in x]
    for i in range(len(x)):
        for j in range(i + 1):  # distances are symmetric
            nearest[i], nearest[j] = _update_nearest(*x[i], nearest[i], *x[j], nearest[j])
    return [distances[:, k] for distances in nearest]


@jax.jit
def _centred(block, rows, centre):
    """Subtract `centre` from the block. Returns it and the squared norms of its rows, infinite for padding."""
    block = block - centre[None]
    return block, jnp.where(jnp.arange(len(block)) < rows, jnp.square(block).sum(axis=1), jnp.inf)


@jax.jit
def _distances(x, x_squares, y, y_squares):
    # The squared norms are arguments because XLA:CPU would fuse their sums into the product, which would take twice as long.
    product = jnp.matmul(x, y.T, precision=Precision.HIGHEST)
    return jnp.maximum(x_squares[:, None] + y_squares[None] - 2 * product, 0)


@jax.jit
def _update_nearest(x, x_squares, x_nearest, y, y_squares, y_nearest):
    """Update the smallest squared distances [B, k + 1] of the samples of blocks x and y with those between the blocks."""
    distances = _distances(x, x_squares, y, y_squares)

    def smallest(distances):
        return -jax.lax.top_k(-distances, min(x_nearest.shape[1], distances.shape[1]))[0]

    x_new, y_new = smallest(distances), smallest(distances.T)
    return smallest(jnp.concatenate([x_nearest, x_new], axis=1)), smallest(jnp.concatenate([y_nearest, y_new], axis=1))


@partial(jax.jit, static_argnums=6)
def _membership(x, x_squares, x_radii, y, y_squares, y_radii, closed):
    """For real block x and fake block y: number of real balls around each fake; whether each real ball contains a fake; whether
    each real sample is inside a fake ball."""
    distances = _distances(x, x_squares, y, y_squares)
    if closed:  # distances and radii of padding are infinite
        inside, in_fake_ball = (
            jnp.isfinite(distances) & (distances <= radii) for radii in (x_radii[:, None], y_radii[None, :])
        )
    else:
        inside, in_fake_ball = distances < x_radii[:, None], distances < y_radii[None, :]
    return inside.sum(axis=0, dtype=jnp.int32), inside.any(axis=1), in_fake_ball.any(axis=1)
