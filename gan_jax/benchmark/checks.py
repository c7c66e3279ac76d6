"""Checks of an accelerator: agreement with the CPU of the same machine, the same bits in a second run and after a kill, and
several seeds in one program. Without an accelerator they compare the CPU with itself.

Where numbers are compared, float32 products are computed in full, without TF32 (`jax.default_matmul_precision("highest")`), and
players learn by gradient descent: Adam's first step is a sign, which magnifies rounding.
"""

import json
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.benchmark.accelerator import Task
from gan_jax.benchmark.cases import CASES, Case
from gan_jax.benchmark.product import ProductStep
from gan_jax.config import Config, config_json
from gan_jax.errors import RunError
from gan_jax.runs.load import load_run
from gan_jax.storage.files import digest
from gan_jax.storage.log import read_log

TOLERANCE = 1e-4
STEPS = 2
NAMES = ("dcgan", "sngan64", "biggan", "stylegan2", "r3gan")
SEEDS = 8
# Evaluated within seconds: few samples, and features of an untrained network.
TRAINED = Config(
    name="check",
    data="digits",
    model="dcgan",
    g_width=32,
    d_width=32,
    d_steps=2,
    devices=1,
    extractor="random",
    eval_samples=100,
    steps=1000,
    log_every=50,
    save_every=50,
    eval_every=1000,
)
TRAINED_SMOKE = replace(TRAINED, g_width=4, d_width=4, batch=16, d_steps=1, steps=60, log_every=5, save_every=10, eval_every=60)

Played = tuple[Any, Any, dict[str, np.ndarray]]  # both players' parameters before and after, and the metrics of the steps


def checks(task: Task) -> None:
    """Run all checks, and record for each what it measured and whether it passed."""
    names = NAMES[:1] if task.smoke else NAMES
    trained = TRAINED_SMOKE if task.smoke else TRAINED
    results: dict[str, Any] = {"tolerance": TOLERANCE, "precision": "highest, without TF32"}

    def record(name: str, passed: bool, **values: Any) -> None:
        results[name] = {"passed": passed, **values}
        task.record(results)

    # The trainings and the CPU's programs run concurrently with those of the accelerator.
    with ThreadPoolExecutor() as pool:
        bits = pool.submit(reproduced, task.scratch, task.train_command, trained)
        on_cpu = {name: pool.submit(play, small(name), jax.devices("cpu")[0]) for name in names}
        deviation, distinct = compare_seeds()
        passed = within(deviation) and distinct == SEEDS
        record(f"{SEEDS} seeds in one program", passed, difference=deviation, distinct=distinct)
        for name in names:
            deviation = difference(play(small(name), jax.devices()[0]), on_cpu[name].result())
            record(f"{name} as on the CPU", within(deviation), difference=deviation)
        for name, equal in bits.result().items():
            record(f"same bits {name}", equal)


def small(name: str) -> Case:
    """A case of the benchmark so small that a CPU compiles and computes it within seconds; with gradient descent."""
    descent = {"g_optimizer": "sgd", "d_optimizer": "sgd", "g_lr": 0.01, "d_lr": 0.01}
    case = CASES[name].at(g_width=8, d_width=8, batch=8, d_steps=1, **descent)
    shape = (16, 16, case.shape[-1])
    model = "stylegan2(base=128, mapping=2, mixing=0.0)" if name == "stylegan2" else case.config.model
    return case.at(model=model)._replace(shape=shape)


def play(case: Case, device: jax.Device, seeds: int | None = None) -> Played:
    """Take `STEPS` steps on a device. Everything is returned on the host; with seeds, parameters have a leading axis of seeds
    and metrics a trailing one."""
    with jax.default_device(device), jax.default_matmul_precision("highest"):
        step = ProductStep(case.config, case.shape, case.num_classes, seeds=seeds)
        before = jax.device_get({"g": step.state.g.params, "d": step.state.d.params})
        metrics = []
        for _ in range(STEPS):
            step.run(1)
            metrics.append(jax.device_get(step.metrics))
        after = jax.device_get({"g": step.state.g.params, "d": step.state.d.params})
        return before, after, {name: np.stack([line[name][0] for line in metrics]) for name in metrics[0]}


