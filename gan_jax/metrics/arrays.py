"""What all metrics do at the door: the checks, the precision they work in, and the way of rows onto the devices."""

import math
from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from numpy.typing import ArrayLike

BLOCK = 2048  # rows multiplied at once: 2,048 x 2,048 float32 are 16 MB
_STEP = 16  # blocks grow by so many rows, so that sets of similar size (the classes of a data set) share what is compiled


def matrix(what: str, x: ArrayLike) -> np.ndarray:
    """`x` as finite [N >= 2, D] on the host; ValueError naming `what` and its shape otherwise.

    float32 and float64 stay what they are; halves and small integers become float32, all else float64.
    """
    x = np.asarray(x)
    x = x.astype(np.result_type(x.dtype, np.float32), copy=False)
    if x.ndim != 2 or x.shape[0] < 2 or x.shape[1] < 1:
        raise ValueError(f"{what} must be [N, D] with N >= 2, got {x.shape}")
    finite = np.isfinite(x).all(axis=1)
    if not finite.all():
        raise ValueError(f"{what} {x.shape} must be finite: {(~finite).sum()} rows are not")
    return x


def pair(real: ArrayLike, fake: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Features real [N, D] and fake [M, D], in the higher precision of the two; ValueError where their D differ."""
    real, fake = matrix("real features", real), matrix("fake features", fake)
    if real.shape[1] != fake.shape[1]:
        raise ValueError(f"features differ in dimension: real {real.shape}, fake {fake.shape}")
    dtype = np.promote_types(real.dtype, fake.dtype)
    return real.astype(dtype, copy=False), fake.astype(dtype, copy=False)


def blocks(x: np.ndarray) -> Iterator[tuple[jax.Array, int]]:
    """Consecutive rows of x [N, D], as (block [B, D] sharded over all devices, how many of its rows are meant).

    All blocks are of one size B, `BLOCK` at most but for rounding up, so that what uses them compiles once. The last ones may
    end in rows of zeros, which their user must leave out.
    """
    mesh = Mesh(np.array(jax.local_devices()), ("rows",))
    sharding = NamedSharding(mesh, PartitionSpec("rows"))
    step = math.lcm(_STEP, mesh.size)
    number = math.ceil(len(x) / BLOCK)
    size = math.ceil(len(x) / number / step) * step
    for start in range(0, len(x), size):
        rows = x[start : start + size]
        yield jax.device_put(np.pad(rows, ((0, size - len(rows)), (0, 0))), sharding), len(rows)
