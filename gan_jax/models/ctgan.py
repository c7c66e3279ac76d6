"""CTGAN: rows of tables with numbers and categories, as in `gan_jax/data/tables/schema.py`:

    {"values": [B, A], "choices": {column: [B, k]}, "condition": {column: [B, k]}}

with values in [-1, 1], choices one-hot, and the requested categories if the data has conditions.

Source: Xu et al. 2019, arXiv:1907.00503, section 4.4.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.models.conditioning import discriminator_head, label_vector
from gan_jax.models.layers import Dense, check_choice, check_norm, normalise
from gan_jax.types import Array, Sample, Shape

RELAXATIONS = ("soft", "gumbel", "straight_through")


class Generator(nn.Module):
    """z [B, Z] and the condition -> `depth` residual layers -> tanh for values, a relaxed choice for each column.

    A layer concatenates its input with `width` new features: h <- [h, relu(norm(W h))]. `relaxation`: "soft" is
    softmax(logits); "gumbel" is softmax((logits + gumbel) / temperature), a relaxed random choice; "straight_through" is the
    same, made one-hot, with the gradient of the relaxed choice. Gumbel noise is computed from the first numbers of z, one for
    each level and mode. Raises ValueError if z is not longer than that.

    A label [B, 2 K] is two concatenated condition vectors, one for training and one for evaluation
    (`gan_jax/data/tables/rows.py`); `train` selects. A generated row has the requested category by construction, where the
    paper penalises other categories by a cross-entropy.
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
        num_values, choice_sizes, condition_sizes = _layout(self.sample_shape)
        noise_size = 0 if self.relaxation == "soft" else sum(choice_sizes.values())
        if z.shape[-1] <= noise_size:
            raise ValueError(
                f"{self.relaxation} noise uses {noise_size} numbers of z: set z_dim to {noise_size + 128}, not {z.shape[-1]}"
            )
        noise, z = z[:, :noise_size], z[:, noise_size:]
        condition = _condition(label, condition_sizes, self.num_classes, train)
        x = jnp.concatenate([z, *(condition[name].astype(z.dtype) for name in condition)], axis=-1)
        for _ in range(self.depth):
            new = Dense(self.width, use_bias=self.norm == "none", kernel_init=nn.initializers.he_normal())(x)
            x = jnp.concatenate([x, nn.relu(normalise(self.norm, new, train))], axis=-1)
        x = Dense(num_values + sum(choice_sizes.values()))(x).astype(jnp.float32)
        # log_ndtr is the logarithm of a uniform number in (0, 1), accurate in both tails.
        gumbel = -jnp.log(-jax.scipy.special.log_ndtr(noise.astype(jnp.float32)))
        choices, start = {}, 0
        for name, size in choice_sizes.items():
            logits = x[:, num_values + start : num_values + start + size]
            choices[name] = self._choice(logits, gumbel[:, start : start + size])
            start += size
        for name, requested in condition.items():
            choices[name] = requested + (1 - requested.sum(axis=-1, keepdims=True)) * choices[name]
        sample = {"values": jnp.tanh(x[:, :num_values]), "choices": choices}
        return sample | {"condition": condition} if condition_sizes else sample

    def _choice(self, logits: Array, gumbel: Array) -> Array:
        if self.relaxation == "soft":
            return jax.nn.softmax(logits)
        soft = jax.nn.softmax((logits + gumbel) / self.temperature)
        if self.relaxation == "gumbel":
            return soft
        hard = jax.nn.one_hot(soft.argmax(axis=-1), soft.shape[-1], dtype=soft.dtype)
        return hard + soft - jax.lax.stop_gradient(soft)


class Discriminator(nn.Module):
    """Rows, or packs of rows, with all numbers concatenated -> `depth` layers of `width` leaky ReLUs -> logits and features, by
    `discriminator_head`. The condition is part of the row, so that D receives it in a pack too; the label is ignored.

    D has no dropout, unlike the paper's: it is a deterministic function of its sample.
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
        options = {"outputs": self.outputs, "minibatch": self.minibatch, "spectral": spectral}
        return discriminator_head(x, label, self.num_classes, **options)


def _layout(shape: Any) -> tuple[int, dict[str, int], dict[str, int]]:
    """Return the number of values, and the sizes of the choices and of the conditions by column name, in alphabetical order.

    Raises ValueError if `shape` is not that of rows of a table."""
    if not isinstance(shape, Mapping) or not {"values", "choices"} <= set(shape):
        raise ValueError(f"ctgan needs rows of tables, {{'values', 'choices', 'condition'}}, got samples of shape {shape}")
    sizes = ({name: shape[part][name][0] for name in sorted(shape.get(part, {}))} for part in ("choices", "condition"))
    return shape["values"][0], *sizes


def _condition(label: Array | None, sizes: dict[str, int], num_classes: int, train: bool) -> dict[str, Array]:
    """Return the requested categories {column: [B, k]}: the half of the label that `train` selects, split by column."""
    if not sizes:
        return {}
    total = sum(sizes.values())
    if label is None or num_classes != 2 * total:
        raise ValueError(f"ctgan needs labels of two conditions of {total} numbers each, the data has {num_classes or 'none'}")
    vector = label_vector(label, num_classes)
    vector = vector[:, :total] if train else vector[:, total:]
    condition, start = {}, 0
    for name, size in sizes.items():
        condition[name] = vector[:, start : start + size]
        start += size
    return condition
