"""Blank: grey images that stand in for data that is not available, so that an imported, trained generator can be sampled."""

from functools import partial

import numpy as np

from gan_jax.data.dataset import Data, Measure, Protocol, Source, Split
from gan_jax.data.images import pixels
from gan_jax.errors import InputError


def blank(data_dir: str | None, *, side: int = 256, planes: int = 3, classes: int = 0) -> Source:
    """Return grey images [side, side, planes], at least one per class; without labels if `classes` is 0. They cannot be used to
    measure anything. Raises InputError for an impossible size."""
    for name, value, least in (("side", side, 1), ("planes", planes, 1), ("classes", classes, 0)):
        if type(value) is not int or value < least or (name == "planes" and value not in (1, 3)):
            allowed = "1 or 3" if name == "planes" else f"a whole number of at least {least}"
            raise InputError(f"data blank: {name} must be {allowed}, got {value!r}")
    count = max(10, classes)
    # Store one pixel per image.
    split = Split(np.zeros((count, 1, 1, 1), np.uint8), np.arange(count, dtype=np.int32) % classes if classes else None)
    to_float = partial(_grey, (side, side, planes))
    num_shown = 100 if side <= 256 else 25
    functions = (to_float, pixels.show, pixels.pack, _reject)
    return Source(split, split, classes, *functions, num_shown=num_shown, format=pixels.FORMAT)


def _grey(shape: tuple[int, ...], stored):
    return (stored[..., :1, :1, :1] * np.float32(0)).repeat(shape[0], -3).repeat(shape[1], -2).repeat(shape[2], -1)


def _reject(data: Data, protocol: Protocol = Protocol()) -> Measure:
    raise InputError(
        f"data {data.name} is blank: to measure or train, name real data of the same size with --data when creating the run"
    )
