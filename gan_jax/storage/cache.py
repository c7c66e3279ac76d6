"""The user's cache, for results that are slow to compute and can be recomputed. A missing or damaged file is never an error."""

import contextlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np


def cache_path(name: str) -> Path:
    """Return the path of the cached file `name`: in $GAN_JAX_CACHE, or ~/.cache/gan_jax."""
    return Path(os.environ.get("GAN_JAX_CACHE") or "~/.cache/gan_jax").expanduser() / name


def read_cache(path: Path) -> dict[str, np.ndarray] | None:
    """Return the arrays of a cached .npz, or None if it is missing or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        return None


def write_cache(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz to a temporary file in the same directory and rename it, so that no process reads a partial file, even if
    two write it at once. If the disk is full or the directory not writable, nothing is cached."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.stem, suffix=".part", delete=False) as file:
            try:
                np.savez(file, **arrays)
                file.close()
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise


def cached(name: str, keys: Sequence[str], make: Callable[[], Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Return the arrays `keys` of the cached file `name`. If any is missing, `make` computes all, in the order of `keys`."""
    path = cache_path(name)
    arrays = read_cache(path)
    if arrays is None or not arrays.keys() >= set(keys):
        arrays = dict(zip(keys, make(), strict=True))
        write_cache(path, arrays)
    return [arrays[key] for key in keys]
