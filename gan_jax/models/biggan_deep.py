"""BigGAN-deep's networks: four times as many layers as BigGAN's in blocks a quarter as wide inside; as published for 128, 256
and 512, and in the same manner for any size 2^k * m that BigGAN has.

Source: Brock et al. 2019, arXiv:1809.11096, appendix B, figure 16 and tables 7 to 9; what these leave open (biases, what is
spectrally normalised, the order within a block) is that of the published generators, whose numbers of parameters are met.
"""

import flax.linen as nn
import jax.numpy as jnp

from gan_jax.models.attention import SelfAttention
from gan_jax.models.biggan import D_CHANNELS, EMBEDDING_SIZE, G_CHANNELS, ORTHOGONAL, channels, conditional_norm
from gan_jax.models.conditioning import check_condition, label_vector, discriminator_head
from gan_jax.models.dcgan import halvings
from gan_jax.models.layers import Conv, Dense, check_norm
from gan_jax.models.resnet import double, halve, is_small
from gan_jax.types import Array, Shape

EPSILON = 1e-4  # of batch norm
BOTTLENECK = 4  # channels of a block over those inside


class Generator(nn.Module):
    """z [B, Z] and a class embedding beside it, whole -> a small grid, and the gain and bias of each norm -> two residual
    blocks for each doubling, the second of which doubles -> images [B, H, W, C] in [-1, 1].

    `attention` is the height at which there is self-attention; 0 for nowhere. With `spectral` False no weight is spectrally
    normalised, as in a generator whose weights are so already. Raises ValueError for a size that `biggan.G_CHANNELS` lacks.
    """

    sample_shape: Shape
    num_classes: int = 0
    width: int = 128
    norm: str = "batch"
    condition: str = "norm"
    attention: int = 64
    spectral: bool = True

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool) -> Array:
        check_norm(self.norm, ("batch",))
        check_condition(self.condition, ("none", "norm"), label, self.num_classes)
        stages = halvings(self.sample_shape)
        height, width, planes = self.sample_shape
        features = [self.width * multiple for multiple in channels(self.sample_shape, G_CHANNELS, stages + 1)]
        if self.condition == "norm":
            vector = label_vector(label, self.num_classes)
            shared = Dense(EMBEDDING_SIZE, use_bias=False, kernel_init=nn.initializers.orthogonal(), name="shared")
            z = jnp.concatenate([z, shared(vector)], axis=-1)
        first = Dense((height >> stages) * (width >> stages) * features[0], spectral=self.spectral, kernel_init=ORTHOGONAL)
        x = first(z).reshape(-1, height >> stages, width >> stages, features[0])

        def layer(x: Array, count: int, window: int, doubling: bool = False, style: Array | None = z) -> Array:
            x = nn.relu(conditional_norm(x, style, train, self.spectral, EPSILON))
            return Conv(count, window, spectral=self.spectral, kernel_init=ORTHOGONAL)(double(x) if doubling else x)

        for count, last in zip(features, [*features[1:], None], strict=True):
            if x.shape[1] == self.attention:
                x = SelfAttention(spectral=self.spectral)(x)
            for out, doubling in ((count, False), (last, True)) if last else ():
                inside = max(1, count // BOTTLENECK)
                h = layer(layer(x, inside, 1), inside, 3, doubling)
                h = layer(layer(h, inside, 3), out, 1)
                # The way around loses channels, and has no weights of its own.
                x = h + (double(x[..., :out]) if doubling else x)
        return jnp.tanh(layer(x, planes, 3, style=None))


class Discriminator(nn.Module):
    """images [B, H, W, C] -> two residual blocks for each halving, the first of which halves -> sums over positions -> logits
    and features, by `discriminator_head`. Below 48 pixels 4 `width` channels, and of three such stages two that halve. `attention` as in
    the Generator."""

    sample_shape: Shape
    num_classes: int = 0
    width: int = 128
    norm: str = "spectral"
    condition: str = "projection"
    outputs: int = 1
    attention: int = 64

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        check_norm(self.norm, ("spectral",))
        check_condition(self.condition, ("none", "projection"), label, self.num_classes)
        first, *others = (multiple * self.width for multiple in channels(self.sample_shape, D_CHANNELS, 4))
        halved = 2 if is_small(self.sample_shape) else len(others)

        def conv(x: Array, count: int, window: int) -> Array:
            return Conv(count, window, spectral=True, kernel_init=ORTHOGONAL)(x)

        x = conv(x, first, 3)
        for number, count in enumerate(others):
            for halving in (number < halved, False):
                inside = max(1, count // BOTTLENECK)
                h = conv(nn.relu(conv(nn.relu(x), inside, 1)), inside, 3)
                h = nn.relu(conv(nn.relu(h), inside, 3))
                h = conv(halve(h) if halving else h, count, 1)
                x = halve(x) if halving else x
                if count > x.shape[-1]:  # the way around gains channels: those it had, and others made of them
                    x = jnp.concatenate([x, conv(x, count - x.shape[-1], 1)], axis=-1)
                x = x + h
            if x.shape[1] == self.attention:
                x = SelfAttention()(x)
        x = nn.relu(x).sum(axis=(1, 2))
        end = {"condition": self.condition, "outputs": self.outputs, "spectral": True, "kernel_init": ORTHOGONAL}
        return discriminator_head(x, label, self.num_classes, **end)
