"""What a data set is: `Split` (samples and labels), `Source` (what a reader returns) and `Data` (a source in batches).

What fits in memory lives on the device as it was stored (uint8 images, float32 points) and is decoded there. For step t the host
sends only `feed_at(t)`, the row numbers; the compiled step gathers and decodes them (`Data.decode`). What does not fit is
streamed (`stream.py`): then `feed_at(t)` are the stored samples of the same rows, read ahead of the step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.errors import InputError
from gan_jax.types import Batch, Sample, Shape

Show = Callable[[Sample], dict[str, bytes]]  # float samples [N, S] -> {".png": content} for a person to look at

Pack = Callable[[Sample], dict[str, np.ndarray]]  # float samples [N, S] -> the arrays of an .npz for other tools


@dataclass(frozen=True)
class Measure:
    """Compute the metrics of generated samples: `measure(samples, label) -> {metric: value}`."""

    function: Callable[[Sample, np.ndarray | None], dict[str, float]]  # (float samples [N, S], labels [N] or None) -> metrics
    description: str  # what the samples are compared with, as text
    facts: dict[str, Any]  # the same as {name: JSON value}

    def __call__(self, samples: Sample, label: np.ndarray | None = None) -> dict[str, float]:
        return self.function(samples, label)


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
