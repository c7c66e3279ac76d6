"""The schema of a table: the type of each column, and the representation of rows for the networks.

A column is numeric (numbers, dates, times) or categorical; both may have missing values. For the networks, a row is

    {"values": [.., A], "choices": {column: [.., k]}, "condition": {categorical column: [.., k]}}

`choices` are one-hot: for a categorical column the level; for a numeric column the mode of its distribution to which the number
belongs, or the last choice if the number is missing. `values` are the numbers relative to the mean of their mode, in units of
four standard deviations of that mode. `condition` is the level on which the row is conditioned (see `rows.py`), with zeros for
all other columns. The rare levels of a column with more than `MAX_LEVELS` levels share one choice; a generated row that
makes this choice has one of them, drawn by their frequencies in the table.

Source: Xu et al. 2019 (CTGAN), arXiv:1907.00503, section 4.2. The separate mode for missing numbers, the
logarithmic scale and the rare levels are our additions.
"""

import warnings
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data.tables.dates import Dates
from gan_jax.data.tables.numbers import Numbers
from gan_jax.errors import InputError
from gan_jax.types import Sample

MAX_LEVELS = 100  # choices of a categorical column
MAX_MODES = 10  # Gaussians fitted to a numeric column
POINT_FRACTION = 0.1  # a number that makes up at least this fraction of a column is a mode of its own
MAX_FITTED = 10_000  # values to which modes are fitted
SPAN = 4  # number of standard deviations that correspond to 1 in `values`


class Table(NamedTuple):
    """Rows of a table, with numeric and categorical columns separated."""

    numbers: np.ndarray  # float64 [N, A], NaN where missing
    codes: np.ndarray  # int [N, C], the number of the level

    def take(self, rows: Any) -> "Table":
        """Return the rows of an index or a mask."""
        return Table(self.numbers[rows], self.codes[rows])


@dataclass(frozen=True)
class Numeric:
    """A column of numbers, dates or times, modelled as a mixture of Gaussians: of the numbers, or on a logarithmic scale."""

    name: str
    form: Numbers | Dates  # how cells are written
    missing: str | None  # the text of a missing value; None if no value is missing
    low: float  # the smallest number in the table
    high: float
    log_unit: float = 0.0  # above 0, asinh(x / log_unit) is modelled: columns over many orders of magnitude
    weights: np.ndarray = ()  # [m]
    means: np.ndarray = ()  # [m]
    deviations: np.ndarray = ()  # [m]

    @property
    def choices(self) -> int:
        """Number of modes, plus one if values may be missing."""
        return len(self.means) + (self.missing is not None)

    def scaled(self, numbers: np.ndarray) -> np.ndarray:
        """Convert numbers to the scale on which they are modelled."""
        return np.arcsinh(numbers / self.log_unit) if self.log_unit else numbers

    def unscaled(self, x: np.ndarray) -> np.ndarray:
        """Convert numbers on the scale of the model back, rounded as the file's and within their range."""
        if self.log_unit:
            with np.errstate(over="ignore"):  # infinity is out of range
                x = np.sinh(x) * self.log_unit
        return np.clip(self.form.round(np.clip(x, self.low, self.high)), self.low, self.high)

    def __str__(self) -> str:
        missing = ", some missing" if self.missing is not None else ""
        scale = ", on a logarithmic scale" if self.log_unit else ""
        modes = f", {len(self.means)} modes" if len(self.means) else ""
        return f"{self.name}: {self.form}, {self.form.write(self.low)} to {self.form.write(self.high)}{scale}{modes}{missing}"


@dataclass(frozen=True)
class Categorical:
    """A column of levels; "" is the level of missing values."""

    name: str
    levels: tuple[str, ...]
    missing: str = ""  # the text of a missing value
    rare: tuple[int, ...] = ()  # the numbers of rows of the last levels, which share a choice; () if each level is one

    @property
    def choices(self) -> int:
        """Number of levels, the rare ones counted as one."""
        return len(self.levels) - max(0, len(self.rare) - 1)

    def __str__(self) -> str:
        shown = [level or f"{self.missing} (missing)".strip() for level in self.levels[:8]]
        more = f", ... ({len(self.levels):,} levels)" if len(self.levels) > 8 else ""
        return f"{self.name}: one of {', '.join(shown)}{more}"


@dataclass(frozen=True)
class Schema:
    """The columns of a table, in the order of the file."""

    names: tuple[str, ...]
    numeric: tuple[Numeric, ...]
    categorical: tuple[Categorical, ...]

    @property
    def columns(self) -> tuple[Numeric | Categorical, ...]:
        """All columns, in the order of the file."""
        by_name = {column.name: column for column in (*self.numeric, *self.categorical)}
        return tuple(by_name[name] for name in self.names)

    @property
    def levels(self) -> tuple[int, ...]:
        """The number of choices of each categorical column."""
        return tuple(column.choices for column in self.categorical)

    def grouped(self, rows: Table) -> Table:
        """Return rows whose codes are the choices of the categorical columns: rare levels share one."""
        return Table(rows.numbers, np.minimum(rows.codes, np.array(self.levels, rows.codes.dtype) - 1))


