"""Other pages: orders of play beside the alternating steps of `update.py`, each with its signature,

    page(game, state, batch, key) -> (state, metrics)

made of the same two objectives. Each public function here is a value of `--update`. `batch` has a leading axis of
`game.d_steps`; a page that moves both players at once plays one step of each, and raises ValueError where `d_steps` is not 1.
"""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gan_jax.game.game import Game
from gan_jax.game.state import Player, TrainState
from gan_jax.game.update import (
    Metrics,
    Outcome,
    d_objective,
    d_step,
    descend,
    finish,
    g_objective,
    gradient,
    norms,
    pack,
    update,
)
from gan_jax.models.relgan import log_likelihood
from gan_jax.types import Array, Batch, Critic, Synthesis


def simultaneous(game: Game, state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Metrics]:
    """Both players step at once, each against the other as it was.

    Source: Nowozin et al. 2016, arXiv:1606.00709, algorithm 1; Mescheder et al. 2017, arXiv:1705.10461, algorithm 1.
    """
    d_gradients, d_outcome, g_gradients, g_outcome = _field(game, state, *_now(game, state, batch, key))
    return _move(game, state, d_gradients, d_outcome, g_gradients, g_outcome)


def extragradient(game: Game, state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Metrics]:
    """Both players look one step ahead, and from where they are take the step that is right there.

    The look uses the optimisers as they stand; only the real step moves their moments. Source: Korpelevich 1976; Gidel et
    al. 2019, arXiv:1802.10551, section 3.2 and algorithm 3 (theirs moves Adam's moments in both).
    """
    now = _now(game, state, batch, key)
    d_gradients, d_outcome, g_gradients, g_outcome = _field(game, state, *now)
    ahead = state.replace(
        d=state.d.replace(params=descend(game.d_tx, state.d, d_gradients, d_outcome).params),
        g=state.g.replace(params=descend(game.g_tx, state.g, g_gradients, g_outcome).params),
    )
    return _move(game, state, *_field(game, ahead, *now))


def consensus(game: Game, state: TrainState, batch: Batch, key: Array, *, weight: float = 10.0) -> tuple[TrainState, Metrics]:
    """Simultaneous steps along v - weight * grad(|v|^2 / 2), v the field of both players' gradients: both also want it small.

    Source: Mescheder et al. 2017, arXiv:1705.10461, algorithm 2 (gamma there).
    """
    now = _now(game, state, batch, key)

    def half_square(both):
        d_params, g_params = both
        at = state.replace(d=state.d.replace(params=d_params), g=state.g.replace(params=g_params))
        d_gradients, d_outcome, g_gradients, g_outcome = _field(game, at, *now)
        value = 0.5 * (optax.tree.norm(d_gradients, squared=True) + optax.tree.norm(g_gradients, squared=True))
        return value, (d_gradients, d_outcome, g_gradients, g_outcome)

    pulls, field = jax.grad(half_square, has_aux=True)((state.d.params, state.g.params))
    d_pull, g_pull = game.mean(pulls)
    d_gradients, d_outcome, g_gradients, g_outcome = field
    d_gradients, g_gradients = (
        jax.tree.map(lambda v, pull: v + weight * pull, gradients, pulls)
        for gradients, pulls in ((d_gradients, d_pull), (g_gradients, g_pull))
    )
    return _move(game, state, d_gradients, d_outcome, g_gradients, g_outcome)


