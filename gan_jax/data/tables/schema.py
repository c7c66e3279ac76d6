"""The schema of a table: the type of each column, and the representation of rows for the networks.

A column is numeric or categorical; both may have missing values. For the networks, a row is

    {"values": [.., A], "choices": {column: [.., k]}, "condition": {categorical column: [.., k]}}

`choices` are one-hot: for a categorical column the level; for a numeric column the mode of its distribution to which the number
belongs, or the last choice if the number is missing. `values` are the numbers relative to the mean of their mode, in units of
four standard deviations of that mode. `condition` is the level on which the row is conditioned (see `rows.py`), with zeros for
all other columns.

Source: Xu et al. 2019 (CTGAN), arXiv:1907.00503, section 4.2. The separate mode for missing numbers is our addition.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data.reading import MISSING
from gan_jax.errors import InputError
from gan_jax.types import Sample

MAX_LEVELS = 100  # of a categorical column: a text column with more levels holds names or identifiers
MAX_DISCRETE = 10  # a column with at most this many different numbers is categorical
MAX_MODES = 10  # Gaussians fitted to a numeric column
POINT_FRACTION = 0.1  # a number that makes up at least this fraction of a column is a mode of its own
MAX_FITTED = 10_000  # values to which modes are fitted
SPAN = 4  # number of standard deviations that correspond to 1 in `values`


class Table(NamedTuple):
    """Rows of a table, with numeric and categorical columns separated."""

    numbers: np.ndarray  # float64 [N, A], NaN where missing
    codes: np.ndarray  # int [N, C], the number of the level


@dataclass(frozen=True)
class Numeric:
    """A column of numbers, modelled as a mixture of Gaussians."""

    name: str
    decimals: int | None  # number of decimals that the values need; None for more than six
    missing: bool  # whether some values are missing
    weights: np.ndarray = ()  # [m]
    means: np.ndarray = ()  # [m]
    deviations: np.ndarray = ()  # [m]

    @property
    def choices(self) -> int:
        """Number of modes, plus one if values may be missing."""
        return len(self.means) + self.missing

    def __str__(self) -> str:
        missing = ", some missing" if self.missing else ""
        digits = "" if self.decimals is None else f" of {self.decimals} decimals"
        return f"{self.name}: numbers{digits} in {len(self.means)} modes{missing}"


@dataclass(frozen=True)
class Categorical:
    """A column of levels; "" is the level of missing values."""

    name: str
    levels: tuple[str, ...]

    @property
    def choices(self) -> int:
        """Number of levels."""
        return len(self.levels)

    def __str__(self) -> str:
        shown = [level or "(missing)" for level in self.levels]
        more = f", ... ({len(shown)} levels)" if len(shown) > 8 else ""
        return f"{self.name}: one of {', '.join(shown[:8])}{more}"


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
        """The number of levels of each categorical column."""
        return tuple(column.choices for column in self.categorical)


def infer(
    columns: Mapping[str, Sequence[str]], numeric: Sequence[str] = (), categorical: Sequence[str] = ()
) -> tuple[Schema, Table]:
    """Infer the schema, its modes not yet fitted (see `fit`), and the rows from the text of the cells.

    A column is numeric if all its cells are missing or finite numbers, more than `MAX_DISCRETE` different ones, or if `numeric`
    lists it. Cells in `MISSING`, in upper or lower case, are missing. Raises InputError for a column that is neither numeric
    nor has at most `MAX_LEVELS` levels, and for unknown names."""
    for name in (*numeric, *categorical):
        if name not in columns:
            raise InputError(f"table: no column {name!r}; known: {', '.join(columns)}")
    numbers, codes = {}, {}
    for name, column in columns.items():
        texts = np.array([text.strip() for text in column])
        missing = np.array([text.lower() in MISSING for text in texts])
        parsed = None if name in categorical else _numbers(texts, missing)
        if name in numeric and parsed is None:
            raise InputError(f"table: column {name!r} is not numeric: not all of its values are finite numbers")
        if parsed is not None and (name in numeric or len(np.unique(parsed[~missing])) > MAX_DISCRETE):
            numbers[name] = Numeric(name, _decimals(parsed[~missing]), bool(missing.any())), parsed
            continue
        texts[missing] = ""
        levels = sorted(set(texts.tolist()), key=_order)
        if len(levels) > MAX_LEVELS:
            raise InputError(
                f"table: column {name!r} has {len(levels):,} different texts, more than {MAX_LEVELS}: "
                f"leave it out with drop={name!r}"
            )
        codes[name] = Categorical(name, tuple(levels)), np.array([levels.index(text) for text in texts])
    count = len(next(iter(columns.values())))
    schema = Schema(tuple(columns), *(tuple(column for column, _ in kind.values()) for kind in (numbers, codes)))
    stacked = [np.stack([x for _, x in kind.values()], axis=1) if kind else np.zeros((count, 0)) for kind in (numbers, codes)]
    return schema, Table(stacked[0], stacked[1].astype(np.int64))


def fit(schema: Schema, rows: Table) -> Schema:
    """Fit the modes of the numeric columns: a point mass for each number that makes up at least `POINT_FRACTION` of the values;
    for the others scikit-learn's variational Gaussian mixture with a Dirichlet process prior and at most `MAX_MODES`
    components, of which those with more than 0.5% of the weight are kept.

    Source: Xu et al. 2019, section 4.2, with the prior and the threshold of the authors' code. Point masses are our addition: a
    Gaussian around the zeros of a column would generate no exact zero."""

    def fit_column(column: Numeric, values: np.ndarray) -> Numeric:
        values = values[np.isfinite(values)]
        numbers, counts = np.unique(values, return_counts=True)
        points = counts >= POINT_FRACTION * len(values)
        rest = values[~np.isin(values, numbers[points])]
        if len(values) < 2:
            raise InputError(f"table: column {column.name!r} has almost no values: leave it out with drop={column.name!r}")
        weights, means, deviations = _mixture(rest)
        weights = np.concatenate([counts[points], weights * len(rest)]) / len(values)
        modes = np.concatenate([numbers[points], means]), np.concatenate([np.zeros(points.sum()), deviations])
        return Numeric(column.name, column.decimals, column.missing, weights, *modes)

    numeric = tuple(fit_column(*pair) for pair in zip(schema.numeric, rows.numbers.T, strict=True))
    return Schema(schema.names, numeric, schema.categorical)


def _mixture(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit a Gaussian mixture. Return its weights, means and standard deviations, [m] each, empty if there are no values."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import BayesianGaussianMixture

    values = np.random.RandomState(0).permutation(values)[:MAX_FITTED]
    if len(values) < 2:
        return np.ones(len(values)), values, np.full(len(values), 1e-3)
    mean, deviation = values.mean(), max(values.std(), 1e-12)
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
    choices = {column.name: code.astype(np.int16) for column, code in zip(schema.categorical, rows.codes.T, strict=True)}
    for i, column in enumerate(schema.numeric):
        x, point = rows.numbers[:, i, None], column.deviations == 0
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
    """Convert the output of `to_float` or of a generator to rows: the most likely choices, with numbers rounded to the column's
    decimals.

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
        x = values[:, i] * SPAN * column.deviations[index] + column.means[index]
        x = x if column.decimals is None else np.round(x, column.decimals)
        numbers[:, i] = np.where(mode < len(column.means), x, np.nan)
    codes = [choices[column.name].argmax(axis=-1) for column in schema.categorical]
    return Table(numbers, np.stack(codes, axis=1) if codes else np.zeros((len(values), 0), np.int64))


