"""From a `Source` to `Data`: splits are shuffled, a validation split is set aside, and each step has its batch."""

import hashlib
from collections.abc import Callable
from functools import lru_cache

import jax
import numpy as np

from gan_jax.data.dataset import Data, Source, Split, Stored
from gan_jax.errors import InputError


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
