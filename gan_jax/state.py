"""The state of a game: arrays only, so that it can be compiled, donated, mapped over seeds and saved as it is.

The two helpers that call Flax live here: `init_state` makes parameters, `apply` uses them.
"""

from typing import TYPE_CHECKING, Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp

from gan_jax.types import Array

if TYPE_CHECKING:
    from gan_jax.game import Game


@flax.struct.dataclass
class Player:
    """One network and its optimiser."""

    params: Any
    stats: Any  # mutable collections: running batch statistics, spectral norm's vectors; {} where there are none
    opt_state: Any


@flax.struct.dataclass
class TrainState:
    """All that a training carries from one step to the next. No key, no iterator: both are functions of `step`."""

    step: Array  # int32 scalar: generator updates done
    g: Player
    d: Player
    ema: Any  # the averaged generator's {"params": ..., **stats}; what is evaluated and sampled


def init_state(game: "Game", key: Array) -> TrainState:
    """The state before the first step. Call it under `jit`: op by op it is hundreds of small compilations."""
    g_key, d_key = jax.random.split(key)
    z, label = jnp.zeros((2, game.z_dim)), jnp.zeros((2,), jnp.int32)
    g_variables = game.generator.init(g_key, z, label, train=True)
    d_variables = game.discriminator.init(d_key, jnp.zeros((2, *game.sample_shape)), label, train=True)

    def player(variables: Any, tx: Any) -> Player:
        params = variables.get("params", {})
        stats = {name: value for name, value in variables.items() if name != "params"}
        return Player(params, stats, tx.init(params))

    g, d = player(g_variables, game.g_tx), player(d_variables, game.d_tx)
    # The average starts as a copy: two names for one buffer could not both be donated.
    ema = jax.tree.map(jnp.copy, {"params": g.params, **g.stats})
    return TrainState(jnp.zeros((), jnp.int32), g, d, ema)


def apply(module: nn.Module, variables: Any, x: Any, label: Array | None, train: bool) -> tuple[Any, Any]:
    """`module(x, label, train)` -> (output, its mutable collections afterwards; unchanged where `train` is False)."""
    stats = {name: value for name, value in variables.items() if name != "params"}
    if not train:
        return module.apply(variables, x, label, train=False), stats
    return module.apply(variables, x, label, train=True, mutable=list(stats))
