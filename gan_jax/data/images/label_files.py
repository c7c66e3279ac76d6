"""Labels of images from a file: the dataset.json of StyleGAN's dataset_tool.py, or a table with a column of files and a column
of classes."""

import json
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.data.images import pixels
from gan_jax.data.images.files import File
from gan_jax.data.reading import MISSING, SPLIT_COLUMNS, Row, decode_text, listed, read_rows, split_of
from gan_jax.errors import InputError

NAMES = ("dataset.json", "labels.csv", "labels.tsv")  # read without an option
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")  # not an identifier such as 007
_LABEL_COLUMNS = ("label", "labels", "class", "class_name", "category", "target")


class FileLabels(NamedTuple):
    """The labels in a file: classes by name or number, or vectors of numbers."""

    by_image: dict[File, str | int | list]
    notes: tuple[str, ...]
    splits: dict[File, str]  # train, validation or test, if a column states it; otherwise empty


class _Entry(NamedTuple):
    """What a file states about an image."""

    place: str  # of the statement, for messages
    name: str
    label: str | int | list
    split: str = ""


def read_labels(
    file: File, images: Sequence[File], depth: int, folder: str, columns: tuple[str, str] | None
) -> FileLabels | None:
    """Return the labels in `file` of images; None if the file states that there are none. Names in the file are relative to the
    folder that is called `folder`, `depth` levels below the root, or to the one above. `columns` are the names of a table's
    columns of files and of classes; by default they are recognised (see `_columns`).

    Raises InputError for a file of another form, and if it names none of the images."""
    with file.open() as stream:
        content = stream.read()
    find = _finder(images, depth, folder)
    text = decode_text(content, file.place)
    notes: list[str] = []
    is_json = file.parts[-1].lower().endswith(".json")
    entries = _json_entries(text, file) if is_json else _table_entries(text, file, find, columns, notes)
    if entries is None:
        return None
    by_image, splits, absent, missing = {}, {}, [], 0
    for place, name, label, split in entries:
        image = find(name)
        if isinstance(label, str) and label.lower() in MISSING:
            missing += 1
        elif image is None:
            absent.append(name)
        elif by_image.setdefault(image, label) != label:
            raise InputError(f"{place}: {name} has two labels, {by_image[image]} and {label}")
        elif split and splits.setdefault(image, split) != split:
            raise InputError(f"{place}: {name} is in two splits, {splits[image]} and {split}")
    if not by_image:
        raise InputError(f"{file.place} has a label for none of the images; it begins with {listed(absent, 2)}")
    notes += [f"rows of {file.parts[-1]} that name no image here: {len(absent):,} ({listed(absent, 3)})"] if absent else []
    notes += [f"rows of {file.parts[-1]} without a label: {missing:,}"] if missing else []
    return FileLabels(by_image, tuple(notes), splits)


