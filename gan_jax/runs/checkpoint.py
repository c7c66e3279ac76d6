"""Checkpoints by Orbax: asynchronous and atomic. A digest is added, because Orbax silently restores flipped bits and other
dtypes, and checksums of the files, because damage to files that hold no array also shows that the disk is failing.
"""

import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.errors import InputError, RunError
from gan_jax.game.state import TrainState, step_of
from gan_jax.runs import hosts
from gan_jax.runs.identity import Identity
from gan_jax.storage.files import checksums, digest, read_checksums, unused_path, write_checksums

KEEP = 3  # how many of the newest checkpoints stay on disk


class Checkpoints:
    """The checkpoints of one run directory. Use as a context: leaving it waits for the save in progress.

    With `read_only` nothing on disk is changed: for reading a run that may be in progress. Checkpoints are saved with the
    `identity` of their run, and those of another run do not verify."""

    def __init__(self, run_dir: Path, read_only: bool = False, identity: Identity | None = None):
        import orbax.checkpoint as ocp

        self._ocp = ocp
        logging.getLogger("absl").setLevel(logging.CRITICAL)  # damaged checkpoints are reported below, once
        self.directory = (Path(run_dir) / "checkpoints").resolve()  # Orbax insists on absolute paths
        self._sums = self.directory.parent / f"{self.directory.name}.sha256"
        self._read_only, self._identity = read_only, identity
        self._saving: int | None = None
        options = ocp.CheckpointManagerOptions(
            max_to_keep=None if read_only else KEEP, cleanup_tmp_directories=not read_only, read_only=read_only
        )
        self._manager = ocp.CheckpointManager(self.directory, options=options)

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        if kind is not None and not hosts.single_process():  # closing waits for the other hosts
            return
        try:
            self._manager.close()
        except Exception as error:  # of a failed save, perhaps raised again: it must not hide the first error
            if kind is None:
                raise self._failed(error) from error

    def steps(self) -> list[int]:
        """The steps that have a finished checkpoint, newest first."""
        return sorted(self._manager.all_steps(), reverse=True)

    def save(self, state: TrainState, shards: TrainState | None = None) -> None:
        """Start writing `state`; return as soon as it may be donated. On several hosts, each writes its part of `shards`, the
        same state on the devices. Raises RunError if it cannot be written."""
        # A copy: on a CPU, NumPy shares the buffer that the next step overwrites.
        host = jax.tree.map(lambda x: np.array(x, copy=True), jax.device_get(state))
        written = host if hosts.single_process() else jax.tree.map(jnp.copy, shards)
        self.write(step_of(host), written, digest(host))

    def write(self, step: int, written: Any, sha256: str) -> None:
        """Start writing a tree of arrays whose digest is `sha256`. Raises RunError if it cannot be written."""
        record = {"sha256": sha256} if self._identity is None else self._identity.record(sha256)
        arguments = self._ocp.args.Composite(state=self._ocp.args.StandardSave(written), digest=self._ocp.args.JsonSave(record))
        self.wait()
        try:
            self._record(step, {})  # there may have been another checkpoint of this step, which was moved aside
            saved = self._manager.save(step, args=arguments)
        except (OSError, ValueError) as error:
            raise self._failed(error) from error
        if not saved:
            raise RunError(f"Orbax did not save step {step} in {self.directory}: it has newer steps: {self.steps()}")
        self._saving = step

    def wait(self) -> None:
        """Wait until the save in progress is on disk. Raises RunError if it failed."""
        try:
            self._manager.wait_until_finished()
            if self._saving is not None:
                self._record(self._saving, checksums(self.directory / str(self._saving), self._within(self._saving)))
        except Exception as error:
            raise self._failed(error) from error
        self._saving = None

    def _record(self, step: int, sums: dict[str, str]) -> None:
        """Record the checksums of a step's files. If the process is killed before, the digest alone verifies the checkpoint."""
        if not hosts.is_first():
            return
        others = tuple(self._within(path.name) for path in self.directory.iterdir() if path.name != str(step))
        kept = {name: value for name, value in read_checksums(self._sums).items() if name.startswith(others)}
        write_checksums(self._sums, kept | sums)

    def _within(self, step: int | str) -> str:
        return f"{self.directory.name}/{step}/"

    def _failed(self, error: Exception) -> RunError:
        """Remove the partial checkpoint of a failed save, which could keep a full disk full, and return the error to raise."""
        for _ in range(10):  # tensorstore's remaining writes continue for a moment, and recreate removed files
            for partial in self.directory.glob("*.orbax-checkpoint-tmp*"):
                shutil.rmtree(partial, ignore_errors=True)
            time.sleep(0.05)
        return RunError(f"cannot save a checkpoint in {self.directory}: {error}; older ones are unchanged")

    def restore(self, abstract: TrainState, say: Callable[[str], None], only: int | None = None) -> TrainState | None:
        """The newest checkpoint that verifies, or that of the step `only`; None if there are no checkpoints. Newer ones that do
        not verify are reported and moved aside. Raises InputError, without changing anything, if there are checkpoints but none
        verifies, or none of the requested step exists."""
        bad: list[tuple[int, str]] = []
        if only is not None and only not in self.steps():
            available = ", ".join(map(str, reversed(self.steps()))) or "none"
            raise InputError(f"no checkpoint of step {only} in {self.directory}; available: {available}")
        while untried := self._untried(bad, only):
            step = untried[0]
            try:
                state = self._verified(step, abstract, say)
            except Exception as error:  # Orbax and its storage raise many kinds of errors for a damaged file
                bad.append((step, str(error).strip().split("\n")[0]))
                continue
            self._set_aside([(damaged, why) for damaged, why in bad if damaged > step], step, say)
            return state
        if bad:
            reasons = "; ".join(f"step {step}: {why}" for step, why in bad)
            raise InputError(f"no checkpoint in {self.directory} can be used: {reasons}. Nothing was changed")
        return None

    def _untried(self, bad: list[tuple[int, str]], only: int | None) -> list[int]:
        """The steps to try next, newest first. Of a run in progress, the checkpoints that were listed may have been replaced by
        newer ones."""
        if bad and self._read_only:
            self._manager.reload()
        tried = [step for step, _ in bad]
        return [step for step in self.steps() if step not in tried and (only is None or step == only)]

    def _set_aside(self, bad: list[tuple[int, str]], step: int, say: Callable[[str], None]) -> None:
        """Report the checkpoints that do not verify, and move them out of the way of those that will be saved again."""
        hosts.barrier()  # others may still be reading what is moved next
        for damaged, why in bad:
            say(f"checkpoint {damaged} does not verify ({why}): using the one of step {step}")
            if self._read_only or not hosts.is_first():
                continue
            aside = unused_path(self.directory.parent / f"damaged-checkpoint-{damaged}")
            (self.directory / str(damaged)).rename(aside)
            say(f"moved it to {aside}")
        hosts.barrier()
        if bad and not self._read_only:
            self._manager.reload()

    def raw(self, step: int) -> tuple[Any, str]:
        """The content of a checkpoint on disk, whatever the model: a tree of arrays, and the digest saved with it."""
        arguments = self._ocp.args.Composite(state=self._ocp.args.StandardRestore(), digest=self._ocp.args.JsonRestore())
        restored = self._manager.restore(step, args=arguments)
        return restored.state, restored.digest["sha256"]

    def _verified(self, step: int, abstract: TrainState, say: Callable[[str], None]) -> TrainState:
        within = self._within(step)
        recorded = {name: value for name, value in read_checksums(self._sums).items() if name.startswith(within)}
        current = checksums(self.directory / str(step), within) if recorded else {}
        for name in sorted(recorded.keys() | current.keys()):
            if recorded.get(name) != current.get(name):
                what = (
                    "is missing" if name not in current else "does not belong there" if name not in recorded else "is damaged"
                )
                raise ValueError(f"{name} {what}")
        self._check_identity(step, say)
        # Each host restores all of it into host memory, so the number of devices at saving does not matter.
        target = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), abstract)
        arguments = self._ocp.args.Composite(state=self._ocp.args.StandardRestore(target), digest=self._ocp.args.JsonRestore())
        restored = self._manager.restore(step, args=arguments)
        # Orbax also restores arrays whose shapes differ from the target's.
        for expected, array in zip(jax.tree.leaves(abstract), jax.tree.leaves(restored.state), strict=True):
            if (expected.shape, expected.dtype) != (array.shape, array.dtype):
                raise ValueError(
                    f"it is of another model: {array.dtype}{array.shape} instead of {expected.dtype}{expected.shape}"
                )
        if digest(restored.state) != restored.digest["sha256"]:
            raise ValueError("its arrays are not those that were saved")
        if step_of(restored.state) != step:
            raise ValueError(f"it holds step {step_of(restored.state)}")
        return restored.state

    def _check_identity(self, step: int, say: Callable[[str], None]) -> None:
        """Raise ValueError for a checkpoint of another run. Other data is only reported where nothing is trained on it."""
        if self._identity is None:
            return
        arguments = self._ocp.args.Composite(digest=self._ocp.args.JsonRestore())
        record = self._manager.restore(step, args=arguments).digest
        if "run" not in record:
            say(f"checkpoint {step} is of an earlier version, which did not record its run: whether it is this one is unknown")
            return
        run, data = self._identity.differences(record)
        if data and self._read_only:
            say(f"warning: the data differs from that of checkpoint {step} ({data[0]})")
            data = []
        if run or data:
            raise ValueError(f"it is of another run: {'; '.join(run + data)}")


def try_saving(run_dir: Path) -> None:
    """Save a small checkpoint in a run directory, read it and remove it. Raises InputError if that fails: a training whose
    checkpoints cannot be saved must not begin."""
    trial, state = run_dir / "trial", {"x": np.arange(3, dtype=np.float32)}
    shutil.rmtree(trial, ignore_errors=True)  # of a killed process
    try:
        with Checkpoints(trial) as checkpoints:
            checkpoints.write(0, state, digest(state))
            checkpoints.wait()
            restored, saved_digest = checkpoints.raw(0)
        if digest(restored) != saved_digest:
            raise ValueError("what is read is not what was written")
    except Exception as error:  # Orbax and its storage raise many kinds of errors for names that they do not support
        why = str(error.__cause__ or error).strip().split("\n")[0][:200]
        raise InputError(f"checkpoints cannot be saved in {run_dir} ({why}); choose another --run_dir") from error
    finally:
        shutil.rmtree(trial, ignore_errors=True)
