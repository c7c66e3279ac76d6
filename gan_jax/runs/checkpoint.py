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
from gan_jax.storage.files import checksums, digest, read_checksums, write_checksums

KEEP = 3  # how many of the newest checkpoints stay on disk


class Checkpoints:
    """The checkpoints of one run directory. Use as a context: leaving it waits for the save in progress.

    With `read_only` nothing on disk is changed: for reading a run that may be in progress."""

    def __init__(self, run_dir: Path, read_only: bool = False):
        import orbax.checkpoint as ocp

        self._ocp = ocp
        logging.getLogger("absl").setLevel(logging.CRITICAL)  # damaged checkpoints are reported below, once
        self.directory = (Path(run_dir) / "checkpoints").resolve()  # Orbax insists on absolute paths
        self._sums = self.directory.parent / f"{self.directory.name}.sha256"
        self._read_only = read_only
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
        arguments = self._ocp.args.Composite(
            state=self._ocp.args.StandardSave(written), digest=self._ocp.args.JsonSave({"sha256": digest(host)})
        )
        step = step_of(host)
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
        for step in self.steps() if only is None else [only]:
            try:
                state = self._verified(step, abstract)
            except Exception as error:  # Orbax and its storage raise many kinds of errors for a damaged file
                bad.append((step, str(error).strip().split("\n")[0]))
                continue
            hosts.barrier()  # others may still be reading what is moved next
            for damaged, why in bad:
                say(f"checkpoint {damaged} does not verify ({why}): using the one of step {step}")
                if self._read_only or not hosts.is_first():
                    continue
                aside = self.directory.parent / f"damaged-checkpoint-{damaged}"
                shutil.rmtree(aside, ignore_errors=True)
                (self.directory / str(damaged)).rename(aside)
                say(f"moved it to {aside}")
            hosts.barrier()
            if bad and not self._read_only:
                self._manager.reload()
            return state
        if bad:
            reasons = "; ".join(f"step {step}: {why}" for step, why in bad)
            raise InputError(f"no checkpoint in {self.directory} can be used: {reasons}. Nothing was changed")
        return None

    def raw(self, step: int) -> tuple[Any, str]:
        """The content of a checkpoint on disk, whatever the model: a tree of arrays, and the digest saved with it."""
        arguments = self._ocp.args.Composite(state=self._ocp.args.StandardRestore(), digest=self._ocp.args.JsonRestore())
        restored = self._manager.restore(step, args=arguments)
        return restored.state, restored.digest["sha256"]

    def _verified(self, step: int, abstract: TrainState) -> TrainState:
        within = self._within(step)
        recorded = {name: value for name, value in read_checksums(self._sums).items() if name.startswith(within)}
        current = checksums(self.directory / str(step), within) if recorded else {}
        for name in sorted(recorded.keys() | current.keys()):
            if recorded.get(name) != current.get(name):
                what = (
                    "is missing" if name not in current else "does not belong there" if name not in recorded else "is damaged"
                )
                raise ValueError(f"{name} {what}")
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
