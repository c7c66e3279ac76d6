"""Load a saved run: its config, data, game and state. Nothing is written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from gan_jax.config import Config, load_config
from gan_jax.data.dataset import Data
from gan_jax.data.description import FILE, DataDescription, describe, load_description
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.game.build import assemble, build
from gan_jax.game.game import Game
from gan_jax.game.preflight import check_networks
from gan_jax.game.state import TrainState, init_state
from gan_jax.game.sweep import combinations
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.environment import read_environment
from gan_jax.runs.identity import Identity
from gan_jax.runs.run_dir import changes_of_code
from gan_jax.runs.trust import check_code
from gan_jax.storage.files import check_entries

Say = Callable[[str], None]


def load_run(
    path: Path, say: Say, data_dir: str | None = None, step: int | None = None
) -> tuple[Config, Data, Game, TrainState]:
    """A saved run with its data, and the state of its newest intact checkpoint, or of that at `step`.

    Raises InputError if there is no run, no checkpoint that verifies, or if `trust.check_code` refuses its code."""
    config = _config(path)
    data = load(config.data, config.seed, config.batch, data_dir, config.validation, config.stream)
    for note in data.notes:
        say(f"data: {note}")
    game = build(config, data)
    environment = _environment(path, config, say)
    if environment.get("seeds"):
        raise InputError(f"{path} holds several seeds: gan_jax compare reports on them; train one seed to sample or evaluate")
    return config, data, game, _state(path, game, Identity(config, data.checksum), say, step)


def load_without_data(
    path: Path,
    say: Say,
    step: int | None = None,
    member: dict[str, float] | None = None,
    trusted: bool = False,
    data_dir: str | None = None,
) -> tuple[Config, DataDescription, Game, TrainState]:
    """A saved run as `load_run` returns it, with the description of its data in place of the data. Runs of earlier versions
    have no description: their data is loaded.

    Of a run of several seeds or of a sweep, `member` chooses one: {"seed": 3, "g_lr": 0.001}, as far as it is needed to tell
    them apart. With `trusted`, its code is not checked. Raises InputError as `load_run`, and for a member that it does not
    hold."""
    config = _config(path, trusted)
    if (path / FILE).is_file():
        description = load_description(path / FILE)
    else:
        description = describe(load(config.data, config.seed, config.batch, data_dir, config.validation, config.stream))
    game = assemble(config, description)
    check_networks(config, game)
    environment = _environment(path, config, say)
    seeds, sweep = environment.get("seeds"), environment.get("sweep", {})
    identity = Identity(config, description.checksum, seeds, sweep)
    if seeds is None:
        _check_member(path, member or {}, [{"seed": config.seed}])
        return config, description, game, _state(path, game, identity, say, step)
    members = [{"seed": seed, **values} for values in combinations(config, sweep) for seed in seeds]
    index = _check_member(path, member or {}, members)
    state = _state(path, game, identity, say, step, len(members))
    return config, description, game, jax.tree.map(lambda x: x[index], state)


def _config(path: Path, trusted: bool = False) -> Config:
    if not (path / "config.json").is_file():
        raise InputError(f"{path} is not a run directory: it has no config.json")
    check_entries(path)
    config = load_config(path / "config.json")
    if not trusted:
        check_code(config, path / "config.json")
    return config


def _environment(path: Path, config: Config, say: Say) -> dict[str, Any]:
    environment = read_environment(path)
    for change in changes_of_code(environment, config):
        say(f"warning: code differs from that with which the run was trained: {change}")
    return environment


def _check_member(path: Path, chosen: dict[str, float], members: list[dict[str, float]]) -> int:
    """The number of the only member with the `chosen` values."""
    matching = [i for i, member in enumerate(members) if chosen.items() <= member.items()]
    if len(matching) == 1:
        return matching[0]
    listed = "; ".join(", ".join(f"{name}={value:g}" for name, value in member.items()) for member in members[:8])
    more = f"; and {len(members) - 8} more" if len(members) > 8 else ""
    wanted = ", ".join(f"{name}={value}" for name, value in chosen.items())
    problem = f"no run with {wanted}" if not matching else f"{len(matching)} runs{f' with {wanted}' if wanted else ''}"
    raise InputError(f"{path} holds {problem}: choose one of {listed}{more}")


def _state(path: Path, game: Game, identity: Identity, say: Say, step: int | None, members: int | None = None) -> TrainState:
    """The state in a checkpoint; of several runs, stacked along a leading axis."""
    abstract = jax.eval_shape(lambda: init_state(game, jax.random.key(0)))
    if members is not None:
        abstract = jax.tree.map(lambda x: jax.ShapeDtypeStruct((members, *x.shape), x.dtype), abstract)
    with Checkpoints(path, read_only=True, identity=identity) as checkpoints:
        state = checkpoints.restore(abstract, say, step)
    if state is None:
        raise InputError(f"{path} has no checkpoint yet")
    return state
