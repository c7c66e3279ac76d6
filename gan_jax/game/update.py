"""THE PAGE: one step of the game. `d_steps` discriminator steps, one generator step, then the generator's moving averages.

    update(game, state, batch, key) -> (state, metrics)

A pure function of its arguments. `training/compile.py` compiles it; `game/build.py` has already turned the names in the
configuration into functions. Schedules are traced from `state.step`, so nothing is compiled twice. Other orders of play are in
`update_rules.py`, built from the two objectives below.
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
from gan_jax.game.packing import check_packed, pack, unpack
from gan_jax.game.partition import microbatch
from gan_jax.game.state import Player, TrainState, apply
from gan_jax.models.mapping import has_mapping, styles, synthesize
from gan_jax.types import Array, Batch, Critic, DiscriminatorOutput, Memory, Sample, Synthesis

Metrics = dict[str, Array]  # float32 scalars

# (game, state, batch, params) -> (the scalar that a player minimises, Outcome)
Objective = Callable[..., tuple[Array, "Outcome"]]
# (params, stats, packs of raw samples) -> (DiscriminatorOutput, stats)
Discriminate = Callable[[Any, Any, Sample], tuple[DiscriminatorOutput, Any]]


class StepKeys(NamedTuple):
    """The keys of one objective, one for each role. A key is consumed by the function it is passed to."""

    z: Array  # latents
    augment: Array  # of real samples, and of all samples of a penalty of D, which compares them under equal augmentations
    penalty: Array
    deceive: Array
    label: Array  # labels or latent codes of the fake samples
    augment_fake: Array  # of fake samples; the same key as `augment` if `game.augment_shared`


class Outcome(NamedTuple):
    """What an objective returns besides its value: the player's next mutable collections and memory, and what is logged."""

    stats: Any
    memory: Memory
    running: Memory
    metrics: Metrics


def update(game: Game, state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Metrics]:
    """Play one step. `batch` has a leading axis of `game.batches`: samples [batches, B, ...], of which each discriminator step
    uses the next; the generator step uses the last, which no discriminator step has used if `game.fresh_real`. `key` belongs to
    this step alone."""
    keys = jax.random.split(key, game.d_steps + 1)
    d_keys, g_key = keys[:-1], keys[-1]
    state, d_metrics = d_steps(game, state, batch, d_keys)
    state, g_metrics = g_step(game, state, jax.tree.map(lambda x: x[-1], batch), g_key)
    return finish_step(game, state), d_metrics | g_metrics


def d_steps(game: Game, state: TrainState, batch: Batch, keys: Array) -> tuple[TrainState, Metrics]:
    """All discriminator steps, each with its own key [d_steps]; the metrics are those of the last one."""

    def step(state: TrainState, inputs: tuple[Array, Batch, Array]) -> tuple[TrainState, Metrics]:
        count, batch, key = inputs
        return d_step(game, state, batch, count, key)

    counts = state.step * game.d_steps + jnp.arange(game.d_steps)
    batches = jax.tree.map(lambda x: x[: game.d_steps], batch)
    unroll = game.d_steps == 1 or not game.fast_in_loops
    state, metrics = jax.lax.scan(step, state, (counts, batches, keys), unroll=unroll)
    return state, jax.tree.map(lambda x: x[-1], metrics)


def d_step(game: Game, state: TrainState, batch: Batch, count: Array, key: Array) -> tuple[TrainState, Metrics]:
    """Update the discriminator once, with the generator frozen. `count` is the number of its previous updates."""
    gradients, outcome = player_gradient("d", partial(d_objective, count=count, key=key), game, state, batch)
    d = apply_gradients(game.d_tx, state.d, gradients, outcome)
    return state.replace(d=d, running=outcome.running), outcome.metrics | global_norms("d", d, gradients)


def g_step(game: Game, state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Metrics]:
    """Update the generator once, with the discriminator frozen."""
    gradients, outcome = player_gradient("g", partial(g_objective, key=key), game, state, batch)
    g = apply_gradients(game.g_tx, state.g, gradients, outcome)
    return state.replace(g=g), outcome.metrics | global_norms("g", g, gradients)


