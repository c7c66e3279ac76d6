"""Tables: a user's csv, a data set of scikit-learn or tensorflow-datasets, or synthetic rows.

A row is conditioned on one level of one categorical column. In training, rare levels are requested more often than they occur:
the train split is a fixed list of (condition, row) pairs, from which batches are drawn as from any data. The label of a pair
holds two conditions, [2 K] float32 with K the total number of levels: the condition by which the pair was drawn, and a second
one drawn with the frequencies of the table. A generator uses the first in training and the second in evaluation, so that the
samples that are shown, measured and saved are distributed like the table.

Source: Xu et al. 2019 (CTGAN), arXiv:1907.00503, section 4.3.
"""

import csv
import io
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gan_jax.data.dataset import Data, Format, Measure, Presentation, Protocol, Source, Split
from gan_jax.data.paths import locate
from gan_jax.data.reading import listed, split_rows
from gan_jax.data.tables.conditions import label_starts, parse_condition
from gan_jax.data.tables.files import Cells, read_csv
from gan_jax.data.tables.infer import Options, infer
from gan_jax.data.tables.schema import Schema, Table, cells, columns_of, decode, encode, facts_of, fit, schema_of, to_float
from gan_jax.errors import InputError, unknown

BUNDLED = ("breast_cancer", "diabetes", "iris", "wine")  # in scikit-learn
PAIRS_PER_ROW, MAX_PAIRS = 10, 100_000  # in the train split; at least one pair per row, even if that exceeds the maximum
HELD_OUT = 0.2  # fraction of the rows
MIN_ROWS = 50
NUM_SHOWN = 2_000  # rows in a picture and in the csv next to it


def table(
    data_dir: str | None,
    *,
    path: str | None = None,
    name: str = "made",
    target: str | None = None,
    drop: str | Sequence[str] = "",
    numeric: str | Sequence[str] = "",
    categorical: str | Sequence[str] = "",
    missing: str | Sequence[str] = "",
    decimal: str | None = None,
    dayfirst: bool | None = None,
    header: bool | None = None,
    delimiter: str | None = None,
) -> Source:
    """Read the csv at `path` (a header and rows, with cells separated by commas, semicolons, tabs or bars), or for
    `path="tfds:NAME"` the numbers, classes and texts of a prepared data set; or the table `name`: "made", 5,000 synthetic rows
    with missing values and rare levels, or one of `BUNDLED`.

    The types of columns are inferred (see `infer.py`), except for those that `numeric` and `categorical` name; `drop` names
    columns to leave out, and `missing` texts that stand for missing values. All four are separated by commas, or tuples of
    names. `decimal` is the decimal mark and `dayfirst` the order of dates for columns that could have either; `header` says
    whether the first line names the columns, which is assumed unless it looks like data. `target` is the column that
    classifiers or regressions predict in the evaluation, by default the last one. A fixed fifth of the rows is held out. Raises
    InputError for a missing file, an unknown name or column, a file that is not a table, and columns of uncertain type."""
    if decimal not in (None, ".", ","):
        raise InputError(f"table: decimal must be '.' or ',', got {decimal!r}")
    for option, value in (("dayfirst", dayfirst), ("header", header)):
        if not isinstance(value, bool | None):
            raise InputError(f"table: {option} must be True or False, got {value!r}")
    cells = _cells(data_dir, path, name, header, delimiter, _names("categorical", categorical, ()))
    columns = dict(cells.columns)
    lists = {"numeric": numeric, "categorical": categorical, "missing": missing}
    lists = {option: _names(option, names, columns) for option, names in lists.items()}
    dropped = _names("drop", drop, columns)
    for column in dropped:
        if column not in columns:
            raise unknown("column of the table", column, cells.columns)
        del columns[column]
    count = len(next(iter(columns.values()), ()))
    if count < MIN_ROWS:
        raise InputError(f"table {path or name} must have at least one column and {MIN_ROWS} rows, got {len(columns)}, {count}")
    schema, rows, notes = infer(columns, Options(**lists, decimal=decimal, dayfirst=dayfirst), cells.lines)
    if dropped:
        notes = (f"left out by drop, also of generated rows: {listed(dropped)}", *notes)
    train, test = map(rows.take, split_rows(count, HELD_OUT))
    schema = fit(schema, train)
    if target is not None and target not in schema.names:
        raise unknown("column of the table", target, schema.names)
    source = _source(schema, train, test, target or schema.names[-1])
    return replace(source, notes=(*cells.notes, *notes, *_rounding(schema, rows)))


