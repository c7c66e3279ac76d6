"""Find the files in a folder or zip: images, and files of other kinds."""

import io
import os
import threading
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from gan_jax.data.reading import listed
from gan_jax.errors import InputError
from gan_jax.storage.npz import check_sizes

# Formats that Pillow reads. The content decides how a file is decoded: suffixes only select files.
SUFFIXES = (".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


class File(NamedTuple):
    """A file in a folder or zip."""

    parts: tuple[str, ...]  # of its path within the folder or zip
    place: str  # its whole path, for messages
    open: Callable[[], BinaryIO]


class Files(NamedTuple):
    """The files in a folder or zip, sorted by path, without those whose path has a part that begins with . or __."""

    images: list[File]
    others: list[File]
    notes: tuple[str, ...]


def find_files(path: Path) -> Files:
    """Return the files in a folder, including those behind symbolic links, or in a zip, which is not unpacked. Raises
    InputError naming a folder or zip that cannot be read."""
    notes: list[str] = []
    every = list(_in_zip(path) if path.is_file() else _in_folder(path, (), frozenset(), notes))
    every = [file for file in every if not any(part.startswith((".", "__")) for part in file.parts)]
    every.sort(key=lambda file: file.parts)
    images = [file for file in every if _suffix(file) in SUFFIXES]
    others = [file for file in every if _suffix(file) not in SUFFIXES]
    if not images:
        found = f"; found {_by_suffix(others)}" if others else ""
        raise InputError(f"{path}: no images here ({', '.join(SUFFIXES)}){found}; for sounds use audio(path=...)")
    return Files(images, others, tuple(notes))


def passed_over(others: Iterable[File]) -> tuple[str, ...]:
    """Return the note on files that are not read, counted by suffix; () without such files."""
    others = list(others)
    return (f"files that are not read as images: {_by_suffix(others)}",) if others else ()


def _suffix(file: File) -> str:
    return os.path.splitext(file.parts[-1])[1].lower()


def _by_suffix(files: Iterable[File]) -> str:
    counts = Counter(_suffix(file) or "without a suffix" for file in files)
    return listed([f"{number:,} {suffix}" for suffix, number in counts.most_common()])


def _in_folder(path: Path, parts: tuple[str, ...], above: frozenset, notes: list[str]) -> Iterator[File]:
    """Yield the files in a folder and below; `above` identifies the folders that contain it, to which no link may lead back."""
    try:
        status = path.stat()
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            notes.append(f"a symbolic link to a folder that contains it is not followed: {path}")
            return
        for name in sorted(os.listdir(path)):
            entry = path / name
            if entry.is_dir():
                yield from _in_folder(entry, (*parts, name), above | {identity}, notes)
            elif entry.is_file():
                yield File((*parts, name), str(entry), lambda entry=entry: entry.open("rb"))
            elif entry.is_symlink():
                notes.append(f"a symbolic link leads to no file: {entry}")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _in_zip(path: Path) -> Iterator[File]:
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a readable zip ({error})") from error
    try:
        check_sizes(archive, archive.namelist(), advice="unpack it and name the folder")
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    lock = threading.Lock()  # several threads read images

    def opened(info: zipfile.ZipInfo) -> BinaryIO:
        with lock:
            return io.BytesIO(archive.read(info))  # of several files with one name, this one

    for info in archive.infolist():
        if info.flag_bits & 1:
            raise InputError(f"{path}: {info.filename} is encrypted: unpack the zip and name the folder")
        if not info.is_dir():
            parts = tuple(part for part in info.filename.replace("\\", "/").split("/") if part)
            yield File(parts, f"{path}/{info.filename}", lambda info=info: opened(info))
