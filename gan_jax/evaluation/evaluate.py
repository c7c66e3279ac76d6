"""What the metrics say of a run, or of two sets of samples, and on what they were measured."""

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.data.dataset import Data, Measure, Protocol
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.evaluation.sample import conditional, labels, latents, sampler, standing_statistics
from gan_jax.reports.doctor import diagnose
from gan_jax.runs.run_dir import load_run, posthoc_average, read_log

GENERATORS = ("average", "raw")


def evaluate_run(
    path: Path,
    protocol: Protocol,
    count: int | None = None,
    seed: int = 0,
    data_dir: str | None = None,
    step: int | None = None,
    generator: str = "average",
    ema: float | None = None,
    standing: int | None = None,
) -> dict[str, Any]:
    """The metrics of the generator in a run's newest good checkpoint, or in that of `step`, on `count` samples whose latents
    `seed` decides: of the average or of the raw generator, or of the average of relative width `ema`, made of the run's
    power-function averages, where that is given; with `standing_statistics` of so many batches where `standing` is.

    Raises InputError where there is no such run, checkpoint or average."""
    config, data, game, state = load_run(path, _say, data_dir, step)
    count = config.eval_samples if count is None else count
    if count < 2:
        raise InputError(f"--samples must be at least 2, got {count}")
    measure = _prepare(data, replace(protocol, cap=max(protocol.cap, count)))
    raw = {"params": state.g.params, **state.g.stats}
    variables = posthoc_average(path, state, ema) if ema is not None else state.ema if generator == "average" else raw
    which = f"{generator} generator" if ema is None else f"average of relative width {ema:g}"
    if standing is not None:
        variables = standing_statistics(game, data, variables, standing)
        which += f", standing statistics of {standing} batches"
    key = jax.random.key(seed)
    label = labels(game, data, jax.random.fold_in(key, count), count)
    _say(f"drawing {count:,} samples")
    samples = sampler(game)(variables, latents(game, key, count), label)
    told = label if conditional(game) and game.real_labelled else None
    fake = f"{path}, step {int(state.step)}, {which}, {count} samples, seed {seed}"
    return _result(fake, measure, samples, told, count=count, seed=seed, step=int(state.step), generator=which)


def evaluate_samples(fake: str, real: str, protocol: Protocol, data_dir: str | None = None) -> dict[str, Any]:
    """The metrics of all the samples of `fake` against those of `real`, both names that `data.load` takes.

    Raises InputError where one cannot be read or their shapes differ."""
    fakes, reals = (load(name, 0, 1, data_dir) for name in (fake, real))
    if fakes.sample_shape != reals.sample_shape:
        raise InputError(f"samples of {fake} are {fakes.sample_shape}, those of {real} {reals.sample_shape}: they must agree")
    both = jax.tree.map(lambda *splits: np.concatenate(splits), fakes.train.samples, fakes.test.samples)
    samples, count = fakes.to_float(both), fakes.train.count + fakes.test.count
    label = None
    if fakes.train.labels is not None and fakes.train.labels.ndim == 1 and fakes.num_classes == reals.num_classes:
        label = np.concatenate([fakes.train.labels, fakes.test.labels])
    measure = _prepare(reals, replace(protocol, cap=max(protocol.cap, count)))
    return _result(f"{fake}, {count} samples", measure, samples, label, count=count)


def consult(path: Path) -> str:
    """What the doctor finds in a run's log, a line an alarm. Raises InputError where there is no log of a single run."""
    log = path / "metrics.jsonl"
    lines = read_log(log) if log.is_file() else []
    if not lines:
        raise InputError(f"{path} has no metrics.jsonl with anything in it: not a run directory, or nothing is logged yet")
    if "seed" in lines[-1]:
        raise InputError(f"{path} holds several seeds: the doctor looks at one, train that alone")
    found = diagnose(lines)
    looked = "" if any(name.startswith("doctor/") for line in lines for name in line) else "; --doctor true looks at more"
    return "\n".join(map(str, found)) or f"no alarm rings at step {lines[-1]['step']:,}{looked}"


def table(result: dict[str, Any]) -> str:
    """The metrics as text, each with its standard error, and its floor (or its value on real samples) beside it."""
    metrics = result["metrics"]
    lines = [f"{result['fake']}, measured on {result['measured on']}", f"{'':16s} {'fake':>10s} {'±':>8s} {'real':>10s}"]
    for name, value in metrics.items():
        if not name.endswith(("_floor", "_real", "_error")):
            beside = metrics.get(f"{name}_floor", metrics.get(f"{name}_real"))
            cells = [_cell(value, 10), _cell(metrics.get(f"{name}_error"), 8), _cell(beside, 10)]
            lines.append(f"{name:16s} {' '.join(cells)}".rstrip())
    return "\n".join(lines)


def _cell(value: float | None, width: int) -> str:
    return " " * width if value is None else f"{value:{width}.4f}"


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _prepare(data: Data, protocol: Protocol) -> Measure:
    _say("preparing the metrics")
    return data.evaluator(data, protocol)


def _result(fake: str, measure: Measure, samples: Any, label: np.ndarray | None, **facts: Any) -> dict[str, Any]:
    _say("measuring")
    metrics = {name: value if math.isfinite(value) else None for name, value in measure(samples, label).items()}
    return {"fake": fake, "measured on": measure.description, "facts": measure.facts | facts, "metrics": metrics}
