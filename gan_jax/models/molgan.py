"""MolGAN: a generator that outputs a whole graph at once, and a discriminator that passes messages along bonds.

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
    """z [B, Z] -> `depth` dense layers with tanh, the first of `width` and each twice as wide as the one before ->
    probabilities of atoms and bonds: a Graph.

    `relaxation`: "soft" returns softmax(logits); "gumbel" returns softmax(logits + Gumbel noise); "straight_through" returns
    the argmax of the latter, one-hot, with its gradient. The noise is computed from the last numbers of z: N for each kind of
    atom and N (N - 1) / 2 for each kind of bond. Raises ValueError if z is not longer than that.
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
        (nodes, atom_kinds), (_, _, bond_kinds) = _sizes(self.sample_shape)
        pairs = nodes * (nodes - 1) // 2
        sizes = (nodes * atom_kinds, pairs * bond_kinds)
        noise = [None, None]
        if self.relaxation != "soft":
            if z.shape[-1] <= sum(sizes):
                raise ValueError(
                    f"{self.relaxation} noise uses {sum(sizes)} numbers of z: set z_dim above that, not {z.shape[-1]}"
                )
            z, *noise = jnp.split(z, [z.shape[-1] - sum(sizes), z.shape[-1] - sizes[1]], axis=-1)
        x = z
        for layer in range(self.depth):
            x = jnp.tanh(Dense(self.width * 2**layer)(x))
        atoms = self._probabilities(Dense(sizes[0], name="atoms")(x).reshape(-1, nodes, atom_kinds), noise[0])
        bonds = self._probabilities(Dense(sizes[1], name="bonds")(x).reshape(-1, pairs, bond_kinds), noise[1])
        # Each pair is generated once and mirrored; no atom has a bond with itself.
        upper = jnp.triu_indices(nodes, 1)
        matrix = jnp.zeros((x.shape[0], nodes, nodes, bond_kinds), x.dtype).at[:, upper[0], upper[1]].set(bonds)
        matrix = matrix + matrix.swapaxes(1, 2)
        diagonal = jnp.eye(nodes, dtype=x.dtype)[:, :, None] * jax.nn.one_hot(0, bond_kinds, dtype=x.dtype)[None, None]
        return Graph(atoms, matrix + diagonal[None])

    def _probabilities(self, logits: Array, noise: Array | None) -> Array:
        """Return probabilities, or a choice, over the last axis."""
        if noise is None:
            return jax.nn.softmax(logits)
        # In float32: in bfloat16, 1 - 1e-6 is 1, whose Gumbel noise is infinite.
        uniform = jnp.clip(jax.scipy.stats.norm.cdf(noise.astype(jnp.float32)), 1e-6, 1 - 1e-6).reshape(logits.shape)
        soft = jax.nn.softmax(logits - jnp.log(-jnp.log(uniform)).astype(logits.dtype))
        if self.relaxation == "gumbel":
            return soft
        hard = jax.nn.one_hot(soft.argmax(axis=-1), soft.shape[-1], dtype=soft.dtype)
        return hard + soft - jax.lax.stop_gradient(soft)


class Discriminator(nn.Module):
    """Graphs -> `depth` rounds of message passing, with one linear map per kind of bond -> a gated sum over nodes -> a dense
    layer -> logits and features, by `discriminator_head`. A node has `width` features, the graph twice as many. Every round
    also receives the atoms of the nodes, as in the paper."""

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
        atoms, bonds = x
        batch, nodes, _ = atoms.shape
        bond_kinds = bonds.shape[-1] - 1  # without "no bond"
        hidden = atoms
        for _ in range(self.depth):
            inputs = jnp.concatenate([hidden, atoms], axis=-1) if hidden is not atoms else atoms
            messages = Dense(bond_kinds * self.width)(inputs).reshape(batch, nodes, bond_kinds, self.width)
            received = jnp.einsum("bijy,bjyc->bic", bonds[..., 1:], messages)
            hidden = jnp.tanh(received + Dense(self.width)(inputs))
        inputs = jnp.concatenate([hidden, atoms], axis=-1)
        size = 2 * self.width
        pooled = jnp.tanh((jax.nn.sigmoid(Dense(size)(inputs)) * jnp.tanh(Dense(size)(inputs))).sum(axis=1))
        pooled = jnp.tanh(Dense(size)(pooled))
        return discriminator_head(pooled, label, self.num_classes, outputs=self.outputs, minibatch=self.minibatch)


def _sizes(sample_shape: Shape) -> tuple[tuple[int, int], tuple[int, int, int]]:
    if not isinstance(sample_shape, Graph):
        raise ValueError(f"molgan needs graphs, such as --data molecules, got samples of shape {sample_shape}")
    return sample_shape
