"""DCGAN: strided convolutions all the way, for images of any size 2^k * m (28 and 32 among them).

Source: Radford et al. 2016, arXiv:1511.06434, section 3. With batch norm in G; in D the norm is a choice, "batch" being theirs.
So is the `window`, theirs being 4. On MNIST a D with spectral norm learns far faster with 6: norms of matrices bound those of
convolutions the less, the more windows overlap.
"""

import math

import flax.linen as nn
import jax.numpy as jnp

from gan_jax.models.conditioning import check_condition, label_vector, discriminator_head, with_label
from gan_jax.models.layers import Conv, Dense, check_norm, normalise
from gan_jax.types import Array

INIT = nn.initializers.normal(0.02)
LABEL_CHANNELS = 16  # channels of the label beside an image


class Generator(nn.Module):
    """z [B, Z] -> a small grid of features -> k doublings by transposed convolutions -> images [B, H, W, C] in [-1, 1].

    `width` is the number of channels before the last doubling; each earlier grid has twice as many.
    `condition`: "concat" puts the label, embedded as Z numbers, beside z; "norm" has it set each norm's gain and bias.
    """

    sample_shape: tuple[int, ...]
    num_classes: int = 0
    width: int = 64
    window: int = 4
    norm: str = "batch"
    condition: str = "none"

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool) -> Array:
        check_norm(self.norm, ("none", "batch", "layer", "instance"))
        check_condition(self.condition, ("none", "concat", "norm"), label, self.num_classes)
        style = label_vector(label, self.num_classes) if self.condition == "norm" else None
        if self.condition == "concat":
            z = with_label(z, label, self.num_classes, z.shape[-1])
        padding = overlap(self.window)
        height, width, channels = self.sample_shape
        stages = halvings(self.sample_shape)
        small = (height >> stages, width >> stages, self.width << (stages - 1))
        x = Dense(math.prod(small), use_bias=self.norm == "none", kernel_init=INIT)(z).reshape(-1, *small)
        x = nn.relu(normalise(self.norm, x, train, style=style))
        for stage in reversed(range(1, stages)):
            features = self.width << (stage - 1)
            x = Conv(features, self.window, 2, padding, transpose=True, use_bias=self.norm == "none", kernel_init=INIT)(x)
            x = nn.relu(normalise(self.norm, x, train, style=style))
        return jnp.tanh(Conv(channels, self.window, 2, padding, transpose=True, kernel_init=INIT)(x))


class Discriminator(nn.Module):
    """images [B, H, W, C] -> k halvings by convolutions of stride 2 and leaky ReLUs -> logits and features, by `discriminator_head`.

    `width` is the number of channels after the first halving; each later grid has twice as many. The features are the last.
    `condition`: "concat" puts the label beside the image, as constant planes; "projection" is `discriminator_head`'s.
    """

    sample_shape: tuple[int, ...]
    num_classes: int = 0
    width: int = 64
    window: int = 4
    norm: str = "batch"
    condition: str = "none"
    outputs: int = 1
    minibatch: str = "none"

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        check_norm(self.norm)
        check_condition(self.condition, ("none", "concat", "projection"), label, self.num_classes)
        if self.condition == "concat":
            x = with_label(x, label, self.num_classes, LABEL_CHANNELS)
        spectral, padding = self.norm == "spectral", overlap(self.window)
        for stage in range(halvings(self.sample_shape)):
            # No norm before the first activation: D must see the samples' own scale.
            norm = self.norm if stage else "none"
            use_bias = norm not in ("batch", "instance")  # which take each channel's mean away
            x = Conv(self.width << stage, self.window, 2, padding, spectral=spectral, use_bias=use_bias, kernel_init=INIT)(x)
            x = nn.leaky_relu(normalise(norm, x, train), 0.2)
        end = {"condition": self.condition, "outputs": self.outputs, "minibatch": self.minibatch, "spectral": spectral}
        return discriminator_head(x, label, self.num_classes, kernel_init=INIT, **end)


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
