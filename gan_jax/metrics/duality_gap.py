"""Duality gap: how far two players are from an equilibrium, measured by what each would gain by its best response.

`duality_gap` applies to any two pytrees and a value that one player minimises and the other maximises.
`evaluation/exploitability.py` applies it to a `Game`, on samples held out from training.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax.types import Array

Value = Callable[[Any, Any, Any], Array]  # (g, d, batch) -> scalar
UpdateStats = Callable[[Any, Any, Any], tuple[Any, Any]]  # (g, d, batch) -> (g, d)
FixedResponse = Callable[[Any, Any], Array]  # (d, batch) -> scalar


def duality_gap(
    value: Value,
    g: Any,
    d: Any,
    train: Any,
    test: Any,
    g_tx: optax.GradientTransformation,
    d_tx: optax.GradientTransformation,
    checks: int = 5,
    fixed_response: FixedResponse | None = None,
    update_stats: UpdateStats = lambda g, d, batch: (g, d),
) -> dict[str, Array]:
    """Estimate what each player could gain if the other stayed fixed, where g minimises V(g, d) and d maximises it:

        d_exploitability = max_d' V(g, d') - V(g, d)      g_exploitability = V(g, d) - min_g' V(g', d)
        duality_gap = max_d' V(g, d') - min_g' V(g', d), their sum: 0 if and only if (g, d) is an equilibrium

    Players are pytrees of floats; V is the mean of `value(g, d, batch)` over batches. Each best response is trained from its
    player's current parameters by `g_tx` or `d_tx`, one step per batch of `train` (leaves [K, ...]), and evaluated at `checks`
    evenly spaced steps on all batches of `test` (leaves [S, ...]). The best of these responses, including the initial one, is
    used: any response bounds the true gain from below, and the last one may have overshot or overfitted `train`. It is selected
    on one half of the test batches and evaluated on the other, and vice versa, to avoid selection bias. The estimates are
    therefore lower bounds up to the noise of `test`, and can be slightly negative; with a single test batch, which is enough
    for a V without noise, they are never negative.

    `fixed_response(d, batch)` is the value of a response to d that requires no training. It competes with the trained
    responses, which do not improve if g's gradient has vanished. `update_stats` updates whatever in the players is not trained
    by gradients (running statistics) after each step.

    Pure: compile it with `jax.jit`. On CPUs, standard convolutions are slow inside its loops; those of `models/conv.py` are
    not. Raises ValueError unless 1 <= checks <= K.

    Source: Grnarova et al. 2019, arXiv:1811.05512. Taking the best of several checks, selected on other samples than those it
    is evaluated on, and the fixed response are ours.
    """
    steps = jax.tree.leaves(train)[0].shape[0]
    if not 1 <= checks <= steps:
        raise ValueError(f"duality_gap needs 1 <= checks <= training batches, got {checks} checks and {steps} batches")
    d_losses = _responses(lambda d, x: -value(g, d, x), d, train, test, d_tx, checks, lambda d, x: update_stats(g, d, x)[1])
    g_losses = _responses(lambda g, x: value(g, d, x), g, train, test, g_tx, checks, lambda g, x: update_stats(g, d, x)[0])
    if fixed_response is not None:
        g_losses = jnp.concatenate([g_losses, jax.lax.map(lambda x: fixed_response(d, x), test)[None]])
    d_gain, g_gain = _gain(d_losses), _gain(g_losses)
    return {"duality_gap": d_gain + g_gain, "d_exploitability": d_gain, "g_exploitability": g_gain}


def _responses(loss: Callable, player: Any, train: Any, test: Any, tx, checks: int, update_stats: Callable) -> Array:
    """Train `player` to minimise `loss`. Returns its losses [checks + 1, S] on each test batch, before and during training."""
    train = jax.tree.map(jnp.asarray, train)
    ends = np.arange(checks + 1) * jax.tree.leaves(train)[0].shape[0] // checks

    def step(t: Array, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        player, opt_state = carry
        batch = jax.tree.map(lambda x: x[t], train)
        updates, opt_state = tx.update(jax.grad(loss)(player, batch), opt_state, player)
        return update_stats(optax.apply_updates(player, updates), batch), opt_state

    def segment(carry: tuple[Any, Any], bounds: tuple[Array, Array]) -> tuple[tuple[Any, Any], Array]:
        carry = jax.lax.fori_loop(*bounds, step, carry)
        return carry, jax.lax.map(lambda batch: loss(carry[0], batch), test)

    # The first segment is empty.
    return jax.lax.scan(segment, (player, tx.init(player)), (np.append(0, ends[:-1]), ends))[1]


def _gain(losses: Array) -> Array:
    """Reduction of the loss from the first to the best row of `losses` [responses, S]. The best row is selected by the mean
    over one half of the columns, and its gain is measured on the other half. A single column serves both purposes."""
    gains = losses[:1] - losses

    def best(columns: Array) -> Array:
        mean = columns.mean(axis=1)
        return jnp.argmax(jnp.where(jnp.isfinite(mean), mean, -jnp.inf))  # ignore responses that diverged

    if gains.shape[1] == 1:
        return gains[best(gains), 0]
    even, odd = gains[:, 0::2], gains[:, 1::2]
    return (even[best(odd)].sum() + odd[best(even)].sum()) / gains.shape[1]