def number(labels: Sequence[str | int | list], where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return labels as arrays (see `pixels.npz`) and the names of the classes: () for vectors, and for integers as a
    dataset.json holds them, which are class numbers already. Names are sorted, numbers in their order."""
    if not any(isinstance(label, str) for label in labels):
        try:
            array = np.array(labels)
        except ValueError as error:
            raise InputError(f"{where}: labels must all be integers, or all be vectors of one length") from error
        return pixels.as_labels(where, array), ()
    names, order = [str(label) for label in labels], str
    values = [float(name) if _NUMBER.fullmatch(name) else None for name in names]
    if None not in values:
        if fractional := [name for name, value in zip(names, values, strict=True) if not value.is_integer()]:
            raise InputError(f"{where}: labels must be classes, found real numbers: {listed(fractional, 3)}")
        names, order = [str(int(value)) for value in values], int  # "1.0" and "1" are one class
    classes = sorted(set(names), key=order)
    index = {name: i for i, name in enumerate(classes)}
    return np.array([index[name] for name in names], np.int32), tuple(classes)


def _json_entries(text: str, file: File) -> list[_Entry] | None:
    form = '{"labels": [[FILE, LABEL], ...]} or {"labels": null}, as dataset_tool.py writes it'
    try:
        labels = json.loads(text)["labels"]
        if labels is None:
            return None
        pairs = list(labels.items()) if isinstance(labels, dict) else [(name, label) for name, label in labels]
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f'{file.place} must contain {form}; labels="folders" or labels="none" ignores it') from error
    for name, label in pairs:
        vector = isinstance(label, list) and all(isinstance(x, int | float) for x in label)
        if not isinstance(name, str) or not (vector or type(label) is int):
            raise InputError(f"{file.place}: labels must be integers or lists of numbers, found {label!r} for {name!r}")
    return [_Entry(file.place, name, label) for name, label in pairs]


def _table_entries(
    text: str, file: File, find: Callable[[str], File | None], columns: tuple[str, str] | None, notes: list[str]
) -> list[_Entry]:
    rows = read_rows(text, file.place)
    if not rows or len(rows[0].cells) < 2:
        raise InputError(f"{file.place} must be a table with a column of files and a column of classes")
    odd = next((row for row in rows if len(row.cells) != len(rows[0].cells)), None)
    if odd:
        raise InputError(f"{file.place}, line {odd.line}: {len(odd.cells)} cells, the first row has {len(rows[0].cells)}")
    name, label, has_header = _columns(rows, file, find, columns)
    splits = _splits(rows, {name, label}, notes) if has_header else [""] * len(rows)
    return [
        _Entry(f"{file.place}, line {row.line}", row.cells[name], row.cells[label], split)
        for row, split in zip(rows[has_header:], splits, strict=True)
    ]


def _splits(rows: Sequence[Row], used: set[int], notes: list[str]) -> list[str]:
    """Return the split of each row below the header, "" if no column but those `used` states it."""
    none = [""] * (len(rows) - 1)
    header = [cell.lower() for cell in rows[0].cells]
    columns = [header.index(name) for name in SPLIT_COLUMNS if name in header and header.index(name) not in used]
    if not columns:
        return none
    cells = [row.cells[columns[0]] for row in rows[1:]]
    splits = [split_of(cell) for cell in cells]
    title = f"column {rows[0].cells[columns[0]]}"
    if None in splits or not {"train"} < set(splits):
        notes.append(f"{title} is not used: it does not divide the images into train and test ({listed(sorted(set(cells)))})")
        return none
    notes.append(f"splits are read from {title}")
    return splits


def _columns(
    rows: Sequence[Row], file: File, find: Callable[[str], File | None], columns: tuple[str, str] | None
) -> tuple[int, int, bool]:
    """Return the columns of files and of classes, and whether the first row is a header.

    Files are in the column that names most images, each counted once: class numbers may look like names of files. Classes are
    in the other one of two columns, or else in the one that is called as in `_LABEL_COLUMNS`."""
    first, how_to = rows[0].cells, f'{file.place}: set columns=("FILE", "LABEL"), two of {listed(rows[0].cells, 8)}'
    if columns is not None:
        if not all(first.count(column) == 1 for column in columns):
            raise InputError(f"{how_to}; got {columns}")
        return first.index(columns[0]), first.index(columns[1]), True
    named = [{image for row in rows if (image := find(row.cells[column]))} for column in range(len(first))]
    most = max(map(len, named))
    if not most:
        raise InputError(f"{file.place}: no column names the images of this folder, such as {rows[-1].cells[0]!r}")
    if [len(images) for images in named].count(most) > 1:
        raise InputError(f"{how_to}: several columns may be the files")
    name = [len(images) for images in named].index(most)
    others = [column for column in range(len(first)) if column != name]
    labels = [column for column in others if first[column].lower() in _LABEL_COLUMNS] if len(others) > 1 else others
    if len(labels) != 1:
        raise InputError(f"{how_to}: several columns may be the classes")
    return name, labels[0], find(first[name]) is None


def _finder(images: Sequence[File], depth: int, folder: str) -> Callable[[str], File | None]:
    """Return a function from a name in a label file to the image: a path, a file name alone, or either without its suffix. A
    name that fits several images by the same rule fits none."""
    rules: tuple[Callable[[tuple[str, ...]], str], ...] = (
        lambda parts: "/".join(parts),
        lambda parts: "/".join((folder, *parts)),
        lambda parts: parts[-1],
        lambda parts: "/".join(parts).rpartition(".")[0],
        lambda parts: parts[-1].rpartition(".")[0],
    )
    tables = []
    for rule in rules:
        table: dict[str, File | None] = {}
        for image in images:
            key = rule(image.parts[depth:])
            table[key] = None if key in table else image
        tables.append(table)

    def find(name: str) -> File | None:
        key = name.replace("\\", "/").removeprefix("./")
        return next((table[key] for table in tables if table.get(key)), None)

    return find
