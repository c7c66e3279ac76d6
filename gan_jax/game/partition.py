"""A game told to play on a part of a batch, so that the page need not know of parts: a microbatch, a replica of `pmap`, or the
rows that a device of a mesh holds."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

from gan_jax.game.game import Game
from gan_jax.types import Array, Batch, Critic, Synthesis

AXIS = "data"  # of the devices: the mesh's, or the replicas'


def share(game: Game, index: Array, count: int) -> Game:
    """The game on the `index`-th (traced) of `count` equal parts of a batch, which are dealt out like cards: its rows are
    `index`, `index + count`, ... Its latents are those that the whole batch would have for these rows; what else is random
    (augmentation, codes, where a penalty looks) is drawn anew for each part."""

    def latent(key: Array, synthesis: Synthesis, critic: Critic, shape: tuple[int, int]) -> Array:
        whole = game.latent(key, synthesis, critic, (count * shape[0], shape[1]))
        return whole.reshape(shape[0], count, shape[1])[:, index]

    def own(function: Callable[..., Any] | None, place: int) -> Callable[..., Any] | None:
        """`function` with another key for each part, the argument at `place`."""
        if function is None:
            return None

        def of_part(*arguments: Any) -> Any:
            key = jax.random.fold_in(arguments[place], index)
            return function(*arguments[:place], key, *arguments[place + 1 :])

        return of_part

    return replace(
        game,
        microbatches=1,
        latent=latent,
        fake_label=own(game.fake_label, 0),
        augment=own(game.augment, 0),
        deceive=own(game.deceive, 0),
        penalty=own(game.penalty, 3),
        g_penalty=own(game.g_penalty, 3),
    )


def replica(game: Game, count: int) -> Game:
    """The game of one of `count` replicas along the axis `AXIS` of `pmap`, each with its part of the batch. Losses and ADA's
    controller see the logits of all, and gradients are the mean of all; batch norm sees its own part only."""
    shared = replace(share(game, jax.lax.axis_index(AXIS), count), microbatches=game.microbatches)

    def everyone(x: Any) -> Any:
        return jax.tree.map(lambda leaf: jax.lax.all_gather(leaf, AXIS, tiled=True), x)

    def loss(real_logits: Array, fake_logits: Array, label: Array | None) -> tuple[Array, Array]:
        # Every replica has the whole batch's loss; the mean of their gradients is its gradient, as `all_gather` sends back
        # to each replica what all of them say of its own logits.
        return game.loss(*everyone((real_logits, fake_logits, label)))

    adapt = game.adapt and (lambda running, real_logits: game.adapt(running, everyone(real_logits)))
    return replace(shared, loss=loss, adapt=adapt, mean=lambda gradients: jax.lax.pmean(gradients, AXIS))


def spread(game: Game, mesh: jax.sharding.Mesh) -> Game:
    """The game whose random rows are drawn where they are needed, each device of the mesh its own: what the compiler knows of
    the real samples' rows it cannot guess of the fake ones'. The numbers are the same on any number of devices."""
    rows = NamedSharding(mesh, PartitionSpec(AXIS))

    def latent(key: Array, synthesis: Synthesis, critic: Critic, shape: tuple[int, int]) -> Array:
        return jax.lax.with_sharding_constraint(game.latent(key, synthesis, critic, shape), rows)

    def fake_label(key: Array, batch: Batch) -> Array | None:
        return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, rows), game.fake_label(key, batch))

    return replace(game, latent=latent, fake_label=fake_label)