def synthetic(count: int = 5_000) -> dict[str, list[str]]:
    """Generate customers: numbers with several modes and with zeros, levels with frequencies from 40% to 1%, incomes that are
    missing more often in one region, and a decision that depends on most of the other columns."""
    random = np.random.RandomState(0)
    school = random.choice(4, count, p=[0.15, 0.5, 0.3, 0.05])
    region = random.choice(6, count, p=[0.4, 0.25, 0.2, 0.1, 0.04, 0.01])
    young = random.rand(count) < 0.6 - 0.1 * school
    age = np.clip(np.where(young, 27 + 4 * random.randn(count), 52 + 9 * random.randn(count)), 18, 95).round()
    income = np.exp(9.6 + 0.28 * school + 0.012 * (age - 40) + 0.15 * (region == 2) + 0.25 * random.randn(count)).round(-1)
    owns = random.rand(count) < 1 / (1 + np.exp(-(age - 48) / 6))
    rent = np.where(owns, 0, 0.3 * income / 12 * np.exp(0.12 * random.randn(count))).round(2)
    hours = np.where(random.rand(count) < 0.6, 40, np.clip(24 + 7 * random.randn(count), 4, 60)).round(1)
    score = 1.2 * (school - 1) + (income - 17_000) / 5_000 - 1.5 * owns + (region == 3) + 0.04 * (hours - 35)
    buys = random.rand(count) < 1 / (1 + np.exp(-1.5 * score))
    missing = random.rand(count) < np.where(region == 1, 0.2, 0.03)
    return {
        "age": [f"{x:.0f}" for x in age],
        "school": [("basic", "secondary", "degree", "doctorate")[i] for i in school],
        "region": [("north", "south", "east", "west", "islands", "abroad")[i] for i in region],
        "hours": [f"{x:.1f}" for x in hours],
        "income": ["" if is_missing else f"{x:.0f}" for x, is_missing in zip(income, missing, strict=True)],
        "rent": [f"{x:.2f}" for x in rent],
        "home": ["own" if x else "rented" for x in owns],
        "buys": ["yes" if x else "no" for x in buys],
    }


def pairs(codes: np.ndarray, levels: tuple[int, ...], count: int, random: np.random.RandomState) -> tuple[np.ndarray, ...]:
    """Training-by-sampling: return the row numbers of about `count` pairs and the columns by which they are drawn, [M] each.
    Columns are chosen equally often, levels in proportion to log(1 + number of their rows), the rows of a level equally often.

    Source: Xu et al. 2019, section 4.3, with expected counts in place of random draws."""
    rows, columns = [], []
    for column, size in enumerate(levels):
        weights = np.log1p(np.bincount(codes[:, column], minlength=size))
        for level in np.flatnonzero(weights):
            matching = random.permutation(np.flatnonzero(codes[:, column] == level))
            rows.append(np.resize(matching, max(1, round(count / len(levels) * weights[level] / weights.sum()))))
            columns.append(np.full(len(rows[-1]), column))
    return np.concatenate(rows), np.concatenate(columns)


def _source(schema: Schema, train: Table, test: Table, target: str) -> Source:
    splits = [Split(encode(schema, rows, seed), None) for seed, rows in enumerate((train, test))]
    if schema.categorical:
        codes = (schema.grouped(rows).codes for rows in (train, test))
        splits = [_with_conditions(schema, *pair) for pair in zip(splits, codes, (True, False), strict=True)]

    facts = facts_of(schema)
    shown = presentation(**facts)

    def show(samples: dict) -> dict[str, bytes]:
        from gan_jax.data.tables.drawing import picture

        return {".svg": picture(schema, decode(schema, samples), train), **shown.show(samples)}

    def evaluator(data: Data, protocol: Protocol = Protocol()) -> Measure:
        from gan_jax.data.tables import evaluator

        return evaluator.evaluator(data, protocol, schema, train, test, target)

    def set_aside(fraction: float) -> tuple[Source, Split]:
        count = round(fraction * len(train.numbers))
        if not 1 <= count < len(train.numbers):
            raise InputError(f"validation {fraction} of {len(train.numbers)} rows leaves a split empty")
        validation, rest = train.take(slice(count)), train.take(slice(count, None))
        return _source(schema, rest, test, target), _source(schema, rest, validation, target).test

    return Source(
        train=splits[0],
        test=splits[1],
        num_classes=2 * sum(schema.levels),
        to_float=lambda stored: to_float(schema, stored),
        show=show,
        export=shown.export,
        condition=shown.condition,
        pack=shown.pack,
        evaluator=evaluator,
        num_shown=NUM_SHOWN,
        set_aside=set_aside,
        format=Format("table", facts),
    )


def presentation(**facts: Any) -> Presentation:
    """Return the presentation of rows of the schema that `schema.facts_of` describes. The picture is missing: it compares
    generated rows with real ones."""
    schema = schema_of(**facts)

    def export(samples: dict) -> dict[str, bytes]:
        return {".csv": _csv(cells(schema, decode(schema, samples)))}

    def show(samples: dict) -> dict[str, bytes]:
        from gan_jax.data.tables.drawing import text

        return {".txt": text(schema, decode(schema, samples)), **export(samples)}

    return Presentation(
        show=show,
        pack=lambda samples: _packed(cells(schema, decode(schema, samples))),
        decode=lambda samples: columns_of(schema, decode(schema, samples)),
        export=export,
        condition=lambda text: parse_condition(schema, text),
    )