def unrolled(
    game: Game, state: TrainState, batch: Batch, key: Array, *, steps: int = 5, lr: float = 0.02
) -> tuple[TrainState, Metrics]:
    """G answers the discriminator that would come of `steps` more gradient steps of size `lr`, and sees how those depend on G.
    D itself moves as in `update`. The look ahead replays this step's batch.

    Plain gradient steps as in the paper's equations, whatever D's own optimiser: Adam has no derivative where a gradient is 0.
    Source: Metz et al. 2017, arXiv:1611.02163, eqs. 7 to 10.
    """
    if steps < 1:
        raise ValueError(f"unrolled needs steps of at least 1, got {steps}")
    batches = [jax.tree.map(lambda x, i=i: x[i], batch) for i in range(game.d_steps)]
    for i, d_batch in enumerate(batches):
        state, d_metrics = d_step(game, state, d_batch, state.step * game.d_steps + i, jax.random.fold_in(key, i))
    last, g_key = batches[-1], jax.random.fold_in(key, game.d_steps)

    def objective(game: Game, state: TrainState, batch: Batch, params) -> tuple[Array, Outcome]:
        ahead = state.replace(g=state.g.replace(params=params))
        for i in range(steps):
            play = partial(d_objective, count=state.step * game.d_steps, key=jax.random.fold_in(g_key, i))
            gradients, _ = gradient("d", play, game, ahead, batch)
            d_params = jax.tree.map(lambda w, gradient: w - lr * gradient, ahead.d.params, gradients)
            ahead = ahead.replace(d=ahead.d.replace(params=d_params))
        return g_objective(game, state.replace(d=ahead.d), batch, params, g_key)

    gradients, outcome = gradient("g", objective, game, state, last)
    g = descend(game.g_tx, state.g, gradients, outcome)
    return finish(game, state.replace(g=g)), d_metrics | outcome.metrics | norms("g", g, gradients)


def top_k(
    game: Game, state: TrainState, batch: Batch, key: Array, *, share: float = 0.5, decay: float = 0.999
) -> tuple[TrainState, Metrics]:
    """G learns only from those of its samples that D finds most real: all at first, `decay` times as many with each step, down
    to `share` of them.

    The others' logits stay in the loss as constants, so that any loss can be taken. Source: Sinha et al. 2020,
    arXiv:2002.06224, algorithm 1 and section 4 (theirs decays by .99 an epoch).
    """
    if not 0 < share <= 1:
        raise ValueError(f"top_k needs a share above 0 and at most 1, got {share}")
    if not 0 <= decay <= 1:
        raise ValueError(f"top_k needs a decay between 0 and 1, got {decay}")

    def loss(real_logits: Array, fake_logits: Array, label: Array | None) -> tuple[Array, Array]:
        if fake_logits.ndim != 1:
            raise ValueError(f"top_k ranks one logit a sample, D gives {fake_logits.shape}: set d_outputs to 1")
        d_loss, _ = game.loss(real_logits, fake_logits, label)
        size = fake_logits.shape[0]
        count = jnp.maximum(jnp.round(size * jnp.maximum(share, decay**state.step)), 1)
        rank = jnp.argsort(jnp.argsort(-jax.lax.stop_gradient(fake_logits)))
        chosen = jnp.where(rank < count, fake_logits, jax.lax.stop_gradient(fake_logits))
        _, g_loss = game.loss(real_logits, chosen, label)
        value = jax.lax.stop_gradient(g_loss)
        return d_loss, value + (g_loss - value) * (size / count)  # the gradient of a mean over those chosen

    return update(replace(game, loss=loss), state, batch, key)


def logan(
    game: Game, state: TrainState, batch: Batch, key: Array, *, alpha: float = 0.9, beta: float = 5.0
) -> tuple[TrainState, Metrics]:
    """Latent optimisation: before it is used, z moves along the natural gradient of D(G(z)), dz = alpha g / (beta + |g|^2) with
    g the gradient; both players are trained through that move. Evaluation samples plain z.

    Source: Wu et al. 2019 (LOGAN), arXiv:1912.00953, section 4 (natural gradient descent), alpha and beta theirs.
    They also move only some of the latents and penalise |dz|^2; here neither.
    """

    def move(synthesis: Synthesis, critic: Critic, z: Array) -> Array:
        def score(z: Array) -> Array:
            return critic(pack(synthesis(z), game.pack)).astype(jnp.float32).sum()

        gradient = jax.grad(score)(z)
        return alpha * gradient / (beta + jnp.square(gradient).sum(axis=1, keepdims=True))

    def latent(key: Array, synthesis: Synthesis, critic: Critic, shape: tuple[int, int]) -> Array:
        z = game.latent(key, synthesis, critic, shape)
        return z + move(synthesis, critic, z)

    return update(replace(game, latent=latent), state, batch, key)


