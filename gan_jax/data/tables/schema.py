"""Columns of a table: of what kind each is, and rows in the form that networks see.

A column is numeric or categorical, and either may lack values. To the networks a row is

    {"values": [.., A], "choices": {column: [.., k]}, "condition": {categorical column: [.., k]}}

Each column makes one choice, one-hot: a categorical one its level, a numeric one the mode of its distribution that the
number belongs to, or the last where it is missing. `values` are the numeric columns' distances from the mode's mean, in units
of four of its standard deviations. `condition` is what the row was asked for (`table.py`); zeros in a column that was not.

Source: Xu et al. 2019 (CTGAN), arXiv:1907.00503, section 4.2. A missing number as a mode of its own is ours.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gan_jax.errors import InputError
from gan_jax.types import Sample

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})
LEVELS = 100  # at most, of a categorical column: what has more is a name or an identity
FEW = 10  # different numbers, up to which a column is categorical
MODES = 10  # of a numeric column, at most
SHARED = 0.1  # of a numeric column's values that are the same number: from there on it is a mode of its own
FITTED = 10_000  # values that modes are fitted to, at most
SPAN = 4  # standard deviations of a mode that are 1 to the networks


class Table(NamedTuple):
    """Rows of a table, its numeric columns apart from its categorical ones."""

    numbers: np.ndarray  # float64 [N, A], NaN where missing
    codes: np.ndarray  # int [N, C], the number of the level


@dataclass(frozen=True)
class Numeric:
    """A column of numbers, and the Gaussians its values are a mixture of."""

    name: str
    decimals: int | None  # after the point, as they were read; None where there is no end to them
    missing: bool  # whether values are
    weights: np.ndarray = ()  # [m]
    means: np.ndarray = ()  # [m]
    deviations: np.ndarray = ()  # [m]

    @property
    def choices(self) -> int:
        """Modes, and one more where values may be missing."""
        return len(self.means) + self.missing

    def __str__(self) -> str:
        lacks = ", some missing" if self.missing else ""
        digits = "" if self.decimals is None else f" of {self.decimals} decimals"
        return f"{self.name}: numbers{digits} in {len(self.means)} modes{lacks}"


@dataclass(frozen=True)
class Categorical:
    """A column of levels; "" is the level of what is missing."""

    name: str
    levels: tuple[str, ...]

    @property
    def choices(self) -> int:
        """Levels."""
        return len(self.levels)

    def __str__(self) -> str:
        shown = [level or "(missing)" for level in self.levels]
        more = f", ... ({len(shown)} levels)" if len(shown) > 8 else ""
        return f"{self.name}: one of {', '.join(shown[:8])}{more}"


@dataclass(frozen=True)
class Schema:
    """What columns there are, in the order of the file."""

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
        """Of each categorical column, how many."""
        return tuple(column.choices for column in self.categorical)


def infer(
    columns: Mapping[str, Sequence[str]], numeric: Sequence[str] = (), categorical: Sequence[str] = ()
) -> tuple[Schema, Table]:
    """Cells as text -> the schema, its modes still to be fitted (`fit`), and the rows.

    A column is numeric where all its cells are numbers, more than `FEW` different ones, or where it is named so; what is in
    `MISSING`, in whatever case, is missing. Raises InputError for a column that is neither numeric nor of at most `LEVELS`
    levels, and for names that there are not."""
    for name in (*numeric, *categorical):
        if name not in columns:
            raise InputError(f"table: no column {name!r}; known: {', '.join(columns)}")
    numbers, codes = {}, {}
    for name, cells in columns.items():
        texts = np.array([text.strip() for text in cells])
        missing = np.array([text.lower() in MISSING for text in texts])
        parsed = None if name in categorical else _numbers(texts, missing)
        if name in numeric and parsed is None:
            raise InputError(f"table: column {name!r} is no numeric one: not all of its values are finite numbers")
        if parsed is not None and (name in numeric or len(np.unique(parsed[~missing])) > FEW):
            numbers[name] = Numeric(name, _decimals(parsed[~missing]), bool(missing.any())), parsed
            continue
        texts[missing] = ""
        levels = sorted(set(texts.tolist()), key=_order)
        if len(levels) > LEVELS:
            raise InputError(
                f"table: column {name!r} has {len(levels):,} different texts, {LEVELS} at most are levels: "
                f"leave it out by drop={name!r}"
            )
        codes[name] = Categorical(name, tuple(levels)), np.array([levels.index(text) for text in texts])
    count = len(next(iter(columns.values())))
    schema = Schema(tuple(columns), *(tuple(column for column, _ in kind.values()) for kind in (numbers, codes)))
    stacked = [np.stack([x for _, x in kind.values()], axis=1) if kind else np.zeros((count, 0)) for kind in (numbers, codes)]
    return schema, Table(stacked[0], stacked[1].astype(np.int64))


def fit(schema: Schema, rows: Table) -> Schema:
    """The schema with the modes of its numeric columns: a point for each number that `SHARED` of the values are; for the
    others scikit-learn's variational Gaussian mixture with a Dirichlet process as its prior, of `MODES` components those that
    keep more than 0.5% of the weight.

    Source: Xu et al. 2019, section 4.2, with the prior and the threshold of the authors' code. Points are ours: a Gaussian
    around the zeros of a column would make no zero."""

    def fitted(column: Numeric, values: np.ndarray) -> Numeric:
        values = values[np.isfinite(values)]
        numbers, counts = np.unique(values, return_counts=True)
        points = counts >= SHARED * len(values)
        rest = values[~np.isin(values, numbers[points])]
        if len(values) < 2:
            raise InputError(f"table: column {column.name!r} has next to no values: leave it out by drop={column.name!r}")
        weights, means, deviations = _mixture(rest)
        weights = np.concatenate([counts[points], weights * len(rest)]) / len(values)
        modes = np.concatenate([numbers[points], means]), np.concatenate([np.zeros(points.sum()), deviations])
        return Numeric(column.name, column.decimals, column.missing, weights, *modes)

    numeric = tuple(fitted(*pair) for pair in zip(schema.numeric, rows.numbers.T, strict=True))
    return Schema(schema.names, numeric, schema.categorical)


def _mixture(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, means and standard deviations, [m] each, of a Gaussian mixture; of none where there is nothing to fit."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import BayesianGaussianMixture

    values = np.random.RandomState(0).permutation(values)[:FITTED]
    if len(values) < 2:
        return np.ones(len(values)), values, np.full(len(values), 1e-3)
    mean, deviation = values.mean(), max(values.std(), 1e-12)
    prior = {"weight_concentration_prior_type": "dirichlet_process", "weight_concentration_prior": 1e-3}
    # After a hundred rounds, the default, hardly any of the components that are not needed has lost its weight.
    mixture = BayesianGaussianMixture(n_components=min(MODES, len(values)), max_iter=300, random_state=0, **prior)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough for a change of scale
        mixture.fit((values[:, None] - mean) / deviation)
    kept = mixture.weights_ > 0.005
    deviations = deviation * np.sqrt(mixture.covariances_[kept, 0, 0])
    return mixture.weights_[kept], mean + deviation * mixture.means_[kept, 0], deviations


def encode(schema: Schema, rows: Table, seed: int) -> dict[str, Any]:
    """Rows as they are stored: {"values": float32 [N, A], "choices": {column: int16 [N]}}. The mode of a number is drawn once
    and for all, from its probabilities given the number.

    What lies beyond four deviations of its mode has a value beyond 1, so that nothing is lost; no tanh reaches it."""
    random = np.random.RandomState(seed)
    values = np.zeros(rows.numbers.shape, np.float32)
    choices = {column.name: code.astype(np.int16) for column, code in zip(schema.categorical, rows.codes.T, strict=True)}
    for i, column in enumerate(schema.numeric):
        x, point = rows.numbers[:, i, None], column.deviations == 0
        scale = np.where(point, 1, column.deviations)
        log_density = np.log(column.weights / scale) - 0.5 * ((x - column.means) / scale) ** 2
        # Nothing but its number is at a point, and that number is nowhere else.
        log_density = np.where(point, np.where(x == column.means, np.inf, -np.inf), log_density)
        # The Gumbel trick: the largest of log p + noise is a draw from p.
        drawn = (log_density + random.gumbel(size=log_density.shape)).argmax(axis=1)
        known = np.isfinite(x[:, 0])
        mode = np.where(known, drawn, len(column.means))
        at = np.minimum(mode, len(column.means) - 1)
        values[:, i] = np.where(known, (x[:, 0] - column.means[at]) / (SPAN * scale[at]), 0)
        choices[column.name] = mode.astype(np.int16)
    return {"values": values, "choices": choices}


def to_float(schema: Schema, stored: Mapping[str, Any]) -> Sample:
    """Stored rows as the networks see them, float32: choices and conditions one-hot. On NumPy and inside jit."""

    def one_hot(choices: Mapping[str, Any]) -> dict[str, Any]:
        sizes = {column.name: column.choices for column in schema.columns}
        return {k: (x[..., None] == np.arange(sizes[k], dtype=np.int16)).astype(np.float32) for k, x in choices.items()}

    return {name: x if name == "values" else one_hot(x) for name, x in stored.items()}


def decode(schema: Schema, samples: Mapping[str, Any]) -> Table:
    """What `to_float` or a generator made -> rows: the likeliest choice, numbers rounded as the column's are.

    Raises ValueError for samples that are not of this schema or not finite."""
    expected = {column.name: column.choices for column in schema.columns}
    found = {name: np.shape(x)[-1] for name, x in samples["choices"].items()}
    if found != expected:
        raise ValueError(f"a row must make the choices {expected}, got {found}")
    chosen = {name: np.asarray(x) for name, x in samples["choices"].items()}
    values = np.asarray(samples["values"], np.float64)
    if not (np.isfinite(values).all() and all(np.isfinite(x).all() for x in chosen.values())):
        raise ValueError("samples of a table must be finite")
    numbers = np.empty_like(values)
    for i, column in enumerate(schema.numeric):
        mode = chosen[column.name].argmax(axis=-1)
        at = np.minimum(mode, len(column.means) - 1)
        x = values[:, i] * SPAN * column.deviations[at] + column.means[at]
        x = x if column.decimals is None else np.round(x, column.decimals)
        numbers[:, i] = np.where(mode < len(column.means), x, np.nan)
    codes = [chosen[column.name].argmax(axis=-1) for column in schema.categorical]
    return Table(numbers, np.stack(codes, axis=1) if codes else np.zeros((len(values), 0), np.int64))


def cells(schema: Schema, rows: Table) -> dict[str, list[str]]:
    """The rows as text again, a column each, in the order of the file; "" is missing."""
    written = {}
    for column, numbers in zip(schema.numeric, rows.numbers.T, strict=True):
        form = "{:.6g}" if column.decimals is None else f"{{:.{column.decimals}f}}"
        # A rounded number below 0 may be -0, which nobody writes.
        written[column.name] = ["" if np.isnan(x) else form.format(x + 0.0) for x in numbers]
    for column, codes in zip(schema.categorical, rows.codes.T, strict=True):
        written[column.name] = [column.levels[code] for code in codes]
    return {name: written[name] for name in schema.names}


def _numbers(texts: np.ndarray, missing: np.ndarray) -> np.ndarray | None:
    """float64 [N] with NaN where missing; None where a text is no finite number, or all are missing."""
    try:
        numbers = np.array([np.nan if lacks else float(text) for text, lacks in zip(texts, missing, strict=True)])
    except ValueError:
        return None
    return numbers if not missing.all() and np.isfinite(numbers[~missing]).all() else None


def _decimals(numbers: np.ndarray) -> int | None:
    """The digits after the point that the numbers need, up to six; None for more."""
    return next((d for d in range(7) if np.allclose(np.round(numbers, d), numbers, rtol=1e-12, atol=1e-9)), None)


def _order(level: str) -> tuple:
    """Numbers by size, then texts, then what is missing."""
    try:
        return (0, float(level), level)
    except ValueError:
        return (1 if level else 2, 0.0, level)
