"""Duality gap: how far two players are from an equilibrium, measured by what the best answers to each of them gain.

`duality_gap` knows nothing of networks: any two pytrees and a value that one lowers and the other raises. `game_duality_gap`
plays it for a Game, on samples that training never sees.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax.types import Array

Value = Callable[[Any, Any, Any], Array]  # (g, d, batch) -> scalar
Settle = Callable[[Any, Any, Any], tuple[Any, Any]]  # (g, d, batch) -> (g, d)
Known = Callable[[Any, Any], Array]  # (d, batch) -> scalar


def duality_gap(
    value: Value,
    g: Any,
    d: Any,
    train: Any,
    test: Any,
    g_tx: optax.GradientTransformation,
    d_tx: optax.GradientTransformation,
    checks: int = 5,
    known: Known | None = None,
    settle: Settle = lambda g, d, batch: (g, d),
) -> dict[str, Array]:
    """What each player could gain if the other stood still, where g minimises V(g, d) and d maximises it:

        d_exploitability = max_d' V(g, d') - V(g, d)      g_exploitability = V(g, d) - min_g' V(g', d)
        duality_gap = max_d' V(g, d') - min_g' V(g', d), their sum: 0 at an equilibrium and nowhere else

    Players are pytrees of floats; V is the mean of `value(g, d, batch)` over batches. Each worst case is trained from where
    its player stands, by `g_tx` or `d_tx`, a step a batch of `train` (leaves [K, ...]), and valued `checks` times on the way,
    evenly, on all batches of `test` (leaves [S, ...]). The best of these answers counts, the start among them: any opponent
    bounds the true gain from below, so that the best one bounds it better than the last, which may have overshot or learned
    `train` by heart. It is picked on one half of the test batches and read off on the other, and the reverse, so that
    picking does not flatter. The figures are therefore lower bounds up to the noise of `test`, a little below 0 at times;
    with a single test batch, which suits a V without noise, they are never negative.

    `known(d, batch)` is the value of an answer to d that needs no training. It counts like those that training found: where
    g's gradient has vanished, training finds none. `settle` brings what changes in the players beside by gradient (running
    statistics) up to date after a step.

    Pure: compile it with `jax.jit`. On CPUs stock convolutions are slow in its loops, those of `models/conv.py` are not.
    Raises ValueError unless 1 <= checks <= K.

    Source: Grnarova et al. 2019, arXiv:1811.05512. That the best of several checks counts, picked on other samples than it is
    read off, is ours, and so is `known`.
    """
    steps = jax.tree.leaves(train)[0].shape[0]
    if not 1 <= checks <= steps:
        raise ValueError(f"duality_gap needs at least one check and a training batch for each: got {checks} and {steps}")
    d_losses = _answer(lambda d, x: -value(g, d, x), d, train, test, d_tx, checks, lambda d, x: settle(g, d, x)[1])
    g_losses = _answer(lambda g, x: value(g, d, x), g, train, test, g_tx, checks, lambda g, x: settle(g, d, x)[0])
    if known is not None:
        g_losses = jnp.concatenate([g_losses, jax.lax.map(lambda x: known(d, x), test)[None]])
    d_gain, g_gain = _gain(d_losses), _gain(g_losses)
    return {"duality_gap": d_gain + g_gain, "d_exploitability": d_gain, "g_exploitability": g_gain}


def _answer(loss: Callable, player: Any, train: Any, test: Any, tx, checks: int, settle: Callable) -> Array:
    """The losses [checks + 1, S] on each test batch of `player` as it is, and as it learns to lower them."""
    train = jax.tree.map(jnp.asarray, train)
    stops = np.arange(checks + 1) * jax.tree.leaves(train)[0].shape[0] // checks

    def step(t: Array, learner: tuple[Any, Any]) -> tuple[Any, Any]:
        player, opt_state = learner
        batch = jax.tree.map(lambda x: x[t], train)
        updates, opt_state = tx.update(jax.grad(loss)(player, batch), opt_state, player)
        return settle(optax.apply_updates(player, updates), batch), opt_state

    def stretch(learner: tuple[Any, Any], bounds: tuple[Array, Array]) -> tuple[tuple[Any, Any], Array]:
        learner = jax.lax.fori_loop(*bounds, step, learner)
        return learner, jax.lax.map(lambda batch: loss(learner[0], batch), test)

    # The first stretch is empty.
    return jax.lax.scan(stretch, (player, tx.init(player)), (np.append(0, stops[:-1]), stops))[1]


def _gain(history: Array) -> Array:
    """How far below their first row the losses `history` [answers, S] come in their best row: picked by the mean of one half
    of the columns, read off on the other half. Where there is one column it does both."""
    gains = history[0] - history

    def best(columns: Array) -> Array:
        mean = columns.mean(axis=1)
        return jnp.argmax(jnp.where(jnp.isfinite(mean), mean, -jnp.inf))  # a worst case that diverged is none

    if gains.shape[1] == 1:
        return gains[best(gains), 0]
    even, odd = gains[:, 0::2], gains[:, 1::2]
    return (even[best(odd)].sum() + odd[best(even)].sum()) / gains.shape[1]
