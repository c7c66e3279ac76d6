"""Files of a run directory: written atomically, never through links, with checksums to verify them."""

import contextlib
import hashlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from gan_jax.errors import InputError

# What a run writes in its own directory.
RUN_FOLDERS = ("checkpoints", "samples", "averages", "code", "trial", "tensorboard", "wandb", "profile")
RUN_FILES = (
    "config.json", "description.npz", "environment.json", "metrics.jsonl", "checkpoints.sha256", "report.html", "lock",
    "evaluation.json", "wandb.json",
)  # fmt: skip
_TEMPORARY = ".tmp"


@contextlib.contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """A file to write that replaces `path` when the block ends: at every moment, either the old or the new version exists, also
    if the process is killed or the disk is full. If the block fails, nothing remains. Processes that write the same file wait
    for each other. A symbolic link at `path` is replaced by the file; its target is left alone."""
    temporary = path.with_name(f".{path.name[:60]}{_TEMPORARY}")
    with _locked(temporary):
        try:
            temporary.unlink(missing_ok=True)  # of a killed process, or a link, which must not be followed
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # otherwise a crash of the machine may leave an empty file under the new name
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file by `open_atomically`."""
    with open_atomically(path) as file:
        file.write(content)


def unused_path(path: Path) -> Path:
    """`path`, or if that exists, the first of `path`-2, `path`-3, ... that does not: for what must not be overwritten."""
    others = (path.with_name(f"{path.name}-{i}") for i in itertools.count(2))
    return next(candidate for candidate in itertools.chain([path], others) if not candidate.exists())


def remove_leftovers(directory: Path) -> None:
    """Remove the temporary files of killed processes from a directory; those that are being written stay."""
    for path in directory.glob(f".*{_TEMPORARY}"):
        with contextlib.suppress(OSError), _locked(path, timeout=0):  # Timeout is an OSError
            path.unlink()


@contextlib.contextmanager
def _locked(temporary: Path, timeout: float = -1) -> Iterator[None]:
    """Hold the lock of a temporary file, which is a file beside it. Raises filelock.Timeout, an OSError, if another process
    still holds it after `timeout` seconds; -1 waits for it."""
    from filelock import FileLock  # here, because commands import this module early, and it takes a tenth of a second

    path = temporary.with_suffix(".lock")
    if path.is_symlink():
        path.unlink(missing_ok=True)
    with FileLock(path, timeout=timeout):
        try:
            yield
        finally:
            # Those who wait for it notice that the file is gone, and lock a new one. Windows does not remove a file in use.
            with contextlib.suppress(OSError):
                path.unlink()


def check_entries(path: Path) -> None:
    """Raise InputError if an entry of the run directory `path` is a symbolic link, which could redirect writes elsewhere, or a
    folder in place of a file, or the reverse, at which a training could fail as late as at its end."""
    for name in (*RUN_FOLDERS, *RUN_FILES):
        if (path / name).is_symlink():
            raise InputError(
                f"{path / name} is a link to {os.readlink(path / name)}, and a run writes only inside its own directory: "
                "replace the link by its target, or choose another --run_dir"
            )
        if (path / name).exists() and not ((path / name).is_dir() if name in RUN_FOLDERS else (path / name).is_file()):
            kind = "folder" if name in RUN_FOLDERS else "file"
            raise InputError(f"{path / name} is not a {kind}: move it away, or choose another --run_dir")


def check_name(path: Path) -> None:
    """Raise InputError for a path below which Orbax cannot write, before a directory is created."""
    real = os.path.realpath(path)
    if "\\" in real:
        raise InputError(f"--run_dir {path}: checkpoints cannot be saved below a name with a backslash; choose another")
    try:
        real.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            f"--run_dir {str(path)!a} is not valid UTF-8 in this locale, as checkpoints need; choose another"
        ) from error


def checksums(directory: Path, prefix: str) -> dict[str, str]:
    """Return the sha256 of every file below `directory`, keyed by `prefix` + its path relative to `directory`."""
    sha256 = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            with open(path, "rb") as file:
                sha256[prefix + path.relative_to(directory).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return sha256


def read_checksums(path: Path) -> dict[str, str]:
    """Read checksums by file name from a file in the format of `sha256sum`, skipping malformed lines; {} if it is missing."""
    text = path.read_text(errors="replace") if path.is_file() else ""
    return {name: hexadecimal for hexadecimal, gap, name in (line.partition("  ") for line in text.splitlines()) if gap}


def write_checksums(path: Path, sha256: dict[str, str]) -> None:
    """Write checksums by file name in the format of `sha256sum -c`."""
    write_atomically(path, "".join(f"{hexadecimal}  {name}\n" for name, hexadecimal in sha256.items()).encode())


def digest(state: Any) -> str:
    """sha256 over path, dtype, shape and bytes of every leaf: states with equal digests are equal bit for bit."""
    # Here, because commands import this module early, and --help must not load them.
    import jax
    import numpy as np

    sha = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        leaf = np.asarray(leaf)
        sha.update(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}".encode())
        sha.update(np.ascontiguousarray(leaf).tobytes())
    return sha.hexdigest()
