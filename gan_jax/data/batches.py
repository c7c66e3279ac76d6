"""From a `Source` to `Data`: shuffle the splits, set a validation split aside, and assign each step its batch."""

import hashlib
from collections.abc import Callable
from functools import lru_cache

import jax
import numpy as np

from gan_jax.data.dataset import Data, Source, Split, Stored
from gan_jax.errors import InputError


def make_data(
    name: str, source: Source, seed: int, batch_size: int, validation: float = 0.0, process_slice: tuple[int, int] = (0, 1)
) -> Data:
    """Return the source as `Data` called `name`; for the arguments see `load`."""
    streamed, validation_split = isinstance(source.train, Stored), None
    if validation and source.set_aside:
        source, validation_split = source.set_aside(validation)
    # A fixed random order: files are often sorted by class, so their first rows would show a single class.
    order, test_order = (np.random.RandomState(0).permutation(split.count) for split in (source.train, source.test))
    if validation and validation_split is None:
        order, validation_rows = split_validation(name, len(order), validation)
        validation_split = take_rows(source.train, validation_rows)
    train, test = take_rows(source.train, order), take_rows(source.test, test_order)
    # The checksum includes a decoded sample: the same bytes on another scale (0..16 for digits) are different data.
    first = jax.tree.map(np.asarray, source.to_float(train.take(slice(1)).samples))
    contents = [*_leaves(train), *_leaves(test), *jax.tree.leaves(first)]
    feed_at = batch_rows(seed, len(order), batch_size, process_slice)
    if streamed:
        from gan_jax.data.stream import read_ahead

        contents.append(np.frombuffer(bytes.fromhex(source.files_sha256), np.uint8))
        feed_at = read_ahead(source.train, order, feed_at)
    return Data(
        name=name,
        checksum=_checksum(*contents),
        sample_shape=jax.tree.map(lambda x: x.shape[1:], first),
        num_classes=source.num_classes,
        train=train,
        test=test,
        validation=validation_split,
        num_train=len(order),
        streamed=streamed,
        to_float=source.to_float,
        show=source.show,
        pack=source.pack,
        evaluator=source.evaluator,
        num_shown=source.num_shown,
        export=source.export,
        condition=source.condition,
        classes=source.classes,
        notes=source.notes,
        random_test=source.random_test,
        eval_labels=(test if source.eval_labels_held_out else train).labels,
        feed_at=feed_at,
        format=source.format,
    )


def split_validation(name: str, count: int, fraction: float) -> tuple[np.ndarray, np.ndarray]:
    """Split the row numbers of `count` training samples at random: those that remain, and a `fraction` for validation.

    Raises InputError if either is empty."""
    order = np.random.RandomState(0).permutation(count)
    size = round(fraction * count)
    if not 1 <= size < count:
        raise InputError(f"validation {fraction} of {count} training samples of {name} leaves one split empty")
    return order[size:], order[:size]


def take_rows(split: Split | Stored, rows: np.ndarray) -> Split:
    """Return the samples in these rows; of a split on disk, only as many as are kept in memory."""
    if isinstance(split, Stored):
        from gan_jax.data.stream import KEPT_ROWS, read_rows

        return read_rows(split, rows[:KEPT_ROWS])
    return split.take(rows)


def _leaves(split: Split) -> list[np.ndarray | None]:
    return [*jax.tree.leaves(split.samples), split.labels]


def _checksum(*arrays: np.ndarray | None) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(b"none" if array is None else f"{array.dtype.str} {array.shape} ".encode())
        digest.update(b"" if array is None else np.ascontiguousarray(array))
    return digest.hexdigest()


def batch_rows(seed: int, rows: int, batch_size: int, process_slice: tuple[int, int] = (0, 1)) -> Callable[[int], np.ndarray]:
    """Return `feed_at`: step -> the row numbers of its batch, int32.

    Batches are cut from an endless sequence of epochs, each a permutation of 0..rows-1 that depends on (seed, epoch) only. With
    `process_slice` (i, n), each is process i's part of the batch among n. Raises InputError if the batch is not divisible by n.

    `RandomState`, not `default_rng`: NEP 19 freezes its stream on every platform for ever, whereas a `Generator`'s may change
    with a NumPy release, and with it every bit of a run that is resumed after an upgrade.
    """

    index, processes = process_slice
    if not 0 <= index < processes:
        raise ValueError(f"process_slice must be (i, n) with 0 <= i < n, got {process_slice}")
    if batch_size % processes:
        raise InputError(f"batch {batch_size} does not divide among {processes} processes: use a multiple of {processes}")
    positions = np.arange(batch_size).reshape(processes, -1)[index]

    @lru_cache(maxsize=2)  # a batch that spans two epochs needs both
    def order(epoch: int) -> np.ndarray:
        return np.random.RandomState([seed, epoch]).permutation(rows).astype(np.int32)

    def feed_at(step: int) -> np.ndarray:
        epoch, row = np.divmod(int(step) * batch_size + positions, rows)
        return np.concatenate([order(e)[row[epoch == e]] for e in range(int(epoch[0]), int(epoch[-1]) + 1)])

    return feed_at
