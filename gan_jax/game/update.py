"""THE PAGE: one step of the game. `d_steps` discriminator steps, a generator step, and the generator's moving averages.

    update(game, state, batch, key) -> (state, metrics)

A pure function of its arguments. How it is compiled is the affair of `parallel.py`; what the names in the configuration mean
was settled in `game.py`. Everything scheduled is traced from `state.step`, so that nothing compiles twice. Other orders of play
are other pages (`pages.py`), made of the two objectives below.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gan_jax.game import ema
from gan_jax.game.game import Game
from gan_jax.game.partition import share
from gan_jax.game.state import Player, TrainState, apply
from gan_jax.models.mapping import has_mapping, styles, synthesize
from gan_jax.types import Array, Batch, Critic, Judgement, Memory, Sample, Synthesis

Metrics = dict[str, Array]  # float32 scalars


# (game, state, batch, params) -> (what a player minimises, Outcome)
Objective = Callable[..., tuple[Array, "Outcome"]]


class Outcome(NamedTuple):
    """What else an objective finds out on the way: the player's next collections and memory, and what is logged."""

    stats: Any
    memory: Memory
    running: Memory
    metrics: Metrics


def update(game: Game, state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Metrics]:
    """One step. `batch` has a leading axis of `game.d_steps`: fresh samples [d_steps, B, ...] for each discriminator step.
    The generator's step pairs with the last of them. `key` is this step's own."""
    for i in range(game.d_steps):  # unrolled: on a CPU a stock convolution is slow inside a compiled loop (see parallel.py)
        d_batch = jax.tree.map(lambda x, i=i: x[i], batch)
        state, d_metrics = d_step(game, state, d_batch, state.step * game.d_steps + i, jax.random.fold_in(key, i))
    state, g_metrics = g_step(game, state, d_batch, jax.random.fold_in(key, game.d_steps))
    return finish(game, state), d_metrics | g_metrics


def d_step(game: Game, state: TrainState, batch: Batch, count: Array, key: Array) -> tuple[TrainState, Metrics]:
    """One update of the discriminator, the generator frozen. `count` is the number of its updates before this one."""
    gradients, outcome = gradient("d", partial(d_objective, count=count, key=key), game, state, batch)
    d = descend(game.d_tx, state.d, gradients, outcome)
    return state.replace(d=d, running=outcome.running), outcome.metrics | norms("d", d, gradients)


def g_step(game: Game, state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Metrics]:
    """One update of the generator, the discriminator frozen."""
    gradients, outcome = gradient("g", partial(g_objective, key=key), game, state, batch)
    g = descend(game.g_tx, state.g, gradients, outcome)
    return state.replace(g=g), outcome.metrics | norms("g", g, gradients)


def gradient(player: str, objective: Objective, game: Game, state: TrainState, batch: Batch) -> tuple[Any, Outcome]:
    """The gradient of an objective by the params of player "g" or "d", and what else it found out; over all replicas, where
    there are several. With microbatches it is the mean of theirs, taken one after the other in the memory of one: what comes of
    the whole batch at once, but for what compares its samples (batch norm, relativistic means)."""

    def of(game: Game, state: TrainState, batch: Batch) -> tuple[Any, Outcome]:
        return jax.grad(partial(objective, game, state, batch), has_aux=True)(getattr(state, player).params)

    def add(carry: Any, indexed: tuple[Array, Batch]) -> tuple[Any, Metrics]:
        total, state = carry
        gradients, outcome = of(share(game, indexed[0], game.microbatches), state, indexed[1])
        moved = getattr(state, player).replace(stats=outcome.stats, memory=outcome.memory)
        state = state.replace(**{player: moved}, running=outcome.running)
        return (jax.tree.map(jnp.add, total, gradients), state), outcome.metrics

    if game.microbatches == 1:
        gradients, outcome = of(game, state, batch)
        return game.mean(gradients), outcome
    # Dealt out like cards: where rows lie on several devices, each has its share of every part.
    parts = jax.tree.map(lambda x: x.reshape(-1, game.microbatches, *x.shape[1:]).swapaxes(0, 1), batch)
    zeros = jax.tree.map(jnp.zeros_like, getattr(state, player).params)
    (total, state), metrics = jax.lax.scan(add, (zeros, state), (jnp.arange(game.microbatches), parts))
    moved = getattr(state, player)
    outcome = Outcome(moved.stats, moved.memory, state.running, jax.tree.map(lambda x: x.mean(axis=0), metrics))
    return game.mean(jax.tree.map(lambda x: x / game.microbatches, total)), outcome


