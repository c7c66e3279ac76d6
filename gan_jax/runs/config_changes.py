"""How the Configs of two runs differ, and whether one continues the other."""

from dataclasses import asdict, fields, replace
from typing import Any

from gan_jax.config import Config, renamed


def differences(old: Config, new: Config) -> list[str]:
    """The fields in which two Configs differ, as `field: old -> new`."""
    old, new = asdict(old), asdict(new)
    return [f"{field}: {old[field]!r} -> {new[field]!r}" for field in old if old[field] != new[field]]


def continues(old: Config, new: Config) -> bool:
    """Whether `new` continues a run of `old`: the same config under any name, or one with more steps, if that stretches no
    schedule."""

    def end(config: Config) -> int | None:
        scheduled = any(getattr(config, field.name) is not None for field in fields(Config) if field.name.endswith("_final"))
        return (config.schedule_steps or config.steps) if scheduled else None

    same = replace(old, name=new.name, steps=new.steps, schedule_steps=new.schedule_steps) == new
    return same and new.steps >= old.steps and end(old) == end(new)


def stored_differences(stored: dict[str, Any], config: Config) -> list[str]:
    """The fields in which a Config that was stored as a dictionary differs from `config`, as `field: stored -> current`.
    Its length is not compared, since a run may be continued, nor its name or how it is computed, which other machines may need
    to change: the states are those of the same game."""
    free = {"name", "steps", "schedule_steps", "dispatch", "devices", "parallel", "fsdp", "microbatches", "remat"}
    stored = asdict(Config()) | {name: renamed(value) for name, value in stored.items()}
    current = asdict(config)
    compared = [name for name in stored | current if name not in free]
    return [f"{n}: {stored.get(n)!r} -> {current.get(n)!r}" for n in compared if stored.get(n) != current.get(n)]
