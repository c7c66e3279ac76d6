"""The state of a game: arrays only, so that it can be compiled, donated, mapped over seeds and saved as it is.

The two helpers that call Flax live here: `init_state` makes parameters, `apply` uses them.
"""

import math
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.game.adaptive_augmentation import initial
from gan_jax.game.game import Game
from gan_jax.types import Array, Memory, map_shapes

KEPT = jax.checkpoint_policies.save_only_these_names("layer")


@flax.struct.dataclass
class Player:
    """One network and its optimiser."""

    params: Any
    stats: Any  # mutable collections: running batch statistics, spectral norm's vectors; {} where there are none
    opt_state: Any
    memory: Memory  # what its regularisers remember; {} where they remember nothing


@flax.struct.dataclass
class TrainState:
    """All that a training carries from one step to the next. No key, no iterator: both are functions of `step`."""

    step: Array  # int32 scalar: generator updates done
    g: Player
    d: Player
    ema: Any  # the averaged generator's {"params": ..., **stats}; what is evaluated and sampled
    posthoc: tuple[Any, ...]  # two power-function averages of the same; () where they are not kept
    running: Memory  # the adapted probability of augmentation, "p", and what adapts it; {} where it is scheduled


def init_state(game: Game, key: Array) -> TrainState:
    """The state before the first step. Call it under `jit`: op by op it is hundreds of small compilations."""
    g_key, d_key = jax.random.split(key)
    label = None if game.label is None else jnp.zeros((2, *game.label.shape), game.label.dtype)
    z, x = jnp.zeros((2, game.z_dim)), map_shapes(lambda s: jnp.zeros((2, *s)), game.packed_shape)
    g_variables = game.generator.init(g_key, z, label, train=True)
    d_label = label if game.real_labelled else None
    judged, d_variables = game.discriminator.init_with_output(d_key, x, d_label, train=True)
    if game.auxiliary is not None:
        _, features = judged
        head = game.auxiliary.init(jax.random.fold_in(d_key, 1), features, features, label)
        # Among the discriminator's parameters, so that one optimiser trains both; networks ignore names not their own.
        d_variables = d_variables | {"params": d_variables.get("params", {}) | {"auxiliary": head["params"]}}

    def player(variables: Any, tx: Any, penalty: Any) -> Player:
        params = variables.get("params", {})
        stats = {name: value for name, value in variables.items() if name != "params"}
        memory = {name: jnp.float32(value) for name, value in (penalty.memory if penalty else {}).items()}
        return Player(params, stats, tx.init(params), memory)

    g, d = player(g_variables, game.g_tx, game.g_penalty), player(d_variables, game.d_tx, game.penalty)

    # An average starts as a copy: two names for one buffer could not both be donated.
    def copy() -> Any:
        return jax.tree.map(jnp.copy, {"params": g.params, **g.stats})

    posthoc = (copy(), copy()) if game.posthoc_ema else ()
    running = initial() if game.adapt is not None else {}
    return TrainState(jnp.zeros((), jnp.int32), g, d, copy(), posthoc, running)


def step_of(state: TrainState) -> int:
    """The step of a state, or of the states of several seeds, which keep step."""
    return int(np.ravel(jax.device_get(state.step))[0])


def apply(
    module: nn.Module,
    variables: Any,
    x: Any,
    label: Array | None,
    train: bool,
    compute: str = "float32",
    remat: bool = False,
) -> tuple[Any, Any]:
    """`module(x, label, train)` -> (output, its mutable collections afterwards; unchanged where `train` is False).

    In training it computes in the type `compute`, of parameters that stay float32; statistics and outputs are float32. With
    `remat` only what the layers of `models/layers.py` put out is kept for the gradient; norms and activations are computed
    again, and all of a network without such layers.
    """
    stats = {name: value for name, value in variables.items() if name != "params"}
    if not train:
        return module.apply(variables, x, label, train=False), stats

    def play(variables: Any, x: Any) -> tuple[Any, Any]:
        if compute == "float32":
            return module.apply(variables, x, label, train=True, mutable=list(stats))
        cast = variables | {"params": as_type(variables.get("params", {}), compute)}
        output, stats_after = module.apply(cast, as_type(x, compute), label, train=True, mutable=list(stats))
        return as_type(output, "float32"), stats_after

    return (jax.checkpoint(play, policy=KEPT) if remat else play)(variables, x)


def as_type(tree: Any, dtype: str) -> Any:
    """The tree with its real numbers in `dtype`."""
    return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


def count_parameters(game: Game) -> dict[str, int]:
    """How many numbers each player trains."""
    state = jax.eval_shape(lambda: init_state(game, jax.random.key(0)))
    return {
        name: sum(math.prod(x.shape) for x in jax.tree.leaves(player.params))
        for name, player in (("g", state.g), ("d", state.d))
    }
