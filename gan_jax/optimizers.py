"""Variants of optax optimisers, built from optax's own parts: `f(learning_rate, ...) -> optax.GradientTransformation`.

Each public function with an argument `learning_rate` is a value of `--g_optimizer` and `--d_optimizer`, in addition to all of
optax's optimisers.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax


class _LookaheadState(NamedTuple):
    inner: Any
    slow: Any  # slow weights


def lookahead(
    learning_rate: Any, b1: float = 0.9, b2: float = 0.999, *, sync_period: int = 5, slow_step_size: float = 0.5
) -> optax.GradientTransformation:
    """Lookahead around Adam: every `sync_period` updates the slow weights move a fraction `slow_step_size` of the way to the
    current weights, which are then reset to them. Used for both players with one discriminator step, it is Lookahead-minmax.

    `optax.lookahead` expects the slow weights among the parameters; here they are part of the optimiser's state.

    Source: Zhang et al. 2019, arXiv:1907.08610, algorithm 1; Chavdarova et al. 2021, arXiv:2006.14567, algorithm 1.
    """
    inner = optax.lookahead(optax.adam(learning_rate, b1, b2), sync_period, slow_step_size)

    def init(params: Any) -> _LookaheadState:
        return _LookaheadState(inner.init(optax.LookaheadParams.init_synced(params)), jax.tree.map(jnp.copy, params))

    def update(updates: Any, state: _LookaheadState, params: Any) -> tuple[Any, _LookaheadState]:
        fast_and_slow, inner_state = inner.update(updates, state.inner, optax.LookaheadParams(params, state.slow))
        return fast_and_slow.fast, _LookaheadState(inner_state, optax.apply_updates(state.slow, fast_and_slow.slow))

    return optax.GradientTransformation(init, update)


def clipped_adam(learning_rate: Any, b1: float = 0.9, b2: float = 0.999, *, norm: float = 5.0) -> optax.GradientTransformation:
    """Adam on gradients that are scaled down to the global norm `norm` if theirs is larger.

    Source: Pascanu et al. 2013, arXiv:1211.5063, algorithm 1; with norm 5 as in RelGAN's code (Nie et al. 2019).
    """
    return optax.chain(optax.clip_by_global_norm(norm), optax.adam(learning_rate, b1, b2))


def frozen_adam(
    learning_rate: Any, b1: float = 0.9, b2: float = 0.999, *, layers: tuple[str, ...] = ()
) -> optax.GradientTransformation:
    """Adam for all weights but those of `layers`, which keep their values: names at the top of the player's parameters, such as
    ("Conv_0", "Conv_1"). With the first layers of D in a run with `--fork_from`, this is FreezeD.

    Raises ValueError, with the names of all layers, for an unknown one. Source: Mo et al. 2020, arXiv:2002.10964, section 3.
    """

    def init(params: Any) -> optax.EmptyState:
        if unknown := [name for name in layers if name not in params]:
            raise ValueError(f"frozen_adam: no layer {', '.join(unknown)} among {', '.join(sorted(params))}")
        return optax.EmptyState()

    def update(updates: Any, state: optax.EmptyState, params: Any = None) -> tuple[Any, optax.EmptyState]:
        kept = {name: jax.tree.map(jnp.zeros_like, tree) if name in layers else tree for name, tree in updates.items()}
        return kept, state

    return optax.chain(optax.adam(learning_rate, b1, b2), optax.GradientTransformation(init, update))


def clip_weights(limit: float) -> optax.GradientTransformation:
    """Clip updates so that no weight leaves [-limit, limit]. Chain it after an optimiser.

    Source: Arjovsky et al. 2017 (WGAN), arXiv:1701.07875, algorithm 1, line 7.
    """

    def update(updates: Any, state: optax.EmptyState, params: Any) -> tuple[Any, optax.EmptyState]:
        return jax.tree.map(lambda u, w: jnp.clip(w + u, -limit, limit) - w, updates, params), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
