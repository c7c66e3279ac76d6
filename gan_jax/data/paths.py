"""Find the user's data files."""

import os
from pathlib import Path

from gan_jax.errors import InputError


def locate(path: str, data_dir: str | None = None) -> Path:
    """Return the file or folder `path`, relative to the working directory or else to `data_dir` (default: $GAN_JAX_DATA).

    Raises InputError listing the places that were searched."""
    root = data_dir or os.environ.get("GAN_JAX_DATA")
    candidates = [Path(path).expanduser(), *([Path(root).expanduser() / path] if root else [])]
    for candidate in candidates:
        if path and candidate.exists():
            return candidate
    searched = " and ".join(dict.fromkeys(str(candidate.absolute()) for candidate in candidates))
    hint = "" if root else "; --data_dir or GAN_JAX_DATA sets another folder to search"
    raise InputError(f"no file or folder {path!r}: looked for {searched}{hint}")
