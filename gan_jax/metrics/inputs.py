"""The checks that all metrics make at the door, and the precision they work in."""

import numpy as np
from numpy.typing import ArrayLike


def matrix(what: str, x: ArrayLike) -> np.ndarray:
    """`x` as finite float64 [N >= 2, D] on the host; ValueError naming `what` and its shape otherwise."""
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or x.shape[0] < 2 or x.shape[1] < 1:
        raise ValueError(f"{what} must be [N, D] with N >= 2, got {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError(f"{what} {x.shape} must be finite: {(~np.isfinite(x).all(axis=1)).sum()} rows are not")
    return x


def pair(real: ArrayLike, fake: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Features real [N, D] and fake [M, D] as float64; ValueError where their D differ."""
    real, fake = matrix("real features", real), matrix("fake features", fake)
    if real.shape[1] != fake.shape[1]:
        raise ValueError(f"features differ in dimension: real {real.shape}, fake {fake.shape}")
    return real, fake
