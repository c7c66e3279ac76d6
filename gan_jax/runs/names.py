"""The default directory of a run."""

from collections.abc import Sequence
from pathlib import Path

from gan_jax.config import Config
from gan_jax.data.names import short_name
from gan_jax.game.sweep import Sweep


def default_directory(config: Config, seeds: Sequence[int] | None, sweep: Sweep, forked: bool) -> Path:
    """Return runs/NAME-seed0, runs/NAME-seeds0-9, runs/NAME-g_lr0.001,0.002-seeds0,3 or runs/NAME-seed0-fork. A config without
    a name is called what its data are."""
    parts = [config.name or short_name(config.data)]
    parts += [f"{field}{','.join(map(str, values))}" for field, values in sweep.items()]
    if seeds is None:
        parts.append(f"seed{config.seed}")
    elif list(seeds) == list(range(seeds[0], seeds[-1] + 1)) and len(seeds) > 1:
        parts.append(f"seeds{seeds[0]}-{seeds[-1]}")
    else:
        parts.append(f"seeds{','.join(map(str, seeds))}")
    return Path("runs") / "-".join([*parts, *(["fork"] if forked else [])])
