"""Other orders of play than the alternating steps of `update.py`, with the same signature and the same two objectives:

    rule(game, state, batch, key) -> (state, metrics)

Each public function here is a value of `--update`. `batch` has a leading axis of `game.batches`. A rule that moves both players
at once takes one step of each, and raises ValueError unless `d_steps` is 1.
"""

from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gan_jax.game.game import Game
from gan_jax.game.state import TrainState
from gan_jax.game.update import (
    Metrics,
    Outcome,
    apply_gradients,
    d_objective,
    d_steps,
    finish_step,
    g_objective,
    global_norms,
    pack,
    player_gradient,
    update,
)
from gan_jax.models.relgan import log_likelihood
from gan_jax.types import Array, Batch, Critic, Synthesis


class Field(NamedTuple):
    """Both players' gradients and outcomes at one state."""

    d_gradients: Any
    d_outcome: Outcome
    g_gradients: Any
    g_outcome: Outcome


def simultaneous(game: Game, state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Metrics]:
    """Both players step at the same time, each against the other's current parameters.

    Source: Nowozin et al. 2016, arXiv:1606.00709, algorithm 1; Mescheder et al. 2017, arXiv:1705.10461, algorithm 1.
    """
    d_key, g_key = _player_keys(game, key)
    return _move(game, state, _field(game, state, batch, d_key, g_key))


def extragradient(game: Game, state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Metrics]:
    """Both players extrapolate one step, and then step from where they were along the gradients at the extrapolated point.

    The extrapolation uses the optimisers' current moments; only the actual step changes them. Source: Korpelevich 1976; Gidel
    et al. 2019, arXiv:1802.10551, section 3.2 and algorithm 3 (which updates Adam's moments in both).
    """
    d_key, g_key = _player_keys(game, key)
    field = _field(game, state, batch, d_key, g_key)
    ahead = state.replace(
        d=state.d.replace(params=apply_gradients(game.d_tx, state.d, field.d_gradients, field.d_outcome).params),
        g=state.g.replace(params=apply_gradients(game.g_tx, state.g, field.g_gradients, field.g_outcome).params),
    )
    return _move(game, state, _field(game, ahead, batch, d_key, g_key))


def consensus(game: Game, state: TrainState, batch: Batch, key: Array, *, weight: float = 10.0) -> tuple[TrainState, Metrics]:
    """Simultaneous steps along v - weight * grad(|v|^2 / 2), with v both players' gradients, whose norm both also minimise.

    Source: Mescheder et al. 2017, arXiv:1705.10461, algorithm 2 (gamma there).
    """
    d_key, g_key = _player_keys(game, key)

    def half_square(params: tuple[Any, Any]) -> tuple[Array, Field]:
        d_params, g_params = params
        moved = state.replace(d=state.d.replace(params=d_params), g=state.g.replace(params=g_params))
        field = _field(game, moved, batch, d_key, g_key)
        norms = (optax.tree.norm(gradients, squared=True) for gradients in (field.d_gradients, field.g_gradients))
        return 0.5 * sum(norms), field

    regularisers, field = jax.grad(half_square, has_aux=True)((state.d.params, state.g.params))
    d_regulariser, g_regulariser = game.mean(regularisers)
    d_gradients, g_gradients = (
        jax.tree.map(lambda v, regulariser: v + weight * regulariser, gradients, regularisers)
        for gradients, regularisers in ((field.d_gradients, d_regulariser), (field.g_gradients, g_regulariser))
    )
    return _move(game, state, field._replace(d_gradients=d_gradients, g_gradients=g_gradients))


