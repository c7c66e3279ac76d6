"""Vital signs of a training: numbers that describe both players in the middle of the game, `doctor/...` in metrics.jsonl."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gan_jax.game.game import Game
from gan_jax.game.state import TrainState
from gan_jax.game.update import d_objective, g_objective, generator, gradient, pack, view
from gan_jax.types import Array, Batch, Sample

Field = Callable[[Any], Any]  # a pytree -> another of the same structure


def vitals(game: Game, state: TrainState, batch: Batch, key: Array) -> dict[str, Array]:
    """What can be seen of both players as they play, on two training batches: `batch` has a leading axis of 2. Pure; to be
    compiled once, `jax.jit(partial(vitals, game))`. The generator is the one that plays, not its average.

    doctor/separation: E sign(D(x) - D(G(z))) over all pairs, 1 where D tells every real sample from every generated one, 0
      where it guesses; twice the area under the ROC curve, less 1. Unlike `real_sign` it does not hang on the constant that
      many losses leave D free to add (relativistic, Wasserstein, hinge within its margins).
    doctor/real_sign: ADA's overfitting heuristic r_t = E sign(D(x)). Beside it for those who set `augment_target`; no alarm.
      These two are left out where D gives several logits a sample.
    doctor/duplicates: `duplicates`.
    doctor/spread: root of the total variance of generated samples over that of real ones.
    doctor/rank: `effective_rank` of D's features (or of the samples, where D shows none) of generated samples over that of
      real ones.
    doctor/rotation: `rotation` of the game's own field at the second batch along the field of the first, times the cosine of
      the two where it is positive: what only one batch knows is noise, and noise turns but drives nobody around. Both players'
      parameters are in units in which their steps are of one length, as they are to Adam.

    Source: Karras et al. 2020, arXiv:2006.06676, eq. 1 (r_t). The rest is ours, with what `rotation` and `effective_rank` cite.
    """
    field_key, z_key, label_key, aug_key = jax.random.split(key, 4)
    numbers = {"doctor/rotation": _circling(game, state, batch, field_key)}
    batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)
    label = game.fake_label(label_key, batch)
    fake = generator(game, state.g, state.g.params, label)(jax.random.normal(z_key, (batch.size, game.z_dim)))
    see = view(game, state, batch, aug_key)
    judged_real, judged_fake = (see(state.d.params, state.d.stats, pack(x, game.pack))[0] for x in (batch.real, fake))
    if judged_real.logits.ndim == 1:
        pairs = judged_real.logits[:, None] - judged_fake.logits[None]
        numbers["doctor/separation"] = jnp.sign(pairs).mean()
        numbers["doctor/real_sign"] = jnp.sign(judged_real.logits).mean()
    real, fake = _rows(batch.real), _rows(fake)
    numbers["doctor/duplicates"] = duplicates(fake, real)
    numbers["doctor/spread"] = jnp.sqrt(_ratio(fake.var(axis=0).sum(), real.var(axis=0).sum()))
    shown = (fake, real) if judged_real.features is None else (judged_fake.features, judged_real.features)
    fake_rank, real_rank = (effective_rank(features) for features in shown)
    return numbers | {"doctor/rank": fake_rank / real_rank}


def rotation(field: Field, at: Any, along: Any) -> Array:
    """How much a vector field v turns around `at`, as seen `along` a direction u: with J the Jacobian of v,

        |(J - J^T) u| / (|(J - J^T) u| + |(J + J^T) u|)

    1 in a bilinear game, whose J is antisymmetric (players circle for ever), 0 in a potential game, whose J is symmetric (both
    descend one function); 0 where J u vanishes. `at`, `along` and the field's values are pytrees of one structure.

    By reverse mode alone, which is all that the convolutions of `models/conv.py` have.
    Source: Balduzzi et al. 2018, arXiv:1802.05642, section 2 (the two parts of J); the share is ours.
    """
    _, pull = jax.vjp(field, at)
    backward = pull(along)[0]  # J^T u
    forward = jax.vjp(lambda u: pull(u)[0], along)[1](along)[0]  # J u: the transpose of a linear map's transpose
    turns = optax.tree.norm(jax.tree.map(jnp.subtract, forward, backward))
    return _ratio(turns, turns + optax.tree.norm(jax.tree.map(jnp.add, forward, backward)))


def duplicates(fake: Array, real: Array) -> Array:
    """The share of samples `fake` [N, D] that are closer to another than 3% of the distance at which half of as many `real`
    samples [N, D] have their nearest neighbour. 0 where half of these have an exact twin, too."""
    return (_nearest(fake) < 0.03 * jnp.median(_nearest(real))).mean()


def effective_rank(features: Array) -> Array:
    """In how many directions features [N, F] vary: exp H(p), p the eigenvalues of their covariance over their sum. 1 where they
    vary in one or in none, F at most.

    Source: Roy and Vetterli 2007, The effective rank: a measure of effective dimensionality, eqs. 3 to 5, of the covariance.
    """
    centred = (features - features.mean(axis=0)).astype(jnp.float32)
    small = centred.T if centred.shape[0] > centred.shape[1] else centred  # both Gram matrices have the same eigenvalues
    eigenvalues = jnp.maximum(jnp.linalg.eigvalsh(jnp.matmul(small, small.T, precision="highest")), 0)
    p = _ratio(eigenvalues, eigenvalues.sum())
    return jnp.exp(jax.scipy.special.entr(p).sum())


def _circling(game: Game, state: TrainState, batch: Batch, key: Array) -> Array:
    """`rotation` where two batches agree on the field; see `vitals`."""
    game = replace(game, penalty_every=1, g_penalty_every=1)  # a lazy penalty's mean
    here, keys = (state.d.params, state.g.params), jax.random.split(key)
    # A loop, that the field be compiled once for both.
    fields = jax.lax.map(lambda each: _field(game, state, *each, here), (batch, keys))
    first, second = (jax.tree.map(lambda x, i=i: x[i], fields) for i in range(2))
    # In the coordinates w / pace the field is v * pace, and a step of length 1 for each player is v * pace^2 in w.
    pace = [1 / jnp.sqrt(jnp.maximum(optax.tree.norm(part), 1e-12)) for part in first]

    def scaled(players: Any) -> Any:
        return tuple(jax.tree.map(lambda x, s=s: s * x, part) for part, s in zip(players, pace, strict=True))

    def field(offset: Any) -> Any:
        players = jax.tree.map(jnp.add, here, scaled(offset))
        return scaled(_field(game, state, jax.tree.map(lambda x: x[1], batch), keys[1], players))

    along, again = scaled(first), scaled(second)
    agreement = _ratio(optax.tree.vdot(along, again), optax.tree.norm(along) * optax.tree.norm(again))
    return jnp.maximum(agreement, 0) * rotation(field, jax.tree.map(jnp.zeros_like, here), along)


def _field(game: Game, state: TrainState, batch: Batch, key: Array, players: Any) -> Any:
    """The gradients of both players (d_params, g_params), each of its own objective, at once."""
    d_params, g_params = players
    d_key, g_key = jax.random.split(key)
    state = state.replace(d=state.d.replace(params=d_params), g=state.g.replace(params=g_params))
    d_play, g_play = partial(d_objective, count=jnp.zeros((), jnp.int32), key=d_key), partial(g_objective, key=g_key)
    return gradient("d", d_play, game, state, batch)[0], gradient("g", g_play, game, state, batch)[0]


def _rows(x: Sample) -> Array:
    """Samples [N, ...], or a pytree of them, as vectors [N, D]."""
    return jnp.concatenate([leaf.reshape(leaf.shape[0], -1).astype(jnp.float32) for leaf in jax.tree.leaves(x)], axis=1)


def _nearest(x: Array) -> Array:
    """The distance [N] of each of the rows [N, D] to the nearest other. Row by row: inner products would lose small ones to
    rounding."""

    def of(i: Array) -> Array:
        return jnp.square(x - x[i]).sum(axis=1).at[i].set(jnp.inf).min()

    return jnp.sqrt(jax.lax.map(of, jnp.arange(x.shape[0])))


def _ratio(part: Array, whole: Array) -> Array:
    """part / whole, 0 where both are 0."""
    return part / jnp.where(whole == 0, 1, whole)
