"""Temperatures: what runs that write text are worth, each at several temperatures, in one table.

A generator that is sharpened (temperature below 1) writes better sentences and fewer kinds of them; so a figure of quality says
nothing without one of variety, and adversarial training nothing without the curve of the likelihood model it began with.

Source: Caccia et al. 2020 (Language GANs falling short), arXiv:1811.02549.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax

from gan_jax.data.dataset import Data, Protocol
from gan_jax.errors import InputError
from gan_jax.evaluation.sample import in_batches, labels, latents, sampler
from gan_jax.game.game import Game
from gan_jax.models.relgan import log_likelihood
from gan_jax.reports.comparison import side_by_side
from gan_jax.runs.run_dir import load_run
from gan_jax.spec.glossary import METRICS

HELD_OUT = 2_000  # held-out samples whose likelihood is taken
BESIDE = ("_floor", "_real", "_error")


def measure_runs(
    paths: Sequence[Path],
    temperatures: Sequence[float],
    protocol: Protocol,
    count: int | None = None,
    seed: int = 0,
    data_dir: str | None = None,
) -> list[dict[str, Any]]:
    """A row for each run and temperature: {"run", "temperature", "step", metric: value}. A generator that has no temperature is
    measured once, and its temperature is None. `nll`, of held-out text, is of those that can tell: nats a symbol.

    Raises InputError for runs of different data, temperatures that are not above 0, and what `load_run` raises."""
    if not temperatures or min(temperatures) <= 0:
        raise InputError(f"temperatures must be above 0, got {list(temperatures)}")
    rows, first, measure = [], None, None
    for path in paths:
        config, data, game, state = load_run(path, _say, data_dir)
        if first is None:
            count = config.eval_samples if count is None else count
            first, measure = (path, data), data.evaluator(data, replace(protocol, cap=max(protocol.cap, count)))
        if data.checksum != first[1].checksum:
            raise InputError(f"{path} and {first[0]} are of different data: {data.name} and {first[1].name}")
        key = jax.random.key(seed)
        label = labels(game, data, jax.random.fold_in(key, count), count)
        for temperature in temperatures if hasattr(game.generator, "temperature") else (None,):
            _say(f"{path} at temperature {temperature or 1:g}")
            cooled = replace(game, generator=game.generator.clone(temperature=temperature)) if temperature else game
            samples = sampler(cooled)(state.ema, latents(game, key, count), label)
            row = {"run": path.name, "temperature": temperature, "step": int(state.step)}
            rows.append(row | _nll(cooled, data, state.ema) | measure(samples, None))
    return rows


def _nll(game: Game, data: Data, variables: Any) -> dict[str, float]:
    """-log p of a symbol of held-out text, in nats, of a generator that knows it."""
    if not hasattr(game.generator, "log_likelihood"):
        return {}
    tell = in_batches(game, lambda variables, x: log_likelihood(game.generator, variables, data.to_float(x)))
    log_p, symbols = tell(variables, data.test.samples[:HELD_OUT])
    return {"nll": float(-log_p.sum() / symbols.sum())}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as text; the last is that of real training samples."""
    facts = ("run", "temperature", "step")
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if not name.endswith((*BESIDE, *facts))]
    lines = [["run", "T", *(f"{name} {METRICS.get(name, ('', '', ''))[1]}".rstrip() for name in names)]]
    for row in rows:
        temperature = "" if row["temperature"] is None else f"{row['temperature']:g}"
        lines.append([row["run"], temperature, *(_cell(row.get(name)) for name in names)])
    beside = (rows[0].get(f"{name}_floor", rows[0].get(f"{name}_real")) for name in names)
    lines.append(["training samples", "", *map(_cell, beside)])
    return "\n".join(side_by_side(lines)).rstrip()


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _say(text: str) -> None:
    print(text, file=sys.stderr)
