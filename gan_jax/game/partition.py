"""The game on a part of a batch: a microbatch, a replica of `pmap`, or the rows on one device of a mesh. `update.py` is the
same for all of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

from gan_jax.game.game import Game
from gan_jax.types import Array, Batch, Critic, Synthesis

AXIS = "data"  # name of the axis of devices in a mesh, and of replicas in pmap


def microbatch(game: Game, index: Array, count: int) -> Game:
    """The game on the `index`-th (traced) of `count` equal parts of a batch: rows `index`, `index + count`, ... Its latents are
    those of the whole batch in these rows; other random numbers (augmentation, codes, a penalty's points) are drawn separately
    for each part."""

    def latent(key: Array, synthesis: Synthesis, critic: Critic, shape: tuple[int, int]) -> Array:
        whole_batch = game.latent(key, synthesis, critic, (count * shape[0], shape[1]))
        return whole_batch.reshape(shape[0], count, shape[1])[:, index]

    def with_part_key(function: Callable[..., Any] | None, position: int) -> Callable[..., Any] | None:
        """`function` with a different key for each part; the key is the argument at `position`."""
        if function is None:
            return None

        def call(*arguments: Any) -> Any:
            part_key = jax.random.fold_in(arguments[position], index)
            return function(*arguments[:position], part_key, *arguments[position + 1 :])

        return call

    return replace(
        game,
        microbatches=1,
        latent=latent,
        fake_label=with_part_key(game.fake_label, 0),
        augment=with_part_key(game.augment, 0),
        deceive=with_part_key(game.deceive, 0),
        penalty=with_part_key(game.penalty, 3),
        g_penalty=with_part_key(game.g_penalty, 3),
    )


def replica(game: Game, count: int) -> Game:
    """The game of one of `count` replicas along the axis `AXIS` of `pmap`, each with its part of the batch. Losses and ADA's
    controller receive the logits of all replicas, and gradients are averaged over replicas; batch norm uses its own part
    only."""
    part = replace(microbatch(game, jax.lax.axis_index(AXIS), count), microbatches=game.microbatches)

    def all_replicas(x: Any) -> Any:
        return jax.tree.map(lambda leaf: jax.lax.all_gather(leaf, AXIS, tiled=True), x)

    def loss(real_logits: Array, fake_logits: Array, label: Array | None) -> tuple[Array, Array]:
        # Every replica computes the loss of the whole batch. The mean of their gradients is its gradient, since the transpose
        # of `all_gather` sums, for each replica, the gradients of all replicas by its logits.
        return game.loss(*all_replicas((real_logits, fake_logits, label)))

    adapt = game.adapt and (lambda running, real_logits: game.adapt(running, all_replicas(real_logits)))
    return replace(part, loss=loss, adapt=adapt, mean=lambda gradients: jax.lax.pmean(gradients, AXIS))


def shard_random_draws(game: Game, mesh: jax.sharding.Mesh) -> Game:
    """The game whose latents and codes are drawn on the device that uses them: the compiler knows how the rows of the real
    samples are sharded, but cannot infer it for random numbers. The numbers are the same on any number of devices. Real and
    fake samples pass through D separately: in one batch, their rows would move between devices."""
    rows = NamedSharding(mesh, PartitionSpec(AXIS))

    def latent(key: Array, synthesis: Synthesis, critic: Critic, shape: tuple[int, int]) -> Array:
        return jax.lax.with_sharding_constraint(game.latent(key, synthesis, critic, shape), rows)

    def fake_label(key: Array, batch: Batch) -> Array | None:
        return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, rows), game.fake_label(key, batch))

    return replace(game, joint=False, latent=latent, fake_label=fake_label)
