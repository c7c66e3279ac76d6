"""Temperatures: metrics of text generators, each at several temperatures, in one table.

A generator at a low temperature (below 1) writes better but less varied sentences. A measure of quality therefore means nothing
without one of variety, and adversarial training has to be compared with the temperature curve of the likelihood model that it
started from.

Source: Caccia et al. 2020 (Language GANs falling short), arXiv:1811.02549.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gan_jax.data.dataset import Data, Protocol
from gan_jax.errors import InputError
from gan_jax.evaluation.sample import check_samples, compile_batched, labels, latents, sample_keys, sampler
from gan_jax.game.game import Game
from gan_jax.models.relgan import log_likelihood
from gan_jax.reports.comparison import side_by_side
from gan_jax.runs.load import load_run
from gan_jax.spec.glossary import METRICS

HELD_OUT = 2_000  # maximum number of held-out samples for the likelihood
REFERENCES = ("_floor", "_real", "_error")  # suffixes of values that accompany a metric


def measure_runs(
    paths: Sequence[Path],
    temperatures: Sequence[float],
    protocol: Protocol,
    count: int | None = None,
    seed: int = 0,
    data_dir: str | None = None,
) -> list[dict[str, Any]]:
    """Return a row for each run and temperature: {"run", "temperature", "step", metric: value}. A generator without a
    temperature is measured once, with temperature None. Generators with a likelihood also get `nll`, of held-out text in nats
    per symbol.

    Raises InputError for runs on different data, for temperatures that are not above 0, and as `load_run` does."""
    if not temperatures or min(temperatures) <= 0:
        raise InputError(f"temperatures must be above 0, got {list(temperatures)}")
    z_key, label_key, _ = sample_keys(seed)
    rows, first, measure = [], None, None
    for path in paths:
        config, data, game, state = load_run(path, _say, data_dir)
        if first is None:
            count = config.eval_samples if count is None else count
            first, measure = (path, data), data.evaluator(data, replace(protocol, max_samples=max(protocol.max_samples, count)))
        if data.checksum != first[1].checksum:
            raise InputError(f"{path} and {first[0]} were trained on different data: {data.name} and {first[1].name}")
        check_samples(game, count)
        label = labels(game, data, label_key, count)
        for temperature in temperatures if hasattr(game.generator, "temperature") else (None,):
            _say(f"{path} at temperature {temperature or 1:g}")
            tempered = replace(game, generator=game.generator.clone(temperature=temperature)) if temperature else game
            samples = sampler(tempered)(state.ema, latents(game, z_key, count), label)
            row = {"run": path.name, "temperature": temperature, "step": int(state.step)}
            rows.append(row | _nll(tempered, data, state.ema) | measure(samples, None))
    return rows


def _nll(game: Game, data: Data, variables: Any) -> dict[str, float]:
    """-log p per symbol of held-out text, in nats; empty if the generator has no likelihood."""
    if not hasattr(game.generator, "log_likelihood"):
        return {}
    likelihood = compile_batched(game, lambda variables, x: log_likelihood(game.generator, variables, data.to_float(x)))
    log_p, symbols = likelihood(variables, data.test.samples[:HELD_OUT])
    return {"nll": float(-log_p.sum() / symbols.sum())}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as text; the last line has the values of real training samples."""
    facts = ("run", "temperature", "step")
    names = dict.fromkeys(name for row in rows for name in row)
    names = [name for name in names if not name.endswith((*REFERENCES, *facts))]
    lines = [["run", "T", *(f"{name} {METRICS.get(name, ('', '', ''))[1]}".rstrip() for name in names)]]
    for row in rows:
        temperature = "" if row["temperature"] is None else f"{row['temperature']:g}"
        lines.append([row["run"], temperature, *(_cell(row.get(name)) for name in names)])
    real = (rows[0].get(f"{name}_floor", rows[0].get(f"{name}_real")) for name in names)
    lines.append(["training samples", "", *map(_cell, real)])
    return "\n".join(side_by_side(lines)).rstrip()


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _say(text: str) -> None:
    print(text, file=sys.stderr)
