"""Optimisers that optax has in another form, each made of its parts: `f(learning_rate, ...) -> optax.GradientTransformation`.

Each public function here with a `learning_rate` is a value of `--g_optimizer` and `--d_optimizer`, beside all of optax's.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class _Lookahead(NamedTuple):
    inner: Any
    slow: Any  # weights


def lookahead(
    learning_rate: Any, b1: float = 0.9, b2: float = 0.999, *, sync_period: int = 5, slow_step_size: float = 0.5
) -> optax.GradientTransformation:
    """Adam that every `sync_period` updates goes back to `slow_step_size` of the way it has come. Given to both players, with
    one discriminator step, it is Lookahead-minmax.

    optax's own lookahead wants its slow weights among the parameters; here they are in the optimiser's state.

    Source: Zhang et al. 2019, arXiv:1907.08610, algorithm 1; Chavdarova et al. 2021, arXiv:2006.14567, algorithm 1.
    """
    inner = optax.lookahead(optax.adam(learning_rate, b1, b2), sync_period, slow_step_size)

    def init(params: Any) -> _Lookahead:
        return _Lookahead(inner.init(optax.LookaheadParams.init_synced(params)), jax.tree.map(jnp.copy, params))

    def update(updates: Any, state: _Lookahead, params: Any) -> tuple[Any, _Lookahead]:
        moves, inner_state = inner.update(updates, state.inner, optax.LookaheadParams(params, state.slow))
        return moves.fast, _Lookahead(inner_state, optax.apply_updates(state.slow, moves.slow))

    return optax.GradientTransformation(init, update)


def clip_weights(limit: float) -> optax.GradientTransformation:
    """Cuts updates so that no weight leaves [-limit, limit]: to be chained after an optimiser.

    Source: Arjovsky et al. 2017 (WGAN), arXiv:1701.07875, algorithm 1, line 7.
    """

    def update(updates: Any, state: optax.EmptyState, params: Any) -> tuple[Any, optax.EmptyState]:
        return jax.tree.map(lambda u, w: jnp.clip(w + u, -limit, limit) - w, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
