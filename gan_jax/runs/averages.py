"""The power-function averages that a run saves with its checkpoints, as averages/STEP-SIGMA.npz, and averages of other widths
reconstructed from them.

Which of them count depends on the config alone, so that a run that was stopped and resumed gives the same averages: those of
every `save_every` steps, and those of the step at which an average is reconstructed. A run that is stopped leaves others.

Each file records the config, step and width that it was saved with, so that one of another run or place is not used.
"""

import io
import json
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.config import Config
from gan_jax.errors import InputError, reading
from gan_jax.game import ema
from gan_jax.game.state import TrainState, named
from gan_jax.runs.config_changes import stored_differences
from gan_jax.storage.files import write_atomically
from gan_jax.storage.npz import load_npz

RECORD = "record"  # the name of the record among the arrays, whose names are paths


def save_averages(run_dir: Path, config: Config, state: TrainState) -> None:
    """Write the averages of this step, if there are any."""
    for sigma, average in zip(ema.SIGMAS, state.posthoc, strict=bool(state.posthoc)):
        (run_dir / "averages").mkdir(exist_ok=True)
        arrays, file = io.BytesIO(), _file(run_dir, int(state.step), sigma)
        record = json.dumps({"file": file.name, "config": asdict(config)})
        np.savez(arrays, **named(jax.device_get(average)), **{RECORD: np.array(record)})
        write_atomically(file, arrays.getvalue())


def averages(run_dir: Path, config: Config, step: int) -> dict[str, Path]:
    """The files of the averages that count at `step`, by name, oldest first. Raises InputError if the run saves none."""
    if not config.posthoc_ema:
        raise InputError(f"{run_dir} has no power-function averages: it was not trained with --posthoc_ema")
    steps = sorted({*range(config.save_every, step + 1, config.save_every), *([step] if step else [])})
    files = [_file(run_dir, saved, sigma) for saved in steps for sigma in ema.SIGMAS]
    return {file.name: file for file in files}


def posthoc_average(run_dir: Path, config: Config, state: TrainState, sigma: float) -> Any:
    """The generator's variables as the power-function average of relative width `sigma` at the step of `state`, computed from
    the saved averages; a warning if some of them are missing. Raises InputError if all are, or for an impossible width."""
    step = int(state.step)
    files = averages(run_dir, config, step)
    present = [file for file in files.values() if file.is_file()]
    if not present:
        raise InputError(f"{run_dir} has no power-function averages: those up to step {step} are missing in averages/")
    if len(present) < len(files):
        missing = next(file.name for file in files.values() if file not in present)
        warnings.warn(
            f"{len(files) - len(present)} of {len(files)} files are missing in {run_dir / 'averages'}, such as {missing}: "
            "the average differs from the one of all of them",
            stacklevel=2,
        )
    steps, sigmas = zip(*((int(step), float(width)) for step, width in (file.stem.split("-") for file in present)), strict=True)
    try:
        weights = ema.weights(steps, sigmas, step, sigma)
    except ValueError as error:
        raise InputError(f"--ema: {error}") from error
    average = ema.combine((read_average(file, config) for file in present), weights)
    with reading(str(run_dir / "averages"), "does not hold all variables of the generator"):
        return jax.tree.unflatten(jax.tree.structure(state.ema), [average[name] for name in named(state.ema)])


def read_average(file: Path, config: Config) -> dict[str, np.ndarray]:
    """The arrays of an average saved by a run of `config`, by path. Raises InputError if the file is damaged, or is of another
    run, step or width; files of earlier versions do not record theirs."""
    with reading(str(file)):
        arrays = load_npz(file)
        record = json.loads(str(arrays.pop(RECORD))) if RECORD in arrays else None
        differences = [] if record is None else stored_differences(record["config"], config)
        if record is not None and record["file"] != file.name:
            differences.insert(0, f"file: {record['file']} -> {file.name}")
    if differences:
        raise InputError(f"{file} is of another run, step or width ({'; '.join(differences)}): restore it, or move it away")
    return arrays


def _file(run_dir: Path, step: int, sigma: float) -> Path:
    return run_dir / "averages" / f"{step:08d}-{sigma:.2f}.npz"
