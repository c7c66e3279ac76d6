"""Data: a name and a seed in, real samples out. `load` is the door; one domain per file behind it.

What fits in memory lives on the device as it was stored (uint8 images, float32 points) and is decoded there. For step t
the host sends only `feed_at(t)`, the row numbers; the compiled step gathers and decodes them (`decode`). What does not fit is
streamed (`stream.py`): then `feed_at(t)` are the stored samples of the same rows, read ahead of the step.

A reader lives in its domain's file and returns a `Source`; it imports what it needs (scikit-learn, Pillow, matplotlib,
tensorflow-datasets) when it is called, so that importing `gan_jax` stays cheap.
"""

import hashlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.errors import InputError, unknown
from gan_jax.specification import bind, parse_call
from gan_jax.types import Batch, Sample, Shape

Show = Callable[[Sample], dict[str, bytes]]  # float samples [N, S] -> {".png": content} for a person to look at
Pack = Callable[[Sample], dict[str, np.ndarray]]  # float samples [N, S] -> the arrays of an .npz for other tools
# (float samples [N, S], labels [N] or None) -> metrics; its attribute `description` says what they were measured on, and
# `facts` the same one by one, as {name: JSON value}
Measure = Callable[[Sample, np.ndarray | None], dict[str, float]]
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
    """Samples as stored, arrays [N, ...] of compact types or a pytree of such, and their labels (None where there are none):
    classes [N] int32, multi-hot vectors [N, K] int32, or vectors of real numbers [N, K] float32."""

    samples: Sample
    labels: np.ndarray | None

    @property
    def count(self) -> int:
        """N"""
        return len(jax.tree.leaves(self.samples)[0])

    def take(self, rows: Any) -> "Split":
        """The samples of row numbers (of any shape), or of a slice."""
        return Split(*jax.tree.map(lambda x: x[rows], tuple(self)))


class Stored(NamedTuple):
    """A split where it lies on disk."""

    count: int  # of samples
    shape: tuple[int, ...]  # of one
    # row numbers [n] -> their samples, in their order. Threads call it at once; RunError naming the file that is damaged.
    read: Callable[[np.ndarray], Split]

    def take(self, rows: np.ndarray) -> "Stored":
        """Those of row numbers [n], where they lie."""
        return Stored(len(rows), self.shape, lambda chosen: self.read(rows[chosen]))


@dataclass(frozen=True)
class Source:
    """What a domain's reader returns: the real samples and what a person and a metric make of them."""

    train: Split | Stored
    test: Split | Stored  # held out: no training step sees it
    num_classes: int  # classes, or the length K of a label that is a vector; 0 where there are no labels
    to_float: Callable[[Any], Sample]  # stored samples [..., S'] -> float32 [..., S]; runs on NumPy and inside jit
    show: Show
    pack: Pack
    evaluator: Evaluator
    shown: int = 100  # samples in a picture
    classes: tuple[str, ...] = ()  # what they are called, where that is known
    files: str = ""  # sha256 of the files that splits are `Stored` in
    # Where several training samples are of one record: a share of the records -> (the source without them, theirs).
    set_aside: Callable[[float], tuple["Source", Split]] | None = None
    # Whether G is to be judged with labels of held-out samples: where a label tells all but its sample, as a spectrogram does.
    asked_held_out: bool = False


@dataclass(frozen=True)
class Data:
    """A source dealt out in batches: `batch_at(t)` is pure in (seed, t) and covers each epoch exactly."""

    name: str
    checksum: str  # sha256 of all that was read, or of the files that are streamed: keys caches, recorded in the run
    sample_shape: Shape
    num_classes: int
    # All splits are shuffled once and for all: the first n rows are a fair sample. Of data that is streamed these are the first
    # `stream.KEPT` rows of each, for evaluation.
    train: Split
    test: Split
    validation: Split | None  # a part of the train split that was set aside, for choices to be made by; None where nothing was
    rows: int  # training samples, whether or not `train` holds them all
    streamed: bool
    to_float: Callable[[Any], Sample]
    show: Show
    pack: Pack
    evaluator: Evaluator
    shown: int
    classes: tuple[str, ...]  # their names; () where they have none
    asked: np.ndarray | None  # the labels that G is judged with, as many as there are
    feed_at: Callable[[int], np.ndarray | Split]  # step -> row numbers [B] int32 on the host, or samples where streamed

    @property
    def store(self) -> Split | None:
        """What `decode` wants on the device."""
        return None if self.streamed else self.train

    def decode(self, store: Split | None, feed: Any) -> Batch:
        """The batch of a feed: row numbers [...] of `store`, or the samples themselves, of which it makes floats. Traced."""
        if not isinstance(feed, Split):
            feed = store.take(feed)
        return Batch(self.to_float(feed.samples), feed.labels)

    def batch_at(self, step: int) -> Batch:
        """The batch of one step, [B, ...], as the compiled step sees it."""
        return self.decode(self.store, self.feed_at(step))


