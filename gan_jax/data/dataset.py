"""What a data set is: `Split` (samples and labels), `Source` (what a reader returns) and `Data` (a source in batches).

Data that fits in memory is kept on the device as stored (uint8 images, float32 points) and decoded there. For step t the host
sends only `feed_at(t)`, the row numbers; the compiled step gathers and decodes these rows (`Data.decode`). Data that does not
fit is streamed (`stream.py`): `feed_at(t)` then returns the stored samples of the same rows, read ahead of the step.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.types import Batch, Sample, Shape

# float samples [N, S] -> {suffix: file content} for people to look at, such as {".png": ...}
Show = Callable[[Sample], dict[str, bytes]]

# float samples [N, S] -> {suffix: content} of files in the usual format of such data, such as {".csv": ...}; names that begin
# with / are files in a folder, one for each sample
Export = Callable[[Sample], dict[str, bytes]]


class Condition(NamedTuple):
    """What generated samples must satisfy."""

    label: np.ndarray | None  # the label of one sample for G that makes it likely; None if labels do not matter
    accept: Callable[[Sample], np.ndarray]  # float samples [N, S] -> whether each satisfies the condition, bool [N]
    by_label: bool  # whether the label requests all of it


Pack = Callable[[Sample], dict[str, np.ndarray]]  # float samples [N, S] -> the arrays of an .npz for other tools


class Presentation(NamedTuple):
    """What can be done with generated samples without any real ones."""

    show: Show
    pack: Pack
    # float samples [N, S] -> N of what a user of the domain works with: images uint8 [N, H, W, C], points [N, D], waves [N, T],
    # a list of texts or of SMILES ("" for an invalid molecule), or the columns of a table by name
    decode: Callable[[Sample], Any]
    export: Export | None = None
    condition: Callable[[str], Condition] | None = None


class Format(NamedTuple):
    """A `Presentation` in a form that is stored with a run, so that its generator is sampled without the data."""

    kind: str  # one of `description.PRESENTATIONS`, the function that makes the Presentation
    facts: dict[str, Any]  # its arguments: arrays and JSON values


@dataclass(frozen=True)
class Measure:
    """The metrics of generated samples: `measure(samples, label) -> {metric: value}`."""

    function: Callable[[Sample, np.ndarray | None], dict[str, float]]  # (float samples [N, S], labels [N] or None) -> metrics
    description: str  # in words: how samples are measured, and against which real ones
    facts: dict[str, Any]  # the settings and sizes behind the values, as {name: JSON value}
    # Measure the samples in a file or folder that any program wrote. They are read by the schema of the real data (vocabulary,
    # elements, columns), and what does not fit it counts as invalid. Optional: without it, `load` reads the file by itself.
    measure_file: Callable[[Path], "FileMetrics"] | None = None

    def __call__(self, samples: Sample, label: np.ndarray | None = None) -> dict[str, float]:
        return self.function(samples, label)


class FileMetrics(NamedTuple):
    """The metrics of the samples in a file."""

    count: int  # samples in the file, valid or not
    metrics: dict[str, float]
    notes: tuple[str, ...] = ()  # what could not be read and why, in sentences for the user


# Slow preparation (training a classifier, features of real samples) happens once, here.
Evaluator = Callable[["Data", "Protocol"], Measure]


@dataclass(frozen=True)
class Protocol:
    """How to measure samples: the choices that do not follow from the kind of data."""

    extractor: str | None = None  # of images/extractors.py, or path/file.py:function; None for the data's default
    metrics: tuple[str, ...] = ()  # of images/suite.py; () for the quick ones, ("all",) for all that apply
    max_samples: int = 10_000  # at most this many images each: generated, training and held out
    # Whether to compare with all real samples, in one set: for two sets of samples, neither of which anything was trained on.
    whole: bool = False
    errors: bool = False  # add a standard error to each value, at ten times the cost
    # Compare only with the mean and covariance in this file (storage/statistics.py).
    statistics: Path | None = None


class Split(NamedTuple):
    """Samples as stored, arrays [N, ...] of compact types or a pytree of such arrays, and their labels (None if unlabelled):
    classes [N] int32, multi-hot vectors [N, K] int32, or vectors of real numbers [N, K] float32."""

    samples: Sample
    labels: np.ndarray | None

    @property
    def count(self) -> int:
        """N"""
        return len(jax.tree.leaves(self.samples)[0])

    def take(self, rows: Any) -> "Split":
        """Return the samples at row numbers (an array of any shape) or of a slice."""
        return Split(*jax.tree.map(lambda x: x[rows], tuple(self)))


class Stored(NamedTuple):
    """A split that stays on disk."""

    count: int  # number of samples
    shape: tuple[int, ...]  # of a single sample
    # row numbers [n] -> their samples, in that order. Called by several threads at once; raises RunError naming a damaged file.
    read: Callable[[np.ndarray], Split]
    labels: np.ndarray | None = None  # of all samples, if they are known before these are read

    def take(self, rows: np.ndarray) -> "Stored":
        """Return the samples at row numbers [n], still on disk."""
        labels = None if self.labels is None else self.labels[rows]
        return Stored(len(rows), self.shape, lambda chosen: self.read(rows[chosen]), labels)


@dataclass(frozen=True)
class Source:
    """What a domain's reader returns: the real samples, and how to show, export and measure samples like them."""

    train: Split | Stored
    test: Split | Stored  # held out: no training step uses it
    num_classes: int  # classes, or the length K of vector labels; 0 if unlabelled
    to_float: Callable[[Any], Sample]  # stored samples [..., S'] -> float32 [..., S]; runs on NumPy and inside jit
    show: Show
    pack: Pack
    evaluator: Evaluator
    num_shown: int = 100  # samples in a picture
    export: Export | None = None  # optional: None if an .npz is the usual format
    # text of the user, such as "tier=pro, income>50000" -> what it requires. Optional: without it, labels are chosen directly.
    condition: Callable[[str], Condition] | None = None
    classes: tuple[str, ...] = ()  # class names; () if unknown
    notes: tuple[str, ...] = ()  # how the files were understood and what was dropped, in sentences for the user
    files_sha256: str = ""  # of the files that hold `Stored` splits
    random_test: bool = False  # the test split was drawn from the training samples, because there was none
    # For sources in which several training samples come from one record: a fraction of the records -> (the source without
    # them, the samples of these records). Optional: without it, rows are set aside.
    set_aside: Callable[[float], tuple["Source", Split]] | None = None
    # Whether G is evaluated with the labels of held-out samples: for labels that all but determine the sample, such as
    # spectrograms.
    eval_labels_held_out: bool = False
    format: Format | None = None  # of generated samples. Optional: without it, they cannot be decoded without the data.


