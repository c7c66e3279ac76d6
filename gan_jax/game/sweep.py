"""Sweeps: one game at several values of its numbers. What a schedule or a weight is made of is traced, so that all of them, and
all seeds of each, train in one compiled program.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gan_jax.config import Config
from gan_jax.errors import InputError, unknown

# The fields of Config that `game.numbers` makes a Game's numbers of.
FIELDS = (
    *("g_lr", "g_lr_final", "d_lr", "d_lr_final", "b1", "b2", "b2_final", "d_clip"),
    *("gamma", "gamma_final", "g_gamma", "auxiliary_weight", "augment_p", "augment_p_final", "augment_target", "augment_kimg"),
    *("ema", "ema_half_life", "ema_half_life_final", "ema_ramp"),
)
# Fields that weigh what another field may leave out.
WEIGHED = {"gamma": "penalty", "gamma_final": "penalty", "g_gamma": "g_penalty", "auxiliary_weight": "auxiliary"}
Sweep = dict[str, list[float]]  # field -> its values


def sweep_of(texts: Sequence[str]) -> Sweep:
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
    """Each combination of values, by field; [{}] of no sweep. Raises InputError for a value that no Config can have, and for a
    field that would change nothing."""
    for field in sweep:
        if field in WEIGHED and getattr(config, WEIGHED[field]) is None:
            raise InputError(f"--sweep {field} changes nothing: there is no {WEIGHED[field]} to weigh; set --{WEIGHED[field]}")
    found = [dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())]
    for values in found:
        replace(config, **values)
    return found


def suffix(member: dict[str, Any]) -> str:
    """What the files of one of many runs have in their names: {"seed": 3, "gamma": 0.1} -> `-seed3-gamma0.1`."""
    return "".join(f"-{name}{value}" for name, value in member.items())
