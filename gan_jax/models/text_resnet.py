"""Residual networks over sequences of one-hot symbols: the character-level models of WGAN-GP.

Source: Gulrajani et al. 2017, arXiv:1704.00028, section 5.5, and the authors' gan_language.py.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.models.conditioning import discriminator_head
from gan_jax.models.layers import Conv, Dense, check_choice, check_norm
from gan_jax.types import Array, Shape

RESIDUAL_SCALE = 0.3  # of a block's output before it is added to the input


class Generator(nn.Module):
    """z [B, Z] -> a sequence of `width` channels -> `depth` residual blocks -> probabilities of V symbols at each of T
    positions, [B, T, V]. D receives the probabilities, not sampled symbols: G must learn to make them nearly one-hot."""

    sample_shape: Shape
    num_classes: int = 0
    width: int = 512
    depth: int = 5
    norm: str = "none"
    condition: str = "none"
    window: int = 5

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool) -> Array:
        check_norm(self.norm, ("none",))
        check_choice("condition", self.condition, ("none",))
        length, symbols = _sizes(self.sample_shape)
        x = Dense(length * self.width)(z).reshape(-1, length, self.width)
        for _ in range(self.depth):
            x = _block(x, self.window)
        return jax.nn.softmax(Conv(symbols, 1)(x).astype(jnp.float32))


class Discriminator(nn.Module):
    """Sequences [B, T, V] -> `depth` residual blocks of `width` channels -> logits and features, by `discriminator_head`. The
    activations of all positions are flattened, not pooled, as in the paper."""

    sample_shape: Shape
    num_classes: int = 0
    width: int = 512
    depth: int = 5
    norm: str = "none"
    condition: str = "none"
    outputs: int = 1
    minibatch: str = "none"
    window: int = 5

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        check_norm(self.norm, ("none", "spectral"))
        check_choice("condition", self.condition, ("none",))
        _sizes(self.sample_shape)
        spectral = self.norm == "spectral"
        x = Conv(self.width, 1, spectral=spectral)(x)
        for _ in range(self.depth):
            x = _block(x, self.window, spectral)
        options = {"outputs": self.outputs, "minibatch": self.minibatch, "spectral": spectral}
        return discriminator_head(x, label, self.num_classes, **options)


def _block(x: Array, window: int, spectral: bool = False) -> Array:
    """x [B, T, C] -> x + RESIDUAL_SCALE * (two convolutions, each after a ReLU)."""
    width, y = x.shape[-1], x
    for _ in range(2):
        y = Conv(width, window, spectral=spectral, kernel_init=nn.initializers.he_normal())(nn.relu(y))
    return x + RESIDUAL_SCALE * y


def _sizes(sample_shape: Shape) -> tuple[int, int]:
    if type(sample_shape) is not tuple or len(sample_shape) != 2:
        raise ValueError(f"text_resnet needs sequences (T, V) of one-hot symbols, got samples of shape {sample_shape}")
    return sample_shape
