"""Folders and zips of image files, of one size or cropped to one: read into memory, or streamed if they do not fit."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gan_jax.data.dataset import Source, Split, Stored
from gan_jax.data.images import pixels
from gan_jax.data.images.decoding import Form, read_header, read_pixels
from gan_jax.data.images.files import File, find_files
from gan_jax.data.images.layouts import Images, Layout, arrange
from gan_jax.data.images.survey import VERSION, common_shape, survey
from gan_jax.data.paths import locate
from gan_jax.data.reading import listed
from gan_jax.data.stream import cached_facts, read_rows, should_stream
from gan_jax.errors import InputError, RunError


def folder(
    data_dir: str | None,
    stream: str = "auto",
    *,
    path: str = "",
    side: int | None = None,
    background: str = "white",
    labels: str = "auto",
    columns: tuple[str, str] | None = None,
    max_level: int | None = None,
    damaged: str = "refuse",
) -> Source:
    """Return the images in a folder or zip, arranged as `layouts.py` describes. Files of other kinds, and all names that start
    with . or __, are passed over.

    Images are what their files display: rotated as EXIF says, transparent pixels over `background` (a name or #rrggbb), 16-bit
    grey scaled so that `max_level` (65535) becomes 255, the first picture of a file that holds several. They must have one
    size, or become the largest centred square of each, resampled to `side` x `side` pixels with a Lanczos filter. If all files
    are grey, images have one channel; otherwise all become RGB. Sub-folders are classes unless `labels` says otherwise ("auto",
    "folders", "none" or a label file, with `columns`). `damaged` is "refuse" or "drop".

    For `auto`, streaming depends on the number of files and on the first one's size and channels. Raises InputError naming the
    first file that is unreadable or of another size; if streamed, only headers are checked here."""
    form = _form(side, background, max_level)
    for option, value, kind in (("labels", labels, str), ("columns", columns, tuple | list | None)):
        if not isinstance(value, kind):
            raise InputError(f"data folder: {option} cannot be {value!r}")
    if damaged not in ("refuse", "drop"):
        raise InputError(f'data folder: damaged must be "refuse" or "drop", got {damaged!r}')
    located = locate(path, data_dir)
    if not located.is_dir() and located.suffix.lower() != ".zip":
        raise InputError(f"data folder: {located} is neither a folder nor a zip")
    layout = arrange(located, find_files(located), labels, columns, data_dir)
    files = [file for images in (layout.train, layout.test) if images for file in images.files]
    drop_damaged = damaged == "drop"

    def facts() -> dict[str, np.ndarray]:
        return survey(files, form, drop_damaged)

    streamed = should_stream(len(files) * _first_size(files, form, drop_damaged), stream)
    if streamed:
        root, contents = _contents(located, [*files, *layout.label_files])
        names = ["/".join(file.parts) for file in files]  # in a zip, options decide which files are read
        known = cached_facts(root, contents, facts, json.dumps(["folder", VERSION, form, drop_damaged, names]))
    else:
        known = facts()
    return _source(str(located), _kept(layout, set(known["kept"].tolist())), form, known, streamed)


def _form(side: int | None, background: str, max_level: int | None) -> Form:
    from PIL import ImageColor

    for option, value, largest in (("side", side, 2**14), ("max_level", max_level, 65535)):
        if value is not None and (type(value) is not int or not 1 <= value <= largest):
            raise InputError(f"data folder: {option} must be a whole number from 1 to {largest}, got {value!r}")
    try:
        colour = ImageColor.getrgb(background)
        if len(colour) != 3:
            raise ValueError("a background is not transparent itself")
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f"data folder: background must be a colour such as black or #808080, got {background!r}") from error
    return Form(side, colour, max_level)


def _first_size(files: Sequence[File], form: Form, drop_damaged: bool) -> int:
    """Return the bytes of the first image, decoded."""
    for file in files:
        try:
            return int(np.prod(common_shape([file], [read_header(file)], form)))
        except InputError:
            if not drop_damaged:
                break
    return 0  # the survey reports it


def _contents(path: Path, files: Sequence[File]) -> tuple[Path, list[Path]]:
    """Return the folder that the files' names are relative to, and the files that hold them: a zip holds all."""
    if path.is_file():
        return path.parent, [path, *(Path(file.place) for file in files if Path(file.place).is_file())]
    return path, [Path(file.place) for file in files]


def _kept(layout: Layout, kept: set[int]) -> Layout:
    """Return the layout without the files that were dropped; rows count the training files first."""

    def chosen(images: Images | None, start: int) -> Images | None:
        rows = [row for row in range(len(images.files)) if start + row in kept] if images else []
        if not rows:
            return None
        return Images([images.files[row] for row in rows], None if images.labels is None else images.labels[rows])

    train, test = chosen(layout.train, 0), chosen(layout.test, len(layout.train.files))
    if train is None or (layout.test and test is None):
        raise InputError(f"all files of a split are damaged, such as {(layout.test if train else layout.train).files[0].place}")
    return layout._replace(train=train, test=test)


def _source(name: str, layout: Layout, form: Form, facts: dict[str, np.ndarray], streamed: bool) -> Source:
    train, test, notes = layout.train, layout.test, (*layout.notes, *json.loads(str(facts["notes"])))
    shape = tuple(map(int, facts["shape"]))
    labels = train.labels if test is None or train.labels is None else np.concatenate([train.labels, test.labels])
    notes = (_count_note(len(train.files) + (len(test.files) if test else 0), labels, layout.classes), *notes)
    stored = [_stored(images, shape, form) for images in (train, test) if images]
    sha256 = str(facts["sha256"]) if streamed else ""
    source = pixels.source(name, stored[0], stored[1] if test else None, layout.classes, files_sha256=sha256)
    source = replace(source, notes=(*notes, *source.notes))
    if streamed:
        return source
    train, test = (read_rows(split, np.arange(split.count)) for split in (source.train, source.test))
    return replace(source, train=train, test=test)


def _count_note(count: int, labels: np.ndarray | None, classes: tuple[str, ...]) -> str:
    if labels is None:
        return f"{count:,} images without classes"
    if labels.ndim == 2:
        return f"{count:,} images with label vectors of length {labels.shape[1]}"
    counts = sorted(Counter(labels.tolist()).items())
    names = [f"{classes[label] if classes else label} ({number:,})" for label, number in counts]
    return f"{count:,} images in {len(counts):,} classes: {listed(names, 10)}"


def _stored(images: Images, shape: tuple[int, int, int], form: Form) -> Stored:
    def read(rows: np.ndarray) -> Split:
        samples = np.empty((len(rows), *shape), np.uint8)
        for sample, row in zip(samples, rows, strict=True):
            file = images.files[row]
            try:
                sample[:] = read_pixels(file, shape, form)
            except InputError as error:
                raise RunError(str(error)) from error
            except ValueError as error:  # the size has changed
                raise RunError(f"{file.place} has changed: {error}") from error
        return Split(samples, None if images.labels is None else images.labels[rows])

    return Stored(len(images.files), shape, read, images.labels)
