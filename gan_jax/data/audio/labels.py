"""Tables that name recordings: their classes and splits, in csv or tsv files beside the sounds."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from gan_jax.data.audio import decoding
from gan_jax.data.reading import MISSING, Row, lines, listed, read_rows
from gan_jax.errors import InputError

SUFFIXES = (".csv", ".tsv")
CLASS_COLUMNS = ("label", "labels", "class", "class_name", "category", "word", "keyword", "target", "emotion", "genre")


class Index:
    """Recordings by the names under which lists and tables may mention them: their path, its end if only one recording has it,
    both with or without the suffix and the folder above all, with / or \\ between folders."""

    def __init__(self, names: Iterable[str], top: str = ""):
        self._exact, self._ends = {}, {}
        for name in names:
            parts = PurePosixPath(top + name).parts
            for key in (name, str(PurePosixPath(name).with_suffix(""))):
                self._exact.setdefault(key, set()).add(name)
            for start in range(len(parts)):
                end = PurePosixPath(*parts[start:])
                for key in (str(end), str(end.with_suffix(""))):
                    self._ends.setdefault(key, set()).add(name)

    def find(self, entry: str, folder: str = "") -> str | None:
        """Return the name of the recording that `entry`, in a list in `folder`, mentions; None if there is none or several."""
        path = PurePosixPath(entry.strip().replace("\\", "/"))
        for key, names in ((str(folder / path), self._exact), (str(path), self._exact), (str(path), self._ends)):
            if len(names.get(key, ())) == 1:
                return next(iter(names[key]))
        return None


class Table(NamedTuple):
    """A table whose rows mention recordings."""

    name: str
    header: list[str] | None
    rows: list[Row]
    found: list[str | None]  # for each row, its recording
    file_column: int  # the column that mentions the recordings

    def values(self, column: int) -> dict[str, str]:
        """Return the cells of a column, by recording; not those that stand for a missing value. Raises InputError naming the
        line if a recording has two different ones."""
        values: dict[str, str] = {}
        for row, name in zip(self.rows, self.found, strict=True):
            cell = row.cells[column] if column < len(row.cells) else ""
            if name is None or cell.lower() in MISSING:
                continue
            if values.setdefault(name, cell) != cell:
                raise InputError(
                    f"data audio: {self.name}, line {row.line}: {name} is {cell}, in an earlier line {values[name]}"
                )
        return values

    def column(self, names: Iterable[str]) -> int | None:
        """Return the first column with one of these names, in their order; None if there is none."""
        header = [cell.lower() for cell in self.header or ()]
        return next((header.index(name) for name in names if name in header), None)

    def chosen(self, text: str) -> int:
        """Return the column called `text`, or with this number from 1. Raises InputError listing the columns."""
        if self.header and text in self.header:
            return self.header.index(text)
        width = max(len(row.cells) for row in self.rows)
        if text.isdecimal() and 1 <= int(text) <= width:
            return int(text) - 1
        raise InputError(f"data audio: {self.name} has no column {text!r}: {listed(self.header or [f'1 to {width}'], 20)}")

    def class_column(self) -> int | None:
        """Return the column of classes, by its name or, without a header, as the other one of two. Raises InputError if several
        columns have names of classes and do not say the same."""
        if self.header is None:
            widths = {len(row.cells) for row in self.rows}
            return 1 - self.file_column if widths == {2} else None
        header = [cell.lower() for cell in self.header]
        columns = [header.index(name) for name in CLASS_COLUMNS if name in header]
        for other in columns[1:]:
            pairs = {tuple(row.cells[i] for i in (columns[0], other)) for row in self.rows if len(row.cells) > max(columns)}
            if len(pairs) != len({a for a, _ in pairs}) or len(pairs) != len({b for _, b in pairs}):
                both = f"{self.header[columns[0]]} and {self.header[other]}"
                raise InputError(
                    f"data audio: {self.name}: {both} differ, and both may be classes: choose one, as in "
                    f'classes="{self.name}:{self.header[other]}"'
                )
        # Names of classes rather than their numbers.
        names = [i for i in columns if any(not row.cells[i].isdecimal() for row in self.rows if len(row.cells) > i)]
        return next(iter(names or columns), None)


def read_table(name: str, content: str, index: Index) -> Table | None:
    """Return a table by its content; None if none of its columns mentions recordings. The column of files is the one whose
    cells mention most of them; if the first row does not look like the others, it is a header. Raises InputError for a table
    that cannot be parsed."""
    where = f"data audio: {name}"
    if "|" in content.partition("\n")[0]:  # as in LJSpeech, where quotes are text
        split = [(number, [cell.strip() for cell in line.split("|")]) for number, line in enumerate(lines(content), 1)]
        rows = [Row(number, cells) for number, cells in split if any(cells)]
    else:
        rows = read_rows(content, where)
    folder = str(PurePosixPath(name).parent)
    width = max((len(row.cells) for row in rows), default=0)

    def found(column: int) -> list[str | None]:
        return [
            index.find(row.cells[column], folder) if column < len(row.cells) and row.cells[column] else None for row in rows
        ]

    columns = [found(column) for column in range(width)]
    best = max(range(width), key=lambda column: len(set(columns[column]) - {None}), default=0)
    if not width or not set(columns[best]) - {None}:
        return None
    header = rows[0].cells if columns[best][0] is None and not _is_data(rows, best) else None
    skip = 0 if header is None else 1
    return Table(name, header, rows[skip:], columns[best][skip:], best)


def _is_data(rows: list[Row], file_column: int) -> bool:
    """Return whether the first row, whose recording does not exist, is no header: it names a sound, or shares a cell with
    another row."""
    first = rows[0].cells
    is_sound = len(first) > file_column and PurePosixPath(first[file_column]).suffix.lower() in decoding.SUFFIXES
    return is_sound or any(cell and cell == other for row in rows[1:] for cell, other in zip(first, row.cells, strict=False))
