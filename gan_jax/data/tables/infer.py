"""Infer the types of a table's columns from the text of their cells.

A column is numeric if its cells are numbers, dates or times, more than `MAX_DISCRETE` different ones; otherwise it is
categorical. Digits that are no quantity are texts: with leading zeros, as in zip codes, integers beyond 2^53, and integers
in a column whose name says that they identify something or are codes. What a column's cells do not decide, options do; one
error lists what is wrong with all columns.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.data.reading import MISSING
from gan_jax.data.tables.dates import Dates, infer_dates
from gan_jax.data.tables.numbers import LARGEST, MARKS, Numbers, infer_numbers, is_code, match_number, value
from gan_jax.data.tables.schema import MAX_LEVELS, Categorical, Numeric, Schema, Table
from gan_jax.errors import InputError, unknown

MAX_DISCRETE = 10  # a column with at most this many different numbers is categorical
LOG_RATIO = 1e3  # of the 95% to the 5% quantile of the magnitudes in a column that is modelled on a logarithmic scale
SHOWN_PROBLEMS = 10
_ID = re.compile(r"(?:.*[^a-zA-Z])?(?:[iI][dD]|uuid|UUID|guid|GUID)|.*[a-z](?:Id|ID)")
_CODE = re.compile(r"(?:.*[ _-])?(?:zip|(?:zip|post|postal)[ _-]?code|plz|fips|phone)", re.IGNORECASE)
_INDEX = re.compile(r"index|row|row[ _]?(?:names?|numbers?)|unnamed:? \d+", re.IGNORECASE)


class Options(NamedTuple):
    """What the user states about columns."""

    numeric: Sequence[str] = ()  # names of columns of numbers, dates or times, however few or many different ones
    categorical: Sequence[str] = ()  # names of columns of levels
    missing: Sequence[str] = ()  # texts that stand for a missing value, in addition to `MISSING`
    decimal: str | None = None  # the decimal mark of columns that could have either
    dayfirst: bool | None = None  # whether the day precedes the month in columns that could have either order


class _Problem(Exception):
    """Why the type of a column cannot be inferred."""


class _Column(NamedTuple):
    name: str
    rows: list[str]  # the cells; "" if missing
    texts: list[str]  # the different ones that are not missing, in the order of the file
    missing: str | None  # the most frequent text of a missing value; None if no value is missing


def infer(
    columns: Mapping[str, Sequence[str]], options: Options | None = None, lines: Sequence[int] | None = None
) -> tuple[Schema, Table, tuple[str, ...]]:
    """Return the schema, its modes not yet fitted (see `schema.fit`), the rows, and notes. `lines` are the line numbers of the
    rows in the file, for messages. Raises InputError for unknown names, and listing the problems of all columns."""
    options = options or Options()
    for name in (*options.numeric, *options.categorical):
        if name not in columns:
            raise unknown("column of the table", name, columns)
    read = [_column(name, cells, options) for name, cells in columns.items()]
    mark = options.decimal or _decimal_mark(column for column in read if column.name not in options.categorical)
    numeric, categorical, numbers, codes, problems = [], [], [], [], []
    for column in read:
        try:
            found = _quantity(column, options, mark)
            if found is None:
                levels = _levels(column, options)
                categorical.append(levels)
                index = {level: code for code, level in enumerate(levels.levels)}
                codes.append([index[text] for text in column.rows])
            else:
                form, values = found
                numbers.append(np.array([values[text] if text else np.nan for text in column.rows]))
                numeric.append(_numeric(column, form, np.array(list(values.values()))))
        except _Problem as problem:
            row = _bad_row(column, problem)
            where = f"column {column.name!r}"
            if row is not None:
                where += f", line {lines[row]}" if lines else f", row {row + 1}"
            problems.append(f"{where}: {problem.args[0]}")
    if problems:
        more = f"; and {len(problems) - SHOWN_PROBLEMS} more columns" if len(problems) > SHOWN_PROBLEMS else ""
        raise InputError(f"table: {'; '.join(problems[:SHOWN_PROBLEMS])}{more}")
    count = len(next(iter(columns.values())))
    schema = Schema(tuple(columns), tuple(numeric), tuple(categorical))
    stacked = [np.stack(x, axis=1) if x else np.zeros((count, 0)) for x in (numbers, codes)]
    return schema, Table(stacked[0], stacked[1].astype(np.int64)), tuple(_notes(read, schema))


def _column(name: str, cells: Sequence[str], options: Options) -> _Column:
    missing = MISSING | {text.lower() for text in options.missing}
    rows = [text.strip() for text in cells]
    markers = Counter(text for text in rows if text.lower() in missing)
    rows = ["" if text in markers else text for text in rows]
    return _Column(name, rows, [x for x in dict.fromkeys(rows) if x], markers.most_common(1)[0][0] if markers else None)


def _quantity(column: _Column, options: Options, mark: str | None) -> tuple[Numbers | Dates, dict[str, float]] | None:
    """Return the form of a column's numbers, dates or times, and the value of each text; None if it is categorical."""
    name, texts = column.name, column.texts
    stated = name in options.numeric
    if stated and not texts:
        raise _Problem("it has no values, so it is not numeric")
    if name in options.categorical or not texts:
        return None
    form, values = _numbers(column, mark)
    if not stated and values and _identifies(column, values):
        return None
    dates = [] if stated and len(values) == len(texts) else infer_dates(texts)
    compact = len(dates) == 1 and len(dates[0][1]) == len(texts) and all(re.fullmatch("(19|20)[0-9]{6}", x) for x in texts)
    if compact or (dates and len(dates[0][1]) > len(values)):
        form, values = _dates(column, dates, options.dayfirst)
    if len(values) == len(texts):
        return (form, values) if stated or len(set(values.values())) > MAX_DISCRETE else None
    # Among mostly numbers, a text is a mistake; in a column of few different numbers, it is a level.
    many = len(set(values.values())) > MAX_DISCRETE and 2 * len(values) > len(texts)
    if stated or (many and 2 * sum(text in values for text in column.rows) > sum(map(bool, column.rows))):
        bad = [text for text in texts if text not in values]
        others = f", nor are {len(bad) - 1:,} other texts" if len(bad) > 1 else ""
        kind = "a date or time" if isinstance(form, Dates) else "a number"
        kind += f" up to {LARGEST:.0e}" if re.search("(?i)^[-+]?(inf|[0-9.]+e[+]?[0-9]{3})", bad[0]) else ""
        remedy = "" if stated else f", or categorical={name!r} if the column holds texts"
        raise _Problem(
            f"{bad[0]!r} is not {kind} like the other cells{others}: correct it, or set missing={bad[0]!r}{remedy}", bad[0]
        )
    return None


