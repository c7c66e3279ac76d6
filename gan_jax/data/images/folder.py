"""A folder of image files, of one size or cut to one: read into memory, or a file at a time where that would not hold them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gan_jax.data.dataset import Source, Split, Stored
from gan_jax.data.images import pixels
from gan_jax.data.paths import locate
from gan_jax.data.stream import remembered, too_large
from gan_jax.errors import InputError, RunError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")


def squares(data_dir: str | None, stream: str, *, path: str = "", side: int = 128) -> Source:
    """`folder` of images of any sizes: the largest square in the middle of each, resampled to `side` x `side` pixels by
    Lanczos's filter. Raises InputError for a side below 1, a path that is no folder, and as `folder` does."""
    if type(side) is not int or side < 1:
        raise InputError(f"data folder: side must be a whole number of at least 1, got {side!r}")
    found = locate(path, data_dir)
    if not found.is_dir():
        raise InputError(f"data folder: {found} is no folder")
    return folder(found, stream, side)


def folder(path: Path, stream: str = "auto", side: int | None = None) -> Source:
    """Images from the files under a folder, all of one size, or of any where a `side` is given (`squares`). Sub-folders are
    classes, numbered by sorted name; `train/` and `test/`, where both are there, are the splits. Hidden files and other kinds
    of file are passed over.

    Grey files stay one channel where all are grey; otherwise all become RGB, the first frame of an animation, without
    alpha. Whether they are streamed, `auto` decides by the size and kind of the first file. Raises `InputError` naming the
    first file that is unreadable or of another size; of files that are streamed, only headers are looked at here.
    """
    parts = [path / "train", path / "test"]
    if not all(part.is_dir() for part in parts):
        parts = [path]
    found = [_by_class(part) for part in parts]
    classes = sorted({name for split in found for name in split})
    if "" in classes and len(classes) > 1:
        raise InputError(f"{path}: images both beside and inside class folders ({', '.join(classes[1:4])}): labels unclear")
    labels, classes = [None] * len(parts), classes if len(classes) > 1 else []  # a single class says nothing
    if classes:
        labels = [np.repeat([classes.index(c) for c in split], [len(v) for v in split.values()]) for split in found]
        labels = [split.astype(np.int32) for split in labels]
    listed = [[file for name in split.values() for file in name] for split in found]
    files = [file for split in listed for file in split]
    name = str(path) if side is None else f"{path}, {side} x {side}"
    if too_large(len(files) * int(np.prod(_shape(files[:1], side))), stream):
        facts = remembered(path, files, lambda: {"shape": np.array(_shape(files, side))}, f"side {side}")
        shape = tuple(map(int, facts["shape"]))
        splits = [_stored(*split, shape, side is not None) for split in zip(listed, labels, strict=True)]
        found = pixels.streamed(name, splits[0], splits[1] if len(splits) > 1 else None, len(classes), str(facts["sha256"]))
        return replace(found, classes=tuple(classes))
    cut = np.split(_decode(files, side), [len(listed[0])])
    splits = [Split(*split) for split in zip(cut[: len(parts)], labels, strict=True)]
    return replace(pixels.source(name, splits[0], splits[1] if len(splits) > 1 else None), classes=tuple(classes))


def _by_class(path: Path) -> dict[str, list[Path]]:
    """Class name ("" beside the class folders) -> its image files, both sorted."""
    files: dict[str, list[Path]] = {}
    for file in sorted(path.rglob("*")):
        parts = file.relative_to(path).parts
        if file.suffix.lower() in SUFFIXES and not any(part.startswith((".", "__")) for part in parts) and file.is_file():
            files.setdefault(parts[0] if len(parts) > 1 else "", []).append(file)
    if not files:
        raise InputError(f"{path}: no images here ({', '.join(SUFFIXES)})")
    return files


def _stored(files: list[Path], labels: np.ndarray | None, shape: tuple[int, int, int], cut: bool) -> Stored:
    def read(rows: np.ndarray) -> Split:
        samples = np.empty((len(rows), *shape), np.uint8)
        for sample, row in zip(samples, rows, strict=True):
            try:
                sample[:] = _pixels(files[row], shape, cut)
            except (InputError, ValueError) as error:  # a ValueError: of another size than it was
                raise RunError(str(error) if isinstance(error, InputError) else f"{files[row]} has changed: {error}") from error
        return Split(samples, None if labels is None else labels[rows])

    return Stored(len(files), shape, read)


def _decode(files: list[Path], side: int | None) -> np.ndarray:
    """uint8 [N, H, W, 1 or 3]. Sizes and kinds are read from all headers first: the answer is allocated once."""
    shape = _shape(files, side)
    pixels = np.empty((len(files), *shape), np.uint8)
    for image, file in zip(pixels, files, strict=True):
        image[:] = _pixels(file, shape, side is not None)
    return pixels


def _shape(files: Sequence[Path], side: int | None) -> tuple[int, int, int]:
    """(H, W, 1 or 3) of all images, by their headers, or (side, side, 1 or 3). Raises InputError naming the first that does not
    go with the others."""
    first, grey = None, True
    for file in files:
        size, mode = _open(file, lambda image: (image.size, image.mode))
        first = first or size
        if side is None and size != first:
            pair = f"{size[0]}x{size[1]} pixels, {files[0]} is {first[0]}x{first[1]}"
            raise InputError(
                f"{file} is {pair}: all images must be of one size, or cut to one: --data 'folder(path=\"...\", side=64)'"
            )
        if mode.startswith(("I", "F")):
            raise InputError(f"{file}: more than 8 bits per channel (Pillow mode {mode}): convert it to 8 bits")
        grey = grey and mode in ("1", "L", "LA")
    width, height = first if side is None else (side, side)
    return height, width, 1 if grey else 3


def _pixels(file: Path, shape: tuple[int, int, int], cut: bool) -> np.ndarray:
    """uint8 [H, W, C], of the one image, which is `cut` to that size or has it."""
    from PIL import Image, ImageOps

    def look(image):
        image = image.convert("L" if shape[2] == 1 else "RGB")
        return np.asarray(ImageOps.fit(image, (shape[1], shape[0]), Image.Resampling.LANCZOS) if cut else image)

    pixels = _open(file, look)
    return pixels.reshape(*pixels.shape[:2], shape[2])


def _open(file: Path, look):
    from PIL import Image

    try:
        with Image.open(file) as image:
            return look(image)
    except Exception as error:  # Pillow raises half a dozen kinds for a damaged file
        raise InputError(f"{file}: not a readable image ({error})") from error
