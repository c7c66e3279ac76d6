"""Why a run breaks at its first step: what the discriminator outputs and what the loss is before any update."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.game.game import Game
from gan_jax.game.state import TrainState
from gan_jax.game.update import d_objective
from gan_jax.types import Array, Batch


def explain_first_step(game: Game, state: TrainState, batch: Batch, key: Array) -> str:
    """Evaluate the loss on `batch` [B, ...] with the initial `state`: whether it is finite, and the range of the logits of real
    and of generated samples, in a sentence."""
    losses, real, fake = jax.device_get(jax.jit(lambda *inputs: _losses(game, *inputs))(state, batch, key))
    ranges = f"logits of real samples {_range(real)}, of generated ones {_range(fake)}"
    broken = [f"{value} for {player}" for player, value in zip(("D", "G"), losses, strict=True) if not np.isfinite(value)]
    if not np.isfinite(real).all() or not np.isfinite(fake).all():
        return f"the networks give logits that are not finite on the first batch, before any update: {ranges}"
    if broken:
        return f"the loss gives {' and '.join(broken)} on the first batch, before any update: {ranges}"
    return f"the loss is finite on the first batch, but a penalty, a gradient or the first update is not: {ranges}"


def _losses(game: Game, state: TrainState, batch: Batch, key: Array) -> tuple[Any, Array, Array]:
    """((d_loss, g_loss), real_logits, fake_logits) of D's objective."""
    received = []

    def loss(real_logits: Array, fake_logits: Array, label: Array | None) -> tuple[Array, Array]:
        losses = game.loss(real_logits, fake_logits, label)
        received.append((losses, real_logits, fake_logits))
        return losses

    d_objective(replace(game, loss=loss), state, batch, state.d.params, count=jnp.zeros((), jnp.int32), key=key)
    return received[0]


def _range(logits: np.ndarray) -> str:
    finite = logits[np.isfinite(logits)]
    if not finite.size:
        return f"all {logits.flat[0]}"
    within = f"from {finite.min():.3g} to {finite.max():.3g}"
    return within if finite.size == logits.size else f"{within}, {logits.size - finite.size} of {logits.size} not finite"
