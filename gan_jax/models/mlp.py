"""Multi-layer perceptrons, for points and for images small enough to be treated as vectors."""

import math

import flax.linen as nn
import jax.numpy as jnp

from gan_jax.models.conditioning import check_condition, discriminator_head, label_vector, with_label
from gan_jax.models.layers import Dense, check_norm, normalise
from gan_jax.types import Array


class Generator(nn.Module):
    """z [B, Z] -> `depth` hidden layers of `width` ReLUs -> samples [B, *sample_shape]. Images pass through a final tanh,
    points do not.

    `condition`: "concat" appends the label, embedded as Z numbers, to z; "norm" sets the gain and bias of each norm by the
    label.
    """

    sample_shape: tuple[int, ...]
    num_classes: int = 0
    width: int = 256
    depth: int = 2
    norm: str = "none"
    condition: str = "none"

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool) -> Array:
        check_norm(self.norm, ("none", "batch", "layer"))
        check_condition(self.condition, ("none", "concat", "norm"), label, self.num_classes)
        style = label_vector(label, self.num_classes) if self.condition == "norm" else None
        x = with_label(z, label, self.num_classes, z.shape[-1]) if self.condition == "concat" else z
        for _ in range(self.depth):
            x = Dense(self.width, use_bias=self.norm == "none", kernel_init=nn.initializers.he_normal())(x)
            x = nn.relu(normalise(self.norm, x, train, style=style))
        x = Dense(math.prod(self.sample_shape))(x).reshape(-1, *self.sample_shape)
        return jnp.tanh(x) if len(self.sample_shape) == 3 else x


class Discriminator(nn.Module):
    """samples [B, *sample_shape] -> `depth` hidden layers of `width` leaky ReLUs -> logits and features, by
    `discriminator_head`.

    The features are the last hidden layer. `condition`: "concat" appends the label, embedded as `width` numbers, to the sample;
    for "projection" see `discriminator_head`.
    """

    sample_shape: tuple[int, ...]
    num_classes: int = 0
    width: int = 256
    depth: int = 2
    norm: str = "none"
    condition: str = "none"
    outputs: int = 1
    minibatch: str = "none"

    @property
    def joint(self) -> bool:
        """Whether real and fake samples may form one batch: not with layers that compare samples (batch norm, minibatch layers)
        or whose state changes with each call (spectral norm)."""
        return self.norm in ("none", "layer") and self.minibatch == "none"

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        check_norm(self.norm, ("none", "batch", "layer", "spectral"))
        check_condition(self.condition, ("none", "concat", "projection"), label, self.num_classes)
        x = x.reshape(x.shape[0], -1)
        if self.condition == "concat":
            x = with_label(x, label, self.num_classes, self.width)
        spectral = self.norm == "spectral"
        for _ in range(self.depth):
            x = Dense(self.width, spectral=spectral, kernel_init=nn.initializers.he_normal())(x)
            x = nn.leaky_relu(normalise(self.norm, x, train), 0.2)
        options = {"condition": self.condition, "outputs": self.outputs, "minibatch": self.minibatch, "spectral": spectral}
        return discriminator_head(x, label, self.num_classes, **options)
