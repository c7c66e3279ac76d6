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
from pathlib import Path

import numpy as np

from gan_jax.data.dataset import Data, Measure, Protocol, Source, Split
from gan_jax.data.paths import locate
from gan_jax.data.tables.schema import Schema, Table, cells, decode, encode, fit, infer, to_float
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
    drop: str = "",
    numeric: str = "",
    categorical: str = "",
    header: bool = True,
) -> Source:
    """Read the csv at `path` (a header and rows, with cells separated by commas, semicolons, tabs or bars), or for
    `path="tfds:NAME"` the numbers, classes and texts of a prepared data set; or the table `name`: "made", 5,000 synthetic rows
    with missing values and rare levels, or one of `BUNDLED`.

    The types of columns are inferred (see `schema.infer`), except for those that `numeric` and `categorical` name; `drop` names
    columns to leave out. All three are names separated by commas. `target` is the column that classifiers or regressions
    predict in the evaluation, by default the last one. A fixed fifth of the rows is held out. Raises InputError for a missing
    file, an unknown name or column, or a file that is not a table."""
    lists = {
        option: _names(option, text) for option, text in (("drop", drop), ("numeric", numeric), ("categorical", categorical))
    }
    columns = _columns(data_dir, path, name, header)
    for dropped in lists.pop("drop"):
        if dropped not in columns:
            raise unknown("column of the table", dropped, columns)
        del columns[dropped]
    if not columns or len(next(iter(columns.values()))) < MIN_ROWS:
        raise InputError(f"table {path or name} must have at least one column and {MIN_ROWS} rows")
    schema, rows = infer(columns, **lists)
    order = np.random.RandomState(0).permutation(len(rows.numbers))
    num_held_out = round(HELD_OUT * len(order))
    train, test = (Table(*(x[indices] for x in rows)) for indices in (order[num_held_out:], order[:num_held_out]))
    schema = fit(schema, train)
    if target is not None and target not in schema.names:
        raise unknown("column of the table", target, schema.names)
    return _source(schema, train, test, target or schema.names[-1])


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
        splits = [_with_conditions(schema, *pair) for pair in zip(splits, (train, test), (True, False), strict=True)]

    def show(samples: dict) -> dict[str, bytes]:
        from gan_jax.data.tables.drawing import picture, text

        rows = decode(schema, samples)
        return {".png": picture(schema, rows, train), ".txt": text(schema, rows), **export(samples)}

    def export(samples: dict) -> dict[str, bytes]:
        return {".csv": _csv(cells(schema, decode(schema, samples)))}

    def evaluator(data: Data, protocol: Protocol = Protocol()) -> Measure:
        from gan_jax.data.tables import metrics

        return metrics.evaluator(data, protocol, schema, train, target)

    def set_aside(fraction: float) -> tuple[Source, Split]:
        count = round(fraction * len(train.numbers))
        if not 1 <= count < len(train.numbers):
            raise InputError(f"validation {fraction} of {len(train.numbers)} rows leaves a split empty")
        validation, rest = (Table(*(x[rows] for x in train)) for rows in (slice(count), slice(count, None)))
        return _source(schema, rest, test, target), _source(schema, rest, validation, target).test

    return Source(
        train=splits[0],
        test=splits[1],
        num_classes=2 * sum(schema.levels),
        to_float=lambda stored: to_float(schema, stored),
        show=show,
        export=export,
        pack=lambda samples: _packed(cells(schema, decode(schema, samples))),
        evaluator=evaluator,
        num_shown=NUM_SHOWN,
        set_aside=set_aside,
    )


def _csv(columns: dict[str, list[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([list(columns), *zip(*columns.values(), strict=True)])
    return out.getvalue().encode()


def _packed(columns: dict[str, list[str]]) -> dict[str, np.ndarray]:
    return {"columns": np.array(list(columns)), "rows": np.array(list(columns.values())).T}


def _with_conditions(schema: Schema, split: Split, rows: Table, sampled: bool) -> Split:
    """Add conditions and labels. With `sampled`, for the train split, rows are drawn several times by `pairs`; otherwise each
    row occurs once, with a random column as its condition."""
    random, count, num_columns = np.random.RandomState(1), len(rows.codes), len(schema.levels)
    if sampled:
        num_pairs = max(count, min(PAIRS_PER_ROW * count, MAX_PAIRS))
        indices, column = pairs(rows.codes, schema.levels, num_pairs, random)
    else:
        indices, column = np.arange(count), random.randint(num_columns, size=count)
    names = [c.name for c in schema.categorical]
    stored = {k: x[indices] if k == "values" else {name: y[indices] for name, y in x.items()} for k, x in split.samples.items()}
    # -1 is not a level: its one-hot vector is zero.
    stored["condition"] = {
        name: np.where(column == i, rows.codes[indices, i], -1).astype(np.int16) for i, name in enumerate(names)
    }
    # The second condition is the level of a row drawn uniformly, so levels occur with their frequencies in the table.
    second_rows = np.resize(random.permutation(count), len(indices))
    second_column = random.randint(num_columns, size=len(indices))
    conditions = [(rows.codes[indices, column], column), (rows.codes[second_rows, second_column], second_column)]
    labels = np.zeros((len(indices), 2 * sum(schema.levels)), np.float32)
    # Columns are in alphabetical order, as the leaves of the conditions in `stored` are.
    start, total = {}, 0
    for name, size in sorted(zip(names, schema.levels, strict=True)):
        start[name], total = total, total + size
    starts = np.array([start[name] for name in names])
    for half, (level, level_column) in enumerate(conditions):
        labels[np.arange(len(indices)), half * total + starts[level_column] + level] = 1
    return Split(stored, labels)


def _names(option: str, text: str) -> list[str]:
    if not isinstance(text, str):
        raise InputError(f"table: {option} must be names separated by commas, got {text!r}")
    return [name.strip() for name in text.split(",") if name.strip()]


def _columns(data_dir: str | None, path: str | None, name: str, header: bool) -> dict[str, list[str]]:
    """Return the cells of each column as text."""
    if path is not None:
        if not isinstance(path, str):
            raise InputError(f"table: path must be the name of a csv file, got {path!r}")
        if path.startswith("tfds:"):
            from gan_jax.data.tfds import columns

            return columns(path.removeprefix("tfds:"), data_dir)
        return _read(locate(path, data_dir), header)
    if name == "made":
        return synthetic()
    if name not in BUNDLED:
        raise unknown("table", str(name), ("made", *BUNDLED))
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


def _read(path: Path, header: bool) -> dict[str, list[str]]:
    """Read the columns of a csv. Raises InputError for a row with too many or too few cells, with its line number."""
    try:
        content = path.read_text(encoding="utf-8-sig")
        first = content.partition("\n")[0]
        reader = csv.reader(io.StringIO(content, newline=""), delimiter=max(",;\t|", key=first.count), skipinitialspace=True)
        lines = [(reader.line_num, line) for line in reader if any(cell.strip() for cell in line)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read the table {path}: {error}") from error
    if not lines:
        raise InputError(f"the table {path} is empty")
    names = [cell.strip() for cell in lines[0][1]] if header else [f"column {i + 1}" for i in range(len(lines[0][1]))]
    if len(set(names)) < len(names) or "" in names:
        raise InputError(f"the table {path}: columns must have different names: {', '.join(map(repr, names))}; or header=False")
    rows = lines[header:]
    for number, row in rows:
        if len(row) != len(names):
            raise InputError(f"the table {path}, line {number}: {len(row)} cells instead of {len(names)}")
    return {name: [line[i] for _, line in rows] for i, name in enumerate(names)}
