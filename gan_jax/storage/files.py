"""Files of a run directory: whole or not there, no way out of it, and with sums that tell whether they are as they were."""

import hashlib
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.errors import InputError

WRITTEN = (
    "config.json", "environment.json", "metrics.jsonl", "checkpoints", "checkpoints.sha256", "samples", "report.html", "lock",
    "averages", "evaluation.json",
)  # fmt: skip


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file that is, at every moment, either the old one or the new one. Where a link lies in its place, the file takes
    that place: what the link led to is left alone."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.unlink(missing_ok=True)  # what a kill left; or a link, which must not be written through
    with open(temporary, "xb") as file:
        file.write(content)
    os.replace(temporary, path)


def refuse_links(path: Path) -> None:
    """Raises InputError where a part of a run directory is a link: whoever made it would choose what this run overwrites."""
    for name in WRITTEN:
        if (path / name).is_symlink():
            raise InputError(
                f"{path / name} is a link to {os.readlink(path / name)}, and a run writes only inside its own directory: "
                "put in its place what it leads to, or choose another --run_dir"
            )


def sums(directory: Path, prefix: str) -> dict[str, str]:
    """sha256 of every file below `directory`, by `prefix` and its path there."""
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file():
            with open(path, "rb") as file:
                found[prefix + path.relative_to(directory).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def read_sums(path: Path) -> dict[str, str]:
    """The sums in a file as `sha256sum` writes it, so far as they can be read; {} where there is none."""
    text = path.read_text(errors="replace") if path.is_file() else ""
    return {name: hexadecimal for hexadecimal, gap, name in (line.partition("  ") for line in text.splitlines()) if gap}


def write_sums(path: Path, found: dict[str, str]) -> None:
    """Writes sums so that `sha256sum -c` reads them."""
    write_atomically(path, "".join(f"{hexadecimal}  {name}\n" for name, hexadecimal in found.items()).encode())


def digest(state: Any) -> str:
    """sha256 over every leaf's path, dtype, shape and bytes: two states with equal digests are equal bit for bit."""
    sha = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(state):
        leaf = np.asarray(leaf)
        sha.update(f"{jax.tree_util.keystr(path)} {leaf.dtype} {leaf.shape}".encode())
        sha.update(np.ascontiguousarray(leaf).tobytes())
    return sha.hexdigest()