def finish(game: Game, state: TrainState) -> TrainState:
    """Both players have moved: the averages of the generator follow, and the step counts."""
    now = {"params": state.g.params, **state.g.stats}
    average = ema.toward(state.ema, now, game.ema_decay(state.step))
    posthoc = tuple(
        ema.toward(old, now, ema.power_decay(state.step + 1, sigma))
        for old, sigma in zip(state.posthoc, ema.SIGMAS, strict=bool(state.posthoc))
    )
    return state.replace(step=state.step + 1, ema=average, posthoc=posthoc)


def d_objective(game: Game, state: TrainState, batch: Batch, params, count: Array, key: Array) -> tuple[Array, Outcome]:
    """What the discriminator minimises, as a function of its `params`."""
    z_key, aug_key, pen_key = jax.random.split(key, 3)
    lie_key, label_key = jax.random.split(jax.random.fold_in(key, 1))
    fake_label = game.fake_label(label_key, batch)
    see = view(game, state, batch, aug_key)
    synthesis = generator(game, state.g, state.g.params, fake_label)
    z = game.latent(z_key, synthesis, critic(see, state.d, params), (batch.size, game.z_dim))
    real, fake = batch.real, synthesis(z)
    if game.deceive is not None:
        real, fake = game.deceive(lie_key, real, fake, probability(game, state))
    real, fake = pack(real, game.pack), pack(fake, game.pack)

    judged_real, stats = see(params, state.d.stats, real)
    judged_fake, stats = see(params, stats, fake)
    d_loss, _ = game.loss(judged_real.logits, judged_fake.logits, batch.label)
    auxiliary, _ = assist(game, params, judged_real, judged_fake, fake_label)
    judge = critic(see, state.d, params, synthesis=Synthesis(synthesis, z, state.g.params))
    penalty, memory = regularise(game.penalty, game.penalty_every, count, judge, real, fake, pen_key)
    metrics = {"d/loss": d_loss, "d/real_logit": judged_real.logits.mean(), "d/fake_logit": judged_fake.logits.mean()}
    metrics |= {"d/penalty": penalty}
    running = state.running
    if game.adapt is not None:
        running = game.adapt(running, judged_real.logits)
        metrics["d/augment_p"] = running["p"]
    if game.auxiliary is not None:
        metrics["d/auxiliary"] = auxiliary
    total = d_loss + game.auxiliary_weight * auxiliary + game.gamma(state.step) * penalty
    return total, Outcome(stats, memory, running, metrics)


def g_objective(game: Game, state: TrainState, batch: Batch, params, key: Array) -> tuple[Array, Outcome]:
    """What the generator minimises, as a function of its `params`."""
    z_key, aug_key, pen_key = jax.random.split(key, 3)
    _, label_key = jax.random.split(jax.random.fold_in(key, 1))
    fake_label = game.fake_label(label_key, batch)
    see = view(game, state, batch, aug_key)
    judge = critic(see, state.d, state.d.params)
    synthesis = generator(game, state.g, params, fake_label)
    z = game.latent(z_key, synthesis, judge, (batch.size, game.z_dim))
    fake, stats = generate(game, params, state.g.stats, z, fake_label)
    # What is seen of real samples is deleted by the compiler where nothing asks for it.
    judged_real, _ = see(state.d.params, state.d.stats, pack(batch.real, game.pack))
    judged_fake, _ = see(state.d.params, state.d.stats, pack(fake, game.pack))
    _, g_loss = game.loss(judged_real.logits, judged_fake.logits, batch.label)
    _, auxiliary = assist(game, state.d.params, judged_real, judged_fake, fake_label)
    # The fakes that there are are not made again, nor is their gradient taken twice.
    made = replace(synthesis, samples=lambda latents: fake if latents is z else synthesis(latents), z=z)
    penalty, memory = regularise(game.g_penalty, game.g_penalty_every, state.step, made, judge, batch.real, pen_key)
    metrics = {"g/loss": g_loss}
    if game.auxiliary is not None:
        metrics["g/auxiliary"] = auxiliary
    if game.g_penalty is not None:
        metrics["g/penalty"] = penalty
    total = g_loss + game.auxiliary_weight * auxiliary + game.g_gamma * penalty
    return total, Outcome(stats, memory, state.running, metrics)


def generate(game: Game, params, stats, z: Array, label: Array | None) -> tuple[Sample, dict]:
    """The generator's samples of the latents z [B, Z] -> (samples [B, ...], its collections afterwards)."""
    return apply(game.generator, {"params": params, **stats}, z, label, True, game.compute, game.remat)


