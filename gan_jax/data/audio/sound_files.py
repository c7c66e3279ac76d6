"""Find the sound files of a folder or zip, and the lists and tables beside them."""

import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from gan_jax.data.audio.decoding import OTHER_SUFFIXES, SUFFIXES
from gan_jax.data.reading import decode_text, listed
from gan_jax.errors import InputError
from gan_jax.storage.npz import check_sizes

READ_ERRORS = (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError)  # of files, and in zips

Reader = Callable[[], bytes]  # returns the content of a file


class SoundFiles(NamedTuple):
    """The files of a folder or zip, by their paths within it, below the folders that contain everything."""

    where: str  # the folder or zip
    top: str  # the folders that contain everything: "" or "speech_commands/"
    sounds: dict[str, Reader]  # sorted
    others: dict[str, Reader]  # every other file

    def text(self, name: str) -> str:
        """Return the content of a list or table."""
        where = f"data audio: {name} in {self.where}"
        try:
            return decode_text(self.others[name](), where)
        except READ_ERRORS as error:
            raise InputError(f"{where} cannot be read: {error}") from error

    def passed_over(self, used: set[str]) -> tuple[str, ...]:
        """Return the note on files that are not read; `used` are the lists and tables that were."""
        kinds = Counter(_kind(name) for name in self.others if name not in used)
        parts = [f"{number:,} {kind}" for kind, number in sorted(kinds.items())]
        return (f"files passed over: {listed(parts, 8)}",) if parts else ()


def find(path: Path) -> SoundFiles:
    """Return the files in a folder or zip. Names that begin with a dot and __MACOSX are ignored; folders that begin with an
    underscore, such as _background_noise_ in Speech Commands, hold no samples. Raises InputError if there is no sound."""
    readers = dict(_folder(path) if path.is_dir() else _zip(path))
    parts = {name: PurePosixPath(name).parts for name in readers}
    readers = {name: readers[name] for name in sorted(readers) if not any(map(_is_hidden, parts[name]))}
    top = ""
    while (
        readers
        and len({name[len(top) :].partition("/")[0] for name in readers}) == 1
        and "/" in next(iter(readers))[len(top) :]
    ):
        top += next(iter(readers))[len(top) :].partition("/")[0] + "/"
    readers = {name[len(top) :]: read for name, read in readers.items()}
    sounds = {name: read for name, read in readers.items() if _is_sound(name)}
    if not sounds:
        kinds = listed(sorted({_kind(name) for name in readers}), 8) or "nothing"
        raise InputError(f"data audio: there is no sound that can be read in {path} (wav, flac, ogg, mp3, ...), but {kinds}")
    return SoundFiles(str(path), top, sounds, {name: read for name, read in readers.items() if name not in sounds})


def _folder(path: Path, prefix: str = "", above: frozenset[str] = frozenset()) -> Iterator[tuple[str, Reader]]:
    """Yield the files below a folder; `above` are the folders that contain it, to which no symbolic link may lead back."""
    identity = os.path.realpath(path)
    if identity in above:
        return
    for name in sorted(os.listdir(path)):
        entry = path / name
        if entry.is_dir():
            yield from _folder(entry, f"{prefix}{name}/", above | {identity})
        else:
            yield f"{prefix}{name}", entry.read_bytes


def _zip(path: Path) -> Iterator[tuple[str, Reader]]:
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(
            f"data audio: {path} is neither a folder nor a zip of sound files ({error}): unpack archives of other kinds"
        ) from error
    try:
        check_sizes(archive, archive.namelist(), advice="unpack it and name the folder")
    except InputError as error:
        raise InputError(f"data audio: {path}: {error}") from error
    for info in archive.infolist():
        if not info.is_dir():
            yield info.filename.replace("\\", "/"), partial(archive.read, info)


def _is_hidden(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"


def _is_sound(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix.lower() in SUFFIXES and not any(part.startswith("_") for part in path.parent.parts)


def _kind(name: str) -> str:
    """Return a word for a file that is not read."""
    path = PurePosixPath(name)
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return f"in {next(part for part in path.parent.parts if part.startswith('_'))}"
    how_to = f" (convert them: ffmpeg -i a{suffix} a.wav)" if suffix in OTHER_SUFFIXES else ""
    return f"{suffix or 'without a suffix'}{how_to}"
