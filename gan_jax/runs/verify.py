"""Verify whether two runs are bitwise equal and, if not, where they first differ and how their settings differ."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.config import Config, load_config
from gan_jax.errors import InputError
from gan_jax.runs.averages import averages, read_average
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.config_changes import differences
from gan_jax.runs.environment import read_environment
from gan_jax.storage.log import read_log

CLOCK = {"seconds"}  # fields of a log line in which equal runs may differ
# Fields of environment.json that record the outcome of a run, not its conditions.
OUTCOME = {"status", "evaluation", "seconds"}


def verify(a: Path, b: Path) -> tuple[bool, str]:
    """Return whether the runs in two directories are bitwise equal, and a report of what was compared and where they differ.

    Compares metrics.jsonl, line by line except for the time, every array of the newest checkpoint that both have on disk, and
    the power-function averages that count at its step; no data set or network is needed. Differences in config and environment
    are reported, but do not count. Runs of different lengths are not equal.

    Raises InputError if one of them is not a run directory, or has a file that cannot be read."""
    for path in (a, b):
        if not (path / "config.json").is_file():
            raise InputError(f"{path} is not a run directory: it has no config.json")
    both = [load_config(path / "config.json") for path in (a, b)]
    configs = differences(*both)
    environments = _environments(a, b)
    logs, equal_logs = _logs(a, b)
    arrays, equal_arrays = _arrays(a, b)
    step = max(set(_steps(a)) & set(_steps(b)), default=0)
    averages, equal_averages = _averages((a, b), both, step) if any(config.posthoc_ema for config in both) else ("", True)
    equal = equal_logs and equal_arrays and equal_averages
    lines = ["bitwise equal" if equal else f"not bitwise equal: {a} | {b}", f"metrics.jsonl: {logs}", f"checkpoints: {arrays}"]
    lines += [f"averages: {averages}"] if averages else []
    lines += [f"config: {'; '.join(configs) or 'equal'}", f"environment: {'; '.join(environments) or 'equal'}"]
    return equal, "\n".join(lines)


def _logs(a: Path, b: Path) -> tuple[str, bool]:
    read = [read_log(path / "metrics.jsonl") for path in (a, b)]
    damage = [f"{path}: {log.damage}" for path, log in zip((a, b), read, strict=True) if log.damage]
    if damage:
        return "; ".join(damage), False
    logs = [log.lines for log in read]
    for number, lines in enumerate(zip(*logs, strict=False)):
        # As text: nan equals nan there, and 0.0 is not -0.0.
        first, second = ({name: json.dumps(value) for name, value in line.items() if name not in CLOCK} for line in lines)
        different = [name for name in first | second if first.get(name) != second.get(name)]
        if different:
            seed = f", seed {first['seed']}" if "seed" in first else ""
            name, more = different[0], f" (and {len(different) - 1} more)" if len(different) > 1 else ""
            values = f"{first.get(name, 'absent')} | {second.get(name, 'absent')}"
            return f"first difference in line {number + 1}, step {first['step']}{seed}: {name} {values}{more}", False
    lengths = [len(log) for log in logs]
    if lengths[0] != lengths[1]:
        ends = " | ".join(f"{len(log)}, to step {log[-1]['step']}" if log else "none" for log in logs)
        return f"equal up to the end of the shorter one; lines: {ends}", False
    return f"equal, {lengths[0]} lines" if lengths[0] else "no lines in either run", lengths[0] > 0


def _arrays(a: Path, b: Path) -> tuple[str, bool]:
    steps = [_steps(path) for path in (a, b)]
    common = set(steps[0]) & set(steps[1])
    if not common:
        listed = " | ".join(", ".join(map(str, reversed(run_steps))) or "none" for run_steps in steps)
        return f"no step in common, so no array was compared; steps: {listed}", False
    step = max(common)
    (first, first_digest), (second, second_digest) = (_read(path, step) for path in (a, b))
    names = first | second
    different = [n for n in names if n not in first or n not in second or not _equal(first[n], second[n])]
    if different:
        example = _difference(different[0], first, second)
        return f"at step {step}, {len(different)} of {len(names)} arrays differ; the first is {example}", False
    if first_digest != second_digest:
        return f"at step {step}, the arrays are equal but their digests differ: one of the checkpoints is damaged", False
    return f"equal, {len(first)} arrays at step {step}", True


def _averages(paths: tuple[Path, Path], configs: list[Config], step: int) -> tuple[str, bool]:
    """Compare the averages that count at `step`."""
    files = [averages(path, config, step) if config.posthoc_ema else {} for path, config in zip(paths, configs, strict=True)]
    for name in dict.fromkeys([*files[0], *files[1]]):
        present = [name in run_files and run_files[name].is_file() for run_files in files]
        if not all(present):
            where = f"only in the {'first' if present[0] else 'second'} run" if any(present) else "missing in both runs"
            return f"{name}, {where}", False
        first, second = (read_average(run_files[name], config) for run_files, config in zip(files, configs, strict=True))
        different = [n for n in first | second if n not in first or n not in second or not _equal(first[n], second[n])]
        if different:
            return f"{name}: {len(different)} arrays differ; the first is {_difference(different[0], first, second)}", False
    return f"equal, {len(files[0])} files to step {step}", True


def _steps(path: Path) -> list[int]:
    if not (path / "checkpoints").is_dir():
        return []
    with Checkpoints(path, read_only=True) as checkpoints:
        return checkpoints.steps()


def _read(path: Path, step: int) -> tuple[dict[str, np.ndarray], str]:
    with Checkpoints(path, read_only=True) as checkpoints:
        try:
            tree, sha256 = checkpoints.raw(step)
        except Exception as error:  # Orbax and its storage raise many kinds of errors for a damaged file
            why = str(error).strip().split("\n")[0]
            raise InputError(f"the checkpoint of step {step} in {path} cannot be read: {why}") from error
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}, sha256


def _equal(x: np.ndarray, y: np.ndarray) -> bool:
    return (x.dtype, x.shape) == (y.dtype, y.shape) and x.tobytes() == y.tobytes()


def _difference(name: str, first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> str:
    if name not in first or name not in second:
        return f"{name}, only in the {'second' if name in second else 'first'} run"
    x, y = first[name], second[name]
    if (x.dtype, x.shape) != (y.dtype, y.shape):
        return f"{name}, {x.dtype}{list(x.shape)} | {y.dtype}{list(y.shape)}"
    with np.errstate(all="ignore"):
        largest = np.abs(x.astype(np.float64) - y.astype(np.float64)).max()
    return f"{name}, by up to {largest:.3g}"


def _environments(a: Path, b: Path) -> list[str]:
    first, second = (_flat(read_environment(path)) for path in (a, b))
    names = [name for name in first | second if name.split(".")[0] not in OUTCOME]
    return [
        f"{name}: {json.dumps(first.get(name))} | {json.dumps(second.get(name))}"
        for name in names
        if first.get(name) != second.get(name)
    ]


def _flat(facts: dict[str, Any]) -> dict[str, Any]:
    flat = {}
    for name, value in facts.items():
        flat |= {f"{name}.{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {name: value}
    return flat
