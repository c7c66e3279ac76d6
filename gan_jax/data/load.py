"""Data: a name and a seed in, real samples out. `load` is the door; one domain per file behind it.

What fits in memory lives on the device as it was stored (uint8 images, float32 points) and is decoded there. For step t
the host sends only `feed_at(t)`, the row numbers; the compiled step gathers and decodes them (`decode`). What does not fit is
streamed (`stream.py`): then `feed_at(t)` are the stored samples of the same rows, read ahead of the step.

A reader lives in its domain's file and returns a `Source`; it imports what it needs (scikit-learn, Pillow, matplotlib,
tensorflow-datasets) when it is called, so that importing `gan_jax` stays cheap.
"""

import importlib
from pathlib import Path

from gan_jax.data.batches import deal
from gan_jax.data.dataset import Data, Source, Stored
from gan_jax.errors import InputError, unknown
from gan_jax.spec.expressions import bind, parse_call

BUILTIN = ("digits", "ring", "grid", "spiral", "two_moons")
# Names with options that say where the user's data is: the module and function that read it.
DOMAINS = {
    "text": "text.corpus:text",
    "audio": "audio.clips:audio",
    "molecules": "molecules.smiles:molecules",
    "table": "tables.rows:table",
    "blank": "blank:blank",
}
NAMES = (*BUILTIN, *DOMAINS, "stacked:NAME", "mirrored:NAME", "tfds:NAME", "PATH.npz", "PATH/ (a folder of images)", "folder")


def load(
    name: str,
    seed: int,
    batch_size: int,
    data_dir: str | None = None,
    validation: float = 0.0,
    stream: str = "auto",
    share: tuple[int, int] = (0, 1),
) -> Data:
    """The real samples that `name` stands for, dealt out in batches in an order that `seed` decides; the share `validation` of
    the train split is set aside.

    Names are those of `NAMES`, some with options: `ring(sigma=0.01)`, `text(path="corpus.txt")`. Class sub-folders of a
    folder of images become labels; `data_dir` is where `tfds:NAME` and the paths of options are looked for (`paths.py`). A
    batch may hold more rows than there are (then some come twice or more): every epoch is covered exactly all the same.
    `stream` is always, never or auto (`stream.too_large`). Of a `share` (i, n), the feeds are process i's of n: rows i B / n to
    (i + 1) B / n of each batch.

    Raises `InputError` for an unknown name or option, a path that is not there, unreadable data, an impossible seed or size.
    """
    if batch_size < 1:
        raise InputError(f"batch_size must be at least 1, got {batch_size}")
    if not 0 <= seed < 2**32:
        raise InputError(f"seed must be in 0..{2**32 - 1}, got {seed}")
    source = _read(name, data_dir, stream)
    if stream == "always" and not isinstance(source.train, Stored):
        raise InputError(f"data {name!r} cannot be streamed: tfds:NAME and folders of images can; leave off --stream always")
    return deal(name, source, seed, batch_size, validation, share)


def _read(name: str, data_dir: str | None, stream: str) -> Source:
    from gan_jax.data import tfds, toy
    from gan_jax.data.images import digits, folder, mirrored, pixels, stacked

    head = name.partition("(")[0].strip()  # only of these may options follow: a path may have brackets of its own
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
        raise InputError('data folder: say which, as in folder(path="photos", side=128)')
    if head == "folder" and "(" in name:
        return bind("data", head, folder.squares, parse_call(name)[1])(data_dir, stream)
    if head in DOMAINS:
        module, function = DOMAINS[head].split(":")
        reader = getattr(importlib.import_module(f"gan_jax.data.{module}"), function)
        return bind("data", head, reader, parse_call(name)[1])(data_dir)
    path = Path(name).expanduser()
    if name and path.is_dir():  # "" is the working directory to pathlib
        return folder.folder(path, stream)
    if path.suffix == ".npz" and path.is_file():
        return pixels.npz(path)
    if name and path.exists():
        raise InputError(f"data {name!r} is neither a folder nor an .npz file; known: {', '.join(NAMES)}")
    if path.suffix == ".npz" or "/" in name:
        raise InputError(f"data {name!r}: no such file or folder; known: {', '.join(NAMES)}")
    raise unknown("data", head, NAMES)
