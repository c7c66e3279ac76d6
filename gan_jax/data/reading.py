"""The rules by which every domain reads a user's text files, tables and lists, holds samples out and reports what it dropped.

A reader does not guess in silence. What it drops it counts, and returns as a sentence in `Source.notes`, which commands print
and record. If a file has two possible meanings, it raises InputError that names the option which decides.
"""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_jax.errors import InputError
from gan_jax.storage.npz import ALWAYS, RATIO, load_headers, load_npz

# Cells that stand for a missing value, in upper or lower case.
MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
DELIMITERS = ",;\t|"
SPLIT_COLUMNS = ("split", "subset", "set", "fold")  # names, in lower case, of columns that may state splits
SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
}
# UTF-32's little-endian mark begins with UTF-16's, so it comes first.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"(\xb5/\xfd": "zstd",
    b"PAR1": "parquet",
    b"%PDF": "PDF",
}


class Row(NamedTuple):
    """A row of a delimited file."""

    line: int  # where it begins in the file, from 1
    cells: list[str]  # without surrounding spaces


def read_text(path: Path, what: str) -> str:
    """Return the content of a file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark, without the mark; `what` begins the
    messages. It may be compressed by gzip. Raises InputError for other packed files, and naming the line for other encodings
    and for NUL characters."""
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            limit = max(ALWAYS, RATIO * len(content))
            content = gzip.GzipFile(fileobj=io.BytesIO(content)).read(limit + 1)
            if len(content) > limit:
                raise InputError(f"{what}: {path} expands more than {RATIO} times: if you trust the file, unpack it first")
    except (EOFError, zlib.error) as error:
        raise InputError(f"{what}: {path} is damaged: {error}") from error
    except OSError as error:
        raise InputError(f"{what}: {path} cannot be read: {error.strerror or error}") from error
    return decode_text(content, f"{what}: {path}")


def decode_text(content: bytes, where: str) -> str:
    """Return the text of a file's content; see `read_text`. `where` begins the messages."""
    mark, encoding = next(((m, e) for m, e in _MARKS if content.startswith(m)), (b"", "utf-8"))
    packed = next((name for magic, name in _PACKED.items() if content.startswith(magic)), None)
    if packed:
        raise InputError(f"{where} is a {packed} file: unpack or convert it to text first")
    content = content.removeprefix(mark)
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        other = "UTF-16LE" if b"\0" in content else "ISO-8859-1"  # text in UTF-16 has zeros, in ISO-8859-1 it has none
        convert = f"convert it to UTF-8, as in iconv -f {other} -t UTF-8" if encoding == "utf-8" else "the file is damaged"
        raise InputError(
            f"{where}, line {line}: byte {content[error.start]:#04x} is not {encoding.upper()}: {convert}"
        ) from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise InputError(f"{where}, line {line}: a NUL character: this is not a text file, or it is UTF-16 without a mark")
    return text.replace("\n\ufeff", "\n")  # marks of files that were joined


def read_strings(path: Path, key: str) -> list[str]:
    """Return the array `key` of an .npz, such as `sample.py` writes, as strings. Raises InputError naming what is there."""
    strings = load_npz(path, {key}).get(key)
    if strings is None or strings.dtype.kind != "U" or strings.ndim != 1:
        raise InputError(
            f"{path}: an array `{key}` of strings [N] is needed, found {listed(list(load_headers(path))) or 'nothing'}"
        )
    return strings.tolist()


def lines(content: str) -> list[str]:
    """Split text at LF and CRLF, or at CR if it has no LF. Other separators, such as U+2028 or a form feed, belong to the line:
    `str.splitlines` would split there."""
    separator = r"\r?\n" if "\n" in content else r"\r"
    result = re.split(separator, content)
    return result[:-1] if result[-1] == "" else result


def read_rows(content: str, where: str, delimiter: str | None = None) -> list[Row]:
    """Return the rows of a delimited file, without blank ones: cells in double quotes may contain the delimiter and line ends.

    Without `delimiter`, it is the one of `DELIMITERS` that divides most of the first rows into equally many cells, at least
    two; a comma if there is none; or the one that a first line "sep=;" states. Raises InputError naming the line of a quote
    that is not closed."""
    if "\n" not in content:
        content = content.replace("\r", "\n")
    stated = re.match(r"sep=(.)\r?\n", content)  # Excel's own first line
    content = content[stated.end() :] if stated else content
    delimiter = delimiter or (stated[1] if stated else _delimiter(content))
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
    rows, start = [], 2 if stated else 1
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                rows.append(Row(start, stripped))
            start = reader.line_num + (2 if stated else 1)
    except csv.Error as error:
        raise InputError(f"{where}, line {start}: {error}: check its quotes") from error
    return rows


def _delimiter(content: str) -> str:
    head = "".join(io.StringIO(content, newline="").readlines()[:50])

    def agreement(delimiter: str) -> tuple[int, int]:
        sizes = [len(cells) for cells in csv.reader(io.StringIO(head, newline=""), delimiter=delimiter) if cells]
        most = max(set(sizes), key=lambda size: (sizes.count(size), size), default=1)
        return (sizes.count(most), most) if most > 1 else (0, 0)

    return max(DELIMITERS, key=agreement)


def split_of(name: str) -> str | None:
    """Return train, validation or test for a name such as Train, test-clean or dev_other."""
    return SPLITS.get(re.split(r"[^a-z]", name.lower(), maxsplit=1)[0])


def split_rows(count: int, fraction: float, labels: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the row numbers to train on and those to hold out, `fraction` of them, at least one of two, in a fixed random
    order: files are often sorted. With labels [N] of classes, this holds for each class."""
    order = np.random.RandomState(0).permutation(count)
    by_class = [order] if labels is None else [order[labels[order] == label] for label in np.unique(labels)]
    sizes = [min(max(1, round(fraction * len(rows))), len(rows) - 1) for rows in by_class]
    held_out = np.concatenate([rows[:size] for rows, size in zip(by_class, sizes, strict=True)])
    chosen = np.isin(order, held_out)
    return order[~chosen], order[chosen]


def counted(used: int, total: int, what: str, dropped: Mapping[str, int]) -> tuple[str, ...]:
    """Return the note on what a reader dropped, for which reasons; () if nothing: "839 of 1,500 molecules are used; dropped:
    420 with more than 9 atoms, 241 duplicates"."""
    reasons = [f"{number:,} {reason}" for reason, number in sorted(dropped.items(), key=lambda pair: -pair[1]) if number]
    return (f"{used:,} of {total:,} {what} are used; dropped: {', '.join(reasons)}",) if reasons else ()


def listed(names: Sequence[str], shown: int = 5) -> str:
    """Return the first names, separated by commas, and how many more there are."""
    more = f" and {len(names) - shown:,} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
