"""Packs of samples, for a discriminator that judges several at a time (PacGAN: Lin et al. 2018, arXiv:1712.04086)."""

import jax
import jax.numpy as jnp

from gan_jax.game.game import Game
from gan_jax.types import Array, Sample


def pack(x: Sample, count: int) -> Sample:
    """[B, ..., C] -> [B / count, ..., count * C]: samples side by side along the channels (section 3 of the paper).

    C may be 0."""
    if count == 1:
        return x

    def side_by_side(leaf: Array) -> Array:
        groups = jnp.moveaxis(leaf.reshape(len(leaf) // count, count, *leaf.shape[1:]), 1, -2)
        return groups.reshape(*groups.shape[:-2], count * leaf.shape[-1])

    return jax.tree.map(side_by_side, x)


def unpack(x: Sample, count: int) -> Sample:
    """The inverse of `pack`."""
    if count == 1:
        return x

    def one_by_one(leaf: Array) -> Array:
        groups = jnp.moveaxis(leaf.reshape(*leaf.shape[:-1], count, leaf.shape[-1] // count), -2, 1)
        return groups.reshape(len(leaf) * count, *groups.shape[2:])

    return jax.tree.map(one_by_one, x)


def check_packed(game: Game, x: Sample) -> None:
    """Raise ValueError for samples that are not packed, if the discriminator judges packs."""
    shapes = jax.tree.map(lambda leaf: leaf.shape[1:], x)
    if game.pack > 1 and shapes != game.packed_shape:
        raise ValueError(
            f"the discriminator judges packs of {game.pack} samples, {game.packed_shape}, and was called with samples of shape "
            f"{shapes}: set pack to 1 to use a function that compares single samples"
        )
