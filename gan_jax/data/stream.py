"""Data larger than memory: samples are read from disk when a step is about to need them, by threads ahead of it.

Which rows make the batch of a step is the same pure function of (seed, step) as of data in memory, so a run sees the same
batches either way, and resumes without any state of an iterator. Reading ahead only decides when they are read.

What is different: evaluation sees the first `KEPT` rows of each split, and the checksum is of the files.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from gan_jax.data.dataset import Protocol, Split, Stored
from gan_jax.errors import InputError, RunError
from gan_jax.storage.cache import cache_path, read_cache, write_cache

KEPT = Protocol().cap  # rows of each split that stay in memory: what evaluation looks at
QUARTER = 4  # in memory, data are held two or three times over while they are shuffled
AHEAD = 2**28  # bytes of batches that wait to be needed, at most
THREADS = min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
_BLOCK = 100  # samples that a thread reads at a time where they are read for good


def too_large(size: int, stream: str = "auto") -> bool:
    """Whether data of so many bytes, decoded, are streamed: as the user says (always, never), or where they are more than a
    quarter of the machine's memory, or of the device's where it tells.

    All memory, not what is free now: a run that is resumed must find its data as it left them."""
    if stream != "auto":
        return stream == "always"
    import jax

    memory = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    try:
        memory.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))  # a container's
    except (OSError, ValueError):  # none, or "max"
        pass
    if size > 2**26:  # no device is so small, and some take seconds to start
        memory.append((jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", sys.maxsize))
    return size > min(memory) // QUARTER


def gather(split: Stored, rows: np.ndarray) -> Split:
    """The samples of `rows` [n], read by threads. Raises InputError naming a file that cannot be read."""
    blocks = np.split(rows, range(_BLOCK, len(rows), _BLOCK))
    samples = np.empty((len(rows), *split.shape), np.uint8)
    labels = []
    with ThreadPoolExecutor(THREADS) as threads:
        try:
            for i, block in enumerate(threads.map(split.read, blocks)):
                samples[i * _BLOCK : (i + 1) * _BLOCK] = block.samples
                labels.append(block.labels)
        except RunError as error:
            threads.shutdown(cancel_futures=True)
            raise InputError(str(error)) from error
    return Split(samples, None if labels[0] is None else np.concatenate(labels))


def feeds(split: Stored, order: np.ndarray, rows_at: Callable[[int], np.ndarray]) -> Callable[[int], Split]:
    """`feed_at`: step -> its batch, stored samples [B, ...], row r of a feed being row `order[r]` of the split.

    Steps that are asked for in turn are read ahead by `THREADS` threads, as many as `AHEAD` bytes hold; one out of turn is read
    when it is asked for. It is for one caller: the order of calls from several threads would not be a turn.

    Raises InputError where grain is missing; `feed_at` raises RunError naming a file that is damaged.
    """
    try:
        import grain
    except ImportError as error:
        raise InputError(
            f"data that are streamed need grain: pip install 'gan_jax[stream]', or --stream never to hold them ({error})"
        ) from error
    size = len(rows_at(0)) * int(np.prod(split.shape))
    ahead = int(np.clip(AHEAD // size, 1, 64))
    batches = grain.MapDataset.range(sys.maxsize).map(lambda step: split.read(order[rows_at(step)]))
    options = grain.ReadOptions(num_threads=min(THREADS, ahead), prefetch_buffer_size=ahead)
    upcoming, due = iter(batches.to_iter_dataset(options)), 0

    def feed_at(step: int) -> Split:
        nonlocal due
        in_turn, due = step == due, -1  # where reading fails, nothing is in turn
        if in_turn:
            batch = next(upcoming)
        else:  # nothing is read ahead of what may never be asked for
            upcoming.set_state({"next_index": step + 1})
            batch = batches[step]
        due = step + 1
        return batch

    return feed_at


def remembered(
    root: Path, files: Sequence[Path], look: Callable[[], dict[str, np.ndarray]], asked: str = ""
) -> dict[str, np.ndarray]:
    """What `look()` finds, which is `asked` for, and `sha256` of the files' names below `root`, sizes and contents. All is
    cached for as long as names, sizes and times of change stay the same: a large set is read through once, not at every
    start."""
    try:
        stats = [file.stat() for file in files]
        stamps = [[str(file), stat.st_size, stat.st_mtime_ns] for file, stat in zip(files, stats, strict=True)]
        path = cache_path(f"stream-{hashlib.sha256(json.dumps([asked, stamps]).encode()).hexdigest()[:32]}.npz")
        facts = read_cache(path)
        if facts is None or "sha256" not in facts:
            facts = look()
            with ThreadPoolExecutor(THREADS) as threads:
                contents = list(threads.map(_sha256, files))
            names = [str(file.relative_to(root)) for file in files]
            told = json.dumps([[*of] for of in zip(names, [stat.st_size for stat in stats], contents, strict=True)])
            facts["sha256"] = np.array(hashlib.sha256(told.encode()).hexdigest())
            write_cache(path, facts)
        return facts
    except OSError as error:
        raise InputError(f"{root} cannot be read: {error}") from error


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
