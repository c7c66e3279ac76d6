"""Folders of image files, of one size or cropped to one: read into memory, or streamed if they do not fit."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gan_jax.data.dataset import Source, Split, Stored
from gan_jax.data.images import pixels
from gan_jax.data.paths import locate
from gan_jax.data.stream import cached_facts, should_stream
from gan_jax.errors import InputError, RunError

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")


def cropped_folder(data_dir: str | None, stream: str, *, path: str = "", side: int = 128) -> Source:
    """Return a `folder` of images of any size: the largest centred square of each, resampled to `side` x `side` pixels with a
    Lanczos filter. Raises InputError if `side` is below 1 or `path` is not a folder, and as `folder` does."""
    if type(side) is not int or side < 1:
        raise InputError(f"data folder: side must be a whole number of at least 1, got {side!r}")
    located = locate(path, data_dir)
    if not located.is_dir():
        raise InputError(f"data folder: {located} is not a folder")
    return folder(located, stream, side)


def folder(path: Path, stream: str = "auto", size: int | None = None) -> Source:
    """Return the images in a folder: all of one size, or cropped to `size` x `size` (see `cropped_folder`). Sub-folders are
    classes, numbered by sorted name; `train/` and `test/`, if both exist, are the splits. Files of other formats and all
    names that start with . or __ are ignored.

    If all files are grey, images have one channel; otherwise all become RGB, without alpha. Only the first frame of an
    animation is used. For `auto`, streaming depends on the number of files and on the first one's size and channels. Raises
    `InputError` naming the first file that is unreadable or of another size; if streamed, only headers are checked here.
    """
    folders = [path / "train", path / "test"]
    if not all(folder.is_dir() for folder in folders):
        folders = [path]
    by_class = [_by_class(folder) for folder in folders]
    classes = sorted({name for split in by_class for name in split})
    if "" in classes and len(classes) > 1:
        raise InputError(f"{path}: images both outside and inside class folders ({', '.join(classes[1:4])}): labels unclear")
    labels, classes = [None] * len(folders), classes if len(classes) > 1 else []  # a single class carries no information
    if classes:
        labels = [np.repeat([classes.index(c) for c in split], [len(v) for v in split.values()]) for split in by_class]
        labels = [split.astype(np.int32) for split in labels]
    split_files = [[file for class_files in split.values() for file in class_files] for split in by_class]
    files = [file for split in split_files for file in split]
    name = str(path) if size is None else f"{path}, {size} x {size}"
    if should_stream(len(files) * int(np.prod(_shape(files[:1], size))), stream):
        facts = cached_facts(path, files, lambda: {"shape": np.array(_shape(files, size))}, f"side {size}")
        shape = tuple(map(int, facts["shape"]))
        splits = [_stored(*split, shape, size is not None) for split in zip(split_files, labels, strict=True)]
        source = pixels.streamed(name, splits[0], splits[1] if len(splits) > 1 else None, len(classes), str(facts["sha256"]))
        return replace(source, classes=tuple(classes))
    samples = np.split(_decode(files, size), [len(split_files[0])])
    splits = [Split(*split) for split in zip(samples[: len(folders)], labels, strict=True)]
    return replace(pixels.source(name, splits[0], splits[1] if len(splits) > 1 else None), classes=tuple(classes))


def _by_class(path: Path) -> dict[str, list[Path]]:
    """Return class name ("" outside class folders) -> its image files, both sorted."""
    files: dict[str, list[Path]] = {}
    for file in sorted(path.rglob("*")):
        parts = file.relative_to(path).parts
        if file.suffix.lower() in SUFFIXES and not any(part.startswith((".", "__")) for part in parts) and file.is_file():
            files.setdefault(parts[0] if len(parts) > 1 else "", []).append(file)
    if not files:
        raise InputError(f"{path}: no images here ({', '.join(SUFFIXES)})")
    return files


def _stored(files: list[Path], labels: np.ndarray | None, shape: tuple[int, int, int], crop: bool) -> Stored:
    def read(rows: np.ndarray) -> Split:
        samples = np.empty((len(rows), *shape), np.uint8)
        for sample, row in zip(samples, rows, strict=True):
            try:
                sample[:] = _pixels(files[row], shape, crop)
            except (InputError, ValueError) as error:  # a ValueError: the size has changed
                raise RunError(str(error) if isinstance(error, InputError) else f"{files[row]} has changed: {error}") from error
        return Split(samples, None if labels is None else labels[rows])

    return Stored(len(files), shape, read)


def _decode(files: list[Path], size: int | None) -> np.ndarray:
    """Return the images, uint8 [N, H, W, 1 or 3]. All headers are read first, so that the array is allocated once."""
    shape = _shape(files, size)
    images = np.empty((len(files), *shape), np.uint8)
    for image, file in zip(images, files, strict=True):
        image[:] = _pixels(file, shape, size is not None)
    return images


def _shape(files: Sequence[Path], size: int | None) -> tuple[int, int, int]:
    """Return the shape of all images according to their headers, (H, W, 1 or 3), or (size, size, 1 or 3). Raises InputError
    naming the first file that is incompatible with the others."""
    first, grey = None, True
    for file in files:
        file_size, mode = _open(file, lambda image: (image.size, image.mode))
        first = first or file_size
        if size is None and file_size != first:
            pair = f"{file_size[0]}x{file_size[1]} pixels, {files[0]} is {first[0]}x{first[1]}"
            raise InputError(
                f"{file} is {pair}: images must have one size, or be cropped to one: --data 'folder(path=\"...\", side=64)'"
            )
        if mode.startswith(("I", "F")):
            raise InputError(f"{file}: more than 8 bits per channel (Pillow mode {mode}): convert it to 8 bits")
        grey = grey and mode in ("1", "L", "LA")
    width, height = first if size is None else (size, size)
    return height, width, 1 if grey else 3


def _pixels(file: Path, shape: tuple[int, int, int], crop: bool) -> np.ndarray:
    """Return the image, uint8 [H, W, C]: cropped and resampled to that shape, or unchanged."""
    from PIL import Image, ImageOps

    def decode(image):
        image = image.convert("L" if shape[2] == 1 else "RGB")
        return np.asarray(ImageOps.fit(image, (shape[1], shape[0]), Image.Resampling.LANCZOS) if crop else image)

    pixels = _open(file, decode)
    return pixels.reshape(*pixels.shape[:2], shape[2])


def _open(file: Path, function):
    """Return `function(image)` of the opened image file."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            return function(image)
    except Exception as error:  # Pillow raises many types of errors for damaged files
        raise InputError(f"{file}: not a readable image ({error})") from error
