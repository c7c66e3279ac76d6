"""Vital signs of training: numbers that describe both players during the game, logged as `doctor/...` in metrics.jsonl."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gan_jax.game.game import Game
from gan_jax.game.packing import pack
from gan_jax.game.state import TrainState
from gan_jax.game.update import bind_discriminator, bind_generator, d_objective, g_objective, player_gradient
from gan_jax.types import Array, Batch, Sample

Field = Callable[[Any], Any]  # a pytree -> another of the same structure


def vitals(game: Game, state: TrainState, batch: Batch, key: Array) -> dict[str, Array]:
    """Measure both players in training mode on two training batches: `batch` has a leading axis of 2. Pure; compile it once,
    `jax.jit(partial(vitals, game))`. The generator is the raw one, not its average.

    doctor/separation: E sign(D(x) - D(G(z))) over all pairs: 1 if D ranks every real sample above every generated one, 0 if it
      guesses; twice the area under the ROC curve, minus 1. Unlike `real_sign`, it does not depend on the constant that many
      losses leave undetermined in D (relativistic, Wasserstein, hinge within its margins).
    doctor/real_sign: ADA's overfitting heuristic r_t = E sign(D(x)), for those who set `augment_target`; no alarm reads it.
      These two are left out if D has several outputs (`d_outputs`). If D judges patches, the first compares means over them.
    doctor/duplicates: `duplicates`.
    doctor/spread: square root of the total variance of generated samples divided by that of real ones.
    doctor/rank: `effective_rank` of D's features of generated samples divided by that of real samples. If D returns no
      features, the samples take their place.
    doctor/rotation: `rotation` of the game's own gradient field at the second batch along the field of the first, times the
      cosine of the two fields if it is positive: what differs between batches is noise, which rotates the field but does not
      make the players cycle. Each player's parameters are scaled so that both take steps of equal length, as under Adam.

    Source: Karras et al. 2020, arXiv:2006.06676, eq. 1 (r_t). The others are ours, with the sources that `rotation` and
    `effective_rank` cite.
    """
    field_key, z_key, label_key, real_key, fake_key = jax.random.split(key, 5)
    numbers = {"doctor/rotation": _consistent_rotation(game, state, batch, field_key)}
    batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
    label = game.fake_label(label_key, batch)
    fake = bind_generator(game, state.g, state.g.params, label)(game.draw_latents(z_key, batch.size))
    inputs = ((batch.real, real_key), (fake, real_key if game.augment_shared else fake_key))
    real_output, fake_output = (
        bind_discriminator(game, state, batch, augment_key)(state.d.params, state.d.stats, pack(x, game.pack))[0]
        for x, augment_key in inputs
    )
    if game.outputs == 1:
        real_mean, fake_mean = (o.logits.reshape(len(o.logits), -1).mean(axis=1) for o in (real_output, fake_output))
        differences = real_mean[:, None] - fake_mean[None]
        numbers["doctor/separation"] = jnp.sign(differences).mean()
        numbers["doctor/real_sign"] = jnp.sign(real_output.logits).mean()
    real, fake = _rows(batch.real), _rows(fake)
    numbers["doctor/duplicates"] = duplicates(fake, real)
    numbers["doctor/spread"] = jnp.sqrt(_ratio(fake.var(axis=0).sum(), real.var(axis=0).sum()))
    features = (fake, real) if real_output.features is None else (fake_output.features, real_output.features)
    fake_rank, real_rank = map(effective_rank, features)
    return numbers | {"doctor/rank": fake_rank / real_rank}


def rotation(field: Field, point: Any, direction: Any) -> Array:
    """Return how much a vector field v rotates at a point, in a direction u: with J the Jacobian of v,

        |(J - J^T) u| / (|(J - J^T) u| + |(J + J^T) u|)

    1 in a bilinear game, whose J is antisymmetric (the players cycle for ever), 0 in a potential game, whose J is symmetric
    (both descend one function); 0 if both terms vanish. `point`, `direction` and the field's values are pytrees of one
    structure.

    Uses reverse mode only: the convolutions of `models/conv.py` have no forward mode.
    Source: Balduzzi et al. 2018, arXiv:1802.05642, section 2 (the two parts of J); the ratio is ours.
    """
    _, transpose = jax.vjp(field, point)
    backward = transpose(direction)[0]  # J^T u
    forward = jax.vjp(lambda u: transpose(u)[0], direction)[1](direction)[0]  # J u: the transpose of a linear map's transpose
    antisymmetric = optax.tree.norm(jax.tree.map(jnp.subtract, forward, backward))
    return _ratio(antisymmetric, antisymmetric + optax.tree.norm(jax.tree.map(jnp.add, forward, backward)))


def duplicates(fake: Array, real: Array) -> Array:
    """Return the fraction of samples `fake` [N, D] whose nearest neighbour is closer than 3% of the median nearest-neighbour
    distance among N samples `real` [N, D]. 0 if at least half of the real samples have exact duplicates themselves."""
    return (_nearest(fake) < 0.03 * jnp.median(_nearest(real))).mean()


def effective_rank(features: Array) -> Array:
    """Return the effective number of directions in which features [N, F] vary: exp H(p), p the eigenvalues of their covariance
    divided by their sum. 1 if they vary in one direction or in none, at most F.

    Source: Roy and Vetterli 2007, The effective rank: a measure of effective dimensionality, eqs. 3 to 5, of the covariance.
    """
    centred = (features - features.mean(axis=0, keepdims=True)).astype(jnp.float32)
    # Both Gram matrices have the same non-zero eigenvalues: take the smaller one.
    wide = centred.T if centred.shape[0] > centred.shape[1] else centred
    eigenvalues = jnp.maximum(jnp.linalg.eigvalsh(jnp.matmul(wide, wide.T, precision="highest")), 0)
    p = _ratio(eigenvalues, eigenvalues.sum())
    return jnp.exp(jax.scipy.special.entr(p).sum())


def _consistent_rotation(game: Game, state: TrainState, batch: Batch, key: Array) -> Array:
    """The part of `rotation` on which the two batches agree; see `vitals`."""
    game = replace(game, penalty_every=1, g_penalty_every=1)  # a lazy penalty in its mean
    params, keys = (state.d.params, state.g.params), jax.random.split(key)
    # Map over the two batches, so that the field is compiled once.
    fields = jax.lax.map(lambda batch_and_key: _gradient_field(game, state, *batch_and_key, params), (batch, keys))
    first, second = (jax.tree.map(lambda x, i=i: x[i], fields) for i in range(2))
    # In the coordinates w / scale the field is v * scale; a step of length 1 by each player is v * scale^2 in w.
    scales = [1 / jnp.sqrt(jnp.maximum(optax.tree.norm(gradients), 1e-12)) for gradients in first]

    def scaled(players: Any) -> Any:
        return tuple(jax.tree.map(lambda x, s=s: s * x, player) for player, s in zip(players, scales, strict=True))

    def field(offset: Any) -> Any:
        players = jax.tree.map(jnp.add, params, scaled(offset))
        return scaled(_gradient_field(game, state, jax.tree.map(lambda x: x[1], batch), keys[1], players))

    first, second = scaled(first), scaled(second)
    cosine = _ratio(optax.tree.vdot(first, second), optax.tree.norm(first) * optax.tree.norm(second))
    return jnp.maximum(cosine, 0) * rotation(field, jax.tree.map(jnp.zeros_like, params), first)


def _gradient_field(game: Game, state: TrainState, batch: Batch, key: Array, players: Any) -> Any:
    """The simultaneous gradients (d_params, g_params), each of the player's own objective."""
    d_params, g_params = players
    d_key, g_key = jax.random.split(key)
    state = state.replace(d=state.d.replace(params=d_params), g=state.g.replace(params=g_params))
    d_play, g_play = partial(d_objective, count=jnp.zeros((), jnp.int32), key=d_key), partial(g_objective, key=g_key)
    return player_gradient("d", d_play, game, state, batch)[0], player_gradient("g", g_play, game, state, batch)[0]


def _rows(x: Sample) -> Array:
    """Samples [N, ...], or a pytree of them, as vectors [N, D]."""
    return jnp.concatenate([leaf.reshape(leaf.shape[0], -1).astype(jnp.float32) for leaf in jax.tree.leaves(x)], axis=1)


def _nearest(x: Array) -> Array:
    """The distance [N] from each row of x [N, D] to its nearest other row. One row at a time: inner products would round small
    distances to zero."""

    def nearest_to_row(i: Array) -> Array:
        return jnp.square(x - x[i][None]).sum(axis=1).at[i].set(jnp.inf).min()

    return jnp.sqrt(jax.lax.map(nearest_to_row, jnp.arange(x.shape[0])))


def _ratio(part: Array, whole: Array) -> Array:
    """part / whole, or 0 if both are 0."""
    return part / jnp.where(whole == 0, 1, whole)