def unrolled(
    game: Game, state: TrainState, batch: Batch, key: Array, *, steps: int = 5, lr: float = 0.02
) -> tuple[TrainState, Metrics]:
    """G plays against the discriminator after `steps` further gradient steps of size `lr`, and differentiates through them. D
    itself moves as in `update`. The lookahead reuses the batch of G's step.

    Plain gradient steps as in the paper's equations, whatever D's optimiser: Adam has no derivative where a gradient is 0.
    Source: Metz et al. 2017, arXiv:1611.02163, eqs. 7 to 10.
    """
    if steps < 1:
        raise ValueError(f"unrolled needs steps of at least 1, got {steps}")
    keys = jax.random.split(key, game.d_steps + 2)
    d_keys, g_key, lookahead_key = keys[:-2], keys[-2], keys[-1]
    state, d_metrics = d_steps(game, state, batch, d_keys)

    def objective(game: Game, state: TrainState, batch: Batch, params) -> tuple[Array, Outcome]:
        ahead = state.replace(g=state.g.replace(params=params))
        for step_key in jax.random.split(lookahead_key, steps):
            lookahead = partial(d_objective, count=state.step * game.d_steps, key=step_key)
            gradients, _ = player_gradient("d", lookahead, game, ahead, batch)
            d_params = jax.tree.map(lambda w, gradient: w - lr * gradient, ahead.d.params, gradients)
            ahead = ahead.replace(d=ahead.d.replace(params=d_params))
        return g_objective(game, state.replace(d=ahead.d), batch, params, g_key)

    gradients, outcome = player_gradient("g", objective, game, state, jax.tree.map(lambda x: x[-1], batch))
    g = apply_gradients(game.g_tx, state.g, gradients, outcome)
    return finish_step(game, state.replace(g=g)), d_metrics | outcome.metrics | global_norms("g", g, gradients)


def top_k(
    game: Game, state: TrainState, batch: Batch, key: Array, *, share: float = 0.5, decay: float = 0.999
) -> tuple[TrainState, Metrics]:
    """G learns only from the samples with the highest logits (means over patches): from all at first, `decay` times as many
    with each step, and never fewer than the fraction `share`.

    The other logits enter the loss as constants, so that it works with any loss. Source: Sinha et al. 2020,
    arXiv:2002.06224, algorithm 1 and section 4 (theirs decays by .99 per epoch).
    """
    if not 0 < share <= 1:
        raise ValueError(f"top_k needs a share above 0 and at most 1, got {share}")
    if not 0 <= decay <= 1:
        raise ValueError(f"top_k needs a decay between 0 and 1, got {decay}")

    def loss(real_logits: Array, fake_logits: Array, label: Array | None) -> tuple[Array, Array]:
        if game.outputs > 1:
            raise ValueError(f"top_k ranks one logit per sample, D returns {fake_logits.shape}: set d_outputs to 1")
        d_loss, _ = game.loss(real_logits, fake_logits, label)
        size = fake_logits.shape[0]
        count = jnp.maximum(jnp.round(size * jnp.maximum(share, decay ** jax.lax.convert_element_type(state.step, float))), 1)
        constant = jax.lax.stop_gradient(fake_logits)
        rank = jnp.argsort(jnp.argsort(-constant.reshape(size, -1).mean(axis=1)))
        top = (rank.astype(count.dtype) < count).reshape(size, *(1,) * (fake_logits.ndim - 1))
        top_logits = jnp.where(top, fake_logits, constant)
        _, g_loss = game.loss(real_logits, top_logits, label)
        value = jax.lax.stop_gradient(g_loss)
        return d_loss, value + (g_loss - value) * (size / count)  # the gradient of a mean over the top k alone

    return update(replace(game, loss=loss), state, batch, key)


def logan(
    game: Game, state: TrainState, batch: Batch, key: Array, *, alpha: float = 0.9, beta: float = 5.0
) -> tuple[TrainState, Metrics]:
    """Latent optimisation: z first moves along the natural gradient of D(G(z)), dz = alpha g / (beta + |g|^2) with g the
    gradient; both players are trained through that move. Evaluation uses z without it.

    Source: Wu et al. 2019 (LOGAN), arXiv:1912.00953, section 4 (natural gradient descent), with their alpha and beta. Unlike
    them, all latents are moved, and |dz|^2 is not penalised.
    """

    def move(synthesis: Synthesis, critic: Critic, z: Array) -> Array:
        def score(z: Array) -> Array:
            logits = critic(pack(synthesis(z), game.pack)).astype(jnp.float32)
            return logits.reshape(len(logits), -1).mean(axis=1).sum()

        gradient = jax.grad(score)(z)
        return alpha * gradient / (beta + jnp.square(gradient).sum(axis=1, keepdims=True))

    def latent(key: Array, synthesis: Synthesis, critic: Critic, shape: tuple[int, int]) -> Array:
        z = game.latent(key, synthesis, critic, shape)
        return z + move(synthesis, critic, z)

    return update(replace(game, latent=latent), state, batch, key)