BUILTIN = ("digits", "ring", "grid", "spiral", "two_moons")
DOMAINS = ("text", "audio", "molecules", "table", "blank")  # a file here each; their options say where the user's data are
NAMES = (*BUILTIN, *DOMAINS, "stacked:NAME", "mirrored:NAME", "tfds:NAME", "PATH.npz", "PATH/ (a folder of images)", "folder")


def load(
    name: str,
    seed: int,
    batch_size: int,
    data_dir: str | None = None,
    validation: float = 0.0,
    stream: str = "auto",
    share: tuple[int, int] = (0, 1),
) -> Data:
    """The real samples that `name` stands for, dealt out in batches in an order that `seed` decides; the share `validation` of
    the train split is set aside.

    Names are those of `NAMES`, some with options: `ring(sigma=0.01)`, `text(path="corpus.txt")`. Class sub-folders of a
    folder of images become labels; `data_dir` is where `tfds:NAME` and the paths of options are looked for (`locate.py`). A
    batch may hold more rows than there are (then some come twice or more): every epoch is covered exactly all the same.
    `stream` is always, never or auto (`stream.too_large`). Of a `share` (i, n), the feeds are process i's of n: rows i B / n to
    (i + 1) B / n of each batch.

    Raises `InputError` for an unknown name or option, a path that is not there, unreadable data, an impossible seed or size.
    """
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed must be in 0..{2**32 - 1}, got {seed}")
    source = _read(name, data_dir, stream)
    if stream == "always" and not isinstance(source.train, Stored):
        raise InputError(f"data {name!r} cannot be streamed: tfds:NAME and folders of images can; leave off --stream always")
    return deal(name, source, seed, batch_size, validation, share)


def deal(
    name: str, source: Source, seed: int, batch_size: int, validation: float = 0.0, share: tuple[int, int] = (0, 1)
) -> Data:
    """A source that is called `name`, dealt out as `load` says."""
    streamed, aside = isinstance(source.train, Stored), None
    if validation and source.set_aside:
        source, aside = source.set_aside(validation)
    # A fixed random order: files are often sorted by class, and then their first rows show one class.
    order, test_order = (np.random.RandomState(0).permutation(split.count) for split in (source.train, source.test))
    if validation and aside is None:
        order, aside = parted(name, len(order), validation)
        aside = taken(source.train, aside)
    train, test = taken(source.train, order), taken(source.test, test_order)
    # One decoded sample goes in too: the same bytes on another scale (digits' 0..16) are other data.
    first = jax.tree.map(np.asarray, source.to_float(train.take(slice(1)).samples))
    told = [*_leaves(train), *_leaves(test), *jax.tree.leaves(first)]
    feed_at = feed(seed, len(order), batch_size, share)
    if streamed:
        from gan_jax.data.stream import feeds

        told.append(np.frombuffer(bytes.fromhex(source.files), np.uint8))
        feed_at = feeds(source.train, order, feed_at)
    return Data(
        name=name,
        checksum=_checksum(*told),
        sample_shape=jax.tree.map(lambda x: x.shape[1:], first),
        num_classes=source.num_classes,
        train=train,
        test=test,
        validation=aside,
        rows=len(order),
        streamed=streamed,
        to_float=source.to_float,
        show=source.show,
        pack=source.pack,
        evaluator=source.evaluator,
        shown=source.shown,
        classes=source.classes,
        asked=(test if source.asked_held_out else train).labels,
        feed_at=feed_at,
    )


