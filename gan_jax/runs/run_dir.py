"""The run directory: whether a run may use it, its environment, and its log, in which no step occurs twice.

config.json  environment.json  metrics.jsonl  checkpoints/  checkpoints.sha256  samples/  report.html  lock; averages/ with
`posthoc_ema`
"""

import fcntl
import io
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

import gan_jax
from gan_jax.config import Config, config_json, continues, differences, load_config
from gan_jax.data.dataset import Data
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.game import ema
from gan_jax.game.build import build
from gan_jax.game.game import Game
from gan_jax.game.state import TrainState, init_state
from gan_jax.game.sweep import Sweep
from gan_jax.runs import hosts
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.trust import check_code
from gan_jax.storage.files import refuse_links, write_atomically

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


class RunDir:
    """A run's directory, locked by this run until `close`. The constructor checks everything; if the directory belongs to
    another run, it writes nothing and raises InputError, which says what differs. Of several hosts, only the first writes."""

    def __init__(self, path: Path, config: Config, data: Data, seeds: Sequence[int] | None = None, sweep: Sweep | None = None):
        self.path = path
        environment = check_run_dir(path, config, data, seeds, sweep)
        hosts.barrier()  # before the first host changes what the others check
        self._writes = hosts.is_first()
        try:
            if self._writes:
                self._acquire(config)
        except BlockingIOError as error:
            self._lock.close()
            raise InputError(f"another process is training in {path}: wait for it, or choose another --run_dir") from error
        except OSError as error:
            raise InputError(f"cannot write in {path}: {error.strerror}; choose another --run_dir") from error
        facts = ({} if seeds is None else {"seeds": list(seeds)}) | ({"sweep": sweep} if sweep else {})
        current = _environment()
        changed = {name: environment[name] for name in current if name in environment and environment[name] != current[name]}
        if changed:  # the run resumes elsewhere: its bits may differ from here on
            facts |= {"earlier": [*environment.get("earlier", []), changed]}
        self.environment = environment | current | {"data": _describe(data)} | facts
        self.seconds_before = 0.0
        self._start = time.monotonic()

    def _acquire(self, config: Config) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = open(self.path / "lock", "w")  # held until `close`
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released when the process ends, in any way
        # Written first, and atomically: a directory without it is not recognised as a run.
        write_atomically(self.path / "config.json", config_json(config).encode())
        (self.path / "samples").mkdir(exist_ok=True)

    def close(self) -> None:
        """Release the directory to other processes."""
        if self._writes:
            self._lock.close()

    def note(self, **facts: Any) -> None:
        """Add facts to environment.json."""
        self.environment |= facts
        if self._writes:
            write_atomically(self.path / "environment.json", (json.dumps(self.environment, indent=2) + "\n").encode())

    def rewind(self, step: int) -> None:
        """Drop the lines logged after `step`: these steps will be repeated, with the same numbers."""
        log = self.path / "metrics.jsonl"
        lines = [line for line in read_log(log) if line["step"] <= step] if log.exists() else []
        self.seconds_before = lines[-1]["seconds"] if lines else 0.0
        if self._writes:
            write_atomically(log, "".join(json.dumps(line) + "\n" for line in lines).encode())
        hosts.barrier()  # all continue from the same log

    def log(self, line: dict[str, Any]) -> None:
        """Append a line to metrics.jsonl, with the seconds of training so far."""
        if not self._writes:
            return
        seconds = round(self.seconds_before + time.monotonic() - self._start, 3)
        with open(self.path / "metrics.jsonl", "a") as log:
            log.write(json.dumps(line | {"seconds": seconds}) + "\n")

    def show(self, stem: str, files: dict[str, bytes]) -> None:
        """Write pictures (or sounds, ...) of samples as samples/STEM + suffix."""
        for suffix, content in files.items() if self._writes else ():
            write_atomically(self.path / "samples" / f"{stem}{suffix}", content)

    def save_averages(self, state: TrainState) -> None:
        """Write the power-function averages of this step, if there are any, as averages/STEP-SIGMA.npz."""
        for sigma, average in zip(ema.SIGMAS, state.posthoc, strict=bool(state.posthoc)):
            if not self._writes:
                break
            (self.path / "averages").mkdir(exist_ok=True)
            arrays = io.BytesIO()
            np.savez(arrays, **flatten_dict(jax.device_get(average), sep="/"))
            write_atomically(self.path / "averages" / f"{int(state.step):08d}-{sigma:.2f}.npz", arrays.getvalue())


