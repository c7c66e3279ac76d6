"""Data: a name and a seed in, real samples out. `load` is the door; one domain per file behind it.

What fits in memory lives on the device as it was stored (uint8 images, float32 points) and is decoded there. For step t
the host sends only `feed_at(t)`, the row numbers; the compiled step gathers and decodes them (`decode`).

A reader lives in its domain's file and returns a `Source`; it imports what it needs (scikit-learn, Pillow, matplotlib,
tensorflow-datasets) when it is called, so that importing `gan_jax` stays cheap.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax.errors import InputError, unknown
from gan_jax.specification import bind, parse_call
from gan_jax.types import Batch

Show = Callable[[np.ndarray], dict[str, bytes]]  # float samples [N, S] -> {".png": content} for a person to look at
Pack = Callable[[np.ndarray], dict[str, np.ndarray]]  # float samples [N, S] -> the arrays of an .npz for other tools
# (float samples [N, S], labels [N] or None) -> metrics; its attribute `description` says what they were measured on, and
# `facts` the same one by one, as {name: JSON value}
Measure = Callable[[np.ndarray, np.ndarray | None], dict[str, float]]
# What is slow (training a classifier, features of real samples) happens once, here.
Evaluator = Callable[["Data", "Protocol"], Measure]


@dataclass(frozen=True)
class Protocol:
    """How samples are measured, beyond what their kind of data says."""

    extractor: str | None = None  # of metrics/extractors.py, or path/file.py:function; None is what the data calls for
    metrics: tuple[str, ...] = ()  # of metrics/suite.py; () is those that take seconds, ("all",) all that can be
    cap: int = 10_000  # images looked at, of each side
    errors: bool = False  # whether each value comes with its standard error, at ten times the cost

    def modes_only(self, name: str) -> None:
        """Raises InputError where it asks for what only images have."""
        if self.extractor or self.metrics:
            raise InputError(f"{name} is judged by its modes: no --extractor and no --metrics")


class Split(NamedTuple):
    """Samples as stored, [N, ...] uint8 or float32, and their labels (None where there are none): classes [N] int32, multi-hot
    vectors [N, K] int32, or vectors of real numbers [N, K] float32."""

    samples: np.ndarray
    labels: np.ndarray | None


@dataclass(frozen=True)
class Source:
    """What a domain's reader returns: the real samples and what a person and a metric make of them."""

    train: Split
    test: Split  # held out: no training step sees it
    num_classes: int  # classes, or the length K of a label that is a vector; 0 where there are no labels
    to_float: Callable[[Any], Any]  # stored samples [..., S] -> float32 of the same shape; runs on NumPy and inside jit
    show: Show
    pack: Pack
    evaluator: Evaluator
    shown: int = 100  # samples in a picture


@dataclass(frozen=True)
class Data:
    """A source dealt out in batches: `batch_at(t)` is pure in (seed, t) and covers each epoch exactly."""

    name: str
    checksum: str  # sha256 of all that was read: keys caches, recorded in the run
    sample_shape: tuple[int, ...]
    num_classes: int
    train: Split  # both splits are shuffled once and for all: the first n rows are a fair sample
    test: Split
    validation: Split | None  # a part of the train split that was set aside, for choices to be made by; None where nothing was
    to_float: Callable[[Any], Any]
    show: Show
    pack: Pack
    evaluator: Evaluator
    shown: int
    feed_at: Callable[[int], np.ndarray]  # step -> row numbers [B] int32, on the host

    def decode(self, store: Split, feed: Any) -> Batch:
        """The batch of row numbers `feed` [...]: traced, `store` being `train` on the device."""
        label = None if store.labels is None else store.labels[feed]
        return Batch(self.to_float(store.samples[feed]), label)

    def batch_at(self, step: int) -> Batch:
        """The batch of one step, [B, ...], as the compiled step sees it."""
        return self.decode(self.train, self.feed_at(step))


BUILTIN = ("digits", "ring", "grid", "spiral", "two_moons")
NAMES = (*BUILTIN, "stacked:NAME", "tfds:NAME", "PATH.npz", "PATH/ (a folder of images)")