def split_roles(game: Game, key: Array) -> StepKeys:
    """Split the key of an objective into one key for each role."""
    keys = StepKeys(*jax.random.split(key, len(StepKeys._fields)))
    return keys._replace(augment_fake=keys.augment) if game.augment_shared else keys


def player_gradient(player: str, objective: Objective, game: Game, state: TrainState, batch: Batch) -> tuple[Any, Outcome]:
    """Return the gradient of an objective with respect to the params of player "g" or "d", averaged over replicas, and the
    objective's outcome.

    With microbatches it is the mean of their gradients, computed one after another in the memory of one. That equals the
    gradient of the whole batch, except for terms that compare samples (batch norm, relativistic means)."""

    def gradient(game: Game, state: TrainState, batch: Batch) -> tuple[Any, Outcome]:
        return jax.grad(partial(objective, game, state, batch), has_aux=True)(getattr(state, player).params)

    def accumulate(carry: Any, indexed_part: tuple[Array, Batch]) -> tuple[Any, Metrics]:
        (total, state), (index, part) = carry, indexed_part
        gradients, outcome = gradient(microbatch(game, index, game.microbatches), state, part)
        moved = getattr(state, player).replace(stats=outcome.stats, memory=outcome.memory)
        state = state.replace(**{player: moved}, running=outcome.running)
        return (jax.tree.map(jnp.add, total, gradients), state), outcome.metrics

    if game.microbatches == 1:
        gradients, outcome = gradient(game, state, batch)
        return game.mean(gradients), outcome
    # Interleaved rows: if rows are split across devices, each device holds an equal part of every microbatch.
    parts = jax.tree.map(lambda x: x.reshape(-1, game.microbatches, *x.shape[1:]).swapaxes(0, 1), batch)
    zeros = jax.tree.map(jnp.zeros_like, getattr(state, player).params)
    (total, state), metrics = jax.lax.scan(accumulate, (zeros, state), (jnp.arange(game.microbatches), parts))
    moved = getattr(state, player)
    outcome = Outcome(moved.stats, moved.memory, state.running, jax.tree.map(lambda x: x.mean(axis=0), metrics))
    return game.mean(jax.tree.map(lambda x: x / game.microbatches, total)), outcome


def finish_step(game: Game, state: TrainState) -> TrainState:
    """After both players have moved, update the generator's averages and count the step."""
    current = {"params": state.g.params, **state.g.stats}
    average = ema.follow(state.ema, current, game.ema_decay(state.step))
    posthoc = tuple(
        ema.toward(old, current, ema.power_decay(state.step + 1, sigma))
        for old, sigma in zip(state.posthoc, ema.SIGMAS, strict=bool(state.posthoc))
    )
    return state.replace(step=state.step + 1, ema=average, posthoc=posthoc)


def d_objective(game: Game, state: TrainState, batch: Batch, params, count: Array, key: Array) -> tuple[Array, Outcome]:
    """The discriminator's objective as a function of its `params`."""
    keys = split_roles(game, key)
    fake_label = game.fake_label(keys.label, batch)
    discriminate, discriminate_fake = (bind_discriminator(game, state, batch, k) for k in (keys.augment, keys.augment_fake))
    synthesis = bind_generator(game, state.g, state.g.params, fake_label)
    z = game.latent(keys.z, synthesis, bind_critic(game, discriminate_fake, state.d, params), (batch.size, game.z_dim))
    real, fake = batch.real, synthesis(z)
    if game.deceive is not None:
        real, fake = game.deceive(keys.deceive, real, fake, augmentation_probability(game, state))
    real, fake = pack(real, game.pack), pack(fake, game.pack)

    pair_outputs = partial(discriminate_pair, game, state, batch, keys, params)
    real_output, fake_output, stats = pair_outputs(real, fake)
    d_loss, _ = game.loss(real_output.logits, fake_output.logits, batch.label)
    (auxiliary, _), stats = auxiliary_losses(game, params, stats, real_output, fake_output, fake_label)
    critic = bind_critic(game, discriminate, state.d, params, synthesis=Synthesis(synthesis, z, state.g.params))
    if game.joint:
        critic = replace(critic, pair=lambda *pair: tuple(output.logits for output in pair_outputs(*pair)[:2]))
    penalty, memory = evaluate_penalty(game.penalty, game.penalty_every, count, critic, real, fake, keys.penalty)
    metrics = {"d/loss": d_loss, "d/real_logit": real_output.logits.mean(), "d/fake_logit": fake_output.logits.mean()}
    metrics |= {"d/penalty": penalty}
    running = state.running
    if game.adapt is not None:
        running = game.adapt(running, real_output.logits)
        metrics["d/augment_p"] = running["p"]
    if game.auxiliary is not None:
        metrics["d/auxiliary"] = auxiliary
    total = d_loss + game.auxiliary_weight * auxiliary + game.gamma(state.step) * penalty
    return total, Outcome(stats, memory, running, metrics)


