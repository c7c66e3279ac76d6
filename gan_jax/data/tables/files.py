"""Read the cells of tables from files: csv, and for generated rows also the .npz that `sample.py` writes."""

import itertools
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_jax.data.reading import MISSING, Row, listed, read_rows, read_text
from gan_jax.data.tables.dates import infer_dates
from gan_jax.data.tables.numbers import MARKS, match_number
from gan_jax.errors import InputError

_OTHER_FORMATS = (".xlsx", ".xls", ".ods", ".parquet", ".feather", ".arrow", ".json", ".jsonl", ".pkl", ".sas7bdat", ".dta")
_SAMPLED = 100  # cells of a column that decide whether its header is a name


class Cells(NamedTuple):
    """The cells of a table as text."""

    columns: dict[str, list[str]]
    lines: list[int] | None = None  # of the rows in the file, from 1
    notes: tuple[str, ...] = ()


def read_csv(path: Path, header: bool | None, delimiter: str | None, texts: Sequence[str] = ()) -> Cells:
    """Read the columns of a csv. `header` says whether the first line holds names; None if it should unless it looks like data.
    `texts` names columns of texts: no header is expected above them.

    Raises InputError for a file that is no table, for a header that is missing or is none, and for rows with too many or too
    few cells, with their lines."""
    where = f"table {path}"
    content, rows = _rows(path, where, delimiter)
    names = _names(rows[0].cells) if header is not False else [f"column {i + 1}" for i in range(len(rows[0].cells))]
    body = rows[header is not False :]
    sizes = {row.line: len(row.cells) for row in body if len(row.cells) != len(names)}
    if sizes:
        found = listed([f"{line} ({size} cells)" for line, size in sizes.items()])
        raise InputError(f"{where}: {len(names)} columns, but other numbers of cells in lines {found}; or set delimiter=")
    columns = [list(column) for column in zip(*(row.cells for row in body), strict=True)] or [[] for _ in names]
    if header is None:
        _reject_data(where, rows[0].cells, columns)
    if header is False:
        _reject_names(where, [pair for pair in zip(names, columns, strict=True) if pair[0] not in texts])
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(
            f"{where}: columns must have different names, but {listed(list(map(repr, twice)))} occur several times"
        )
    empty = len(re.findall(r'^[ ",;\t|]*[,;\t|][ ",;\t|]*\r?$', content, re.MULTILINE))
    notes = (f"{empty:,} rows without any value are left out",) if empty else ()
    if unnamed := [name for name, cell in zip(names, rows[0].cells, strict=True) if header is not False and not cell]:
        notes += (f"columns without a name are called {listed(unnamed)}",)
    return Cells(dict(zip(names, columns, strict=True)), [row.line for row in body], notes)


def read_samples(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns, and the rows, of a csv with a header or of an .npz with `columns` and `rows`. Rows may
    have other numbers of cells. Raises InputError for other files."""
    where = f"table {path}"
    if path.suffix != ".npz":
        rows = _rows(path, where, None)[1]
        return rows[0].cells, [row.cells for row in rows[1:]]
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return [str(name) for name in arrays["columns"]], arrays["rows"].astype(str).tolist()
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(f"{where}: an .npz of rows must hold the arrays of text `columns` and `rows` ({error})") from error


def _rows(path: Path, where: str, delimiter: str | None) -> tuple[str, list[Row]]:
    if path.suffix.lower() in _OTHER_FORMATS:
        raise InputError(f"{where}: {path.suffix} is not read: save the table as csv")
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1):
        raise InputError(f"{where}: delimiter must be one character, got {delimiter!r}")
    content = read_text(path, "table")
    rows = read_rows(content, where, delimiter)
    if not rows:
        raise InputError(f"{where} is empty")
    return content, rows


def _names(cells: Sequence[str]) -> list[str]:
    return [cell or f"unnamed {i + 1}" for i, cell in enumerate(cells)]


def _reject_data(where: str, first: Sequence[str], columns: Sequence[Sequence[str]]) -> None:
    """Raise InputError if the first line looks like data: a number above numbers, or only texts that its columns contain."""
    above = next(
        (cell for cell, column in zip(first, columns, strict=True) if _is_quantity(cell) and _quantities(column)), None
    )
    repeated = all(cell and cell in column for cell, column in zip(first, columns, strict=True))
    if above is not None or repeated:
        reason = f"{above!r} is above cells like it" if above is not None else "its cells occur again below it"
        raise InputError(
            f"{where}: the first line looks like data ({reason}): set header=False, or header=True if it does name the columns"
        )


def _reject_names(where: str, columns: Sequence[tuple[str, list[str]]]) -> None:
    """Raise InputError if the first row, of a file without a header, looks like one: a text above numbers alone."""
    for name, (first, *rest) in columns:
        if first.lower() not in MISSING and not _is_quantity(first) and _quantities(rest):
            raise InputError(
                f"{where}: the first line looks like a header ({first!r} is above numbers): leave off header=False; "
                f"or set missing={first!r} or categorical={name!r} if it is data"
            )


def _quantities(column: Sequence[str]) -> bool:
    """Whether the first cells of a column are numbers, dates or times."""
    present = list(itertools.islice((cell for cell in column if cell.lower() not in MISSING), _SAMPLED))
    return bool(present) and all(map(_is_quantity, present))


def _is_quantity(cell: str) -> bool:
    return any(match_number(cell, mark) for mark in MARKS) or bool(infer_dates([cell]))