def _read(name: str, data_dir: str | None, stream: str) -> Source:
    from gan_jax.data import digits, folder, images, mirrored, plane, stacked, tfds

    head = name.partition("(")[0].strip()  # only of these may options follow: a path may have brackets of its own
    if head in BUILTIN:
        builtin, options = getattr(digits if head == "digits" else plane, head), parse_call(name)[1]
        return bind("data", head, builtin, options)()
    if name.startswith("stacked:"):
        return stacked.stacked(name.removeprefix("stacked:"), data_dir)
    if name.startswith("mirrored:"):
        inner = name.removeprefix("mirrored:")
        return mirrored.mirrored(inner, _read(inner, data_dir, stream))
    if name.startswith("tfds:"):
        return tfds.tfds(name.removeprefix("tfds:"), data_dir, stream)
    if name == "folder" and not Path(name).is_dir():
        raise InputError('data folder: say which, as in folder(path="photos", side=128)')
    if head == "folder" and "(" in name:
        return bind("data", head, folder.squares, parse_call(name)[1])(data_dir, stream)
    if head in DOMAINS:
        reader = getattr(importlib.import_module(f"gan_jax.data.{head}"), head)
        return bind("data", head, reader, parse_call(name)[1])(data_dir)
    path = Path(name).expanduser()
    if name and path.is_dir():  # "" is the working directory to pathlib
        return folder.folder(path, stream)
    if path.suffix == ".npz" and path.is_file():
        return images.npz(path)
    if name and path.exists():
        raise InputError(f"data {name!r} is neither a folder nor an .npz file; known: {', '.join(NAMES)}")
    if path.suffix == ".npz" or "/" in name:
        raise InputError(f"data {name!r}: no such file or folder; known: {', '.join(NAMES)}")
    raise unknown("data", head, NAMES)


def parted(name: str, count: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """The row numbers of a train split of `count` samples without a random `share`, and those of the share. Raises InputError
    where either is empty."""
    order = np.random.RandomState(0).permutation(count)
    aside = round(share * count)
    if not 1 <= aside < count:
        raise InputError(f"validation {share} of {count} training samples of {name} leaves one side empty")
    return order[aside:], order[:aside]


def taken(split: Split | Stored, rows: np.ndarray) -> Split:
    """The samples of these rows; where they lie on disk, of as many as are kept in memory."""
    if isinstance(split, Stored):
        from gan_jax.data.stream import KEPT, gather

        return gather(split, rows[:KEPT])
    return split.take(rows)


def _leaves(split: Split) -> list[np.ndarray | None]:
    return [*jax.tree.leaves(split.samples), split.labels]


def _checksum(*arrays: np.ndarray | None) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(b"none" if array is None else f"{array.dtype.str} {array.shape} ".encode())
        digest.update(b"" if array is None else np.ascontiguousarray(array))
    return digest.hexdigest()


def feed(seed: int, rows: int, batch_size: int, share: tuple[int, int] = (0, 1)) -> Callable[[int], np.ndarray]:
    """Batches cut from an endless row of epochs, each a permutation of 0..rows-1 that (seed, epoch) alone decides; of each
    batch the part of process i of n, `share` being (i, n). Raises InputError where a batch does not divide among them.

    `RandomState`, not `default_rng`: NEP 19 freezes its stream on every platform for ever, while a `Generator`'s may
    change with a NumPy release, and with it every bit of a run that is resumed after an upgrade.
    """

    index, processes = share
    if not 0 <= index < processes:
        raise ValueError(f"share must be (i, n) with 0 <= i < n, got {share}")
    if batch_size % processes:
        raise InputError(f"batch {batch_size} does not divide among {processes} processes: take a multiple of {processes}")
    own = np.arange(batch_size).reshape(processes, -1)[index]

    @lru_cache(maxsize=2)  # a batch that straddles two epochs needs both
    def order(epoch: int) -> np.ndarray:
        return np.random.RandomState([seed, epoch]).permutation(rows).astype(np.int32)

    def feed_at(step: int) -> np.ndarray:
        epoch, row = np.divmod(int(step) * batch_size + own, rows)
        return np.concatenate([order(e)[row[epoch == e]] for e in range(int(epoch[0]), int(epoch[-1]) + 1)])

    return feed_at
