"""BigGAN's residual networks, for images of any size 2^k * m; as published for 64, 128, 256 and 512, and its small form for 32.

Source: Brock et al. 2019, arXiv:1809.11096, appendix B, tables 4 to 6; the form for 32 pixels, and what the tables leave open
(biases, what is spectrally normalised), are those of the authors' PyTorch code, whose numbers of parameters are met.
"""

import flax.linen as nn
import jax.numpy as jnp

from gan_jax.models.attention import SelfAttention
from gan_jax.models.conditioning import check_condition, label_vector, discriminator_head
from gan_jax.models.dcgan import halvings
from gan_jax.models.layers import Conv, Dense, check_norm
from gan_jax.models.resnet import double, halve, is_small
from gan_jax.types import Array, Shape

ORTHOGONAL = nn.initializers.orthogonal()
EMBEDDING_SIZE = 128  # numbers of the class embedding that all norms share
# Channels over `width` by the number of doublings: G's from the smallest grid to the image, D's of its blocks, the last of
# which does not halve.
G_CHANNELS = {4: (16, 16, 8, 4, 2), 5: (16, 16, 8, 4, 2, 1), 6: (16, 16, 8, 8, 4, 2, 1), 7: (16, 16, 8, 8, 4, 2, 1, 1)}
D_CHANNELS = {4: (1, 2, 4, 8, 16), 5: (1, 2, 4, 8, 16, 16), 6: (1, 2, 4, 8, 8, 16, 16), 7: (1, 1, 2, 4, 8, 8, 16, 16)}


class Generator(nn.Module):
    """z [B, Z] -> a small grid -> a residual block for each doubling -> images [B, H, W, C] in [-1, 1].

    With `hierarchy`, z is cut into equal parts, one for the grid and one for each block, where beside a class embedding that
    all share it sets the gain and bias of each norm; what is left over of z is not used. Without, the class alone does.
    `attention` is the height at which there is self-attention; 0 for nowhere. Raises ValueError for an image of a size that
    G_CHANNELS does not have, and for a z too short to be cut.
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
        height, width, planes = self.sample_shape
        features = [self.width * multiple for multiple in channels(self.sample_shape, G_CHANNELS, stages + 1)]
        vector = label_vector(label, self.num_classes) if self.condition == "norm" else None
        styles = [vector] * stages
        if self.hierarchy:
            size = z.shape[-1] // (stages + 1)
            if size < 1:
                raise ValueError(f"z is cut into {stages + 1} parts: set z_dim to at least that, not {z.shape[-1]}")
            z, *parts = (z[:, i * size : (i + 1) * size] for i in range(stages + 1))
            init = nn.initializers.orthogonal()
            shared = [] if vector is None else [Dense(EMBEDDING_SIZE, use_bias=False, kernel_init=init, name="shared")(vector)]
            styles = [jnp.concatenate([*shared, part], axis=-1) for part in parts]
        x = Dense((height >> stages) * (width >> stages) * features[0], spectral=True, kernel_init=ORTHOGONAL)(z)
        x = x.reshape(-1, height >> stages, width >> stages, features[0])

        def norm(x: Array, style: Array | None) -> Array:
            return nn.relu(conditional_norm(x, style, train, spectral=self.hierarchy))

        for count, style in zip(features[1:], styles, strict=True):
            h = _conv(count)(double(norm(x, style)))
            h = _conv(count)(norm(h, style))
            x = h + _conv(count, 1)(double(x))
            if x.shape[1] == self.attention:
                x = SelfAttention()(x)
        return jnp.tanh(_conv(planes)(norm(x, None)))


class Discriminator(nn.Module):
    """images [B, H, W, C] -> residual blocks, all but the last halving -> sums over positions -> logits and features, by
    `discriminator_head`. Below 48 pixels four blocks of 4 `width` channels, two of them halving. `attention` as in the Generator."""

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
        found = channels(self.sample_shape, D_CHANNELS, 4)
        halved = 2 if is_small(self.sample_shape) else len(found) - 1
        for number, multiple in enumerate(found):
            count, halving = multiple * self.width, number < halved
            h = _conv(count)(x if number == 0 else nn.relu(x))
            h = _conv(count)(nn.relu(h))
            if number == 0:
                x = _conv(count, 1)(halve(x))
            elif halving or count != x.shape[-1]:
                x = halve(_conv(count, 1)(x)) if halving else _conv(count, 1)(x)
            x = x + (halve(h) if halving else h)
            if x.shape[1] == self.attention:
                x = SelfAttention()(x)
        x = nn.relu(x).sum(axis=(1, 2))
        end = {"condition": self.condition, "outputs": self.outputs, "spectral": True, "kernel_init": ORTHOGONAL}
        return discriminator_head(x, label, self.num_classes, **end)


def channels(sample_shape: Shape, table: dict[int, tuple[int, ...]], least: int) -> tuple[int, ...]:
    """The row of a table for images of this shape; below 48 pixels 4 throughout, `least` times. Raises ValueError for a size
    that the table does not have."""
    if is_small(sample_shape):
        return (4,) * least
    stages = halvings(sample_shape)
    if stages not in table:
        raise ValueError(f"biggan needs images that can be halved {min(table)} to {max(table)} times, got {sample_shape}")
    return table[stages]


def conditional_norm(x: Array, style: Array | None, train: bool, spectral: bool, epsilon: float = 1e-5) -> Array:
    """Batch norm of x [B, ..., C], whose gain and bias are linear in `style` [B, K]; plain where there is none. It makes layers
    of the module that calls it."""
    plain = style is None
    x = nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=epsilon, use_scale=plain, use_bias=plain)(x)
    if plain:
        return x
    # A shared embedding is a dense vector, whose maps are kept in bounds; that of a class alone is a table, zero at first.
    init = ORTHOGONAL if spectral else nn.initializers.zeros
    gain, bias = (
        Dense(x.shape[-1], spectral=spectral, use_bias=False, kernel_init=init)(style).reshape(
            x.shape[0], *(1,) * (x.ndim - 2), -1
        )
        for _ in range(2)
    )
    return x * (1 + gain) + bias


def _conv(count: int, window: int = 3) -> Conv:
    return Conv(count, window, spectral=True, kernel_init=ORTHOGONAL)
