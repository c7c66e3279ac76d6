"""Read .npz files that others made: sizes are checked before memory is allocated, and nothing in them is executed."""

import math
import zipfile
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from gan_jax.errors import InputError, reason

ALWAYS = 1 << 30  # bytes that an archive may always hold, however well it is compressed
RATIO = 100  # how many times its own size an archive may hold, beyond that
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class Header(NamedTuple):
    """Shape and type of an array, which is not read yet."""

    shape: tuple[int, ...]
    dtype: np.dtype


def read_headers(file: BinaryIO) -> dict[str, Header]:
    """Return the shapes and types of the arrays in an .npz by name. Raises as `read_npz`."""
    with zipfile.ZipFile(file) as archive:
        return {_key(name): _header(archive, name) for name in archive.namelist()}


def read_npz(file: BinaryIO, wanted: Container[str] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz by name: all, or those in `wanted`.

    Raises InputError, without the name of the file, for arrays of Python objects, for a header that does not agree with the
    size of its array, and for arrays that are much larger than the file (`check_sizes`); for a damaged file any other error."""
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if wanted is None or _key(name) in wanted]
        check_sizes(archive, names)
        for name in names:
            _header(archive, name)
        arrays = {}
        for name in names:
            with archive.open(name) as member:
                arrays[_key(name)] = np.lib.format.read_array(member, allow_pickle=False)
    return arrays


def load_npz(path: Path, wanted: Container[str] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file by name; see `read_npz`. Raises InputError naming the file, for whatever reason."""
    with _opened(path) as file:
        return read_npz(file, wanted)


def load_headers(path: Path) -> dict[str, Header]:
    """Return the shapes and types of the arrays in an .npz file by name. Raises as `load_npz`."""
    with _opened(path) as file:
        return read_headers(file)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            if file.read(6) == b"\x93NUMPY":
                raise InputError("a single array, not an .npz: numpy.savez(FILE, NAME=array) writes one")
            yield file
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except Exception as error:  # NumPy and zipfile raise many types of errors for damaged files
        raise InputError(f"{path}: not a readable .npz file of plain arrays ({reason(error)})") from error


def check_sizes(
    archive: zipfile.ZipFile,
    names: list[str],
    ratio: int = RATIO,
    always: int | None = None,
    advice: str = "save it again without compression (numpy.savez)",
) -> None:
    """Raise InputError, which ends with the advice, if the members `names` together hold more than `always` bytes (default:
    `ALWAYS`) and more than `ratio` times the size of the archive."""
    archive.fp.seek(0, 2)
    size, total = archive.fp.tell(), sum(archive.getinfo(name).file_size for name in names)
    if total > max(ALWAYS if always is None else always, ratio * size):
        raise InputError(
            f"{size:,} bytes that expand to {total:,}, more than {ratio} times as many: if you trust the file, {advice}"
        )


def _header(archive: zipfile.ZipFile, name: str) -> Header:
    """Return the header of an array. Raises InputError unless it agrees with the array's size."""
    info = archive.getinfo(name)
    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        read: Callable = _HEADERS.get(version, np.lib.format.read_array_header_2_0)
        shape, _, dtype = read(member)
        if dtype.hasobject:
            raise InputError(f"array {_key(name)} holds Python objects, which could run code: only numbers and text are read")
        claimed = member.tell() + math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or claimed != info.file_size:
        raise InputError(
            f"array {_key(name)} is damaged: {dtype} {list(shape)} takes {claimed:,} bytes, but {info.file_size:,} are stored"
        )
    return Header(shape, dtype)


def _key(name: str) -> str:
    return name.removesuffix(".npy")
