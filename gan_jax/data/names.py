"""Short names of data, for run directories and titles."""

import re
from pathlib import Path

from gan_jax.errors import InputError
from gan_jax.spec.expressions import parse_call

_FILES = {".npz", ".zip", ".csv", ".tsv", ".txt", ".smi", ".json", ".jsonl", ".parquet", ".gz", ".tar"}


def short_name(data: str) -> str:
    """What a run on `data` is called, of letters, digits, ".", "_" and "-", at most 60: `../photos` and `photos.zip` are
    photos, `table(path="sales/2024.csv")` is 2024, `ring(sigma=0.1)` is ring, `tfds:imagenet_resized/64x64` is
    imagenet_resized-64x64 and `mirrored:../photos` is mirrored-photos."""
    words = []
    while data.startswith(("stacked:", "mirrored:")):
        word, _, data = data.partition(":")
        words.append(word)
    words.append(_name(data))
    name = re.sub(r"[^\w.-]+", "_", "-".join(words)).strip("._-")
    return name[:60] or "data"


def _name(data: str) -> str:
    if data.startswith("tfds:"):
        return data.removeprefix("tfds:").split(":")[0].replace("/", "-")
    try:
        head, options = parse_call(data)
    except InputError:  # a path with brackets
        head, options = data, {}
    path = options.get("path", None if options or _is_name(head) else data)
    if not isinstance(path, str) or not path:
        return head
    try:
        path = Path(path).expanduser()
        path = path if path.name not in ("", "..") else path.resolve()
    except (OSError, ValueError, RuntimeError):  # reported when the data are read
        return path.rpartition("/")[2] if isinstance(path, str) else path.name
    while path.suffix.lower() in _FILES:
        path = path.with_suffix("")
    return path.name


def _is_name(text: str) -> bool:
    return re.fullmatch(r"\w+", text) is not None and not Path(text).is_dir()
