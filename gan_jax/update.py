"""THE PAGE: one step of the game. `d_steps` discriminator steps, a generator step, and the generator's moving average.

    update(game, state, batch, key) -> (state, metrics)

A pure function of its arguments. How it is compiled is the affair of `parallel.py`; what the names in the configuration mean
was settled in `game.py`. Everything scheduled is traced from `state.step`, so that nothing compiles twice.
"""

from functools import partial

import jax
import jax.numpy as jnp
import optax

from gan_jax.game import Game
from gan_jax.state import Player, TrainState, apply
from gan_jax.types import Array, Batch, Sample

Metrics = dict[str, Array]  # float32 scalars


def update(game: Game, state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Metrics]:
    """One step. `batch` has a leading axis of `game.d_steps`: fresh samples [d_steps, B, ...] for each discriminator step.
    The generator's step pairs with the last of them. `key` is this step's own."""
    for i in range(game.d_steps):  # unrolled: on a CPU a stock convolution is slow inside a compiled loop (see parallel.py)
        d_batch = jax.tree.map(lambda x, i=i: x[i], batch)
        d, d_metrics = d_step(game, state, d_batch, state.step * game.d_steps + i, jax.random.fold_in(key, i))
        state = state.replace(d=d)
    g, g_metrics = g_step(game, state, d_batch, jax.random.fold_in(key, game.d_steps))
    decay = game.ema_decay(state.step)
    ema = jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.ema, {"params": g.params, **g.stats})
    return state.replace(step=state.step + 1, g=g, ema=ema), d_metrics | g_metrics


def d_step(game: Game, state: TrainState, batch: Batch, count: Array, key: Array) -> tuple[Player, Metrics]:
    """One update of the discriminator, the generator frozen. `count` is the number of its updates before this one."""
    z_key, aug_key, pen_key = jax.random.split(key, 3)
    fake, _ = generate(game, state.g.params, state.g.stats, batch.label, batch.size, z_key)
    see = partial(judge, game, label=batch.label, p=game.augment_p(state.step), key=aug_key)

    def objective(params):
        real_logits, stats = see(params, state.d.stats, batch.real)
        fake_logits, stats = see(params, stats, fake)
        d_loss, _ = game.loss(real_logits, fake_logits)
        penalty = penalise(game, lambda x: see(params, state.d.stats, x)[0], batch.real, fake, count, pen_key)
        metrics = {"d/real_logit": real_logits.mean(), "d/fake_logit": fake_logits.mean()}
        return d_loss + game.gamma(state.step) * penalty, (stats, metrics | {"d/loss": d_loss, "d/penalty": penalty})

    gradients, (stats, metrics) = jax.grad(objective, has_aux=True)(state.d.params)
    d = descend(game.d_tx, state.d, gradients, stats)
    return d, metrics | norms("d", d, gradients)


def g_step(game: Game, state: TrainState, batch: Batch, key: Array) -> tuple[Player, Metrics]:
    """One update of the generator, the discriminator frozen."""
    z_key, aug_key, _ = jax.random.split(key, 3)
    see = partial(judge, game, label=batch.label, p=game.augment_p(state.step), key=aug_key)

    def objective(params):
        fake, stats = generate(game, params, state.g.stats, batch.label, batch.size, z_key)
        real_logits, _ = see(state.d.params, state.d.stats, batch.real)  # deleted by the compiler where the loss ignores it
        fake_logits, _ = see(state.d.params, state.d.stats, fake)
        _, g_loss = game.loss(real_logits, fake_logits)
        return g_loss, (stats, {"g/loss": g_loss})

    gradients, (stats, metrics) = jax.grad(objective, has_aux=True)(state.g.params)
    g = descend(game.g_tx, state.g, gradients, stats)
    return g, metrics | norms("g", g, gradients)


def generate(game: Game, params, stats, label: Array | None, count: int, key: Array) -> tuple[Sample, dict]:
    """`count` samples of the generator -> (samples [count, ...], its collections afterwards)."""
    z = jax.random.normal(key, (count, game.z_dim))
    return apply(game.generator, {"params": params, **stats}, z, label, train=True)


def judge(game: Game, params, stats, x: Sample, *, label, p: Array, key: Array) -> tuple[Array, dict]:
    """The discriminator's view of raw samples, through the augmentation -> (logits [B], its collections afterwards)."""
    if game.augment is not None:
        x = game.augment(key, x, p)
    return apply(game.discriminator, {"params": params, **stats}, x, label, train=True)


def penalise(game: Game, critic, real: Sample, fake: Sample, count: Array, key: Array) -> Array:
    """The penalty, unweighted. A lazy one is zero but for every k-th update, and k times as strong then.

    Source: Karras et al. 2020, arXiv:1912.04958, section 3.1 (lazy regularisation).
    """
    if game.penalty is None:
        return jnp.zeros(())
    every = game.penalty_every
    if every == 1:
        return game.penalty(critic, real, fake, key)
    due = count % every == 0
    return jax.lax.cond(due, lambda: every * game.penalty(critic, real, fake, key), lambda: jnp.zeros(()))


def descend(tx: optax.GradientTransformation, player: Player, gradients, stats) -> Player:
    """One step of a player's optimiser."""
    updates, opt_state = tx.update(gradients, player.opt_state, player.params)
    return Player(optax.apply_updates(player.params, updates), stats, opt_state)


def norms(name: str, player: Player, gradients) -> Metrics:
    """Global norms of gradients and parameters: where training breaks, one of them is not finite any more."""
    return {f"{name}/grad_norm": optax.tree.norm(gradients), f"{name}/param_norm": optax.tree.norm(player.params)}
