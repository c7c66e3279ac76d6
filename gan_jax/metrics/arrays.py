"""Input handling shared by the metrics: shape checks, working precision, and the transfer of rows to the devices."""

import math
from collections.abc import Iterator

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from numpy.typing import ArrayLike

BLOCK = 2048  # rows multiplied at once: 2,048 x 2,048 float32 are 16 MB
_ROOM = 2**10  # factor by which the largest value is smaller than one whose squared norm would overflow
_GRANULARITY = 16  # block sizes are multiples of this, so that sets of similar size (e.g. classes) share compiled programs


def matrix(name: str, x: ArrayLike) -> np.ndarray:
    """Return `x` as a finite array [N >= 2, D] on the host. Raises ValueError otherwise, with `name` and the shape.

    float32 and float64 are kept; half precision and small integers become float32, everything else float64.
    """
    x = np.asarray(x)
    x = x.astype(np.result_type(x.dtype, np.float32), copy=False)
    if x.ndim != 2 or x.shape[0] < 2 or x.shape[1] < 1:
        raise ValueError(f"{name} must be [N, D] with N >= 2, got {x.shape}")
    if not math.isfinite(_largest(x)):
        finite = np.isfinite(x).all(axis=1)
        raise ValueError(f"{name} {x.shape} must be finite: {(~finite).sum()} rows are not")
    return x


def pair(real: ArrayLike, fake: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return features real [N, D] and fake [M, D] in the higher of their two precisions, or in float64 if their squares are too
    large for float32. Raises ValueError if D differs, or if their squares are too large for float64."""
    real, fake = matrix("real features", real), matrix("fake features", fake)
    if real.shape[1] != fake.shape[1]:
        raise ValueError(f"features differ in dimension: real {real.shape}, fake {fake.shape}")
    dtype = squarable("features", real, fake)
    return real.astype(dtype, copy=False), fake.astype(dtype, copy=False)


def squarable(name: str, *arrays: np.ndarray) -> np.dtype:
    """Return the type in which squared distances between rows of the arrays [N, D] neither overflow nor vanish: the highest of
    their precisions, or float64. Raises ValueError, with `name` and the largest value, if they overflow in float64."""
    largest = max(map(_largest, arrays))
    for dtype in (np.result_type(*(x.dtype for x in arrays)), np.dtype(np.float64)):
        # A distance is at most 2 sqrt(D) times the largest value; the rest leaves room for sums over many rows.
        small = 0 < largest < math.sqrt(np.finfo(dtype).tiny) / np.finfo(dtype).eps  # squared distances would round to zero
        if largest <= math.sqrt(np.finfo(dtype).max / arrays[0].shape[1]) / _ROOM and (dtype == np.float64 or not small):
            return dtype
    raise ValueError(f"{name} {arrays[0].shape} with values of {largest:.3g} are too large: their squares overflow")


def power_of_two(*arrays: np.ndarray) -> float:
    """Return the power of two next to the largest absolute value of the arrays: dividing by it is exact, and the squares of
    what remains cannot overflow. 1 for zeros and for values that are not finite."""
    largest = max(map(_largest, arrays))
    return math.ldexp(1.0, math.frexp(largest)[1] - 1) if 0 < largest < math.inf else 1.0


def deviation(values: ArrayLike, ddof: int = 0) -> float:
    """Standard deviation of numbers whose squares may overflow."""
    values = np.asarray(values, np.float64)
    scale = power_of_two(values)
    return float(np.std(values / scale, ddof=ddof) * scale)


def _largest(x: np.ndarray) -> float:
    """The largest absolute value; NaN if any value is NaN."""
    return float(np.maximum(x.max(), -x.min()))


def row_blocks(x: np.ndarray) -> Iterator[tuple[jax.Array, int]]:
    """Yield consecutive rows of x [N, D] as (block [B, D] sharded across all local devices, number of valid rows).

    All blocks have the same size B, at most `BLOCK` except for rounding up, so that the functions that receive them compile
    once. The last block may be padded with rows of zeros, which the caller must ignore.
    """
    mesh = Mesh(np.array(jax.local_devices()), ("rows",))
    sharding = NamedSharding(mesh, PartitionSpec("rows"))
    multiple = math.lcm(_GRANULARITY, mesh.size)
    count = math.ceil(len(x) / BLOCK)
    size = math.ceil(len(x) / count / multiple) * multiple
    for start in range(0, len(x), size):
        rows = x[start : start + size]
        yield jax.device_put(np.pad(rows, ((0, size - len(rows)), (0, 0))), sharding), len(rows)
