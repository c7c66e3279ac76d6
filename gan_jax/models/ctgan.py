"""CTGAN: rows of tables with numbers and categories. Any samples of the form of `data/columns.py`:

    {"values": [B, A], "choices": {column: [B, k]}, "condition": {column: [B, k]}}

numbers between -1 and 1, choices one-hot, and what was asked for, where there are conditions.

Source: Xu et al. 2019, arXiv:1907.00503, section 4.4.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.models.conditioning import label_vector, discriminator_head
from gan_jax.models.layers import Dense, check_choice, check_norm, normalise
from gan_jax.types import Array, Sample, Shape

RELAXATIONS = ("soft", "gumbel", "straight_through")


class Generator(nn.Module):
    """z [B, Z] and what is asked for -> `depth` residual layers -> tanh for values, a relaxed choice for each column.

    A layer puts `width` new features beside all there were: h <- [h, relu(norm(W h))]. `relaxation`: "soft" is softmax(logits);
    "gumbel" softmax((logits + gumbel) / temperature), a choice at random; "straight_through" the same, made one-hot, with the
    gradient of the soft one. Gumbel noise is made of the first numbers of z, one for each level and mode, so z must be longer
    than that: ValueError says by how much.

    A label is two condition vectors [B, 2 K] side by side, of training and of evaluation (`data/table.py`); `train` chooses.
    The row has the category that was asked for by construction, where the paper pays a cross-entropy for another.
    """

    sample_shape: Shape
    num_classes: int = 0
    width: int = 256
    depth: int = 2
    norm: str = "batch"
    relaxation: str = "gumbel"
    temperature: float = 0.2

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool) -> Sample:
        check_norm(self.norm, ("none", "batch", "layer"))
        check_choice("relaxation", self.relaxation, RELAXATIONS)
        if not self.temperature > 0:
            raise ValueError(f"temperature must be above 0, got {self.temperature}")
        values, choices, conditions = _layout(self.sample_shape)
        count = 0 if self.relaxation == "soft" else sum(choices.values())
        if z.shape[-1] <= count:
            raise ValueError(
                f"{self.relaxation} noise takes {count} numbers of z: set z_dim to {count + 128}, not {z.shape[-1]}"
            )
        noise, z = z[:, :count], z[:, count:]
        asked = _asked(label, conditions, self.num_classes, train)
        x = jnp.concatenate([z, *(asked[name].astype(z.dtype) for name in asked)], axis=-1)
        for _ in range(self.depth):
            new = Dense(self.width, use_bias=self.norm == "none", kernel_init=nn.initializers.he_normal())(x)
            x = jnp.concatenate([x, nn.relu(normalise(self.norm, new, train))], axis=-1)
        x = Dense(values + sum(choices.values()))(x).astype(jnp.float32)
        # log_ndtr is the logarithm of a uniform number in (0, 1), exact in both tails.
        gumbel = -jnp.log(-jax.scipy.special.log_ndtr(noise.astype(jnp.float32)))
        made, at = {}, 0
        for name, size in choices.items():
            made[name] = self._choice(x[:, values + at : values + at + size], gumbel[:, at : at + size])
            at += size
        for name, wanted in asked.items():
            made[name] = wanted + (1 - wanted.sum(axis=-1, keepdims=True)) * made[name]
        sample = {"values": jnp.tanh(x[:, :values]), "choices": made}
        return sample | {"condition": asked} if conditions else sample

    def _choice(self, logits: Array, gumbel: Array) -> Array:
        if self.relaxation == "soft":
            return jax.nn.softmax(logits)
        soft = jax.nn.softmax((logits + gumbel) / self.temperature)
        if self.relaxation == "gumbel":
            return soft
        hard = jax.nn.one_hot(soft.argmax(axis=-1), soft.shape[-1], dtype=soft.dtype)
        return hard + soft - jax.lax.stop_gradient(soft)


class Discriminator(nn.Module):
    """Rows, or packs of rows, all their numbers side by side -> `depth` layers of `width` leaky ReLUs -> logits and features,
    by `discriminator_head`. What a row was asked for is part of it, so D knows it in a pack too, and makes no use of the label.

    No dropout, which the paper's has: D is a function of its sample.
    """

    sample_shape: Shape
    num_classes: int = 0
    width: int = 256
    depth: int = 2
    norm: str = "none"
    outputs: int = 1
    minibatch: str = "none"

    @nn.compact
    def __call__(self, x: Sample, label: Array | None, train: bool) -> tuple[Array, Array]:
        check_norm(self.norm, ("none", "layer", "spectral"))
        _layout(self.sample_shape)
        x = jnp.concatenate(jax.tree.leaves(x), axis=-1)
        spectral = self.norm == "spectral"
        for _ in range(self.depth):
            x = Dense(self.width, spectral=spectral, kernel_init=nn.initializers.he_normal())(x)
            x = nn.leaky_relu(normalise(self.norm, x, train), 0.2)
        return discriminator_head(x, label, self.num_classes, outputs=self.outputs, minibatch=self.minibatch, spectral=spectral)


def _layout(shape: Any) -> tuple[int, dict[str, int], dict[str, int]]:
    """How many values there are, and the size of each choice and condition, by name in the order of the alphabet.

    Raises ValueError for samples that are not of a table."""
    if not isinstance(shape, Mapping) or not {"values", "choices"} <= set(shape):
        raise ValueError(f"ctgan makes rows of tables, {{'values', 'choices', 'condition'}}: not samples of {shape}")
    sizes = ({name: shape[part][name][0] for name in sorted(shape.get(part, {}))} for part in ("choices", "condition"))
    return shape["values"][0], *sizes


def _asked(label: Array | None, conditions: dict[str, int], num_classes: int, train: bool) -> dict[str, Array]:
    """What is asked for, {column: [B, k]}: the half of the label that `train` chooses, cut up."""
    if not conditions:
        return {}
    size = sum(conditions.values())
    if label is None or num_classes != 2 * size:
        raise ValueError(f"ctgan needs labels of two conditions of {size} numbers each, the data has {num_classes or 'none'}")
    vector = label_vector(label, num_classes)
    vector = vector[:, :size] if train else vector[:, size:]
    asked, at = {}, 0
    for name, k in conditions.items():
        asked[name] = vector[:, at : at + k]
        at += k
    return asked
