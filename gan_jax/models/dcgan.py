"""DCGAN: strided convolutions all the way, for images of any size 2^k * m (28 and 32 among them).

Source: Radford et al. 2016, arXiv:1511.06434, section 3. With batch norm in G; in D the norm is a choice, "batch" being theirs.
So is the `window`, theirs being 4. On MNIST a D with spectral norm learns far faster with 6: norms of matrices bound those of
convolutions the less, the more windows overlap.
"""

import math

import flax.linen as nn
import jax.numpy as jnp

from gan_jax.models.layers import Conv, Dense, check_norm, normalise
from gan_jax.types import Array

INIT = nn.initializers.normal(0.02)


class Generator(nn.Module):
    """z [B, Z] -> a small grid of features -> k doublings by transposed convolutions -> images [B, H, W, C] in [-1, 1].

    `width` is the number of channels before the last doubling; each earlier grid has twice as many.
    """

    sample_shape: tuple[int, ...]
    num_classes: int = 0
    width: int = 64
    window: int = 4
    norm: str = "batch"

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool) -> Array:
        check_norm(self.norm, ("none", "batch", "layer"))
        padding = overlap(self.window)
        height, width, channels = self.sample_shape
        stages = halvings(self.sample_shape)
        small = (height >> stages, width >> stages, self.width << (stages - 1))
        x = Dense(math.prod(small), use_bias=self.norm == "none", kernel_init=INIT)(z).reshape(-1, *small)
        x = nn.relu(normalise(self.norm, x, train))
        for stage in reversed(range(1, stages)):
            features = self.width << (stage - 1)
            x = Conv(features, self.window, 2, padding, transpose=True, use_bias=self.norm == "none", kernel_init=INIT)(x)
            x = nn.relu(normalise(self.norm, x, train))
        return jnp.tanh(Conv(channels, self.window, 2, padding, transpose=True, kernel_init=INIT)(x))


class Discriminator(nn.Module):
    """images [B, H, W, C] -> k halvings by convolutions of stride 2 and leaky ReLUs -> logits [B].

    `width` is the number of channels after the first halving; each later grid has twice as many.
    """

    sample_shape: tuple[int, ...]
    num_classes: int = 0
    width: int = 64
    window: int = 4
    norm: str = "batch"

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> Array:
        check_norm(self.norm)
        spectral, padding = self.norm == "spectral", overlap(self.window)
        for stage in range(halvings(self.sample_shape)):
            # No norm before the first activation: D must see the samples' own scale. A bias before batch norm is dead.
            norm = self.norm if stage else "none"
            use_bias = norm != "batch"
            x = Conv(self.width << stage, self.window, 2, padding, spectral=spectral, use_bias=use_bias, kernel_init=INIT)(x)
            x = nn.leaky_relu(normalise(norm, x, train), 0.2)
        return Dense(1, spectral=spectral, kernel_init=INIT)(x.reshape(x.shape[0], -1))[:, 0]


def halvings(sample_shape: tuple[int, ...]) -> int:
    """How often an image can be halved before a side would be odd or shorter than 4: 28 -> 14 -> 7, 32 -> 16 -> 8 -> 4.

    Raises ValueError for what is no image, or cannot be halved at all."""
    if len(sample_shape) != 3:
        raise ValueError(f"dcgan needs images (H, W, C), got samples of shape {sample_shape}")
    sides, count = sample_shape[:2], 0
    while all(side % 2 == 0 and side >= 8 for side in sides):
        sides, count = tuple(side // 2 for side in sides), count + 1
    if count == 0:
        raise ValueError(f"dcgan needs sides that are even and at least 8, got {sample_shape[0]} x {sample_shape[1]}")
    return count


def overlap(window: int) -> int:
    """The padding with which a window of stride 2 halves (or doubles) an even side exactly.

    Raises ValueError for a window with which none does."""
    if window < 2 or window % 2:
        raise ValueError(f"dcgan needs a window that is even and at least 2, got {window}")
    return window // 2 - 1