def _numbers(column: _Column, mark: str | None) -> tuple[Numbers, dict[str, float]]:
    """Return the form of the numbers of a column, and the value of each text that is one."""
    point, comma = (infer_numbers(column.texts, m) for m in MARKS)
    if len(point[1]) != len(comma[1]):
        return max(point, comma, key=lambda pair: len(pair[1]))
    different = [text for text in point[1] if point[1][text] != comma[1].get(text)]
    if not different:
        return comma if mark == "," else point
    if mark is None and "," in different[0]:
        values = [pair[1][different[0]] for pair in (point, comma)]
        raise _Problem(
            f"{different[0]!r} could be {values[0]:,.0f} or {values[1]:.3f}: set decimal='.' or decimal=','", different[0]
        )
    return comma if mark == "," else point


def _decimal_mark(columns) -> str | None:
    """Return the only decimal mark that columns with certain marks have; None if there is none, or both."""
    marks = set()
    for column in columns:
        sizes = {mark: sum(match_number(text, mark) is not None for text in column.texts) for mark in MARKS}
        certain = max(sizes, key=sizes.get)
        if sizes[certain] == len(column.texts) > min(sizes.values()):
            marks.add(certain)
    return marks.pop() if len(marks) == 1 else None


def _dates(
    column: _Column, dates: list[tuple[Dates, dict[str, float]]], dayfirst: bool | None
) -> tuple[Dates, dict[str, float]]:
    """Choose between two orders of day and month."""
    text = next((text for text, x in dates[0][1].items() if any(x != values.get(text, x) for _, values in dates)), None)
    if text is None:
        return dates[0]
    if dayfirst is None:
        written = " or ".join(form.pattern for form, _ in dates)
        raise _Problem(f"{text!r} could be {written}: set dayfirst=True or dayfirst=False", text)
    return next(pair for pair in dates if (pair[0].pattern.index("%d") < pair[0].pattern.index("%m")) == dayfirst)


