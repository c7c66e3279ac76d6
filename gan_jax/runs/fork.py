"""Fork: a new run that starts with the weights of another.

It inherits the networks: parameters, running statistics, and the averaged generator. Everything else starts fresh: the step is
0; schedules and the order of the data start over with the fork's own seed; optimisers are reset, since their moments belong to
the gradients of another game at other learning rates; the memory of penalties and of an adaptive augmentation is reset; and
power-function averages, whose first step discards the initial value, start from the weights.

The data may have another number of classes. The arrays whose shape depends on it (tables of classes, projections, heads, and
the statistics that belong to them) are then initialised anew, counted and recorded; everything else must fit. If both have
equally many classes, all arrays are inherited, whatever the classes are.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.errors import InputError
from gan_jax.game.game import Game
from gan_jax.game.state import Player, TrainState, init_state, named, step_of
from gan_jax.runs.load import load_run
from gan_jax.storage.files import digest


class Fork(NamedTuple):
    """What a run starts with, and its record in environment.json."""

    state: TrainState  # of the other run, on the host
    record: dict[str, Any]  # run_dir, step, sha256 of all its arrays; `new`, the shapes of arrays that are not inherited

    def begin(self, game: Game, fresh: TrainState) -> TrainState:
        """The newly initialised state `fresh` with the other run's weights."""

        def inherited(name: str, fresh: Any, weights: Any) -> Any:
            """The variables `fresh` of player `name` with the arrays of `weights`, except those that are new."""
            arrays = {path: x for path, x in named({name: weights}).items() if path not in self.record.get("new", {})}
            tree = jax.tree.structure(fresh)
            return jax.tree.unflatten(tree, [arrays.get(path, x) for path, x in named({name: fresh}).items()])

        def player(name: str, weights: Any, tx: Any) -> Player:
            old = getattr(fresh, name)
            variables = inherited(name, _variables(old), weights)
            params = variables.pop("params")
            return old.replace(params=params, stats=variables, opt_state=tx.init(params))

        @jax.jit  # otherwise each operation of an optimiser's init is compiled separately
        def adopt(fresh: TrainState, g: Any, d: Any, ema: Any) -> TrainState:
            players = {"g": player("g", g, game.g_tx), "d": player("d", d, game.d_tx)}
            posthoc = tuple(jax.tree.map(jnp.copy, _variables(players["g"])) for _ in fresh.posthoc)
            return fresh.replace(**players, ema=inherited("g", fresh.ema, ema), posthoc=posthoc)

        return adopt(fresh, _variables(self.state.g), _variables(self.state.d), self.state.ema)


def find_fork(
    source: Path | None,
    run_dir: Path,
    environment: dict[str, Any],
    game: Game,
    say: Callable[[str], None],
    data_dir: str | None = None,
) -> Fork | None:
    """The fork with which the run in `run_dir` starts, of the run in `source` or, without one, of the recorded run. None for a
    run that starts from random weights, and for one that has already started: its own checkpoints, the first at step 0,
    suffice.

    `environment` is the content of environment.json in `run_dir`. Raises InputError if `source` has no intact checkpoint, if
    its networks do not fit, or if the run in `run_dir` was started differently."""
    record = environment.get("forked_from")
    checkpoints = run_dir / "checkpoints"
    started = checkpoints.is_dir() and any(path.name.isdigit() for path in checkpoints.iterdir())
    if source is not None and source.resolve() == run_dir.resolve():
        raise InputError(f"--fork_from {source} is also the --run_dir: a fork needs its own directory")
    if started and source is not None and (record is None or not _same(source, record["run_dir"])):
        how = "started from random weights" if record is None else f"forked from {record['run_dir']}"
        raise InputError(
            f"the run in {run_dir} was {how}: leave off --fork_from {source} to resume it, or choose another --run_dir"
        )
    origin = source or (record and Path(record["run_dir"]))
    if started or origin is None:
        return None
    _, _, source_game, state = load_run(origin, say, data_dir)
    new = _new_arrays(origin, state, source_game, game)
    if new:
        listed = ", ".join([*new][:3]) + (f" and {len(new) - 3} more" if len(new) > 3 else "")
        classes = f"{_classes(source_game)} classes in {origin}, {_classes(game)} here"
        say(f"fork: {classes}: {len(new)} arrays that depend on their number are initialised anew: {listed}")
    record = {"run_dir": str(origin), "step": step_of(state), "sha256": digest(state)}
    return Fork(state, record | ({"new": new} if new else {}))


def _same(source: Path, recorded: str) -> bool:
    return str(source) == recorded or source.resolve() == Path(recorded).resolve()


def _new_arrays(origin: Path, source: TrainState, source_game: Game, game: Game) -> dict[str, str]:
    """The arrays of `game`, name -> shape, that depend on the number of classes, if it is another than in `source_game`. Raises
    InputError if the networks differ in anything else."""
    target_shapes = _shapes(game)
    same_classes = _shapes(_with_classes_of(source_game, game))
    source_shapes = {path: _shape(x) for path, x in named({"g": _variables(source.g), "d": _variables(source.d)}).items()}
    names = [name for name in source_shapes | same_classes if source_shapes.get(name) != same_classes.get(name)]
    if names:
        name, more = names[0], f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        raise InputError(
            f"the networks of --fork_from {origin} do not fit: {name} is {source_shapes.get(name, 'absent')} there and "
            f"{target_shapes.get(name, 'absent')} here{more}; keep the fields that define the networks"
        )
    return {name: shape for name, shape in target_shapes.items() if shape != source_shapes.get(name)}


def _with_classes_of(source: Game, game: Game) -> Game:
    """`game` with networks for the classes of `source`; itself if neither game has classes, or both have equally many."""
    if not _classes(source) or not _classes(game) or _classes(source) == _classes(game):
        return game

    def clone(module: nn.Module | None) -> nn.Module | None:
        return module.clone(num_classes=_classes(source)) if hasattr(module, "num_classes") else module

    networks = {name: clone(getattr(game, name)) for name in ("generator", "discriminator", "auxiliary")}
    return replace(game, **networks, label=source.label)


def _classes(game: Game) -> int:
    return getattr(game.generator, "num_classes", 0)


def _shapes(game: Game) -> dict[str, str]:
    """The shapes of both players' variables, by name."""
    state = jax.eval_shape(lambda: init_state(game, jax.random.key(0)))
    return {path: _shape(x) for path, x in named({"g": _variables(state.g), "d": _variables(state.d)}).items()}


def _variables(player: Player) -> dict[str, Any]:
    return {"params": player.params, **player.stats}


def _shape(leaf: Any) -> str:
    return f"{np.dtype(leaf.dtype)}{list(leaf.shape)}"