def fit(schema: Schema, rows: Table) -> Schema:
    """Fit the modes of the numeric columns: a point mass for each number that makes up at least `POINT_FRACTION` of the values;
    for the others scikit-learn's variational Gaussian mixture with a Dirichlet process prior and at most `MAX_MODES`
    components, of which those with more than 0.5% of the weight are kept.

    Source: Xu et al. 2019, section 4.2, with the prior and the threshold of the authors' code. Point masses are our addition: a
    Gaussian around the zeros of a column would generate no exact zero."""

    def fit_column(column: Numeric, values: np.ndarray) -> Numeric:
        values = column.scaled(values[np.isfinite(values)])
        numbers, counts = np.unique(values, return_counts=True)
        points = counts >= POINT_FRACTION * len(values)
        rest = values[~np.isin(values, numbers[points])]
        if len(values) < 2:
            raise InputError(f"table: column {column.name!r} has almost no values: leave it out with drop={column.name!r}")
        weights, means, deviations = _mixture(rest)
        weights = np.concatenate([counts[points], weights * len(rest)]) / len(values)
        modes = np.concatenate([numbers[points], means]), np.concatenate([np.zeros(points.sum()), deviations])
        return replace(column, weights=weights, means=modes[0], deviations=modes[1])

    return replace(schema, numeric=tuple(map(fit_column, schema.numeric, rows.numbers.T)))