def generator(game: Game, g: Player, params, label: Array | None) -> Synthesis:
    """The generator as a function of its latents, and of what they are mapped to."""
    found = Synthesis(lambda z: generate(game, params, g.stats, z, label)[0], None, params, g.memory)
    if not has_mapping(game.generator):
        return found
    of = (game.generator, {"params": params, **g.stats})
    return replace(
        found,
        styles=lambda z: styles(*of, z, label, train=True),
        of_styles=lambda z, w: synthesize(*of, z, label, w, train=True),
    )


def view(game: Game, state: TrainState, batch: Batch, key: Array):
    """The discriminator's view through the augmentation: (params, stats, packs of raw samples) -> (Judgement, stats)."""
    label = batch.label if game.real_labelled and game.pack == 1 else None

    def see(params, stats, x: Sample) -> tuple[Judgement, dict]:
        check_packed(game, x)
        if game.augment is not None:
            x = pack(game.augment(key, unpack(x, game.pack), probability(game, state)), game.pack)
        judged, stats = apply(game.discriminator, {"params": params, **stats}, x, label, True, game.compute, game.remat)
        return Judgement(*judged) if isinstance(judged, tuple) else Judgement(judged, None), stats

    return see


def check_packed(game: Game, x: Sample) -> None:
    """Raises ValueError for samples that are not in packs, where the discriminator judges packs."""
    shapes = jax.tree.map(lambda leaf: leaf.shape[1:], x)
    if game.pack > 1 and shapes != game.packed_shape:
        raise ValueError(
            f"the discriminator judges packs of {game.pack} samples, {game.packed_shape}, and was called with samples of shape "
            f"{shapes}: set pack to 1 to use a function that compares single samples"
        )


def critic(see, d: Player, params, synthesis: Synthesis | None = None) -> Critic:
    """The discriminator as a function of (packs of) raw samples."""

    def logits(x: Sample) -> Array:
        return see(params, d.stats, x)[0].logits

    def features(x: Sample) -> Array:
        return see(params, d.stats, x)[0].features

    return Critic(logits, features, params, synthesis, d.memory)


def assist(game: Game, d_params, real: Judgement, fake: Judgement, label: Array | None) -> tuple[Array, Array]:
    """The auxiliary losses (d_loss, g_loss), unweighted."""
    if game.auxiliary is None:
        return jnp.zeros(()), jnp.zeros(())
    return game.auxiliary.apply({"params": d_params["auxiliary"]}, real.features, fake.features, label)


def probability(game: Game, state: TrainState) -> Array:
    """With what probability a sample is augmented or lied about now."""
    return game.augment_p(state.step) if game.adapt is None else state.running["p"]


def pack(x: Sample, count: int) -> Sample:
    """[B, ..., C] -> [B / count, ..., count * C]: samples side by side, which D judges at once.

    Source: Lin et al. 2018 (PacGAN), arXiv:1712.04086, section 3."""
    if count == 1:
        return x

    def side_by_side(leaf: Array) -> Array:
        groups = jnp.moveaxis(leaf.reshape(-1, count, *leaf.shape[1:]), 1, -2)
        return groups.reshape(*groups.shape[:-2], count * leaf.shape[-1])

    return jax.tree.map(side_by_side, x)


def unpack(x: Sample, count: int) -> Sample:
    """The inverse of `pack`."""
    if count == 1:
        return x

    def one_by_one(leaf: Array) -> Array:
        groups = jnp.moveaxis(leaf.reshape(*leaf.shape[:-1], count, -1), -2, 1)
        return groups.reshape(-1, *groups.shape[2:])

    return jax.tree.map(one_by_one, x)


def regularise(penalty, every: int, count: Array, subject, *arguments) -> tuple[Array, Memory]:
    """A player's penalty, unweighted, and what it remembers. A lazy one is zero but for every k-th update, and k times as
    strong then.

    Source: Karras et al. 2020, arXiv:1912.04958, section 3.1 (lazy regularisation).
    """
    if penalty is None:
        return jnp.zeros(()), subject.memory
    if every == 1:
        return penalty(subject, *arguments)

    def due() -> tuple[Array, Memory]:
        value, memory = penalty(subject, *arguments)
        return every * value, memory

    return jax.lax.cond(count % every == 0, due, lambda: (jnp.zeros(()), subject.memory))


def descend(tx: optax.GradientTransformation, player: Player, gradients, outcome: Outcome) -> Player:
    """One step of a player's optimiser."""
    updates, opt_state = tx.update(gradients, player.opt_state, player.params)
    return Player(optax.apply_updates(player.params, updates), outcome.stats, opt_state, outcome.memory)


def norms(name: str, player: Player, gradients) -> Metrics:
    """Global norms of gradients and parameters: where training breaks, one of them is not finite any more."""
    return {f"{name}/grad_norm": optax.tree.norm(gradients), f"{name}/param_norm": optax.tree.norm(player.params)}
