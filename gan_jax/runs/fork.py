"""Fork: a new run that begins with the weights of another.

It takes over what the networks are: parameters, running statistics, and the averaged generator. All else begins anew: the
step is 0, schedules and the order of the data start over with the fork's own seed; optimisers forget their moments, which are
of gradients of another game at other learning rates; so do penalties and an adapted augmentation what they remember; and
power-function averages, whose first step forgets all before it, begin with the weights.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.storage.files import digest
from gan_jax.errors import InputError
from gan_jax.game.game import Game
from gan_jax.runs.run_dir import load_run
from gan_jax.game.state import Player, TrainState, init_state, step_of


class Fork(NamedTuple):
    """What a run begins with, and what environment.json says of it."""

    state: TrainState  # the other run's, on the host
    told: dict[str, Any]  # run_dir, step, sha256 of all its arrays

    def begin(self, game: Game, fresh: TrainState) -> TrainState:
        """The state `fresh`, of a run that begins by itself, with the other run's weights."""

        def player(fresh: Player, params: Any, stats: Any, tx: Any) -> Player:
            return fresh.replace(params=params, stats=stats, opt_state=tx.init(params))

        @jax.jit  # op by op an optimiser's init is hundreds of small compilations
        def adopt(fresh: TrainState, g: Any, d: Any, ema: Any) -> TrainState:
            posthoc = tuple(jax.tree.map(jnp.copy, {"params": g[0], **g[1]}) for _ in fresh.posthoc)
            players = {"g": player(fresh.g, *g, game.g_tx), "d": player(fresh.d, *d, game.d_tx)}
            return fresh.replace(**players, ema=ema, posthoc=posthoc)

        g, d = ((player.params, player.stats) for player in (self.state.g, self.state.d))
        return adopt(fresh, g, d, self.state.ema)


def find_fork(
    asked: Path | None,
    run_dir: Path,
    environment: dict[str, Any],
    game: Game,
    say: Callable[[str], None],
    data_dir: str | None = None,
) -> Fork | None:
    """The fork of `asked` that `run_dir` is to begin as. None for a run that begins by itself, and for one that has begun: its
    own checkpoints, of which that of step 0 is the first, are all that it needs then.

    `environment` is what environment.json of `run_dir` says. Raises InputError where `asked` has no good checkpoint, or its
    networks do not fit, or the run in `run_dir` was begun in another way."""
    told = environment.get("forked_from")
    checkpoints = run_dir / "checkpoints"
    begun = checkpoints.is_dir() and any(path.name.isdigit() for path in checkpoints.iterdir())
    if asked is not None and asked.resolve() == run_dir.resolve():
        raise InputError(f"--fork_from {asked} is --run_dir too: a fork lives in a directory of its own")
    if begun and asked is not None and (told is None or not _same(asked, told["run_dir"])):
        how = "begun by itself" if told is None else f"forked from {told['run_dir']}"
        raise InputError(
            f"the run in {run_dir} was {how}: leave off --fork_from {asked} to go on with it, or choose another --run_dir"
        )
    origin = asked or (told and Path(told["run_dir"]))
    if begun or origin is None:
        return None
    _, _, _, state = load_run(origin, say, data_dir)
    _check_fit(origin, state, jax.eval_shape(lambda: init_state(game, jax.random.key(0))))
    return Fork(state, {"run_dir": str(origin), "step": step_of(state), "sha256": digest(state)})


def _same(asked: Path, told: str) -> bool:
    return str(asked) == told or asked.resolve() == Path(told).resolve()


def _check_fit(origin: Path, there: TrainState, here: TrainState) -> None:
    def weights(state: TrainState) -> dict[str, str]:
        trees = {"g": (state.g.params, state.g.stats), "d": (state.d.params, state.d.stats)}
        leaves = jax.tree_util.tree_leaves_with_path({name: {"params": p, **stats} for name, (p, stats) in trees.items()})
        return {jax.tree_util.keystr(path, simple=True, separator="/"): _shape(leaf) for path, leaf in leaves}

    there, here = weights(there), weights(here)
    wrong = [name for name in there | here if there.get(name) != here.get(name)]
    if wrong:
        name, more = wrong[0], f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise InputError(
            f"the networks of --fork_from {origin} do not fit: {name} is {there.get(name, 'absent')} there and "
            f"{here.get(name, 'absent')} here{more}; leave the fields that make the networks as they are there"
        )


def _shape(leaf: Any) -> str:
    return f"{np.dtype(leaf.dtype)}{list(leaf.shape)}"