def difference(a: Played, b: Played) -> dict[str, float]:
    """The differences between two results of `play`. For each player: the norm of the difference between the changes of its
    parameters, relative to the norm of the change in `b`. For the metrics: the largest difference, absolute below 1 and
    relative above."""

    def change(played: Played, player: str) -> np.ndarray:
        moved = jax.tree.map(lambda after, before: np.float64(after) - before, played[1][player], played[0][player])
        return np.concatenate([np.ravel(x) for x in jax.tree.leaves(moved)])

    deviation = {
        player: float(np.linalg.norm(change(a, player) - change(b, player)) / np.linalg.norm(change(b, player)))
        for player in ("g", "d")
    }
    pairs = [(np.float64(a[2][name]), np.float64(b[2][name])) for name in b[2]]
    return deviation | {"metrics": max(float(np.max(np.abs(x - y) / np.maximum(1, np.abs(y)))) for x, y in pairs)}


def within(deviation: dict[str, float], tolerance: float = TOLERANCE) -> bool:
    """Whether all differences are within the tolerance, and none is nan."""
    return all(value <= tolerance for value in deviation.values())


def compare_seeds(name: str = "dcgan") -> tuple[dict[str, float], int]:
    """Play a game with `SEEDS` seeds in one program, and with the first of them alone. Returns their `difference`, and the
    number of distinct final parameters among the seeds."""
    device = jax.devices()[0]
    before, after, metrics = play(small(name), device, SEEDS)
    first = (*jax.tree.map(lambda x: x[0], (before, after)), {key: values[..., 0] for key, values in metrics.items()})
    rows = [b"".join(x[i].tobytes() for x in jax.tree.leaves(after)) for i in range(SEEDS)]
    return difference(first, play(small(name), device)), len(set(rows))


def reproduced(folder: Path, command: Callable[[Path, Path], list[str]], config: Config = TRAINED) -> dict[str, bool]:
    """Train `config` three times at once, each in a process of its own; kill one of them after its first checkpoint, and start
    it again. Returns whether the second and the resumed run have the last state and the log of the first, bit for bit.

    `command(config_file, run_dir)` is the command that trains a run, as `train.py --deterministic` does. Raises RunError with
    the end of its output if it fails."""
    (folder / "config.json").write_text(config_json(config))
    paths = {name: folder / name for name in ("first", "second", "killed")}

    def start(name: str) -> subprocess.Popen:
        with open(folder / f"{name}.txt", "a") as output:
            return subprocess.Popen(command(folder / "config.json", paths[name]), stdout=output, stderr=subprocess.STDOUT)

    processes = {name: start(name) for name in paths}
    try:
        while processes["killed"].poll() is None and not _has_checkpoint(paths["killed"]):
            time.sleep(0.02)
        processes["killed"].kill()
        was_killed = processes["killed"].wait() < 0
        processes["killed"] = start("killed")
        for name, process in processes.items():
            if process.wait() != 0:
                raise RunError(f"training failed: {(folder / f'{name}.txt').read_text()[-500:]}")
    finally:
        for process in processes.values():
            process.kill()
            process.wait()
    results = {name: _result(path) for name, path in paths.items()}
    resumed = was_killed and "resuming from step" in (folder / "killed.txt").read_text()
    return {"twice": results["second"] == results["first"], "resumed": resumed and results["killed"] == results["first"]}


def _has_checkpoint(run_dir: Path) -> bool:
    checksums = run_dir / "checkpoints.sha256"
    return checksums.is_file() and bool(checksums.read_text().strip())


def _result(run_dir: Path) -> tuple[str, str]:
    """The digest of a run's last state, and its log without the times."""
    lines = read_log(run_dir / "metrics.jsonl").lines
    values = [{name: value for name, value in line.items() if name != "seconds"} for line in lines]
    return digest(load_run(run_dir, lambda text: None)[3]), json.dumps(values)
