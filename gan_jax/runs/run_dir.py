"""The run directory: whether a run may use it, its environment, and its log, in which no step occurs twice.

config.json  description.npz  environment.json  metrics.jsonl  checkpoints/  checkpoints.sha256  samples/  code/  report.html
lock; averages/ with `posthoc_ema`, tensorboard/ and wandb/ with `--log`, profile/ with `--profile`
"""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from gan_jax.config import Config, config_json, load_config
from gan_jax.data.dataset import Data
from gan_jax.data.description import FILE, bytes_of, describe
from gan_jax.errors import InputError
from gan_jax.game.state import TrainState
from gan_jax.game.sweep import Sweep
from gan_jax.runs import hosts
from gan_jax.runs.averages import save_averages
from gan_jax.runs.checkpoint import try_saving
from gan_jax.runs.code import changed_code, copies, user_code
from gan_jax.runs.config_changes import continues, differences
from gan_jax.runs.environment import current_environment, describe_data, list_of, read_environment
from gan_jax.runs.identity import Identity
from gan_jax.runs.trackers import Trackers
from gan_jax.storage.files import check_entries, check_name, remove_leftovers, unused_path, write_atomically
from gan_jax.storage.log import Log, read_log


class RunDir:
    """A run's directory, locked by this run until `close`. The constructor checks everything; if the directory belongs to
    another run, it writes nothing and raises InputError, which says what differs. Of several hosts, only the first writes."""

    def __init__(
        self,
        path: Path,
        config: Config,
        data: Data,
        seeds: Sequence[int] | None = None,
        sweep: Sweep | None = None,
        accept_changes: bool = False,
    ):
        self.path, self.identity = path, Identity(config, data.checksum, seeds, sweep)
        recorded = check_run_dir(path, config, data, seeds, sweep, accept_changes)
        hosts.barrier()  # before the first host changes what the others check
        self._writes = hosts.is_first()
        if self._writes:
            self._acquire(config, data)
        self._code = user_code(config)
        facts = ({} if seeds is None else {"seeds": list(seeds)}) | ({"sweep": sweep} if sweep else {})
        self.environment = (recorded or current_environment()) | {"data": describe_data(data)} | facts
        self.seconds_before = 0.0
        self._start = time.monotonic()
        self.trackers: Trackers | None = None  # what follows the log

    def _acquire(self, config: Config, data: Data) -> None:
        new = not self.path.exists()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(self.path / "lock", timeout=0, thread_local=False)  # any thread may close the run
            self._lock.acquire()  # released when the process ends, in any way
            for folder in ("", "samples", "averages", "code"):
                remove_leftovers(self.path / folder)
            if not (self.path / "checkpoints").exists() and hosts.single_process():
                try_saving(self.path)
            # Written before the rest, and atomically: a directory without it is not recognised as a run.
            write_atomically(self.path / "config.json", config_json(config).encode())
            if data.format is not None:
                write_atomically(self.path / FILE, bytes_of(describe(data)))
            (self.path / "samples").mkdir(exist_ok=True)
        except Timeout as error:
            raise InputError(f"another process is training in {self.path}: wait for it, or choose another --run_dir") from error
        except OSError as error:
            raise InputError(f"cannot write in {self.path}: {error.strerror}; choose another --run_dir") from error
        except InputError:
            self._lock.release()
            if new:
                (self.path / "lock").unlink()
                self.path.rmdir()
            raise

    def close(self) -> None:
        """Release the directory to other processes."""
        if self.trackers:
            self.trackers.close()
        if self._writes:
            self._lock.release()

    def note(self, **facts: Any) -> None:
        """Add facts to environment.json."""
        self.environment |= facts
        if self._writes:
            write_atomically(self.path / "environment.json", (json.dumps(self.environment, indent=2) + "\n").encode())

    def rewind(self, step: int) -> list[str]:
        """Begin or continue at `step`: record under what conditions, and drop the lines logged after it, since these steps will
        be repeated, with the same numbers. Return what has changed and what is lost, for the user."""
        messages = [*self._record_environment(step), *self._record_code(step)]
        file = self.path / "metrics.jsonl"
        log = read_log(file)
        aside = unused_path(file.with_name("metrics.jsonl.damaged")) if log.damage else None
        messages += self._record_lost_lines(log, step, aside)
        lines = [line for line in log.lines if line["step"] <= step]
        if len(lines) < len(log.lines):
            messages.append(f"the log reaches step {log.lines[-1]['step']}: the steps after {step} are repeated")
        self.seconds_before = lines[-1].get("seconds", 0.0) if lines else 0.0
        if self._writes:
            if aside:
                write_atomically(aside, file.read_bytes())
            self.note()
            write_atomically(file, "".join(json.dumps(line) + "\n" for line in lines).encode())
        if self.trackers:
            self.trackers.begin(lines)
        hosts.barrier()  # all continue from the same log
        return messages

    def _record_lost_lines(self, log: Log, step: int, aside: Path | None) -> list[str]:
        """Record which lines of the log cannot be read, and how many are missing, unless an earlier start has."""
        missing, known = log.missing(self.identity.config.log_every, step), list_of(self.environment, "lost_lines")
        if not log.damage and len(missing) <= max((entry.get("missing", 0) for entry in known), default=0):
            return []
        what = log.damage or f"no line of {len(missing)} logged steps up to {step}, the first of them {missing[0]}"
        entry = {"file": aside and aside.name, "what": what, "missing": len(missing)}
        self.environment["lost_lines"] = [*known, entry]
        kept = f"the others are kept, and the damaged file as {aside.name}" if aside else "the others are kept"
        return [f"warning: metrics.jsonl: {what}; {kept}"]

    def _record_environment(self, step: int) -> list[str]:
        """Record the versions and devices. If a run resumes under others, its bits may differ from here on."""
        before, now = self.environment, current_environment()
        changed = {name: before[name] for name in now if name in before and before[name] != now[name]}
        self.environment = before | now
        if not changed:
            return []
        self.environment["earlier"] = [*list_of(before, "earlier"), changed | {"until_step": step}]
        words = "; ".join(f"{name}: {value} -> {now[name]}" for name, value in changed.items())
        return [
            f"warning: the run resumes at step {step} under other conditions, and its bits may differ from here on ({words})"
        ]

    def _record_code(self, step: int) -> list[str]:
        """Record the digests of the user's files, and copy them. Changes have been accepted (see `check_run_dir`)."""
        if self._writes and (files := copies(self._code)):
            (self.path / "code").mkdir(exist_ok=True)
            for name, content in files.items():
                copy = self.path / "code" / name
                if copy.is_symlink() or not copy.is_file() or copy.read_bytes() != content:  # its name is its digest
                    write_atomically(copy, content)
        recorded = self.environment.get("code")
        changes = changed_code(recorded, self._code) if isinstance(recorded, dict) else []
        self.environment["code"] = {path: source.sha256 for path, source in self._code.items()}
        if not changes:
            return []
        accepted = {"step": step, "changes": changes}
        self.environment["accepted_changes"] = [*list_of(self.environment, "accepted_changes"), accepted]
        return [f"warning: from step {step} on, the run continues with changed code: {change}" for change in changes]

    def log(self, line: dict[str, Any]) -> None:
        """Append a line to metrics.jsonl, with the seconds of training so far."""
        if not self._writes:
            return
        line = line | {"seconds": round(self.seconds_before + time.monotonic() - self._start, 3)}
        with open(self.path / "metrics.jsonl", "a") as log:
            log.write(json.dumps(line) + "\n")
        if self.trackers:
            self.trackers.log(line)

    def show(self, stem: str, files: dict[str, bytes]) -> None:
        """Write pictures (or sounds, ...) of samples as samples/STEM + suffix."""
        for suffix, content in files.items() if self._writes else ():
            write_atomically(self.path / "samples" / f"{stem}{suffix}", content)
        if self.trackers:
            self.trackers.show(stem, files)

    def save_averages(self, state: TrainState) -> None:
        """Write the power-function averages of this step, if there are any."""
        if self._writes:
            save_averages(self.path, self.identity.config, state)


