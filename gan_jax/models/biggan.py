"""BigGAN: residual networks for images of any size 2^k * m; as published for 64, 128, 256 and 512 pixels, and the small
networks for 32.

Source: Brock et al. 2019, arXiv:1809.11096, appendix B, tables 4 to 6. The networks for 32 pixels, and what the tables leave
open (biases, which layers have spectral norm), follow the authors' PyTorch code; parameter counts match it.
"""

import flax.linen as nn
import jax.numpy as jnp

from gan_jax.models.attention import SelfAttention
from gan_jax.models.conditioning import check_condition, discriminator_head, label_vector
from gan_jax.models.dcgan import halvings
from gan_jax.models.layers import Conv, Dense, check_norm
from gan_jax.models.resnet import is_small
from gan_jax.types import Array, Shape

ORTHOGONAL = nn.initializers.orthogonal()
EMBEDDING_SIZE = 128  # of the class embedding that all norms share
# Channels as multiples of `width`, by the number of times the image can be halved. G: from the smallest grid to the image.
# D: one entry for each block, of which the last does not halve.
G_CHANNELS = {4: (16, 16, 8, 4, 2), 5: (16, 16, 8, 4, 2, 1), 6: (16, 16, 8, 8, 4, 2, 1), 7: (16, 16, 8, 8, 4, 2, 1, 1)}
D_CHANNELS = {4: (1, 2, 4, 8, 16), 5: (1, 2, 4, 8, 16, 16), 6: (1, 2, 4, 8, 8, 16, 16), 7: (1, 1, 2, 4, 8, 8, 16, 16)}


class Generator(nn.Module):
    """z [B, Z] -> a small grid -> one residual block per doubling -> images [B, H, W, C] in [-1, 1].

    With `hierarchy`, z is split into equal chunks, one for the grid and one for each block; a remainder of z is unused. The
    chunk of a block is concatenated with a class embedding that all blocks share, and sets the gain and bias of the block's
    norms. Without `hierarchy`, the class alone sets them. `attention` is the height of the feature map that has self-attention;
    0 for none. Raises ValueError if the image size is not in G_CHANNELS, or if z is too short to be split.
    """

    sample_shape: Shape
    num_classes: int = 0
    width: int = 96
    norm: str = "batch"
    condition: str = "norm"
    hierarchy: bool = True
    attention: int = 64

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool) -> Array:
        check_norm(self.norm, ("batch",))
        check_condition(self.condition, ("none", "norm"), label, self.num_classes)
        stages = halvings(self.sample_shape)
        height, width, image_channels = self.sample_shape
        features = [self.width * multiple for multiple in channel_multiples(self.sample_shape, G_CHANNELS, stages + 1)]
        vector = label_vector(label, self.num_classes) if self.condition == "norm" else None
        styles = [vector] * stages
        if self.hierarchy:
            size = z.shape[-1] // (stages + 1)
            if size < 1:
                raise ValueError(f"z is split into {stages + 1} chunks: set z_dim to at least that, not {z.shape[-1]}")
            z, *chunks = (z[:, i * size : (i + 1) * size] for i in range(stages + 1))
            init = nn.initializers.orthogonal()
            embed = Dense(EMBEDDING_SIZE, use_bias=False, kernel_init=init, name="shared")
            shared = [] if vector is None else [embed(vector).astype(z.dtype)]
            styles = [jnp.concatenate([*shared, chunk], axis=-1) for chunk in chunks]
        x = Dense((height >> stages) * (width >> stages) * features[0], spectral=True, kernel_init=ORTHOGONAL)(z)
        x = x.reshape(-1, height >> stages, width >> stages, features[0])

        def norm(x: Array, style: Array | None) -> Array:
            return nn.relu(conditional_norm(x, style, train, spectral=self.hierarchy))

        for channels, style in zip(features[1:], styles, strict=True):
            h = _conv(channels, resample="double")(norm(x, style))
            h = _conv(channels)(norm(h, style))
            x = h + _conv(channels, 1, "double")(x)
            if x.shape[1] == self.attention:
                x = SelfAttention()(x)
        return jnp.tanh(_conv(image_channels)(norm(x, None)))


class Discriminator(nn.Module):
    """images [B, H, W, C] -> residual blocks, all but the last halving -> sum over positions -> logits and features, by
    `discriminator_head`. Images below 48 pixels: four blocks of 4 `width` channels, the first two halving. `attention` as in
    the Generator."""

    sample_shape: Shape
    num_classes: int = 0
    width: int = 96
    norm: str = "spectral"
    condition: str = "projection"
    outputs: int = 1
    attention: int = 64

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        check_norm(self.norm, ("spectral",))
        check_condition(self.condition, ("none", "projection"), label, self.num_classes)
        multiples = channel_multiples(self.sample_shape, D_CHANNELS, 4)
        num_halving = 2 if is_small(self.sample_shape) else len(multiples) - 1
        for number, multiple in enumerate(multiples):
            channels, halving = multiple * self.width, number < num_halving
            h = _conv(channels)(x if number == 0 else nn.relu(x))
            resample = "halve" if halving else "none"
            h = _conv(channels, resample=resample)(nn.relu(h))
            if halving or channels != x.shape[-1]:
                x = _conv(channels, 1, resample)(x)
            x = x + h
            if x.shape[1] == self.attention:
                x = SelfAttention()(x)
        x = nn.relu(x).sum(axis=(1, 2))
        options = {"condition": self.condition, "outputs": self.outputs, "spectral": True, "kernel_init": ORTHOGONAL}
        return discriminator_head(x, label, self.num_classes, **options)


def channel_multiples(sample_shape: Shape, table: dict[int, tuple[int, ...]], small_length: int) -> tuple[int, ...]:
    """Return the row of `table` for images of this shape; below 48 pixels, `small_length` times 4. Raises ValueError if the
    table has no row for the image size."""
    if is_small(sample_shape):
        return (4,) * small_length
    stages = halvings(sample_shape)
    if stages not in table:
        raise ValueError(f"biggan needs images that can be halved {min(table)} to {max(table)} times, got {sample_shape}")
    return table[stages]


def conditional_norm(x: Array, style: Array | None, train: bool, spectral: bool, epsilon: float = 1e-5) -> Array:
    """Batch norm of x [B, ..., C] with gain and bias linear in `style` [B, K]; plain batch norm if `style` is None. Creates
    layers in the calling module."""
    plain = style is None
    x = nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=epsilon, use_scale=plain, use_bias=plain)(x)
    if plain:
        return x
    # With a shared embedding `style` is dense and its linear maps are spectrally normalised. With one-hot classes the map is a
    # lookup table, without; in the authors' code both start orthogonal.
    gain, bias = (
        Dense(x.shape[-1], spectral=spectral, use_bias=False, kernel_init=ORTHOGONAL)(style).reshape(
            x.shape[0], *(1,) * (x.ndim - 2), -1
        )
        for _ in range(2)
    )
    return x * (1 + gain) + bias


def _conv(channels: int, window: int = 3, resample: str = "none") -> Conv:
    return Conv(channels, window, resample=resample, spectral=True, kernel_init=ORTHOGONAL)
