"""Blank: grey images in place of data that are not at hand, so that a generator whose weights others trained can be sampled."""

from functools import partial

import numpy as np

from gan_jax.data.dataset import Data, Measure, Protocol, Source, Split
from gan_jax.data.images import pixels
from gan_jax.errors import InputError


def blank(data_dir: str | None, *, side: int = 256, planes: int = 3, classes: int = 0) -> Source:
    """Grey images [side, side, planes], one or more of each class; 0 classes for no labels. Nothing can be measured on them.
    Raises InputError for what is no size of an image."""
    for name, value, least in (("side", side, 1), ("planes", planes, 1), ("classes", classes, 0)):
        if type(value) is not int or value < least or (name == "planes" and value not in (1, 3)):
            allowed = "1 or 3" if name == "planes" else f"a whole number of at least {least}"
            raise InputError(f"data blank: {name} must be {allowed}, got {value!r}")
    count = max(10, classes)
    # One pixel of each is kept.
    split = Split(np.zeros((count, 1, 1, 1), np.uint8), np.arange(count, dtype=np.int32) % classes if classes else None)
    shown = 100 if side <= 256 else 25
    show = pixels.show
    return Source(split, split, classes, partial(_grey, (side, side, planes)), show, pixels.pack, _nothing, shown=shown)


def _grey(shape: tuple[int, ...], stored):
    return (stored[..., :1, :1, :1] * np.float32(0)).repeat(shape[0], -3).repeat(shape[1], -2).repeat(shape[2], -1)


def _nothing(data: Data, protocol: Protocol = Protocol()) -> Measure:
    raise InputError(
        f"data {data.name} is blank: to measure or train, name real data of the same size where the run is made, with --data"
    )