def check_run_dir(
    path: Path,
    config: Config,
    data: Data,
    seeds: Sequence[int] | None = None,
    sweep: Sweep | None = None,
    accept_changes: bool = False,
) -> dict[str, Any]:
    """The environment.json of an earlier start of the same run; {} if the directory is new. Raises InputError if the directory
    belongs to another run, or cannot be used. With `accept_changes`, a run may continue with changed code, and without its
    environment.json."""
    check_name(path)
    try:
        if not path.exists():
            return {}
        if not path.is_dir():
            raise InputError(f"--run_dir {path} is a file; give a directory")
        check_entries(path)
        if not (path / "config.json").exists():
            # A killed process may leave these.
            if any(entry.name not in ("lock", "trial", ".config.json.tmp", ".config.json.lock") for entry in path.iterdir()):
                raise InputError(f"--run_dir {path} is not empty and has no config.json: not a run directory; choose another")
            return {}
        _check_config(path, config)
        environment = read_environment(path)
        if not environment:
            _check_new(path, accept_changes)
            return {}
    except OSError as error:
        raise InputError(f"cannot use --run_dir {path}: {error.strerror}; choose another") from error
    _check_record(path, environment, Identity(config, data.checksum, seeds, sweep), data.name)
    if not accept_changes and (changes := changes_of_code(environment, config)):
        raise InputError(
            f"code differs from that with which {path} was trained: {'; '.join(changes)}; restore it (copies are in "
            f"{path / 'code'}), choose another --run_dir, or add --accept_changes to continue with the changed code"
        )
    return environment


