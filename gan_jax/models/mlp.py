"""Multi-layer perceptrons, for points and for images small enough to be a vector."""

import math

import flax.linen as nn
import jax
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
    """samples [B, *sample_shape] -> `depth` hidden layers of `width` leaky ReLUs -> logits [B].

    `fourier` > 0 puts that many random Fourier features of scale `fourier_scale` beside the input, sin and cos of
    2 pi f.x with f ~ N(0, (scale / 2 pi)^2): a plain MLP is blind to modes much narrower than the data's spread.
    Source: Tancik et al. 2020, arXiv:2006.10739, section 5.
    """

    sample_shape: tuple[int, ...]
    num_classes: int = 0
    width: int = 256
    depth: int = 2
    norm: str = "none"
    fourier: int = 0
    fourier_scale: float = 4.0

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> Array:
        check_norm(self.norm)
        x = x.reshape(x.shape[0], -1)
        if self.fourier:
            # The frequencies are constants of the architecture, the same for every seed.
            frequencies = self.fourier_scale * jax.random.normal(jax.random.key(0), (x.shape[-1], self.fourier))
            x = jnp.concatenate([x, jnp.sin(x @ frequencies), jnp.cos(x @ frequencies)], axis=-1)
        spectral = self.norm == "spectral"
        for _ in range(self.depth):
            x = Dense(self.width, spectral=spectral, kernel_init=nn.initializers.he_normal())(x)
            x = nn.leaky_relu(normalise(self.norm, x, train), 0.2)
        return Dense(1, spectral=spectral)(x)[:, 0]