def _identifies(column: _Column, values: Mapping[str, float]) -> bool:
    """Whether numbers are digits that identify something and are no quantities."""
    matches = [match for text in values if (match := match_number(text, "."))]
    if any(map(is_code, matches)):
        return True
    if len(matches) < len(column.texts) or not all(value(match).is_integer() and not match["part"] for match in matches):
        return False
    different = len(column.texts) == sum(map(bool, column.rows))
    return bool(_ID.fullmatch(column.name) or _CODE.fullmatch(column.name) or (different and _INDEX.fullmatch(column.name)))


def _levels(column: _Column, options: Options) -> Categorical:
    name, counts = column.name, Counter(column.rows)
    present = sum(map(bool, column.rows))
    once = sum(count == 1 for level, count in counts.items() if level)
    # Quantities in a form that is not read: most of them differ, and have digits without being numbers, which are codes here.
    unread = sum(bool(re.search("[0-9]", text)) and not match_number(text, ".") for text in column.texts)
    unread = len(column.texts) > MAX_LEVELS and min(2 * once, 2 * unread) > present
    if (len(column.texts) == present > MAX_DISCRETE or unread) and name not in options.categorical:
        many = (
            f"its {present:,} values are all different" if once == present else f"{once:,} of its {present:,} values occur once"
        )
        numeric = f", or numeric={name!r} if they are quantities" if _numbers(column, ".")[1] else ""
        raise _Problem(
            f"{many}: they identify rows, or are written in a form that is not read: leave "
            f"it out with drop={name!r}{numeric}, or reuse them in generated rows with categorical={name!r}"
        )
    levels = sorted(counts, key=_order)
    if len(levels) <= MAX_LEVELS:
        return Categorical(name, tuple(levels), column.missing or "")
    levels.sort(key=lambda level: -counts[level])  # stable
    rare = tuple(counts[level] for level in levels[MAX_LEVELS - 1 :])
    return Categorical(name, tuple(levels), column.missing or "", rare)


def _numeric(column: _Column, form: Numbers | Dates, values: np.ndarray) -> Numeric:
    """Return a numeric column without modes; `values` are its different numbers."""
    magnitudes = np.abs(values[values != 0])
    low, high = np.quantile(magnitudes, [0.05, 0.95]) if len(magnitudes) else (1.0, 1.0)
    # Where asinh(x / log_unit) is not yet a logarithm, near 0. The ratio must not overflow.
    log_unit = max(magnitudes.min(), magnitudes.max() / 1e300) if high > LOG_RATIO * low else 0.0
    bounds = float(values.min()), float(values.max())
    return Numeric(column.name, form, column.missing, *bounds, 0.0 if isinstance(form, Dates) else float(log_unit))


def _bad_row(column: _Column, problem: _Problem) -> int | None:
    """Return the first row with the text that a problem names."""
    return column.rows.index(problem.args[1]) if len(problem.args) > 1 else None


def _notes(columns: list[_Column], schema: Schema):
    """Yield what was understood, grouped and changed."""
    yield f"{len(columns)} columns: {'; '.join(map(str, schema.columns))}"
    for column in schema.categorical:
        if column.rare:
            total = len(columns[0].rows)
            yield (
                f"column {column.name!r} has {len(column.levels):,} levels: the {MAX_LEVELS - 1} most frequent are learnt; "
                f"the other {len(column.rare):,} ({sum(column.rare) / total:.1%} of the rows) are learnt as one, and generated "
                f"rows draw among them by their frequencies"
            )
    for column in columns:
        if not column.texts:
            yield f"column {column.name!r} has no values"


def _order(level: str) -> tuple:
    """Sort key: numbers by value, then texts, then the missing level."""
    match = match_number(level, ".")
    return (0, value(match), level) if match else (1 if level else 2, 0.0, level)
