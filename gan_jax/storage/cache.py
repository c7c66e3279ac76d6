"""The user's cache, for results that are slow to compute and can be recomputed. A missing or damaged file, and a directory that
cannot be written or does not exist, are never errors."""

import contextlib
import os
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gan_jax.errors import InputError
from gan_jax.storage.files import open_atomically, remove_leftovers


def cache_path(name: str) -> Path:
    """Return the path of the cached file `name`: in $GAN_JAX_CACHE, or ~/.cache/gan_jax. For a user without a home directory,
    it is a path at which no file can be written, so that nothing is cached.

    Raises InputError for a $GAN_JAX_CACHE that starts with the home directory of a user who has none."""
    chosen = os.environ.get("GAN_JAX_CACHE")
    try:
        return Path(chosen or "~/.cache/gan_jax").expanduser() / name
    except RuntimeError as error:
        if chosen:
            raise InputError(f"GAN_JAX_CACHE={chosen}: {error}; set it to another directory") from error
        return Path(os.devnull) / "set-GAN_JAX_CACHE" / name


def read_cache(path: Path) -> dict[str, np.ndarray] | None:
    """Return the arrays of a cached .npz, or None if it is missing or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        return None


def write_cache(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz such that no process reads a partial file, even if two write it at once. If the disk is full or the
    directory not writable, nothing is cached."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(path.parent)
        with open_atomically(path) as file:
            np.savez(file, **arrays)


def cached(name: str, keys: Sequence[str], make: Callable[[], Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Return the arrays `keys` of the cached file `name`. If any is missing, `make` computes all, in the order of `keys`."""
    path = cache_path(name)
    arrays = read_cache(path)
    if arrays is None or not arrays.keys() >= set(keys):
        arrays = dict(zip(keys, make(), strict=True))
        write_cache(path, arrays)
    return [arrays[key] for key in keys]