def _mixture(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit a Gaussian mixture. Return its weights, means and standard deviations, [m] each, empty if there are no values."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import BayesianGaussianMixture

    values = np.random.RandomState(0).permutation(values)[:MAX_FITTED]
    if len(values) < 2:
        return np.ones(len(values)), values, np.full(len(values), 1e-3)
    # The range, if squares underflow.
    mean, deviation = values.mean(), (values.std() or np.ptp(values) or 1.0) if np.ptp(values) else 1.0
    prior = {"weight_concentration_prior_type": "dirichlet_process", "weight_concentration_prior": 1e-3}
    # After 100 iterations, the default, hardly any superfluous component has lost its weight.
    mixture = BayesianGaussianMixture(n_components=min(MAX_MODES, len(values)), max_iter=300, random_state=0, **prior)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # accurate enough for rescaling
        mixture.fit((values[:, None] - mean) / deviation)
    kept = mixture.weights_ > 0.005
    deviations = deviation * np.sqrt(mixture.covariances_[kept, 0, 0])
    return mixture.weights_[kept], mean + deviation * mixture.means_[kept, 0], deviations


def encode(schema: Schema, rows: Table, seed: int) -> dict[str, Any]:
    """Convert rows to the stored form {"values": float32 [N, A], "choices": {column: int16 [N]}}. The mode of each number is
    drawn once, from the posterior probabilities of the modes.

    A number more than four standard deviations from the mean of its mode has a value beyond 1: it is preserved, but no tanh can
    generate it."""
    random = np.random.RandomState(seed)
    values = np.zeros(rows.numbers.shape, np.float32)
    codes = schema.grouped(rows).codes.astype(np.int16)
    choices = {column.name: codes[:, i] for i, column in enumerate(schema.categorical)}
    for i, column in enumerate(schema.numeric):
        x, point = column.scaled(rows.numbers[:, i, None]), column.deviations == 0
        scale = np.where(point, 1, column.deviations)
        log_density = np.log(column.weights / scale) - 0.5 * ((x - column.means) / scale) ** 2
        # A point mass contains only its own number, and that number belongs to no other mode.
        log_density = np.where(point, np.where(x == column.means, np.inf, -np.inf), log_density)
        # The Gumbel trick: the largest of log p + noise is a draw from p.
        sampled = (log_density + random.gumbel(size=log_density.shape)).argmax(axis=1)
        present = np.isfinite(x[:, 0])
        mode = np.where(present, sampled, len(column.means))
        index = np.minimum(mode, len(column.means) - 1)
        values[:, i] = np.where(present, (x[:, 0] - column.means[index]) / (SPAN * scale[index]), 0)
        choices[column.name] = mode.astype(np.int16)
    return {"values": values, "choices": choices}


def to_float(schema: Schema, stored: Mapping[str, Any]) -> Sample:
    """Convert stored rows to float32 with one-hot choices and conditions; runs on NumPy and inside jit."""

    def one_hot(choices: Mapping[str, Any]) -> dict[str, Any]:
        sizes = {column.name: column.choices for column in schema.columns}
        return {
            k: (x[..., None] == np.arange(sizes[k], dtype=np.int16).reshape(*(1,) * x.ndim, -1)).astype(np.float32)
            for k, x in choices.items()
        }

    return {name: x if name == "values" else one_hot(x) for name, x in stored.items()}


def decode(schema: Schema, samples: Mapping[str, Any]) -> Table:
    """Convert the output of `to_float` or of a generator to rows: the most likely choices, with numbers rounded as in the file
    and clipped to the column's range.

    The precision is that of float32 relative to a mode: about 1e-7 of its deviation, or on a logarithmic scale about 1e-6 of
    the number.

    Raises ValueError for samples of another schema, or with values that are not finite."""
    expected = {column.name: column.choices for column in schema.columns}
    sizes = {name: np.shape(x)[-1] for name, x in samples["choices"].items()}
    if sizes != expected:
        raise ValueError(f"a row must have the choices {expected}, got {sizes}")
    choices = {name: np.asarray(x) for name, x in samples["choices"].items()}
    values = np.asarray(samples["values"], np.float64)
    if not (np.isfinite(values).all() and all(np.isfinite(x).all() for x in choices.values())):
        raise ValueError("samples of a table must be finite")
    numbers = np.empty_like(values)
    for i, column in enumerate(schema.numeric):
        mode = choices[column.name].argmax(axis=-1)
        index = np.minimum(mode, len(column.means) - 1)
        x = column.unscaled(values[:, i] * SPAN * column.deviations[index] + column.means[index])
        numbers[:, i] = np.where(mode < len(column.means), x, np.nan)
    codes = [_codes(column, choices[column.name].argmax(axis=-1)) for column in schema.categorical]
    return Table(numbers, np.stack(codes, axis=1) if codes else np.zeros((len(values), 0), np.int64))


def _codes(column: Categorical, choices: np.ndarray) -> np.ndarray:
    """Return the levels of choices [N]. Rare levels are drawn by their frequencies, always alike for the same choices."""
    if not column.rare:
        return choices
    random = np.random.RandomState(zlib.crc32(choices.tobytes()))
    first = column.choices - 1
    drawn = first + random.choice(len(column.rare), len(choices), p=np.array(column.rare) / sum(column.rare))
    return np.where(choices == first, drawn, choices)


def facts_of(schema: Schema) -> dict[str, Any]:
    """Return the schema as JSON values, from which `schema_of` makes it again."""

    def numeric(column: Numeric) -> dict[str, Any]:
        modes = {name: np.asarray(getattr(column, name)).tolist() for name in ("weights", "means", "deviations")}
        return asdict(column) | modes | {"low": float(column.low), "high": float(column.high)}

    return {
        "names": list(schema.names),
        "numeric": [numeric(column) for column in schema.numeric],
        "categorical": [asdict(column) for column in schema.categorical],
    }


def schema_of(names: list[str], numeric: list[dict[str, Any]], categorical: list[dict[str, Any]]) -> Schema:
    """Return the schema that `facts_of` describes."""

    def column(facts: dict[str, Any]) -> Numeric:
        form = (Dates if "pattern" in facts["form"] else Numbers)(**facts["form"])
        modes = {name: np.array(facts[name], np.float64) for name in ("weights", "means", "deviations")}
        return Numeric(**facts | modes | {"form": form})

    levels = [{name: tuple(x) if isinstance(x, list | tuple) else x for name, x in facts.items()} for facts in categorical]
    return Schema(tuple(names), tuple(map(column, numeric)), tuple(Categorical(**facts) for facts in levels))


def columns_of(schema: Schema, rows: Table) -> dict[str, Any]:
    """Return the columns by name, as a data frame takes them: numbers as float64 [N], NaN if missing; levels, dates and times
    as lists of texts, None if missing."""
    numbers = dict(zip((column.name for column in schema.numeric), rows.numbers.T, strict=True))
    codes = dict(zip((column.name for column in schema.categorical), rows.codes.T, strict=True))

    def values(column: Numeric | Categorical) -> Any:
        if isinstance(column, Categorical):
            return [column.levels[code] or None for code in codes[column.name]]
        x = numbers[column.name]
        return x if isinstance(column.form, Numbers) else [None if np.isnan(y) else column.form.write(y) for y in x.tolist()]

    return {column.name: values(column) for column in schema.columns}


def cells(schema: Schema, rows: Table) -> dict[str, list[str]]:
    """Return the rows as text, by column, in the order and the form of the file, missing values included."""
    texts = {}
    for column, numbers in zip(schema.numeric, rows.numbers.T, strict=True):
        texts[column.name] = [column.missing or "" if np.isnan(x) else column.form.write(x) for x in numbers.tolist()]
    for column, codes in zip(schema.categorical, rows.codes.T, strict=True):
        texts[column.name] = [column.levels[code] or column.missing for code in codes]
    return {name: texts[name] for name in schema.names}
