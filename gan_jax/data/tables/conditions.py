"""Conditions on generated rows, as a user writes them: `tier=pro`, or `income>50000, region=north`.

A generator that was trained on conditions makes rows of one level of one categorical column likely; the others, and numbers,
are only tested, so rows are generated until enough of them satisfy everything.
"""

import operator
import re
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data.dataset import Condition
from gan_jax.data.tables.schema import Categorical, Numeric, Schema, decode
from gan_jax.errors import InputError, unknown

COMPARISONS = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_COMPARISON = "(<=|>=|!=|==|=|<|>)"


class _Term(NamedTuple):
    """A comparison of a column with a value."""

    column: Numeric | Categorical
    comparison: str
    value: float | int  # a number, or the number of a level; NaN or the missing level if the text of the value is empty


def parse_condition(schema: Schema, text: str) -> Condition:
    """Return the condition in a text of comparisons separated by commas, all of which rows must satisfy: a column, one of
    `COMPARISONS`, and a value as in the file; nothing or the file's own text for a missing value. Levels are compared with =
    and !=. Raises InputError for an unknown column or level, and for a value that is not of the column's type."""
    terms = [_term(schema, part.strip()) for part in _parts(schema, text)]
    requested = next((t for t in terms if isinstance(t.column, Categorical) and t.comparison == "="), None)
    label = None if requested is None else _label(schema, requested)
    return Condition(label, partial(_accept, schema, terms), by_label=label is not None and len(terms) == 1)


def label_starts(schema: Schema) -> np.ndarray:
    """Return where the levels of each categorical column begin in one half of a label: the columns are in alphabetical order,
    as the leaves of the conditions of stored rows are."""
    start, total = {}, 0
    for name, size in sorted((column.name, column.choices) for column in schema.categorical):
        start[name], total = total, total + size
    return np.array([start[column.name] for column in schema.categorical], np.int64)


def _parts(schema: Schema, text: str) -> list[str]:
    """Split at commas after which another comparison begins: levels and numbers may contain commas too."""
    names = "|".join(re.escape(name) for name in sorted(schema.names, key=len, reverse=True))
    return re.split(rf",\s*(?=(?:{names})\s*[<>=!])", text)


def _term(schema: Schema, text: str) -> _Term:
    columns = {column.name: column for column in schema.columns}
    # The longest name that fits: a name may begin with another one, or contain a comparison itself.
    name = max((name for name in columns if re.match(rf"{re.escape(name)}\s*{_COMPARISON}", text)), key=len, default=None)
    if name is None:
        match = re.match(rf"(.+?)\s*{_COMPARISON}", text)
        if match is None:
            raise InputError(f"--label {text}: write comparisons such as COLUMN=VALUE or COLUMN>NUMBER, separated by commas")
        raise unknown("column of the table", match[1], columns)
    _, comparison, value = re.split(_COMPARISON, text[len(name) :], maxsplit=1)
    column, comparison = columns[name], "=" if comparison == "==" else comparison
    read = _level if isinstance(column, Categorical) else _number
    return _Term(column, comparison, read(column, comparison, value.strip()))


def _level(column: Categorical, comparison: str, text: str) -> int:
    if comparison not in ("=", "!="):
        raise InputError(f"--label: {column.name} has levels, which are compared with = or !=, not {comparison}")
    level = "" if text == column.missing else text
    if level not in column.levels:
        raise unknown(f"level of {column.name}", text, [level or column.missing for level in column.levels])
    return column.levels.index(level)


def _number(column: Numeric, comparison: str, text: str) -> float:
    if column.missing is not None and text in ("", column.missing):
        if comparison not in ("=", "!="):
            raise InputError(f"--label: a missing value of {column.name} is compared with = or !=, not {comparison}")
        return np.nan
    try:
        return float(column.form.parse(text))
    except ValueError as error:
        raise InputError(f"--label: {column.name} holds {column.form}, got {text!r}") from error


def _label(schema: Schema, term: _Term) -> np.ndarray:
    """Return the label [2 K] that requests the level of a term, in training and in evaluation (see `rows.py`)."""
    index, half = schema.categorical.index(term.column), sum(schema.levels)
    label = np.zeros(2 * half, np.float32)
    label[[label_starts(schema)[index] + min(term.value, term.column.choices - 1) + start for start in (0, half)]] = 1
    return label


def _accept(schema: Schema, terms: list[_Term], samples: Any) -> np.ndarray:
    """Return whether each of the samples satisfies all terms, bool [N]."""
    rows = decode(schema, samples)
    accepted = np.ones(len(rows.numbers), bool)
    for column, comparison, value in terms:
        if isinstance(column, Categorical):
            values = rows.codes[:, schema.categorical.index(column)]
        else:
            values = rows.numbers[:, schema.numeric.index(column)]
        if np.isnan(value):
            values, value = np.isnan(values), True
        elif comparison == "!=":
            accepted &= ~np.isnan(values)  # a missing number is not known to differ
        accepted &= COMPARISONS[comparison](values, value)
    return accepted
