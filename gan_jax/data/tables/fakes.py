"""Read generated rows that any program wrote, by the schema of the real table."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_jax.data.reading import MISSING, listed
from gan_jax.data.tables.files import read_samples
from gan_jax.data.tables.numbers import is_code, match_number, value
from gan_jax.data.tables.schema import Categorical, Numeric, Schema, Table
from gan_jax.errors import InputError


class Fakes(NamedTuple):
    """Generated rows. A cell that cannot be of the real table is NaN among the numbers, and among the choices one more than a
    column has."""

    rows: Table  # with choices as codes: see `Schema.grouped`
    valid: np.ndarray  # bool [N]: whether all cells could be of the real table
    notes: tuple[str, ...]


def read_fakes(schema: Schema, path: Path) -> Fakes:
    """Read a csv, with its columns in any order, or the .npz of `sample.py`. Cells are read as those of the real table, numbers
    and dates also as Python writes them. Invalid are numbers that cannot be read, levels that do not occur in the real table,
    missing values in columns without any there, and rows that are too short or too long. Raises InputError naming columns that
    the file lacks."""
    names, rows = read_samples(path)
    if not set(names) & set(schema.names) and schema.names == tuple(f"column {i + 1}" for i in range(len(names))):
        names, rows = list(schema.names), [names, *rows]  # neither table has a header
    if absent := [name for name in schema.names if name not in names]:
        raise InputError(f"table {path}: no column {listed(list(map(repr, absent)))}; its columns are {listed(names, 20)}")
    if twice := [name for name in schema.names if names.count(name) > 1]:
        raise InputError(f"table {path}: columns of the same name: {listed(list(map(repr, twice)))}")
    if not rows:
        raise InputError(f"table {path} has no rows")
    complete = np.array([len(row) == len(names) for row in rows])
    problems = {"of another number of cells": ~complete}

    def read(column: Numeric | Categorical) -> np.ndarray:
        """Return a column's numbers or choices [N]; infinite where a cell is invalid."""
        place, known = names.index(column.name), _known(column)
        texts = [row[place] if full else None for row, full in zip(rows, complete, strict=True)]
        values = {text: known(text) for text in dict.fromkeys(texts) if text is not None}
        invalid = [text for text, x in values.items() if np.isinf(x)]
        if invalid:
            kind = "unknown levels" if isinstance(column, Categorical) else "unreadable cells"
            reason = f"with {kind} in column {column.name!r} ({listed(list(map(repr, invalid)), 3)})"
            problems[reason] = np.array([text in invalid for text in texts])
        return np.array([values.get(text, np.inf) for text in texts])

    numbers = [np.where(np.isinf(x), np.nan, x) for x in map(read, schema.numeric)]
    codes = [np.where(np.isinf(x), c.choices, np.minimum(x, c.choices - 1)) for c in schema.categorical for x in [read(c)]]
    stacked = [np.stack(x, axis=1) if x else np.zeros((len(rows), 0)) for x in (numbers, codes)]
    fakes = Table(stacked[0], stacked[1].astype(np.int64))
    valid = ~np.logical_or.reduce(list(problems.values()))
    return Fakes(fakes, valid, tuple(_notes(schema, names, fakes, valid, problems)))


def _known(column: Numeric | Categorical):
    """Return the function from a cell to its number, NaN if missing, or to its level; infinite if the cell is invalid."""

    def is_missing(text: str) -> bool:
        return text.lower() in MISSING or text == column.missing

    def number(text: str) -> float:
        if is_missing(text):
            return np.inf if column.missing is None else np.nan
        try:
            return column.form.parse(text)
        except ValueError:
            return np.inf

    if isinstance(column, Numeric):
        return number
    codes = {level: float(code) for code, level in enumerate(column.levels)}
    # Other programs write 1 as 1.0.
    plain = {level: match for level in codes if (match := match_number(level, ".")) and not is_code(match)}
    by_value = {value(match): codes[level] for level, match in plain.items()}

    def level(text: str) -> float:
        code = codes.get("" if is_missing(text) else text)
        match = match_number(text, ".") if code is None else None
        return by_value.get(value(match), np.inf) if match else np.inf if code is None else code

    return level


def _notes(schema: Schema, names: list[str], rows: Table, valid: np.ndarray, problems: dict[str, np.ndarray]) -> Iterator[str]:
    if others := [name for name in names if name not in schema.names]:
        yield f"columns that the real table does not have are ignored: {listed(list(map(repr, others)))}"
    if not valid.all():
        reasons = [f"{mask.sum():,} {reason}" for reason, mask in problems.items() if mask.any()]
        yield f"{(~valid).sum():,} of {len(valid):,} rows are invalid: {listed(reasons, 10)}"
    for column, x in zip(schema.numeric, rows.numbers.T, strict=True):
        if outside := ((x < column.low) | (x > column.high)).sum():
            low, high = map(column.form.write, (column.low, column.high))
            yield f"{outside:,} numbers in column {column.name!r} are outside the real range, {low} to {high}"
