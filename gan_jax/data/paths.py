"""Where a user's files of data are looked for."""

import os
from pathlib import Path

from gan_jax.errors import InputError


def locate(path: str, data_dir: str | None = None) -> Path:
    """The file or folder `path`: from the working directory, else below `data_dir`, which is $GAN_JAX_DATA where not given.

    Raises InputError, with the places where it was looked for."""
    root = data_dir or os.environ.get("GAN_JAX_DATA")
    places = [Path(path).expanduser(), *([Path(root).expanduser() / path] if root else [])]
    for place in places:
        if path and place.exists():
            return place
    looked = " and ".join(dict.fromkeys(str(place.absolute()) for place in places))
    hint = "" if root else "; --data_dir or GAN_JAX_DATA names a folder to look in too"
    raise InputError(f"no file or folder {path!r}: looked for {looked}{hint}")