def _check_record(path: Path, environment: dict[str, Any], identity: Identity, data: str) -> None:
    """Raise InputError if environment.json records other seeds, another sweep or other data."""
    config, checksum, seeds, sweep = identity
    if environment.get("seeds") != (None if seeds is None else list(seeds)):
        raise InputError(f"{path} holds a run of the seeds {environment.get('seeds', config.seed)}; choose another --run_dir")
    if environment.get("sweep", {}) != (sweep or {}):
        raise InputError(f"{path} holds a run of the sweep {environment.get('sweep', {})}; choose another --run_dir")
    recorded = environment.get("data", {})
    recorded = str(recorded.get("checksum", checksum) if isinstance(recorded, dict) else recorded)
    if recorded != checksum:
        raise InputError(
            f"the data {data} differs from that with which {path} was started (sha256 {recorded[:12]}, now {checksum[:12]})"
        )


def _check_config(path: Path, config: Config) -> None:
    existing = load_config(path / "config.json")
    if continues(existing, config):
        return
    changes, end = "; ".join(differences(existing, config)), existing.schedule_steps or existing.steps
    longer = continues(existing, replace(config, schedule_steps=end))
    raise InputError(
        f"{path} holds a run of another config ({changes}); choose another --run_dir, "
        f"or --fork_from {path} to start a new run with its weights"
        + (f"; or continue after the end of its schedules with --schedule_steps {end}" if longer else "")
    )


def _check_new(path: Path, accept_changes: bool) -> None:
    """Raise InputError for a run without environment.json that has started: nothing says on which data, and by which code."""
    checkpoints = path / "checkpoints"
    started = (path / "metrics.jsonl").exists() or (checkpoints.is_dir() and any(checkpoints.iterdir()))
    if started and not accept_changes:
        raise InputError(
            f"{path} was started, but has no environment.json, which records its data and code: put it back, start a new run "
            f"with its weights (--fork_from {path}), or add --accept_changes to continue without the record"
        )


def changes_of_code(environment: dict[str, Any], config: Config) -> list[str]:
    """How the user's files differ from those that environment.json records, if it does."""
    recorded = environment.get("code")
    return changed_code(recorded, user_code(config)) if isinstance(recorded, dict) else []
