"""How the images of a folder or zip are arranged: which are held out, and what their labels are.

Files of labels precede folders: `dataset.json` as StyleGAN's dataset_tool.py writes it, or `labels.csv`, whose column split,
if it has one, states the splits. Folders named train, test, val, ... are splits. The folders within them, or else at the top,
are classes if no file contains labels.
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_jax.data.images import label_files
from gan_jax.data.images.files import File, Files, passed_over
from gan_jax.data.paths import locate
from gan_jax.data.reading import SPLITS, counted, listed
from gan_jax.errors import InputError

_CHOICES = 'labels="folders" makes sub-folders classes, labels="none" reads all images without classes'


class Images(NamedTuple):
    """Image files and their labels: arrays as in `pixels.npz`, or None."""

    files: list[File]
    labels: np.ndarray | None


class Layout(NamedTuple):
    """The arrangement of a folder or zip."""

    train: Images
    test: Images | None  # None if no split is held out
    classes: tuple[str, ...]  # names; () without classes, and for classes that only have numbers
    label_files: list[File]
    notes: tuple[str, ...]


def arrange(
    path: Path, files: Files, labels: str = "auto", columns: tuple[str, str] | None = None, data_dir: str | None = None
) -> Layout:
    """Return the arrangement of the files below `path`. `labels` is "auto", "folders" (sub-folders are classes whatever they
    are called), "none", or the name of a label file; `columns` are those of a table of labels.

    Raises InputError if there are several possible meanings, naming the option that decides."""
    notes: list[str] = list(files.notes)
    used = _label_files(path, files, labels, data_dir)
    by_image, stated, unlabelled = _labels_from_files(path, used, files.images, columns, notes)
    chosen = [file for file in files.images if file in by_image] if by_image else files.images
    if len(chosen) < len(files.images):
        without = {f"without a label in {used[0].parts[-1]}": len(files.images) - len(chosen)}
        notes += counted(len(chosen), len(files.images), "images", without)
    images, common = _without_common_folders(chosen)
    notes += [f"all images are in the folder {common}"] if common else []
    splits = _stated_splits(images, stated, notes) if stated else _splits(path, images, labels, notes)
    notes += passed_over(file for file in files.others if file not in used)
    if by_image:
        numbers, classes = label_files.number([by_image[file] for split in splits for file, _ in split], used[0].place)
        parts = np.split(numbers, [len(splits[0])])
        arranged = [Images([file for file, _ in split], part) for split, part in zip(splits, parts, strict=False)]
        return Layout(arranged[0], arranged[1] if len(splits) > 1 else None, classes, used, tuple(notes))
    if labels == "none" or unlabelled:
        arranged, classes = [Images([file for file, _ in split], None) for split in splits], ()
    else:
        arranged, classes = _labels_from_folders(path, splits, labels, notes)
    return Layout(arranged[0], arranged[1] if len(arranged) > 1 else None, classes, used, tuple(notes))


_Located = tuple[File, tuple[str, ...]]  # an image, and the part of its path that may name splits and classes


def _without_common_folders(files: Sequence[File]) -> tuple[list[_Located], str]:
    """Return the images with their paths below the folder that contains all of them, and the path of that folder."""
    parts = [file.parts for file in files]
    depth = 0
    while all(len(p) > depth + 1 for p in parts) and len({p[depth] for p in parts}) == 1:
        depth += 1
    return [(file, file.parts[depth:]) for file in files], "/".join(parts[0][:depth])


def _label_files(path: Path, files: Files, labels: str, data_dir: str | None) -> list[File]:
    if labels == "auto":
        used = [file for file in files.others if file.parts[-1].lower() in label_files.NAMES]
        if len({file.parts[:-1] for file in used}) < len(used):
            raise InputError(f"{path}: several files of labels: set labels to one of {listed([f.parts[-1] for f in used])}")
        return used
    if labels in ("folders", "none"):
        return []
    inside = [file for file in files.others if "/".join(file.parts) == labels]
    if inside:
        return inside
    outside = locate(labels, data_dir)
    if not outside.is_file():
        raise InputError(f"data folder: labels must be auto, folders, none or a file of labels, got {labels!r}")
    return [File((outside.name,), str(outside), lambda: outside.open("rb"))]


def _labels_from_files(
    path: Path, used: list[File], images: Sequence[File], columns: tuple[str, str] | None, notes: list[str]
) -> tuple[dict[File, str | int | list], dict[File, str], bool]:
    """Return the labels and the splits of images in label files, and whether a label file states that there are no labels."""
    by_image: dict[File, str | int | list] = {}
    splits: dict[File, str] = {}
    if columns is not None and not used:
        raise InputError(f"{path}: columns are those of a file of labels, which is missing: set labels to its name")
    if columns is not None and (len(columns) != 2 or not all(isinstance(column, str) for column in columns)):
        raise InputError(f'data folder: columns must be two names, as in columns=("file", "label"), got {columns!r}')
    for file in used:
        depth = len(file.parts) - 1
        below = [image for image in images if image.parts[:depth] == file.parts[:depth]]
        name = file.parts[depth - 1] if depth else path.stem if path.is_file() else path.resolve().name
        found = label_files.read_labels(file, below, depth, name, columns)
        if found is None:
            folders = {image.parts[depth] for image in below if len(image.parts) > depth + 1}
            if any(not folder.isdigit() for folder in folders) and len(folders) > 1:
                raise InputError(f"{file.place} states that there are no labels, but there are sub-folders: {_CHOICES}")
            notes.append(f"{file.parts[-1]} states that the images have no labels")
            return {}, {}, True
        by_image |= found.by_image
        splits |= found.splits
        notes += [f"labels are read from {'/'.join(file.parts)}", *found.notes]
    return by_image, splits, False


def _stated_splits(images: list[_Located], stated: dict[File, str], notes: list[str]) -> list[list[_Located]]:
    """Return the images to train on and those held out, as a file states; all in one list if only one split is present."""
    if len(present := set(stated.values())) < 2 or "train" not in present:
        notes.append(f"only images of the split {listed(sorted(present))} are present")
        return [images]
    roles = [stated.get(file) for file, _ in images]
    within = {role: [image for image, r in zip(images, roles, strict=True) if r == role] for role in (*SPLITS.values(), None)}
    held_out = "test" if within["test"] else "validation"
    unused = {"validation": within["validation"] if held_out == "test" else [], "none": within[None]}
    notes += [f"images of the split {name}, not used: {len(rest):,}" for name, rest in unused.items() if rest]
    notes.append(f"the split {held_out} is held out")
    return [within["train"], within[held_out]]


def _splits(path: Path, images: list[_Located], labels: str, notes: list[str]) -> list[list[_Located]]:
    """Return the images to train on and those held out, with paths within their split; all in one list if none are held out by
    their folder."""
    folders = Counter(parts[0] for _, parts in images if len(parts) > 1)
    by_role: dict[str, list[str]] = {}
    for folder in folders:
        if role := SPLITS.get(folder.lower()):
            by_role.setdefault(role, []).append(folder)
    complete = "train" in by_role and len(by_role) > 1
    if not by_role or (labels in ("folders", "none") and not complete):
        return [images]
    if any(len(names) > 1 for names in by_role.values()) or not complete:
        raise InputError(
            f"{path}: sub-folders {listed(list(folders))}: a split needs one folder train and one of test or val; {_CHOICES}, "
            "and path can name one folder alone"
        )
    within = {role: _without_role(images, names[0]) for role, names in by_role.items()}
    others = len(images) - sum(map(len, within.values()))
    if others:
        names = [folder for folder in folders if [folder] not in by_role.values()] or ["no sub-folder"]
        notes.append(f"images in none of the splits, not used: {others:,} (in {listed(names)})")
    candidates = [role for role in ("test", "validation") if role in within]
    usable = [role for role in candidates if labels == "none" or not _only_train_has_classes(within["train"], within[role])]
    held_out = (usable or [None])[0]
    for role in candidates:
        if role != held_out:
            why = "" if role in usable else ": it has no class folders, which train has"
            notes.append(f"images of the split {by_role[role][0]}, not used: {len(within[role]):,}{why}")
    if held_out:
        notes.append(f"the split {by_role[held_out][0]} is held out")
        return [within["train"], within[held_out]]
    return [within["train"]]


def _reject_split_names(path: Path, folders: set[str]) -> None:
    """Raise InputError for folders such as trainA and testA, which may be the splits of two domains."""
    matches = [re.fullmatch(r"(train|test|val)[_-]?(.+)", folder, re.IGNORECASE) for folder in sorted(folders)]
    if None in matches or len({match[1].lower() for match in matches}) < 2:
        return
    found = f"sub-folders {listed(sorted(folders))} may be classes or splits"
    raise InputError(f"{path}: {found}: {_CHOICES}, and path can name one folder alone")


def _without_role(images: list[_Located], folder: str) -> list[_Located]:
    return [(file, parts[1:]) for file, parts in images if parts[0] == folder and len(parts) > 1]


def _only_train_has_classes(train: list[_Located], test: list[_Located]) -> bool:
    """Whether the test images are in no folder, or all in one that is no class of the training images, as in test/images."""
    train_folders, test_folders = ({parts[0] if len(parts) > 1 else "" for _, parts in split} for split in (train, test))
    return len(train_folders) > 1 and len(test_folders) == 1 and not test_folders <= train_folders


def _labels_from_folders(
    path: Path, splits: list[list[_Located]], labels: str, notes: list[str]
) -> tuple[list[Images], tuple[str, ...]]:
    folders = [[parts[0] if len(parts) > 1 else "" for _, parts in split] for split in splits]
    if labels == "auto":
        _reject_split_names(path, {folder for split in folders for folder in split})
    files = [[file for file, _ in split] for split in splits]
    classes = sorted({folder for split in folders for folder in split})
    for split, names in zip(splits, folders, strict=True):
        if "" in names and len(set(names)) > 1:
            outside, example = names.count(""), next(name for name in names if name)
            raise InputError(
                f"{path}: images both outside ({outside:,}) and inside ({len(split) - outside:,}) class folders ({example}): "
                "labels unclear; " + _CHOICES.partition(", ")[2]
            )
    if len(set(folders[0])) < 2:  # a single class carries no information
        if len(classes) > 1 and len(splits) > 1:
            notes.append(f"train has no classes: those of the held-out images are not used ({listed(sorted(set(folders[1])))})")
        return [Images(split, None) for split in files], ()
    if labels == "auto" and all(re.fullmatch(r"\d{5,}", name) for name in classes):
        raise InputError(f"{path}: sub-folders {listed(classes, 3)} may be classes or parts of one set: {_CHOICES}")
    index = {name: i for i, name in enumerate(classes)}
    numbers = [np.array([index[name] for name in names], np.int32) for names in folders]
    return [Images(*pair) for pair in zip(files, numbers, strict=True)], tuple(classes)