def load(name: str, seed: int, batch_size: int, data_dir: str | None = None, validation: float = 0.0) -> Data:
    """The real samples that `name` stands for, dealt out in batches in an order that `seed` decides; the share `validation` of
    the train split is set aside.

    Names are those of `NAMES`, the points in the plane with options: `ring(sigma=0.01)`. Class sub-folders of a folder of
    images become labels; `data_dir` is where `tfds:NAME` looks (`gan_jax.data.tfds`). A batch may hold more rows than there
    are (then some come twice or more): every epoch is covered exactly all the same.

    Raises `InputError` for an unknown name or option, a path that is not there, unreadable data, an impossible seed or size.
    """
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed must be in 0..{2**32 - 1}, got {seed}")
    source = _read(name, data_dir)
    train, test = _shuffled(source.train), _shuffled(source.test)
    aside = None
    if validation:
        count = round(validation * len(train.samples))
        if not 1 <= count < len(train.samples):
            raise InputError(
                f"validation {validation} of {len(train.samples)} training samples of {name} leaves one side empty"
            )
        train, aside = (Split(*(x if x is None else x[rows] for x in train)) for rows in (slice(count, None), slice(count)))
    return Data(
        name=name,
        # One decoded sample goes in too: the same bytes on another scale (digits' 0..16) are other data.
        checksum=_checksum(*train, *test, np.asarray(source.to_float(train.samples[:1]))),
        sample_shape=train.samples.shape[1:],
        num_classes=source.num_classes,
        train=train,
        test=test,
        validation=aside,
        to_float=source.to_float,
        show=source.show,
        pack=source.pack,
        evaluator=source.evaluator,
        shown=source.shown,
        feed_at=feed(seed, len(train.samples), batch_size),
    )


def _read(name: str, data_dir: str | None) -> Source:
    from gan_jax.data import digits, images, plane, stacked, tfds

    head = name.partition("(")[0].strip()  # only of these may options follow: a path may have brackets of its own
    if head in BUILTIN:
        builtin, options = getattr(digits if head == "digits" else plane, head), parse_call(name)[1]
        return bind("data", head, builtin, options)()
    if name.startswith("stacked:"):
        return stacked.stacked(name.removeprefix("stacked:"), data_dir)
    if name.startswith("tfds:"):
        return tfds.tfds(name.removeprefix("tfds:"), data_dir)
    path = Path(name).expanduser()
    if name and path.is_dir():  # "" is the working directory to pathlib
        return images.folder(path)
    if path.suffix == ".npz" and path.is_file():
        return images.npz(path)
    if name and path.exists():
        raise InputError(f"data {name!r} is neither a folder nor an .npz file; known: {', '.join(NAMES)}")
    if path.suffix == ".npz" or "/" in name:
        raise InputError(f"data {name!r}: no such file or folder; known: {', '.join(NAMES)}")
    raise unknown("data", head, NAMES)


def _shuffled(split: Split) -> Split:
    """The rows in a fixed random order: files are often sorted by class, and then their first rows show one class."""
    order = np.random.RandomState(0).permutation(len(split.samples))
    return Split(split.samples[order], None if split.labels is None else split.labels[order])


def _checksum(*arrays: np.ndarray | None) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(b"none" if array is None else f"{array.dtype.str} {array.shape} ".encode())
        digest.update(b"" if array is None else np.ascontiguousarray(array))
    return digest.hexdigest()


def feed(seed: int, rows: int, batch_size: int) -> Callable[[int], np.ndarray]:
    """Batches cut from an endless row of epochs, each a permutation of 0..rows-1 that (seed, epoch) alone decides.

    `RandomState`, not `default_rng`: NEP 19 freezes its stream on every platform for ever, while a `Generator`'s may
    change with a NumPy release, and with it every bit of a run that is resumed after an upgrade.
    """

    @lru_cache(maxsize=2)  # a batch that straddles two epochs needs both
    def order(epoch: int) -> np.ndarray:
        return np.random.RandomState([seed, epoch]).permutation(rows).astype(np.int32)

    def feed_at(step: int) -> np.ndarray:
        epoch, row = np.divmod(int(step) * batch_size + np.arange(batch_size), rows)
        return np.concatenate([order(e)[row[epoch == e]] for e in range(int(epoch[0]), int(epoch[-1]) + 1)])

    return feed_at