def g_objective(game: Game, state: TrainState, batch: Batch, params, key: Array) -> tuple[Array, Outcome]:
    """The generator's objective as a function of its `params`."""
    keys = split_roles(game, key)
    fake_label = game.fake_label(keys.label, batch)
    discriminate, discriminate_fake = (bind_discriminator(game, state, batch, k) for k in (keys.augment, keys.augment_fake))
    critic = bind_critic(game, discriminate_fake, state.d, state.d.params)
    synthesis = bind_generator(game, state.g, params, fake_label)
    z = game.latent(keys.z, synthesis, critic, (batch.size, game.z_dim))
    fake, stats = generate(game, params, state.g.stats, z, fake_label)
    # XLA removes the discriminator's pass over the real samples if the loss does not use it.
    real_output, _ = discriminate(state.d.params, state.d.stats, pack(batch.real, game.pack))
    fake_output, _ = discriminate_fake(state.d.params, state.d.stats, pack(fake, game.pack))
    _, g_loss = game.loss(real_output.logits, fake_output.logits, batch.label)
    (_, auxiliary), _ = auxiliary_losses(game, state.d.params, state.d.stats, real_output, fake_output, fake_label)
    # Reuse `fake`: penalties must not regenerate it.
    reusing = replace(synthesis, samples=lambda latents: fake if latents is z else synthesis(latents), z=z)
    penalty, memory = evaluate_penalty(
        game.g_penalty, game.g_penalty_every, state.step, reusing, critic, batch.real, keys.penalty
    )
    metrics = {"g/loss": g_loss}
    if game.auxiliary is not None:
        metrics["g/auxiliary"] = auxiliary
    if game.g_penalty is not None:
        metrics["g/penalty"] = penalty
    total = g_loss + game.auxiliary_weight * auxiliary + game.g_gamma * penalty
    return total, Outcome(stats, memory, state.running, metrics)


def generate(game: Game, params, stats, z: Array, label: Array | None) -> tuple[Sample, dict]:
    """The generator's samples of the latents z [B, Z] -> (samples [B, ...], its mutable collections afterwards)."""
    return apply(game.generator, {"params": params, **stats}, z, label, True, game.compute, game.remat)


def bind_generator(game: Game, g: Player, params, label: Array | None) -> Synthesis:
    """The generator as a function of its latents and, if it has a mapping network, of w."""
    synthesis = Synthesis(lambda z: generate(game, params, g.stats, z, label)[0], None, params, g.memory)
    if not has_mapping(game.generator):
        return synthesis
    network = (game.generator, {"params": params, **g.stats})
    return replace(
        synthesis,
        styles=lambda z: styles(*network, z, label, train=True),
        from_styles=lambda z, w: synthesize(*network, z, label, w, train=True),
    )


def bind_discriminator(game: Game, state: TrainState, batch: Batch, augment_key: Array) -> Discriminate:
    """The discriminator, with labels bound, as a function of packs of raw samples, which it augments first: all by one key, so
    that row i of every batch is augmented alike."""
    label = batch.label if game.real_labelled and game.pack == 1 else None

    def discriminate(params, stats, x: Sample) -> tuple[DiscriminatorOutput, dict]:
        check_packed(game, x)
        if game.augment is not None:
            x = pack(game.augment(augment_key, unpack(x, game.pack), augmentation_probability(game, state)), game.pack)
        output, stats = apply(game.discriminator, {"params": params, **stats}, x, label, True, game.compute, game.remat)
        return DiscriminatorOutput(*output) if isinstance(output, tuple) else DiscriminatorOutput(output, None), stats

    return discriminate