def maximum_likelihood(game: Game, state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Metrics]:
    """No game: only G moves, maximising the likelihood of real sequences, each symbol given the previous ones. `g/loss` is the
    mean of -log p per symbol in nats, end symbols included. With several batches it uses the last one.

    Adversarial training of text starts from a model trained this way (`--fork_from`), and must be compared with it. The loss, D
    and their settings have no effect here. Computes in float32. Raises ValueError for a generator without a likelihood, such as
    any but `models/relgan.py`.

        gan_jax train RECIPE --update maximum_likelihood --run_dir MLE
        gan_jax train RECIPE --update 'annealed(steps=2000)' --fork_from MLE
    """

    def objective(game: Game, state: TrainState, batch: Batch, params: Any) -> tuple[Array, Outcome]:
        log_p, symbols = log_likelihood(game.generator, {"params": params, **state.g.stats}, batch.real)
        loss = -log_p.sum() / symbols.sum().astype(log_p.dtype)
        return loss, Outcome(state.g.stats, state.g.memory, state.running, {"g/loss": loss})

    gradients, outcome = player_gradient("g", objective, game, state, jax.tree.map(lambda x: x[-1], batch))
    g = apply_gradients(game.g_tx, state.g, gradients, outcome)
    return finish_step(game, state.replace(g=g)), outcome.metrics | global_norms("g", g, gradients)


def annealed(
    game: Game, state: TrainState, batch: Batch, key: Array, *, steps: int = 1_000, softness: float = 0.01
) -> tuple[TrainState, Metrics]:
    """The steps of `update` with an annealed generator: its `softness` decreases exponentially from 1 to this value over the
    first `steps`. Source: Nie et al. 2019 (RelGAN), section 2.3; its inverse temperature is 1 / softness.

    Raises ValueError for a generator without a `softness`.
    """
    if not hasattr(game.generator, "softness"):
        raise ValueError(f"annealed needs a generator with a softness, as relgan's: {type(game.generator).__name__} has none")
    if not 0 < softness <= 1 or steps < 1:
        raise ValueError(f"annealed needs steps of at least 1 and a softness above 0 and at most 1: {steps}, {softness}")
    current = softness ** jnp.minimum(state.step / steps, 1.0)
    annealed_game = replace(game, generator=game.generator.clone(softness=current))
    state, metrics = update(annealed_game, state, batch, key)
    return state, metrics | {"g/softness": current}


def _player_keys(game: Game, key: Array) -> tuple[Array, Array]:
    """The keys (d_key, g_key) of a rule that moves both players at once. Raises ValueError unless `d_steps` is 1."""
    if game.d_steps != 1:
        raise ValueError(
            f"an update that moves both players at once takes one step of each: set d_steps to 1, not {game.d_steps}"
        )
    d_key, g_key = jax.random.split(key)
    return d_key, g_key


def _field(game: Game, state: TrainState, batch: Batch, d_key: Array, g_key: Array) -> Field:
    of_d, of_g = partial(d_objective, count=state.step, key=d_key), partial(g_objective, key=g_key)
    d_batch, g_batch = (jax.tree.map(lambda x, i=i: x[i], batch) for i in (0, -1))  # one and the same unless `fresh_real`
    return Field(*player_gradient("d", of_d, game, state, d_batch), *player_gradient("g", of_g, game, state, g_batch))


def _move(game: Game, state: TrainState, field: Field) -> tuple[TrainState, Metrics]:
    """Both players step along their gradients."""
    d = apply_gradients(game.d_tx, state.d, field.d_gradients, field.d_outcome)
    g = apply_gradients(game.g_tx, state.g, field.g_gradients, field.g_outcome)
    norms = global_norms("d", d, field.d_gradients) | global_norms("g", g, field.g_gradients)
    metrics = field.d_outcome.metrics | field.g_outcome.metrics | norms
    return finish_step(game, state.replace(d=d, g=g, running=field.d_outcome.running)), metrics
