"""Load data by name: `load(name, seed, batch_size)` returns the real samples in batches. Each domain has its own reader.

A reader returns a `Source` and imports what it needs (scikit-learn, Pillow, matplotlib, tensorflow-datasets) when it is called,
so that importing `gan_jax` stays cheap.
"""

import importlib
from pathlib import Path

from gan_jax.data.batches import make_data
from gan_jax.data.dataset import Data, Source, Stored
from gan_jax.errors import InputError, reading, unknown
from gan_jax.spec.expressions import bind, parse_call

BUILTIN = ("digits", "ring", "grid", "spiral", "two_moons")
# Domains whose options say where the user's data is, and the module and function that read it.
DOMAINS = {
    "text": "text.corpus:text",
    "audio": "audio.clips:audio",
    "molecules": "molecules.smiles:molecules",
    "table": "tables.rows:table",
    "blank": "blank:blank",
}
NAMES = (*BUILTIN, *DOMAINS, "stacked:NAME", "mirrored:NAME", "tfds:NAME", "PATH.npz", "PATH/ or PATH.zip (images)", "folder")


def load(
    name: str,
    seed: int,
    batch_size: int,
    data_dir: str | None = None,
    validation: float = 0.0,
    stream: str = "auto",
    process_slice: tuple[int, int] = (0, 1),
) -> Data:
    """Return the real samples called `name`, in batches whose order depends on `seed`; a fraction `validation` of the train
    split is set aside.

    Names are those of `NAMES`, some with options: `ring(sigma=0.01)`, `text(path="corpus.txt")`. `images/layouts.py` describes
    how folders of images are understood; `data_dir` is searched for `tfds:NAME` and for the paths in options (`paths.py`). A
    batch may be larger than the data (some rows then occur more than once): every epoch is still covered exactly. `stream` is
    always, never or auto (`stream.should_stream`). With `process_slice` (i, n), each batch holds only the part of process i,
    rows i B / n to (i + 1) B / n.

    Raises `InputError` for an unknown name or option, a missing path, unreadable data, or an impossible seed or size.
    """
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed must be in 0..{2**32 - 1}, got {seed}")
    with reading(f"data {name[:100]!r}"):
        source = _read(name, data_dir, stream)
    if stream == "always" and not isinstance(source.train, Stored):
        raise InputError(f"data {name!r} cannot be streamed, only tfds:NAME and folders of images can: omit --stream always")
    return make_data(name, source, seed, batch_size, validation, process_slice)


def _read(name: str, data_dir: str | None, stream: str) -> Source:
    from gan_jax.data import tfds, toy
    from gan_jax.data.images import digits, folder, mirrored, pixels, stacked

    head = name.partition("(")[0].strip()  # options are parsed for known names only: a path may contain brackets
    if head in BUILTIN:
        builtin, options = getattr(digits if head == "digits" else toy, head), parse_call(name)[1]
        return bind("data", head, builtin, options)()
    if name.startswith("stacked:"):
        inner = name.removeprefix("stacked:")
        return stacked.stacked(inner, load(inner, seed=0, batch_size=1, data_dir=data_dir, stream="never"))
    if name.startswith("mirrored:"):
        inner = name.removeprefix("mirrored:")
        return mirrored.mirrored(inner, _read(inner, data_dir, stream))
    if name.startswith("tfds:"):
        return tfds.tfds(name.removeprefix("tfds:"), data_dir, stream)
    if name == "folder" and not Path(name).is_dir():
        raise InputError('data folder needs a path, as in folder(path="photos", side=128)')
    if head == "folder" and "(" in name:
        return bind("data", head, folder.folder, parse_call(name)[1])(data_dir, stream)
    if head in DOMAINS:
        module, function = DOMAINS[head].split(":")
        reader = getattr(importlib.import_module(f"gan_jax.data.{module}"), function)
        return bind("data", head, reader, parse_call(name)[1])(data_dir)
    path = Path(name).expanduser()
    if name and (path.is_dir() or (path.suffix.lower() == ".zip" and path.is_file())):  # Path("") is the working directory
        return folder.folder(data_dir, stream, path=str(path))
    if path.suffix == ".npz" and path.is_file():
        return pixels.npz(path)
    if name and path.exists():
        domains = ", ".join(f"{domain}(path=...)" for domain in DOMAINS if domain != "blank")
        raise InputError(f"data {name!r} is neither a folder, a .zip nor an .npz of images; for other files use {domains}")
    if path.suffix == ".npz" or "/" in name:
        raise InputError(f"data {name!r}: no such file or folder; known: {', '.join(NAMES)}")
    raise unknown("data", head, NAMES)
