"""DCGAN: strided convolutions throughout, for images of any size 2^k * m (28 and 32 among them).

Source: Radford et al. 2016, arXiv:1511.06434, section 3. The defaults, batch norm and a `window` of 4, are the paper's. On
MNIST a D with spectral norm learns far faster with a window of 6: the more the windows overlap, the less tightly the norm of
the kernel matrix bounds that of the convolution.
"""

import math

import flax.linen as nn
import jax.numpy as jnp

from gan_jax.models.conditioning import check_condition, discriminator_head, label_vector, with_label
from gan_jax.models.layers import Conv, Dense, check_norm, normalise
from gan_jax.types import Array

INIT = nn.initializers.normal(0.02)
LABEL_CHANNELS = 16  # channels of the embedded label that are appended to an image


class Generator(nn.Module):
    """z [B, Z] -> a small grid of features -> k doublings by transposed convolutions -> images [B, H, W, C] in [-1, 1].

    `width` is the number of channels before the last doubling; each earlier grid has twice as many. `condition`: "concat"
    appends the label, embedded as Z numbers, to z; "norm" sets the gain and bias of each norm by the label.
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
        padding = exact_padding(self.window)
        height, width, channels = self.sample_shape
        stages = halvings(self.sample_shape)
        grid = (height >> stages, width >> stages, self.width << (stages - 1))
        x = Dense(math.prod(grid), use_bias=self.norm == "none", kernel_init=INIT)(z).reshape(-1, *grid)
        x = nn.relu(normalise(self.norm, x, train, style=style))
        for stage in reversed(range(1, stages)):
            features = self.width << (stage - 1)
            x = Conv(features, self.window, 2, padding, transpose=True, use_bias=self.norm == "none", kernel_init=INIT)(x)
            x = nn.relu(normalise(self.norm, x, train, style=style))
        return jnp.tanh(Conv(channels, self.window, 2, padding, transpose=True, kernel_init=INIT)(x))


class Discriminator(nn.Module):
    """images [B, H, W, C] -> k halvings by convolutions of stride 2 and leaky ReLUs -> logits and features, by
    `discriminator_head`.

    `width` is the number of channels after the first halving; each later grid has twice as many. The features are the last
    grid. `condition`: "concat" appends the label to the image as constant channels; for "projection" see
    `discriminator_head`.
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
        spectral, padding = self.norm == "spectral", exact_padding(self.window)
        for stage in range(halvings(self.sample_shape)):
            # No norm before the first activation, so that D receives the scale of the samples.
            norm = self.norm if stage else "none"
            use_bias = norm not in ("batch", "instance")  # these norms subtract each channel's mean
            x = Conv(self.width << stage, self.window, 2, padding, spectral=spectral, use_bias=use_bias, kernel_init=INIT)(x)
            x = nn.leaky_relu(normalise(norm, x, train), 0.2)
        options = {"condition": self.condition, "outputs": self.outputs, "minibatch": self.minibatch, "spectral": spectral}
        return discriminator_head(x, label, self.num_classes, kernel_init=INIT, **options)


def halvings(sample_shape: tuple[int, ...]) -> int:
    """Return how often an image can be halved exactly while height and width stay at least 4: 2 for 28 -> 14 -> 7, 3 for
    32 -> 16 -> 8 -> 4.

    Raises ValueError if `sample_shape` is not that of an image, or if the image cannot be halved at all."""
    if len(sample_shape) != 3:
        raise ValueError(f"an image network needs images (H, W, C), got samples of shape {sample_shape}")
    sizes, count = sample_shape[:2], 0
    while all(size % 2 == 0 and size >= 8 for size in sizes):
        sizes, count = tuple(size // 2 for size in sizes), count + 1
    if count == 0:
        height, width = sample_shape[:2]
        raise ValueError(f"an image network needs an even height and width of at least 8, got {height} x {width}")
    return count


def exact_padding(window: int) -> int:
    """Return the padding with which a window of stride 2 exactly halves (or doubles) an even size.

    Raises ValueError if there is none."""
    if window < 2 or window % 2:
        raise ValueError(f"dcgan needs a window that is even and at least 2, got {window}")
    return window // 2 - 1
