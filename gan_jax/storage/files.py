"""Files of a run directory: written atomically, never through links, with checksums to verify them."""

import hashlib
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.errors import InputError

# Files and directories that a run writes in its own directory.
RUN_ENTRIES = (
    "config.json", "environment.json", "metrics.jsonl", "checkpoints", "checkpoints.sha256", "samples", "report.html", "lock",
    "averages", "evaluation.json",
)  # fmt: skip


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file such that, at every moment, either the old or the new version exists. A symbolic link at `path` is replaced
    by the file; its target is left alone."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)  # left by a killed process, or a link, which must not be written through
    with open(temporary, "xb") as file:
        file.write(content)
    os.replace(temporary, path)


def refuse_links(path: Path) -> None:
    """Raise InputError if an entry of the run directory `path` is a symbolic link, which could redirect writes elsewhere."""
    for name in RUN_ENTRIES:
        if (path / name).is_symlink():
            raise InputError(
                f"{path / name} is a link to {os.readlink(path / name)}, and a run writes only inside its own directory: "
                "replace the link by its target, or choose another --run_dir"
            )


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
    sha = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        leaf = np.asarray(leaf)
        sha.update(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}".encode())
        sha.update(np.ascontiguousarray(leaf).tobytes())
    return sha.hexdigest()