def _csv(columns: dict[str, list[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([list(columns), *zip(*columns.values(), strict=True)])
    return out.getvalue().encode()


def _packed(columns: dict[str, list[str]]) -> dict[str, np.ndarray]:
    return {"columns": np.array(list(columns)), "rows": np.array(list(columns.values())).T}


def _with_conditions(schema: Schema, split: Split, codes: np.ndarray, sampled: bool) -> Split:
    """Add conditions and labels. With `sampled`, for the train split, rows are drawn several times by `pairs`; otherwise each
    row occurs once, with a random column as its condition."""
    random, count, num_columns = np.random.RandomState(1), len(codes), len(schema.levels)
    if sampled:
        num_pairs = max(count, min(PAIRS_PER_ROW * count, MAX_PAIRS))
        indices, column = pairs(codes, schema.levels, num_pairs, random)
    else:
        indices, column = np.arange(count), random.randint(num_columns, size=count)
    names = [c.name for c in schema.categorical]
    stored = {k: x[indices] if k == "values" else {name: y[indices] for name, y in x.items()} for k, x in split.samples.items()}
    # -1 is not a level: its one-hot vector is zero.
    stored["condition"] = {name: np.where(column == i, codes[indices, i], -1).astype(np.int16) for i, name in enumerate(names)}
    # The second condition is the level of a row drawn uniformly, so levels occur with their frequencies in the table.
    second_rows = np.resize(random.permutation(count), len(indices))
    second_column = random.randint(num_columns, size=len(indices))
    conditions = [(codes[indices, column], column), (codes[second_rows, second_column], second_column)]
    labels = np.zeros((len(indices), 2 * sum(schema.levels)), np.float32)
    total, starts = sum(schema.levels), label_starts(schema)
    for half, (level, level_column) in enumerate(conditions):
        labels[np.arange(len(indices)), half * total + starts[level_column] + level] = 1
    return Split(stored, labels)


def _rounding(schema: Schema, rows: Table) -> tuple[str, ...]:
    """Return the note on columns whose numbers the float32 representation of the networks does not preserve exactly."""
    decoded = decode(schema, to_float(schema, encode(schema, rows, 0)))
    errors = [np.nanmax(np.abs(a - b), initial=0) for a, b in zip(decoded.numbers.T, rows.numbers.T, strict=True)]
    names = [f"{column.name} (up to {error:.2g})" for column, error in zip(schema.numeric, errors, strict=True) if error > 0]
    return (f"numbers rounded by the networks' float32: {listed(names)}",) if names else ()


def _names(option: str, names: str | Sequence[str], columns: Collection[str]) -> list[str]:
    """Return the names in an option: a tuple, or texts separated by commas, unless the whole is the name of a column."""
    if isinstance(names, str):
        return [names] if names in columns else [name.strip() for name in names.split(",") if name.strip()]
    if isinstance(names, tuple) and all(isinstance(name, str) for name in names):
        return list(names)
    raise InputError(f"table: {option} must be names separated by commas, or a tuple of names, got {names!r}")


def _cells(
    data_dir: str | None, path: str | None, name: str, header: bool | None, delimiter: str | None, texts: Sequence[str]
) -> Cells:
    """Return the cells of the table that the options choose."""
    if path is not None:
        if not isinstance(path, str):
            raise InputError(f"table: path must be the name of a csv file, got {path!r}")
        if path.startswith("tfds:"):
            from gan_jax.data.tfds import columns

            read, notes = columns(path.removeprefix("tfds:"), data_dir)
            return Cells(read, None, notes)
        return read_csv(locate(path, data_dir), header, delimiter, texts)
    if name == "made":
        return Cells(synthetic())
    if name not in BUNDLED:
        raise unknown("table", str(name), ("made", *BUNDLED))
    return Cells(_bundled(name))


def _bundled(name: str) -> dict[str, list[str]]:
    from sklearn import datasets

    bundle = getattr(datasets, f"load_{name}")(**({"scaled": False} if name == "diabetes" else {}))
    columns = {
        column.replace(" (cm)", ""): [repr(float(x)) for x in bundle.data[:, i]]
        for i, column in enumerate(bundle.feature_names)
    }
    if name == "diabetes":
        return columns | {"progression": [repr(float(x)) for x in bundle.target]}
    kind = {"iris": "species", "wine": "cultivar", "breast_cancer": "diagnosis"}[name]
    return columns | {kind: [str(bundle.target_names[i]) for i in bundle.target]}