def posthoc_average(path: Path, state: TrainState, sigma: float) -> Any:
    """The generator's variables as the power-function average of relative width `sigma` at the latest step, computed from all
    saved averages. Raises InputError if none are saved, or for an impossible width."""
    files = sorted((path / "averages").glob("*-*.npz"))
    files = [file for file in files if int(file.stem.split("-")[0]) <= int(state.step)]
    if not files:
        raise InputError(f"{path} has no power-function averages: it was not trained with --posthoc_ema true")
    steps, sigmas = zip(*((int(step), float(width)) for step, width in (file.stem.split("-") for file in files)), strict=True)
    try:
        weights = ema.weights(steps, sigmas, int(state.step), sigma)
    except ValueError as error:
        raise InputError(f"--ema: {error}") from error

    def read(file: Path) -> dict[str, Any]:
        try:
            with np.load(file, allow_pickle=False) as stored:
                return unflatten_dict({name: stored[name] for name in stored.files}, sep="/")
        except (OSError, ValueError, BadZipFile) as error:
            raise InputError(f"cannot read {file}: {error}") from error

    return ema.combine((read(file) for file in files), weights)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl up to the first incomplete one: a process may be killed while writing."""
    lines = []
    for text in path.read_text(errors="replace").splitlines():
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            break
        if not isinstance(line, dict) or type(line.get("step")) is not int:
            break
        lines.append(line)
    return lines


def read_environment(path: Path) -> dict[str, Any]:
    """The content of environment.json of a run directory; {} if there is none. Raises InputError if it cannot be read."""
    try:
        environment = json.loads((path / "environment.json").read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read {path / 'environment.json'}: {error}") from error
    if not isinstance(environment, dict):
        raise InputError(f"cannot read {path / 'environment.json'}: it must hold a JSON object")
    return environment


def check_run_dir(
    path: Path, config: Config, data: Data, seeds: Sequence[int] | None = None, sweep: Sweep | None = None
) -> dict[str, Any]:
    """The environment.json of an earlier start of the same run; {} if the directory is new. Raises InputError if the directory
    belongs to another run, or cannot be used."""
    if not path.exists():
        return {}
    if not path.is_dir():
        raise InputError(f"--run_dir {path} is a file; give a directory")
    refuse_links(path)
    if not (path / "config.json").exists():
        if any(entry.name not in ("lock", ".config.json.tmp") for entry in path.iterdir()):  # a killed process may leave these
            raise InputError(f"--run_dir {path} is not empty and has no config.json: not a run directory; choose another")
        return {}
    existing = load_config(path / "config.json")
    if not continues(existing, config):
        changes, end = "; ".join(differences(existing, config)), existing.schedule_steps or existing.steps
        longer = continues(existing, replace(config, schedule_steps=end))
        raise InputError(
            f"{path} holds a run of another config ({changes}); choose another --run_dir, "
            f"or --fork_from {path} to start a new run with its weights"
            + (f"; or continue after the end of its schedules with --schedule_steps {end}" if longer else "")
        )
    environment = read_environment(path)
    if not environment:
        return {}
    if environment.get("seeds") != (None if seeds is None else list(seeds)):
        raise InputError(f"{path} holds a run of the seeds {environment.get('seeds', config.seed)}; choose another --run_dir")
    if environment.get("sweep", {}) != (sweep or {}):
        raise InputError(f"{path} holds a run of the sweep {environment.get('sweep', {})}; choose another --run_dir")
    recorded = environment.get("data", {})
    recorded = str(recorded.get("checksum", data.checksum) if isinstance(recorded, dict) else recorded)
    if recorded != data.checksum:
        raise InputError(
            f"the data {data.name} differs from that with which {path} was started "
            f"(sha256 {recorded[:12]}, now {data.checksum[:12]})"
        )
    return environment


def _environment() -> dict[str, Any]:
    return {
        "gan_jax": gan_jax.__version__,
        "git": _git_commit(),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "devices": [device.device_kind for device in jax.devices()],
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
    }


def _git_commit() -> str | None:
    """The commit of the source, with a `+` if files differ from it; None outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def _describe(data: Data) -> dict[str, Any]:
    return {
        "name": data.name,
        "checksum": data.checksum,
        "train": data.num_train,
        "streamed": data.streamed,
        "held out": data.test.count,
        "sample shape": data.sample_shape,
        **({"classes": list(data.classes)} if data.classes else {}),
        **({"notes": list(data.notes)} if data.notes else {}),
    }


def load_run(
    path: Path, say: Callable[[str], None], data_dir: str | None = None, step: int | None = None
) -> tuple[Config, Data, Game, TrainState]:
    """A saved run: its config, data, game and the state of its newest intact checkpoint, or of that at `step`. Nothing is
    written.

    Raises InputError if there is no run, no checkpoint that verifies, or if `trust.check_code` refuses its code."""
    if not (path / "config.json").is_file():
        raise InputError(f"{path} is not a run directory: it has no config.json")
    refuse_links(path)
    config = load_config(path / "config.json")
    check_code(config, path / "config.json")
    data = load(config.data, config.seed, config.batch, data_dir, config.validation, config.stream)
    for note in data.notes:
        say(f"data: {note}")
    game = build(config, data)
    if read_environment(path).get("seeds"):
        raise InputError(f"{path} holds several seeds: compare.py reports on them; train one seed to sample or evaluate it")
    with Checkpoints(path, read_only=True) as checkpoints:
        state = checkpoints.restore(jax.eval_shape(lambda: init_state(game, jax.random.key(0))), say, step)
    if state is None:
        raise InputError(f"{path} has no checkpoint yet")
    return config, data, game, state
