"""environment.json: under what conditions a run was made, and what has changed since it was started."""

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from gan_jax.data.dataset import Data
from gan_jax.errors import InputError
from gan_jax.runs.code import package_commit, package_digest
from gan_jax.version import VERSION

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")

# The entries of environment.json that a run reads again, and whether a value can be one of them.
READ = {
    "data": lambda value: isinstance(value, dict | str),
    "code": lambda value: isinstance(value, dict),
    "seeds": lambda value: isinstance(value, list),
    "sweep": lambda value: isinstance(value, dict),
    "dispatch": lambda value: value in ("scan", "loop"),
    "forked_from": lambda value: isinstance(value, dict) and isinstance(value.get("run_dir"), str),
    "lost_lines": lambda value: isinstance(value, list) and all(map(_is_loss, value)),
    "earlier": lambda value: isinstance(value, list),
    "accepted_changes": lambda value: isinstance(value, list),
}


def current_environment() -> dict[str, Any]:
    """The versions, the package's source, the devices and XLA's flags of this process."""
    return {
        "gan_jax": VERSION,
        "git": package_commit(),
        "source": package_digest(),
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "platform": platform.platform(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "devices": [device.device_kind for device in jax.devices()],
        "XLA_FLAGS": os.environ.get("XLA_FLAGS", ""),
    }


def describe_data(data: Data) -> dict[str, Any]:
    """What environment.json records about the data."""
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


def read_environment(path: Path) -> dict[str, Any]:
    """The content of environment.json of a run directory; {} if there is none. Raises InputError if it cannot be read."""
    file = path / "environment.json"
    try:
        environment = json.loads(file.read_bytes().decode())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read {file}: {error}; put an intact copy in its place, or move it away") from error
    if not isinstance(environment, dict):
        raise InputError(f"cannot read {file}: it must hold a JSON object; put an intact copy in its place, or move it away")
    damaged = [name for name, holds in READ.items() if name in environment and not holds(environment[name])]
    if damaged:
        value = json.dumps(environment[damaged[0]])[:100]
        raise InputError(f"{file} is damaged: {damaged[0]} cannot be {value}; put an intact copy in its place, or move it away")
    return environment


def _is_loss(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("missing", 0), int)


def list_of(environment: dict[str, Any], name: str) -> list[Any]:
    """A list in environment.json, to append to; empty if there is none."""
    return environment[name] if isinstance(environment.get(name), list) else []
