"""The user's cache: what took long to make and can be made again. Nothing depends on its being there, or on its being whole."""

import contextlib
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np


def cache_path(name: str) -> Path:
    """Where the file `name` is cached: in $GAN_JAX_CACHE, or ~/.cache/gan_jax."""
    return Path(os.environ.get("GAN_JAX_CACHE") or "~/.cache/gan_jax").expanduser() / name


def read_cache(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a cached .npz; None where there is none, or it is damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        return None


def write_cache(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes an .npz beside its place and moves it there, so that nobody reads a half, also where two processes write it at
    once. Without room, or the right to, there is no cache."""
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
    """The arrays `keys` of the cached file `name`, which `make` makes, in that order, where they are not there."""
    path = cache_path(name)
    known = read_cache(path)
    if known is None or not known.keys() >= set(keys):
        known = dict(zip(keys, make(), strict=True))
        write_cache(path, known)
    return [known[key] for key in keys]