def discriminate_pair(
    game: Game, state: TrainState, batch: Batch, keys: StepKeys, params, real: Sample, fake: Sample
) -> tuple[DiscriminatorOutput, DiscriminatorOutput, Any]:
    """The discriminator's outputs for packs of real and fake samples, and its mutable collections afterwards. If `game.joint`,
    both share one pass with half as many operations: for small networks, their number determines the time."""
    if not game.joint:
        real_output, stats = bind_discriminator(game, state, batch, keys.augment)(params, state.d.stats, real)
        fake_output, stats = bind_discriminator(game, state, batch, keys.augment_fake)(params, stats, fake)
        return real_output, fake_output, stats
    both, labels = (jax.tree.map(lambda *x: jnp.concatenate(x), *pair) for pair in ((real, fake), (batch.label, batch.label)))
    output, stats = bind_discriminator(game, state, Batch(both, labels), keys.augment)(params, state.d.stats, both)
    real_output, fake_output = (jax.tree.map(lambda x, i=i: jnp.split(x, 2)[i], output) for i in (0, 1))
    return real_output, fake_output, stats


def bind_critic(game: Game, discriminate: Discriminate, d: Player, params, synthesis: Synthesis | None = None) -> Critic:
    """The discriminator with parameters bound, as penalties receive it: a function of (packs of) raw samples."""

    def logits(x: Sample) -> Array:
        return discriminate(params, d.stats, x)[0].logits

    def features(x: Sample) -> Array:
        return discriminate(params, d.stats, x)[0].features

    return Critic(logits, features, params, synthesis, d.memory, game.outputs)


def auxiliary_losses(
    game: Game, params, stats, real: DiscriminatorOutput, fake: DiscriminatorOutput, label: Array | None
) -> tuple[tuple[Array, Array], Any]:
    """The auxiliary losses (d_loss, g_loss), unweighted, zeros if the game has none; and D's mutable collections afterwards."""
    if game.auxiliary is None:
        return (jnp.zeros(()), jnp.zeros(())), stats
    mutable = {name: tree["auxiliary"] for name, tree in stats.items() if "auxiliary" in tree}
    variables = {"params": params["auxiliary"], **mutable}
    losses, after = game.auxiliary.apply(variables, real.features, fake.features, label, mutable=list(mutable))
    return losses, stats | {name: stats[name] | {"auxiliary": tree} for name, tree in after.items()}


def augmentation_probability(game: Game, state: TrainState) -> Array:
    """The current probability with which a sample is augmented, or replaced by a deception."""
    return game.augment_p(state.step) if game.adapt is None else state.running["p"]


def evaluate_penalty(penalty, every: int, count: Array, subject, *arguments) -> tuple[Array, Memory]:
    """A player's penalty, unweighted, and its new memory. With lazy regularisation it is zero except on every k-th update, and
    k times as strong then.

    Source: Karras et al. 2020, arXiv:1912.04958, section 3.1 (lazy regularisation). It belongs to the same step as the loss; in
    their code it is a step of the optimiser of its own, after that of the loss.
    """
    if penalty is None:
        return jnp.zeros(()), subject.memory
    if every == 1:
        return penalty(subject, *arguments)

    def due() -> tuple[Array, Memory]:
        value, memory = penalty(subject, *arguments)
        return every * value, memory

    return jax.lax.cond(count % every == 0, due, lambda: (jnp.zeros(()), subject.memory))


def apply_gradients(tx: optax.GradientTransformation, player: Player, gradients, outcome: Outcome) -> Player:
    """Take one step of a player's optimiser."""
    updates, opt_state = tx.update(gradients, player.opt_state, player.params)
    return Player(optax.apply_updates(player.params, updates), outcome.stats, opt_state, outcome.memory)


def global_norms(name: str, player: Player, gradients) -> Metrics:
    """Global norms of gradients and parameters: if training diverges, one of them stops being finite."""
    return {f"{name}/grad_norm": optax.tree.norm(gradients), f"{name}/param_norm": optax.tree.norm(player.params)}