def cells(schema: Schema, rows: Table) -> dict[str, list[str]]:
    """Return the rows as text, by column, in the order of the file; "" is a missing value."""
    texts = {}
    for column, numbers in zip(schema.numeric, rows.numbers.T, strict=True):
        template = "{:.6g}" if column.decimals is None else f"{{:.{column.decimals}f}}"
        # Adding 0.0 turns -0.0, which rounding may produce, into 0.0.
        texts[column.name] = ["" if np.isnan(x) else template.format(x + 0.0) for x in numbers]
    for column, codes in zip(schema.categorical, rows.codes.T, strict=True):
        texts[column.name] = [column.levels[code] for code in codes]
    return {name: texts[name] for name in schema.names}


def _numbers(texts: np.ndarray, missing: np.ndarray) -> np.ndarray | None:
    """Parse numbers: float64 [N], NaN where missing; None if a text is not a finite number, or if all are missing."""
    try:
        numbers = np.array([np.nan if is_missing else float(text) for text, is_missing in zip(texts, missing, strict=True)])
    except ValueError:
        return None
    return numbers if not missing.all() and np.isfinite(numbers[~missing]).all() else None


def _decimals(numbers: np.ndarray) -> int | None:
    """Return the number of decimals that the numbers need, up to six; None for more."""
    return next((d for d in range(7) if np.allclose(np.round(numbers, d), numbers, rtol=1e-12, atol=1e-9)), None)


def _order(level: str) -> tuple:
    """Sort key: numbers by value, then texts, then the missing level."""
    try:
        return (0, float(level), level)
    except ValueError:
        return (1 if level else 2, 0.0, level)
