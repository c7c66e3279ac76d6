"""Fork: a new run that starts with the weights of another.

It inherits the networks: parameters, running statistics, and the averaged generator. Everything else starts fresh: the step is
0; schedules and the order of the data start over with the fork's own seed; optimisers are reset, since their moments belong to
the gradients of another game at other learning rates; the memory of penalties and of an adaptive augmentation is reset; and
power-function averages, whose first step discards the initial value, start from the weights.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.errors import InputError
from gan_jax.game.game import Game
from gan_jax.game.state import Player, TrainState, init_state, step_of
from gan_jax.runs.run_dir import load_run
from gan_jax.storage.files import digest


class Fork(NamedTuple):
    """What a run starts with, and its record in environment.json."""

    state: TrainState  # of the other run, on the host
    record: dict[str, Any]  # run_dir, step, sha256 of all its arrays

    def begin(self, game: Game, fresh: TrainState) -> TrainState:
        """The newly initialised state `fresh` with the other run's weights."""

        def player(fresh: Player, params: Any, stats: Any, tx: Any) -> Player:
            return fresh.replace(params=params, stats=stats, opt_state=tx.init(params))

        @jax.jit  # otherwise each operation of an optimiser's init is compiled separately
        def adopt(fresh: TrainState, g: Any, d: Any, ema: Any) -> TrainState:
            posthoc = tuple(jax.tree.map(jnp.copy, {"params": g[0], **g[1]}) for _ in fresh.posthoc)
            players = {"g": player(fresh.g, *g, game.g_tx), "d": player(fresh.d, *d, game.d_tx)}
            return fresh.replace(**players, ema=ema, posthoc=posthoc)

        g, d = ((player.params, player.stats) for player in (self.state.g, self.state.d))
        return adopt(fresh, g, d, self.state.ema)


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
    _, _, _, state = load_run(origin, say, data_dir)
    _check_fit(origin, state, jax.eval_shape(lambda: init_state(game, jax.random.key(0))))
    return Fork(state, {"run_dir": str(origin), "step": step_of(state), "sha256": digest(state)})


def _same(source: Path, recorded: str) -> bool:
    return str(source) == recorded or source.resolve() == Path(recorded).resolve()


def _check_fit(origin: Path, source: TrainState, target: TrainState) -> None:
    def weights(state: TrainState) -> dict[str, str]:
        trees = {"g": (state.g.params, state.g.stats), "d": (state.d.params, state.d.stats)}
        leaves = jax.tree_util.tree_leaves_with_path({name: {"params": p, **stats} for name, (p, stats) in trees.items()})
        return {jax.tree_util.keystr(path, simple=True, separator="/"): _shape(leaf) for path, leaf in leaves}

    source_shapes, target_shapes = weights(source), weights(target)
    names = [name for name in source_shapes | target_shapes if source_shapes.get(name) != target_shapes.get(name)]
    if names:
        name, more = names[0], f" (and {len(names) - 1} more)" if len(names) > 1 else ""
        raise InputError(
            f"the networks of --fork_from {origin} do not fit: {name} is {source_shapes.get(name, 'absent')} there and "
            f"{target_shapes.get(name, 'absent')} here{more}; keep the fields that define the networks"
        )


def _shape(leaf: Any) -> str:
    return f"{np.dtype(leaf.dtype)}{list(leaf.shape)}"
