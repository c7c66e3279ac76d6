"""The state of a game: arrays only, so that it can be compiled, donated, mapped over seeds and saved without conversion.

`init_state` initialises the networks, `apply` applies them in training and evaluation.
"""

import math
from functools import partial
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.game.adaptive_augmentation import initial_controller
from gan_jax.game.game import Game
from gan_jax.types import Array, Memory, map_shapes

SAVED_BY_REMAT = jax.checkpoint_policies.save_only_these_names("layer")


@flax.struct.dataclass
class Player:
    """One network and its optimiser."""

    params: Any
    stats: Any  # mutable collections: running batch statistics, spectral norm's vectors; {} if there are none
    opt_state: Any
    memory: Memory  # scalars that its penalties keep; {} if they keep none


@flax.struct.dataclass
class TrainState:
    """Everything that training carries from one step to the next. No key and no iterator: both are functions of `step`."""

    step: Array  # int32 scalar: number of generator updates so far
    g: Player
    d: Player
    ema: Any  # {"params": ..., **stats} of the averaged generator, which is evaluated and sampled
    posthoc: tuple[Any, ...]  # two power-function averages of the same; () if `posthoc_ema` is off
    running: Memory  # the controller of an adaptive augmentation probability; {} if it is scheduled


@partial(jax.jit, static_argnums=0, inline=True)
def init_state(game: Game, key: Array) -> TrainState:
    """The state before the first step."""
    g_key, d_key, auxiliary_key = jax.random.split(key, 3)
    label = None if game.label is None else jnp.zeros((2, *game.label.shape), game.label.dtype)
    z, x = jnp.zeros((2, game.z_dim)), map_shapes(lambda s: jnp.zeros((2, *s)), game.packed_shape)
    g_variables = game.generator.init(g_key, z, label, train=True)
    d_label = label if game.real_labelled else None
    output, d_variables = game.discriminator.init_with_output(d_key, x, d_label, train=True)
    if game.auxiliary is not None:
        _, features = output
        head = game.auxiliary.init(auxiliary_key, features, features, label)
        # Stored with the discriminator's variables, so that one optimiser trains both; networks ignore unknown names.
        d_variables = d_variables | {name: d_variables.get(name, {}) | {"auxiliary": tree} for name, tree in head.items()}

    def player(variables: Any, tx: Any, penalty: Any) -> Player:
        params = variables.get("params", {})
        stats = {name: value for name, value in variables.items() if name != "params"}
        memory = {name: jnp.float32(value) for name, value in (penalty.memory if penalty else {}).items()}
        return Player(params, stats, tx.init(params), memory)

    g, d = player(g_variables, game.g_tx, game.g_penalty), player(d_variables, game.d_tx, game.penalty)

    # Averages start as copies: one buffer under two names could not be donated twice.
    def copy() -> Any:
        return jax.tree.map(jnp.copy, {"params": g.params, **g.stats})

    posthoc = (copy(), copy()) if game.posthoc_ema else ()
    running = initial_controller() if game.adapt is not None else {}
    return TrainState(jnp.zeros((), jnp.int32), g, d, copy(), posthoc, running)


def step_of(state: TrainState) -> int:
    """The step of a state, or of the stacked states of several runs, which are all at the same step."""
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
    """`module(x, label, train)` -> (output, its mutable collections afterwards; unchanged unless `train`).

    In training, networks compute in the type `compute`; parameters, statistics and outputs stay float32. With `remat`, only the
    outputs of the layers in `models/layers.py` are stored for the gradient; everything else is recomputed.
    """
    stats = {name: value for name, value in variables.items() if name != "params"}
    if not train:
        return module.apply(variables, x, label, train=False), stats

    def forward(variables: Any, x: Any) -> tuple[Any, Any]:
        if compute == "float32":
            return module.apply(variables, x, label, train=True, mutable=list(stats))
        cast = variables | {"params": as_type(variables.get("params", {}), compute)}
        output, stats_after = module.apply(cast, as_type(x, compute), label, train=True, mutable=list(stats))
        return as_type(output, "float32"), stats_after

    return (jax.checkpoint(forward, policy=SAVED_BY_REMAT) if remat else forward)(variables, x)


def named(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by name, as in params/Dense_0/kernel, in their order."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def as_type(tree: Any, dtype: str) -> Any:
    """The tree with its floating-point leaves cast to `dtype`."""
    return jax.tree.map(lambda x: x.astype(dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x, tree)


def count_parameters(game: Game) -> dict[str, int]:
    """How many numbers each player trains."""
    state = jax.eval_shape(lambda: init_state(game, jax.random.key(0)))
    return {
        name: sum(math.prod(x.shape) for x in jax.tree.leaves(player.params))
        for name, player in (("g", state.g), ("d", state.d))
    }
