"""The identity of a run, which is saved with each of its checkpoints: one of another run is never restored, even if its arrays
have the same shapes."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from gan_jax.config import Config
from gan_jax.game.sweep import Sweep
from gan_jax.runs.config_changes import stored_differences


class Identity(NamedTuple):
    """What determines the states of a run, apart from its length."""

    config: Config
    data: str  # checksum
    seeds: Sequence[int] | None = None
    sweep: Sweep | None = None

    def record(self, arrays: str) -> dict[str, Any]:
        """What is saved with a checkpoint whose arrays have the digest `arrays`."""
        facts = {"config": asdict(self.config), "data": self.data} | self._members()
        return {"sha256": arrays, "run": facts, "run_sha256": _digest(facts, arrays)}

    def differences(self, record: dict[str, Any]) -> tuple[list[str], list[str]]:
        """How the run that saved a checkpoint differs from this one, and how its data differs. Raises ValueError for a damaged
        record, and for one that was saved with other arrays."""
        facts = record["run"]
        if record.get("run_sha256") != _digest(facts, record["sha256"]):
            raise ValueError("the record of its run is not the one that was saved with its arrays")
        members, stored = self._members(), {name: facts.get(name) for name in ("seeds", "sweep")}
        run = stored_differences(facts["config"], self.config)
        run += [f"{name}: {stored[name]} -> {members[name]}" for name in members if stored[name] != members[name]]
        return run, [] if facts["data"] == self.data else [f"data: sha256 {facts['data'][:12]} -> {self.data[:12]}"]

    def _members(self) -> dict[str, Any]:
        members = {"seeds": None if self.seeds is None else list(self.seeds), "sweep": self.sweep or None}
        return json.loads(json.dumps(members))


def _digest(facts: dict[str, Any], arrays: str) -> str:
    return hashlib.sha256(f"{arrays} {json.dumps(facts, sort_keys=True)}".encode()).hexdigest()