@dataclass(frozen=True)
class Data:
    """A source in batches: `batch_at(t)` is pure in (seed, t) and covers each epoch exactly."""

    name: str
    # sha256 of everything that was read, or for streamed data of the files and of the samples kept in memory. Part of cache
    # keys, and recorded in the run.
    checksum: str
    sample_shape: Shape
    num_classes: int
    # All splits are shuffled in a fixed order, so the first n rows are a fair sample. For streamed data these splits hold only
    # the first `stream.KEPT_ROWS` rows of each, for evaluation.
    train: Split
    test: Split
    validation: Split | None  # set aside from the training split, for choosing hyperparameters; optional
    num_train: int  # training samples, whether or not `train` holds them all
    streamed: bool
    to_float: Callable[[Any], Sample]
    show: Show
    pack: Pack
    evaluator: Evaluator
    num_shown: int
    export: Export | None
    condition: Callable[[str], Condition] | None
    classes: tuple[str, ...]  # class names; () if unknown
    notes: tuple[str, ...]  # how the files were understood and what was dropped, in sentences for the user
    random_test: bool  # the test split was drawn from the training samples, because there was none
    eval_labels: np.ndarray | None  # labels to condition G on when it is evaluated, reused in order if more are needed
    feed_at: Callable[[int], np.ndarray | Split]  # step -> row numbers [B] int32 on the host, or samples if streamed
    format: Format | None  # of generated samples; None if they cannot be decoded without the data

    @property
    def label(self) -> jax.ShapeDtypeStruct | None:
        """The shape and type of the label of one sample; None for unlabelled data."""
        return None if self.train.labels is None else jax.ShapeDtypeStruct(self.train.labels.shape[1:], self.train.labels.dtype)

    @property
    def store(self) -> Split | None:
        """What `decode` needs on the device."""
        return None if self.streamed else self.train

    def decode(self, store: Split | None, feed: Any) -> Batch:
        """Return the batch of a feed (row numbers [...] of `store`, or the samples themselves) as floats. Traced."""
        if not isinstance(feed, Split):
            feed = store.take(feed)
        return Batch(self.to_float(feed.samples), feed.labels)

    def batch_at(self, step: int) -> Batch:
        """Return the batch of one step, [B, ...], as the compiled step computes it."""
        return self.decode(self.store, self.feed_at(step))
