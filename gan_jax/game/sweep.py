"""Sweeps: one game with several values of its numbers. These are traced, so that all combinations, with all seeds of each,
train in one compiled program.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gan_jax.config import Config
from gan_jax.errors import InputError, unknown

FIELDS = tuple(Config.with_property("tunable"))  # from which `build.tunable_parts` computes the numbers of a Game
Sweep = dict[str, list[float]]  # field -> its values


def parse_sweep(texts: Sequence[str]) -> Sweep:
    """`["g_lr=1e-4,2e-4", "gamma=0.1,1"]` -> {"g_lr": [1e-4, 2e-4], "gamma": [0.1, 1.0]}. Raises InputError."""
    sweep: Sweep = {}
    for text in texts:
        field, equals, listed = text.partition("=")
        field = field.strip()
        if field not in FIELDS:
            raise unknown("field of --sweep", field, FIELDS)
        try:
            values = [float(value) for value in listed.split(",")]
        except ValueError:
            values = []
        if not equals or not values or len(set(values)) < len(values) or field in sweep:
            raise InputError(f"--sweep must be FIELD=NUMBER,NUMBER,... of different numbers, each field once; got {text!r}")
        sweep[field] = values
    return sweep


def combinations(config: Config, sweep: Sweep) -> list[dict[str, float]]:
    """Each combination of values, by field; [{}] for an empty sweep. Raises InputError for a value that is out of bounds, and
    for a field that has no effect in `config`."""
    weighted = Config.with_property("weighs")
    for field in sweep:
        if field in weighted and getattr(config, weighted[field]) is None:
            raise InputError(f"--sweep {field} has no effect without a {weighted[field]}: set --{weighted[field]}")
    combined = [dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())]
    for values in combined:
        replace(config, **values)
    return combined


def suffix(member: dict[str, Any]) -> str:
    """The suffix of one member's file names: {"seed": 3, "gamma": 0.1} -> `-seed3-gamma0.1`."""
    return "".join(f"-{name}{value}" for name, value in member.items())
