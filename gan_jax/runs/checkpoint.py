"""Checkpoints by Orbax: asynchronous and atomic; with a digest of our own, because Orbax restores flipped bits and other dtypes
without a word; and with sums of their files, because some of these decide no array, and still show that the disk is ill.
"""

from gan_jax.storage.files import digest

import hashlib
import logging
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.runs import hosts
from gan_jax.errors import InputError, RunError
from gan_jax.storage.files import checksums, read_checksums, write_checksums
from gan_jax.game.state import TrainState, step_of

KEEP = 3  # newest checkpoints that stay on disk


class Checkpoints:
    """The checkpoints of one run directory. Use as a context: leaving it waits for the save under way.

    `read_only` changes nothing on disk: for looking at a run that may be in progress."""

    def __init__(self, run_dir: Path, read_only: bool = False):
        import orbax.checkpoint as ocp

        self._ocp = ocp
        logging.getLogger("absl").setLevel(logging.CRITICAL)  # what is wrong with a checkpoint is said below, once
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
        if kind is not None and not hosts.alone():  # closing waits for the other hosts
            return
        try:
            self._manager.close()
        except Exception as error:  # that of a save which failed, perhaps once more: it must not hide what came before
            if kind is None:
                raise self._failed(error) from error

    def steps(self) -> list[int]:
        """The steps that have a finished checkpoint, newest first."""
        return sorted(self._manager.all_steps(), reverse=True)

    def save(self, state: TrainState, shards: TrainState | None = None) -> None:
        """Begins to write `state`; returns when it may be donated. Of several hosts each writes what it has of `shards`, the
        same state as it lies on the devices. Raises RunError where nothing can be written."""
        # A copy: on a CPU NumPy would look into the very buffer that the next step overwrites.
        host = jax.tree.map(lambda x: np.array(x, copy=True), jax.device_get(state))
        written = host if hosts.alone() else jax.tree.map(jnp.copy, shards)
        arguments = self._ocp.args.Composite(
            state=self._ocp.args.StandardSave(written), digest=self._ocp.args.JsonSave({"sha256": digest(host)})
        )
        step = step_of(host)
        self.wait()
        try:
            self._note(step, {})  # there may have been another of this step, which was moved aside
            saved = self._manager.save(step, args=arguments)
        except (OSError, ValueError) as error:
            raise self._failed(error) from error
        if not saved:
            raise RunError(f"Orbax did not save step {step} in {self.directory}: newer steps {self.steps()} lie there")
        self._saving = step

    def wait(self) -> None:
        """Until the save under way is on disk. Raises RunError if it failed."""
        try:
            self._manager.wait_until_finished()
            if self._saving is not None:
                self._note(self._saving, checksums(self.directory / str(self._saving), self._within(self._saving)))
        except Exception as error:
            raise self._failed(error) from error
        self._saving = None

    def _note(self, step: int, found: dict[str, str]) -> None:
        """Notes the sums of a step's files. A checkpoint whose process was killed before is verified by its digest alone."""
        if not hosts.is_first():
            return
        others = tuple(self._within(path.name) for path in self.directory.iterdir() if path.name != str(step))
        known = {name: told for name, told in read_checksums(self._sums).items() if name.startswith(others)}
        write_checksums(self._sums, known | found)

    def _within(self, step: int | str) -> str:
        return f"{self.directory.name}/{step}/"

    def _failed(self, error: Exception) -> RunError:
        """A save that failed, on a full disk say, leaves half a checkpoint behind, which would keep the disk full."""
        for _ in range(10):  # tensorstore's other writes still go on for a moment, and put back what was removed
            for half in self.directory.glob("*.orbax-checkpoint-tmp*"):
                shutil.rmtree(half, ignore_errors=True)
            time.sleep(0.05)
        return RunError(f"cannot save a checkpoint in {self.directory}: {error}; the older ones are as they were")

    def restore(self, abstract: TrainState, say: Callable[[str], None], only: int | None = None) -> TrainState | None:
        """The newest checkpoint that verifies, or None where there is none at all; of the step `only`, where that is given.
        Says which newer ones did not, and moves them aside. Raises InputError where there are some but none verifies, nothing
        being touched then, or none of that step."""
        bad: list[tuple[int, str]] = []
        if only is not None and only not in self.steps():
            known = ", ".join(map(str, reversed(self.steps()))) or "none"
            raise InputError(f"no checkpoint of step {only} in {self.directory}; there are: {known}")
        for step in self.steps() if only is None else [only]:
            try:
                state = self._verified(step, abstract)
            except Exception as error:  # Orbax and its storage raise a dozen kinds for a damaged file
                bad.append((step, str(error).strip().split("\n")[0]))
                continue
            hosts.meet()  # before what others may be reading is moved
            for damaged, why in bad:
                say(f"checkpoint {damaged} does not verify ({why}): using that of step {step}")
                if self._read_only or not hosts.is_first():
                    continue
                aside = self.directory.parent / f"damaged-checkpoint-{damaged}"
                shutil.rmtree(aside, ignore_errors=True)
                (self.directory / str(damaged)).rename(aside)
                say(f"moved it to {aside}")
            hosts.meet()
            if bad and not self._read_only:
                self._manager.reload()
            return state
        if bad:
            reasons = "; ".join(f"step {step}: {why}" for step, why in bad)
            raise InputError(f"no checkpoint in {self.directory} can be used: {reasons}. Nothing was changed")
        return None

    def raw(self, step: int) -> tuple[Any, str]:
        """What lies on disk of `step`, whatever the model: a tree of arrays, and the digest that was saved with it."""
        arguments = self._ocp.args.Composite(state=self._ocp.args.StandardRestore(), digest=self._ocp.args.JsonRestore())
        restored = self._manager.restore(step, args=arguments)
        return restored.state, restored.digest["sha256"]

    def _verified(self, step: int, abstract: TrainState) -> TrainState:
        within = self._within(step)
        told = {name: told for name, told in read_checksums(self._sums).items() if name.startswith(within)}
        found = checksums(self.directory / str(step), within) if told else {}
        for name in sorted(told.keys() | found.keys()):
            if told.get(name) != found.get(name):
                what = "is missing" if name not in found else "does not belong there" if name not in told else "is damaged"
                raise ValueError(f"{name} {what}")
        # To the host, by each host all of it: on how many devices it was saved does not matter.
        target = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), abstract)
        arguments = self._ocp.args.Composite(state=self._ocp.args.StandardRestore(target), digest=self._ocp.args.JsonRestore())
        restored = self._manager.restore(step, args=arguments)
        # Orbax restores arrays of other shapes than asked for, too.
        for asked, got in zip(jax.tree.leaves(abstract), jax.tree.leaves(restored.state), strict=True):
            if (asked.shape, asked.dtype) != (got.shape, got.dtype):
                raise ValueError(f"it is of another model: {got.dtype}{got.shape} where {asked.dtype}{asked.shape} belongs")
        if digest(restored.state) != restored.digest["sha256"]:
            raise ValueError("its arrays are not those that were saved")
        if step_of(restored.state) != step:
            raise ValueError(f"it holds step {step_of(restored.state)}")
        return restored.state


