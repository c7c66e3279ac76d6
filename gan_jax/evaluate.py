"""What the metrics say of a run, or of two sets of samples, and on what they were measured."""

import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.data import load
from gan_jax.errors import InputError
from gan_jax.run_dir import load_run, posthoc_average
from gan_jax.sample import conditional, labels, latents, sampler


def evaluate_run(
    path: Path, count: int | None, seed: int, data_dir: str | None = None, ema: float | None = None
) -> dict[str, Any]:
    """The metrics of the averaged generator in a run's newest good checkpoint, on `count` samples whose latents `seed` decides;
    of the average of relative width `ema`, made of the run's power-function averages, where that is given.

    Raises InputError where there is no such run or average."""
    config, data, game, state = load_run(path, lambda text: print(text, file=sys.stderr), data_dir)
    count = count or config.eval_samples
    if count < 2:
        raise InputError(f"--samples must be at least 2, got {count}")
    measure = data.evaluator(data)
    variables = state.ema if ema is None else posthoc_average(path, state, ema)
    key = jax.random.key(seed)
    label = labels(game, data, jax.random.fold_in(key, count), count)
    samples = sampler(game)(variables, latents(game, key, count), label)
    told = label if conditional(game) and game.real_labelled else None
    return {
        "fake": f"{path}, step {int(state.step)}, {count} samples, seed {seed}",
        "measured on": measure.description,
        "metrics": measure(samples, told),
    }


def evaluate_samples(fake: str, real: str, data_dir: str | None = None) -> dict[str, Any]:
    """The metrics of all the samples of `fake` against those of `real`, both names that `data.load` takes.

    Raises InputError where one cannot be read or their shapes differ."""
    fakes, reals = (load(name, 0, 1, data_dir) for name in (fake, real))
    if fakes.sample_shape != reals.sample_shape:
        raise InputError(f"samples of {fake} are {fakes.sample_shape}, those of {real} {reals.sample_shape}: they must agree")
    measure = reals.evaluator(reals)
    samples = fakes.to_float(np.concatenate([fakes.train.samples, fakes.test.samples]))
    return {
        "fake": f"{fake}, {len(samples)} samples",
        "measured on": measure.description,
        "metrics": measure(samples, None),
    }


def table(result: dict[str, Any]) -> str:
    """The metrics as text, each with its floor (or its value on real samples) beside it."""
    metrics = result["metrics"]
    lines = [f"{result['fake']}, measured on {result['measured on']}", f"{'':16s} {'fake':>10s} {'real':>10s}"]
    for name, value in metrics.items():
        if not name.endswith(("_floor", "_real")):
            beside = metrics.get(f"{name}_floor", metrics.get(f"{name}_real"))
            lines.append(f"{name:16s} {value:10.4f} {'' if beside is None else f'{beside:10.4f}'}")
    return "\n".join(lines)
