"""Verify: are two runs bitwise the same? If not: where they part first, and what was different about them."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.config import differences, load_config
from gan_jax.errors import InputError
from gan_jax.runs.run_dir import read_environment, read_log

CLOCK = {"seconds"}  # of a line of the log: two equal runs may differ in it
# Of environment.json: what became of a run, not what it is made on.
OUTCOME = {"status", "evaluation", "seconds"}


def verify(a: Path, b: Path) -> tuple[bool, str]:
    """(whether the runs in two directories are bitwise the same, in words what was compared and where they differ).

    Compared are metrics.jsonl, line by line but for the clock, and every array of the newest checkpoint that both have, as they
    lie on disk; no data set or network is needed. Differences of config and environment are told, and do not count by
    themselves. Two runs of which one is shorter are not the same.

    Raises InputError where one of them is no run directory, or has a file that cannot be read."""
    for path in (a, b):
        if not (path / "config.json").is_file():
            raise InputError(f"{path} is not a run directory: it has no config.json")
    configs = differences(load_config(a / "config.json"), load_config(b / "config.json"))
    environments = _environments(a, b)
    logs, same_logs = _logs(a, b)
    arrays, same_arrays = _arrays(a, b)
    same = same_logs and same_arrays
    lines = ["the same bits" if same else f"not the same bits: {a} | {b}", f"metrics.jsonl: {logs}", f"checkpoints: {arrays}"]
    lines += [f"config: {'; '.join(configs) or 'the same'}", f"environment: {'; '.join(environments) or 'the same'}"]
    return same, "\n".join(lines)


def _logs(a: Path, b: Path) -> tuple[str, bool]:
    logs = [read_log(path / "metrics.jsonl") if (path / "metrics.jsonl").is_file() else [] for path in (a, b)]
    for number, (one, other) in enumerate(zip(*logs, strict=False)):
        # As text: nan equals nan there, and 0.0 is not -0.0.
        one, other = ({name: json.dumps(value) for name, value in line.items() if name not in CLOCK} for line in (one, other))
        wrong = [name for name in one | other if one.get(name) != other.get(name)]
        if wrong:
            seed = f", seed {one['seed']}" if "seed" in one else ""
            name, more = wrong[0], f", and {len(wrong) - 1} more there" if len(wrong) > 1 else ""
            values = f"{one.get(name, 'absent')} | {other.get(name, 'absent')}"
            return f"line {number + 1} is the first that differs, step {one['step']}{seed}: {name} {values}{more}", False
    lengths = [len(log) for log in logs]
    if lengths[0] != lengths[1]:
        ends = " | ".join(f"{len(log)}, to step {log[-1]['step']}" if log else "none" for log in logs)
        return f"the same as far as both go; lines: {ends}", False
    return f"the same, {lengths[0]} lines" if lengths[0] else "no lines in either", lengths[0] > 0


def _arrays(a: Path, b: Path) -> tuple[str, bool]:
    steps = [_steps(path) for path in (a, b)]
    common = set(steps[0]) & set(steps[1])
    if not common:
        told = " | ".join(", ".join(map(str, reversed(of))) or "none" for of in steps)
        return f"none of a step that both have, so that no array could be compared; steps: {told}", False
    step = max(common)
    (one, one_digest), (other, other_digest) = (_read(path, step) for path in (a, b))
    wrong = [name for name in one | other if name not in one or name not in other or not _equal(one[name], other[name])]
    if wrong:
        return f"of step {step}, {len(wrong)} of {len(one | other)} arrays differ, first {_told(wrong[0], one, other)}", False
    if one_digest != other_digest:
        return f"of step {step}, arrays are the same, but not their digests: one of the two is damaged", False
    return f"the same, {len(one)} arrays of step {step}", True


def _steps(path: Path) -> list[int]:
    if not (path / "checkpoints").is_dir():
        return []
    with Checkpoints(path, read_only=True) as checkpoints:
        return checkpoints.steps()


def _read(path: Path, step: int) -> tuple[dict[str, np.ndarray], str]:
    with Checkpoints(path, read_only=True) as checkpoints:
        try:
            tree, sha256 = checkpoints.raw(step)
        except Exception as error:  # Orbax and its storage raise a dozen kinds for a damaged file
            why = str(error).strip().split("\n")[0]
            raise InputError(f"the checkpoint of step {step} in {path} cannot be read: {why}") from error
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(at, simple=True, separator="/"): np.asarray(leaf) for at, leaf in leaves}, sha256


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    return (one.dtype, one.shape) == (other.dtype, other.shape) and one.tobytes() == other.tobytes()


def _told(name: str, one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> str:
    if name not in one or name not in other:
        return f"{name}: only in {'the second' if name in other else 'the first'}"
    x, y = one[name], other[name]
    if (x.dtype, x.shape) != (y.dtype, y.shape):
        return f"{name}: {x.dtype}{list(x.shape)} | {y.dtype}{list(y.shape)}"
    with np.errstate(all="ignore"):
        most = np.abs(x.astype(np.float64) - y.astype(np.float64)).max()
    return f"{name}: by up to {most:.3g}"


def _environments(a: Path, b: Path) -> list[str]:
    one, other = (_flat(read_environment(path)) for path in (a, b))
    names = [name for name in one | other if name.split(".")[0] not in OUTCOME]
    return [
        f"{name}: {json.dumps(one.get(name))} | {json.dumps(other.get(name))}"
        for name in names
        if one.get(name) != other.get(name)
    ]


def _flat(facts: dict[str, Any]) -> dict[str, Any]:
    flat = {}
    for name, value in facts.items():
        flat |= {f"{name}.{inner}": v for inner, v in value.items()} if isinstance(value, dict) else {name: value}
    return flat
