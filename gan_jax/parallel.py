"""How the page is compiled. Here: one device, its state donated, either step by step or many steps in one loop.

A compiled loop and a compiled single step differ in their last bits, and XLA may treat loops of different lengths
differently too. So one run uses one form throughout, and the loop's length is a traced number: stopping, resuming, logging
and saving at whatever step never change the program, hence never a bit of the result.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gan_jax.data import Data
from gan_jax.game import Game
from gan_jax.state import TrainState, init_state
from gan_jax.types import Array

SCAN_STEPS = 50  # at most so many steps in one dispatch: enough to hide the cost of one, short enough to answer Ctrl-C

# (state, store, feeds [K, d_steps, ...], count, train_key) -> (state, metrics [K] each, of which `count` are meant)
Advance = Callable[[TrainState, Any, Any, int, Array], tuple[TrainState, dict[str, Array]]]


def initialise(game: Game, key: Array) -> TrainState:
    """`init_state`, compiled as one function."""
    return jax.jit(lambda key: init_state(game, key))(key)


def choose_dispatch(game: Game, data: Data) -> str:
    """`scan` where a compiled loop is sure to be fast; `loop` (step by step) for convolutions on a CPU.

    XLA's CPU compiler runs the weight gradient of a stock convolution 30 to 60 times slower inside a loop than outside
    (experiments/benchmark.py measures it). Those of `models/conv.py` are as fast in either, but a network from elsewhere may
    hold stock ones, and a step with convolutions is too long to gain from the loop.
    """
    if jax.default_backend() != "cpu":
        return "scan"
    state = jax.eval_shape(lambda: init_state(game, jax.random.key(0)))
    feeds = jnp.zeros((game.d_steps, *data.feed_at(0).shape), jnp.int32)
    traced = jax.make_jaxpr(_one(game, data))(state, data.train, feeds, jax.random.key(0))
    return "loop" if "conv_general_dilated" in str(traced) else "scan"


def compile_update(game: Game, data: Data, dispatch: str, many: bool = False) -> tuple[Advance, int]:
    """-> (advance, K): the compiled update, and how many steps' feeds it takes at a time. With `many`, states, feeds (after
    their first axis) and keys have a leading axis of seeds, which all step at once."""
    one = _one(game, data)
    if many:
        one = jax.vmap(one, in_axes=(0, None, 0, 0))
    if dispatch == "loop":

        def single(state, store, feeds, count, train_key):
            state, metrics = one(state, store, jax.tree.map(lambda x: x[0], feeds), train_key)
            return state, jax.tree.map(lambda x: x[None], metrics)

        return jax.jit(single, donate_argnums=0), 1

    def loop(state, store, feeds, count, train_key):
        def body(i, carry):
            state, history = carry
            state, metrics = one(state, store, jax.tree.map(lambda x: x[i], feeds), train_key)
            return state, jax.tree.map(lambda all_steps, now: all_steps.at[i].set(now), history, metrics)

        metrics = jax.eval_shape(one, state, store, jax.tree.map(lambda x: x[0], feeds), train_key)[1]
        history = jax.tree.map(lambda x: jnp.zeros((SCAN_STEPS, *x.shape), x.dtype), metrics)
        return jax.lax.fori_loop(0, count, body, (state, history))

    return jax.jit(loop, donate_argnums=0), SCAN_STEPS


def _one(game: Game, data: Data) -> Callable[..., tuple[TrainState, dict[str, Array]]]:
    def one(state, store, feed, train_key):
        # The key of a step is a function of its number: nothing random needs to be saved.
        return game.update(game, state, data.decode(store, feed), jax.random.fold_in(train_key, state.step))

    return one