def maximum_likelihood(game: Game, state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Metrics]:
    """No game: G alone moves, towards the greatest likelihood of the real samples, each symbol given those before it. What is
    logged as `g/loss` is the mean of -log p of a symbol in nats, ends counted too. Of several batches it takes the last.

    Raises ValueError for a generator that knows no likelihood. It is what adversarial training of words begins with, and what
    it must be compared with; the loss, D and its settings are there for the fork. It computes in float32.
    """

    def objective(game: Game, state: TrainState, batch: Batch, params: Any) -> tuple[Array, Outcome]:
        log_p, symbols = log_likelihood(game.generator, {"params": params, **state.g.stats}, batch.real)
        loss = -log_p.sum() / symbols.sum()
        return loss, Outcome(state.g.stats, state.g.memory, state.running, {"g/loss": loss})

    gradients, outcome = gradient("g", objective, game, state, jax.tree.map(lambda x: x[-1], batch))
    g = descend(game.g_tx, state.g, gradients, outcome)
    return finish(game, state.replace(g=g)), outcome.metrics | norms("g", g, gradients)


def annealed(
    game: Game, state: TrainState, batch: Batch, key: Array, *, steps: int = 1_000, softness: float = 0.01
) -> tuple[TrainState, Metrics]:
    """The steps of `update`, with samples that harden: the generator's `softness` goes from 1 to this, exponentially in the
    first `steps`. Source: Nie et al. 2019 (RelGAN), section 2.3; its inverse temperature is 1 / softness.

    Raises ValueError for a generator that has none.
    """
    if not hasattr(game.generator, "softness"):
        raise ValueError(f"annealed needs a generator with a softness, as relgan's: {type(game.generator).__name__} has none")
    if not 0 < softness <= 1 or steps < 1:
        raise ValueError(f"annealed needs steps of at least 1 and a softness above 0 and at most 1: {steps}, {softness}")
    now = softness ** jnp.minimum(state.step / steps, 1.0)
    generator = game.generator.clone(softness=now)
    state, metrics = update(replace(game, generator=generator), state, batch, key)
    return state, metrics | {"g/softness": now}


def _now(game: Game, state: TrainState, batch: Batch, key: Array) -> tuple[Batch, Array, Array]:
    """The batch and both players' keys, as `update` has them."""
    if game.d_steps != 1:
        raise ValueError(f"a page that moves both players at once plays one step of each: set d_steps to 1, not {game.d_steps}")
    return jax.tree.map(lambda x: x[0], batch), jax.random.fold_in(key, 0), jax.random.fold_in(key, 1)


def _field(game: Game, state: TrainState, batch: Batch, d_key: Array, g_key: Array):
    """Both players' gradients and outcomes at one state."""
    d_play, g_play = partial(d_objective, count=state.step, key=d_key), partial(g_objective, key=g_key)
    return *gradient("d", d_play, game, state, batch), *gradient("g", g_play, game, state, batch)


def _move(game: Game, state: TrainState, d_gradients, d_outcome: Outcome, g_gradients, g_outcome: Outcome):
    d: Player = descend(game.d_tx, state.d, d_gradients, d_outcome)
    g: Player = descend(game.g_tx, state.g, g_gradients, g_outcome)
    metrics = d_outcome.metrics | g_outcome.metrics | norms("d", d, d_gradients) | norms("g", g, g_gradients)
    return finish(game, state.replace(d=d, g=g, running=d_outcome.running)), metrics
