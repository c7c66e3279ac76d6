"""MolGAN: a graph at one stroke, and a discriminator that passes messages along bonds.

Source: De Cao and Kipf 2018, arXiv:1805.11973, section 3 and appendix A.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.models.conditioning import discriminator_head
from gan_jax.models.layers import Dense, check_choice, check_norm
from gan_jax.types import Array, Graph, Shape

RELAXATIONS = ("soft", "gumbel", "straight_through")


class Generator(nn.Module):
    """z [B, Z] -> `depth` dense layers with tanh, each twice as wide as the one before, beginning with `width` -> probabilities
    of atoms and bonds: a Graph.

    `relaxation`: "soft" gives the probabilities themselves; "gumbel" those of a choice disturbed by Gumbel noise, and
    "straight_through" that choice, with the gradient of the former. The noise is made of the last numbers of z, N for each kind
    of atom and N (N - 1) / 2 for each kind of bond. Raises ValueError for a z that leaves none but the noise.
    """

    sample_shape: Shape
    num_classes: int = 0
    width: int = 128
    depth: int = 3
    norm: str = "none"
    condition: str = "none"
    relaxation: str = "soft"

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool) -> Graph:
        check_norm(self.norm, ("none",))
        check_choice("condition", self.condition, ("none",))
        check_choice("relaxation", self.relaxation, RELAXATIONS)
        (places, kinds), (_, _, bonds) = _sizes(self.sample_shape)
        pairs = places * (places - 1) // 2
        sizes = (places * kinds, pairs * bonds)
        noise = [None, None]
        if self.relaxation != "soft":
            if z.shape[-1] <= sum(sizes):
                raise ValueError(f"{self.relaxation} noise takes {sum(sizes)} numbers of z: set z_dim above, not {z.shape[-1]}")
            z, *noise = jnp.split(z, [z.shape[-1] - sum(sizes), z.shape[-1] - sizes[1]], axis=-1)
        x = z
        for layer in range(self.depth):
            x = jnp.tanh(Dense(self.width * 2**layer)(x))
        atoms = self._chosen(Dense(sizes[0], name="atoms")(x).reshape(-1, places, kinds), noise[0])
        joined = self._chosen(Dense(sizes[1], name="bonds")(x).reshape(-1, pairs, bonds), noise[1])
        # Each pair once, mirrored; no atom has a bond with itself.
        upper = jnp.triu_indices(places, 1)
        square = jnp.zeros((len(x), places, places, bonds), x.dtype).at[:, upper[0], upper[1]].set(joined)
        square = square + square.swapaxes(1, 2)
        alone = jnp.eye(places, dtype=x.dtype)[:, :, None] * jax.nn.one_hot(0, bonds, dtype=x.dtype)
        return Graph(atoms, square + alone)

    def _chosen(self, logits: Array, noise: Array | None) -> Array:
        """Probabilities, or a choice, over the last axis."""
        if noise is None:
            return jax.nn.softmax(logits)
        uniform = jnp.clip(jax.scipy.stats.norm.cdf(noise), 1e-6, 1 - 1e-6).reshape(logits.shape)
        soft = jax.nn.softmax(logits - jnp.log(-jnp.log(uniform)))
        if self.relaxation == "gumbel":
            return soft
        hard = jax.nn.one_hot(soft.argmax(axis=-1), soft.shape[-1], dtype=soft.dtype)
        return hard + soft - jax.lax.stop_gradient(soft)


class Discriminator(nn.Module):
    """Graphs -> `depth` rounds in which each place hears, through a map of its own for each kind of bond, from those it is
    joined to -> a gated sum over places -> a dense layer -> logits and features, by `discriminator_head`. `width` is that of a place; the
    whole is twice as wide. A place keeps what atom it is in every round, as in the paper."""

    sample_shape: Shape
    num_classes: int = 0
    width: int = 64
    depth: int = 2
    norm: str = "none"
    condition: str = "none"
    outputs: int = 1
    minibatch: str = "stddev"

    @nn.compact
    def __call__(self, x: Graph, label: Array | None, train: bool) -> tuple[Array, Array]:
        check_norm(self.norm, ("none",))
        check_choice("condition", self.condition, ("none",))
        _sizes(self.sample_shape)
        nodes, bonds = x
        batch, places, _ = nodes.shape
        kinds = bonds.shape[-1] - 1
        hidden = nodes
        for _ in range(self.depth):
            known = jnp.concatenate([hidden, nodes], axis=-1) if hidden is not nodes else nodes
            told = Dense(kinds * self.width)(known).reshape(batch, places, kinds, self.width)
            heard = jnp.einsum("bijy,bjyc->bic", bonds[..., 1:], told)
            hidden = jnp.tanh(heard + Dense(self.width)(known))
        known = jnp.concatenate([hidden, nodes], axis=-1)
        size = 2 * self.width
        whole = jnp.tanh((jax.nn.sigmoid(Dense(size)(known)) * jnp.tanh(Dense(size)(known))).sum(axis=1))
        whole = jnp.tanh(Dense(size)(whole))
        return discriminator_head(whole, label, self.num_classes, outputs=self.outputs, minibatch=self.minibatch)


def _sizes(sample_shape: Shape) -> tuple[tuple[int, int], tuple[int, int, int]]:
    if not isinstance(sample_shape, Graph):
        raise ValueError(f"molgan needs graphs, as of data molecules; got samples of shape {sample_shape}")
    return sample_shape
