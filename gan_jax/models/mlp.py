"""Multi-layer perceptrons, for points and for images small enough to be a vector."""

import math

import flax.linen as nn
import jax.numpy as jnp

from gan_jax.models.layers import Dense, check_norm, normalise
from gan_jax.types import Array


class Generator(nn.Module):
    """z [B, Z] -> `depth` hidden layers of `width` ReLUs -> samples [B, *sample_shape]. Images end in a tanh, points do not."""

    sample_shape: tuple[int, ...]
    num_classes: int = 0
    width: int = 256
    depth: int = 2
    norm: str = "none"

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool) -> Array:
        check_norm(self.norm, ("none", "batch", "layer"))
        x = z
        for _ in range(self.depth):
            x = Dense(self.width, use_bias=self.norm == "none", kernel_init=nn.initializers.he_normal())(x)
            x = nn.relu(normalise(self.norm, x, train))
        x = Dense(math.prod(self.sample_shape))(x).reshape(-1, *self.sample_shape)
        return jnp.tanh(x) if len(self.sample_shape) == 3 else x


class Discriminator(nn.Module):
    """samples [B, *sample_shape] -> `depth` hidden layers of `width` leaky ReLUs -> logits [B]."""

    sample_shape: tuple[int, ...]
    num_classes: int = 0
    width: int = 256
    depth: int = 2
    norm: str = "none"

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> Array:
        check_norm(self.norm)
        x = x.reshape(x.shape[0], -1)
        spectral = self.norm == "spectral"
        for _ in range(self.depth):
            x = Dense(self.width, spectral=spectral, kernel_init=nn.initializers.he_normal())(x)
            x = nn.leaky_relu(normalise(self.norm, x, train), 0.2)
        return Dense(1, spectral=spectral)(x)[:, 0]
