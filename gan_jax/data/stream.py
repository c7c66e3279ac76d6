"""Data larger than memory: threads read samples from disk shortly before a step needs them.

The rows in the batch of a step are the same pure function of (seed, step) as for data in memory. A run therefore gets the same
batches either way, and resumes without any iterator state: reading ahead only affects when rows are read.

There are two differences: evaluation uses the first `KEPT_ROWS` rows of each split, and the checksum covers the files.
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
from gan_jax.errors import InputError, RunError, needs
from gan_jax.storage.cache import cache_path, read_cache, write_cache

KEPT_ROWS = Protocol().max_samples  # rows of each split that are kept in memory, for evaluation
MEMORY_PARTS = 4  # data may fill one of these parts of memory: while it is shuffled, memory holds it two or three times
AHEAD_BYTES = 2**28  # at most this many bytes of batches are read ahead
THREADS = min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
_BLOCK = 100  # samples that a thread reads at a time in `read_rows`


def should_stream(size: int, stream: str = "auto") -> bool:
    """Return whether to stream data of `size` bytes, decoded: as `stream` says (always, never), or for auto if it exceeds a
    quarter of the machine's memory, or of the device's if the device reports its memory.

    Total memory counts, not free memory: a resumed run must load its data in the same way as before."""
    if stream != "auto":
        return stream == "always"
    import jax

    memory = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    try:
        memory.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))  # a container's limit
    except (OSError, ValueError):  # no such file, or "max"
        pass
    if size > 2**26:  # no device has less memory, and some take seconds to start
        memory.append((jax.local_devices()[0].memory_stats() or {}).get("bytes_limit", sys.maxsize))
    return size > min(memory) // MEMORY_PARTS


def read_rows(split: Stored, rows: np.ndarray) -> Split:
    """Return the samples in `rows` [n], read by several threads. Raises InputError naming a file that cannot be read."""
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


def read_ahead(split: Stored, order: np.ndarray, rows_at: Callable[[int], np.ndarray]) -> Callable[[int], Split]:
    """Return `feed_at`: step -> its batch of stored samples [B, ...]; row r of `rows_at(step)` is row `order[r]` of the split.

    Consecutive steps are read ahead by `THREADS` threads, as many as fit into `AHEAD_BYTES`; any other step is read on demand.
    For a single caller: calls from several threads would not be consecutive.

    Raises InputError if grain is not installed; `feed_at` raises RunError naming a damaged file.
    """
    with needs("streaming data needs grain", "gan_jax[stream]", "or --stream never to load it all"):
        import grain
    size = len(rows_at(0)) * int(np.prod(split.shape))
    ahead = int(np.clip(AHEAD_BYTES // size, 1, 64))
    batches = grain.MapDataset.range(sys.maxsize).map(lambda step: split.read(order[rows_at(step)]))
    options = grain.ReadOptions(num_threads=min(THREADS, ahead), prefetch_buffer_size=ahead)
    upcoming, next_step = iter(batches.to_iter_dataset(options)), 0

    def feed_at(step: int) -> Split:
        nonlocal next_step
        consecutive, next_step = step == next_step, -1  # after a failed read, no step is consecutive
        if consecutive:
            batch = next(upcoming)
        else:  # read this step alone: the ones after it may never be needed
            upcoming.set_state({"next_index": step + 1})
            batch = batches[step]
        next_step = step + 1
        return batch

    return feed_at


def cached_facts(
    root: Path, files: Sequence[Path], compute: Callable[[], dict[str, np.ndarray]], settings: str = ""
) -> dict[str, np.ndarray]:
    """Return `compute()`, which depends on the files and `settings`, and `sha256` of the files' names (below `root`, if they
    are there), sizes and contents. The result is cached until a name, size or modification time changes: a large data set is
    read through only once, not at every start."""
    try:
        stats = [file.stat() for file in files]
        stamps = [[str(file), stat.st_size, stat.st_mtime_ns] for file, stat in zip(files, stats, strict=True)]
        path = cache_path(f"stream-{hashlib.sha256(json.dumps([settings, stamps]).encode()).hexdigest()[:32]}.npz")
        facts = read_cache(path)
        if facts is None or "sha256" not in facts:
            facts = compute()
            with ThreadPoolExecutor(THREADS) as threads:
                contents = list(threads.map(_sha256, files))
            names = [str(file.relative_to(root)) if file.is_relative_to(root) else file.name for file in files]
            sizes = [stat.st_size for stat in stats]
            identity = json.dumps([list(entry) for entry in zip(names, sizes, contents, strict=True)])
            facts["sha256"] = np.array(hashlib.sha256(identity.encode()).hexdigest())
            write_cache(path, facts)
        return facts
    except OSError as error:
        raise InputError(f"{root} cannot be read: {error}") from error


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
