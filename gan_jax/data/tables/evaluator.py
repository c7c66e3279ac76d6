"""How generated rows are measured: against which real rows, in sets of which size."""

import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data.dataset import Data, FileMetrics, Measure, Protocol
from gan_jax.data.tables.metrics import classification, closest, correlation_gap, features, jsd, regression, wasserstein
from gan_jax.data.tables.schema import Schema, Table, decode
from gan_jax.errors import InputError

MIN_ROWS = 20  # of generated rows, and of each split
MIN_VALID = 10  # valid rows in a set, for metrics of these rows
MAX_SETS = 4  # sets of generated rows, each as large as the train split, over which values are averaged


class _Comparison(NamedTuple):
    """How rows are compared; all tables have choices as codes (`Schema.grouped`)."""

    schema: Schema
    train: Table  # whose means and deviations are the units of distances
    target: str  # the column that models predict

    def values(self, rows: Table, real: Table) -> dict[str, float]:
        """Return the similarity of columns and pairs, and of models trained on `rows` and tested on `real`."""
        levels, numeric = self.schema.levels, [column.name for column in self.schema.numeric]
        values = {"wasserstein": wasserstein(rows, real), "correlation_gap": correlation_gap(rows, real, levels)}
        if len(self.schema.names) == 1:
            return values
        predict = regression if self.target in numeric else classification
        names = numeric if self.target in numeric else [column.name for column in self.schema.categorical]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # models of bad rows may not converge
            return values | predict(rows, real, self.train, levels, names.index(self.target))

    def distances(self, rows: Table, records: Table) -> dict[str, float]:
        """Return the median and the 5% quantile of the distances to the closest record."""
        distance = closest(*(features(table, self.train, self.schema.levels) for table in (rows, records)))
        return {"dcr": float(np.median(distance)), "dcr_low": float(np.quantile(distance, 0.05))}


def evaluator(data: Data, protocol: Protocol, schema: Schema, train: Table, test: Table, target: str) -> Measure:
    """Return the `Measure` of generated rows; `train` holds each real training row once, unlike the train split of `data`, and
    `test` the rows that were held out from the whole table.

    Rows are compared with the held-out rows of `data`, or with all rows (`Protocol.whole`): up to `MAX_SETS` sets of as many
    rows as the train split, or the whole table, has; each value is the mean over sets. Each NAME comes with NAME_floor or
    NAME_real, its value for the training rows beside the held-out ones (for the distances to the closest record, the reverse),
    and on request with NAME_error. Rows of a file are read by the schema (see `fakes.py`): `valid` is the fraction of rows that
    fit it; `jsd` includes the other rows, and counts each of their invalid cells as one more level, or as a missing number.
    Raises InputError for options that do not apply to tables."""
    from gan_jax.metrics.jackknife import with_errors

    if protocol.extractor or protocol.metrics:
        raise InputError(f"{data.name} is evaluated column by column: leave off --extractor and --metrics")
    train = schema.grouped(train)
    held_out = schema.grouped(test if protocol.whole else decode(schema, data.to_float(data.test.samples)))
    if min(len(held_out.numbers), len(train.numbers)) < MIN_ROWS:
        raise InputError(f"{data.name} is too small to measure: a split has fewer than {MIN_ROWS} rows")
    real = Table(*map(np.concatenate, zip(train, held_out, strict=True))) if protocol.whole else held_out
    records = real if protocol.whole else train
    comparison = _Comparison(schema, train, target)

    def one_set(numbers: np.ndarray, codes: np.ndarray, valid: np.ndarray) -> dict[str, float]:
        values = {"jsd": jsd(Table(numbers, codes), real, [size + 1 for size in schema.levels])}
        rows = Table(numbers, codes).take(valid)
        if len(rows.numbers) < MIN_VALID:
            return values
        return comparison.values(rows, real) | values | comparison.distances(rows, records)

    def statistic(*arrays: np.ndarray) -> dict[str, float]:
        return _mean_over_sets(one_set, arrays, len(records.numbers))

    @cache
    def reference(n: int) -> dict[str, float]:
        rows = train.take(slice(n))
        values = comparison.values(rows, held_out) | {"jsd": jsd(rows, held_out, schema.levels)}
        values = {f"{k}_real" if "tstr" in k else f"{k}_floor": x for k, x in values.items()}
        return values | {f"{k}_real": x for k, x in comparison.distances(held_out, train).items()}

    def measured(rows: Table, valid: np.ndarray) -> dict[str, float]:
        if len(rows.numbers) < MIN_ROWS:
            raise InputError(f"{data.name}: at least {MIN_ROWS} rows are required, got {len(rows.numbers)}")
        arrays = (*rows, valid)
        errors = protocol.errors and (valid.all() or valid.sum() >= 4 * MIN_ROWS)
        values = with_errors(statistic, arrays) if errors else statistic(*arrays)
        floors = reference(min(len(rows.numbers), len(train.numbers)))
        values |= {name: x for name, x in floors.items() if name.rpartition("_")[0] in values}
        return {name: x for name, x in values.items() if not np.isnan(x)}  # NaN: no such columns

    def measure(samples: dict, labels: np.ndarray | None = None) -> dict[str, float]:
        rows = schema.grouped(decode(schema, samples))
        return measured(rows, np.ones(len(rows.numbers), bool))

    def measure_file(path: Path) -> FileMetrics:
        from gan_jax.data.tables.fakes import read_fakes

        rows, valid, notes = read_fakes(schema, path)
        return FileMetrics(len(valid), {"valid": float(valid.mean()), **measured(rows, valid)}, notes)

    return Measure(measure, *_description(data, schema, held_out, train, target, protocol.whole), measure_file)


def _mean_over_sets(function: Callable[..., dict[str, float]], arrays: Sequence[np.ndarray], size: int) -> dict[str, float]:
    """Return the mean of the values of `function` over up to `MAX_SETS` sets of `size` rows, or of all rows if there are fewer,
    for the names that all sets have."""
    count = len(arrays[0])
    n = min(count, size)
    results = [function(*(x[i * n : (i + 1) * n] for x in arrays)) for i in range(min(count // n, MAX_SETS))]
    common = [name for name in results[0] if all(name in result for result in results)]
    return {name: float(np.mean([result[name] for result in results])) for name in common}


def _description(
    data: Data, schema: Schema, held_out: Table, train: Table, target: str, whole: bool
) -> tuple[str, dict[str, Any]]:
    """Return the description and the facts of a `Measure`."""
    rows = {"train": len(train.numbers), "held_out": len(held_out.numbers)}
    facts = {"data": data.name, "checksum": data.checksum, **rows, "target": target}
    predicted = f"models predict {target} (predicting the mean has an R2 of 0)"
    if target in (names := [c.name for c in schema.categorical]):
        column = names.index(target)
        facts["guess"] = float((held_out.codes[:, column] == np.bincount(train.codes[:, column]).argmax()).mean())
        predicted = f"models predict {target} (always predicting the most frequent level has accuracy {facts['guess']:.3f})"
    facts["schema"] = [str(column) for column in schema.columns]
    size = rows["train"] + whole * rows["held_out"]
    real = f"all {size:,} real" if whole else f"{rows['held_out']:,} held-out"
    description = (
        f"up to {MAX_SETS} sets of {size:,} rows, against {real} ones, next to the values of {rows['train']:,} "
        f"{'of them beside the others' if whole else 'training rows'}; {predicted}. Columns: {'; '.join(facts['schema'])}"
    )
    return description, facts
