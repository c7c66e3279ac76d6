"""BigGAN-deep: four times as many layers as BigGAN, in bottleneck blocks a quarter as wide inside; as published for 128, 256
and 512 pixels, and by the same pattern for every size 2^k * m that BigGAN supports.

Source: Brock et al. 2019, arXiv:1809.11096, appendix B, figure 16 and tables 7 to 9. What these leave open (biases, which
layers have spectral norm, the order within a block) follows the published generators; parameter counts match theirs.
"""

import flax.linen as nn
import jax.numpy as jnp

from gan_jax.models.attention import SelfAttention
from gan_jax.models.biggan import D_CHANNELS, EMBEDDING_SIZE, G_CHANNELS, ORTHOGONAL, channel_multiples, conditional_norm
from gan_jax.models.conditioning import check_condition, discriminator_head, label_vector
from gan_jax.models.dcgan import halvings
from gan_jax.models.layers import Conv, Dense, check_norm, double, halve
from gan_jax.models.resnet import is_small
from gan_jax.types import Array, Shape

EPSILON = 1e-4  # of batch norm
BOTTLENECK = 4  # ratio of a block's channels to those of its inner layers


class Generator(nn.Module):
    """z [B, Z], concatenated with a class embedding -> a small grid -> two residual blocks per doubling, of which the second
    doubles -> images [B, H, W, C] in [-1, 1]. The same vector, unsplit, sets the gain and bias of every norm but the last.

    `attention` is the height of the feature map that has self-attention; 0 for none. With `spectral` False no layer has
    spectral norm, for pretrained weights that are already normalised. Raises ValueError if the image size is not in
    `biggan.G_CHANNELS`.
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
        height, width, image_channels = self.sample_shape
        features = [self.width * multiple for multiple in channel_multiples(self.sample_shape, G_CHANNELS, stages + 1)]
        if self.condition == "norm":
            vector = label_vector(label, self.num_classes)
            shared = Dense(EMBEDDING_SIZE, use_bias=False, kernel_init=nn.initializers.orthogonal(), name="shared")
            z = jnp.concatenate([z, shared(vector).astype(z.dtype)], axis=-1)
        first = Dense((height >> stages) * (width >> stages) * features[0], spectral=self.spectral, kernel_init=ORTHOGONAL)
        x = first(z).reshape(-1, height >> stages, width >> stages, features[0])

        def layer(x: Array, channels: int, window: int, doubling: bool = False, style: Array | None = z) -> Array:
            x = nn.relu(conditional_norm(x, style, train, self.spectral, EPSILON))
            resample = "double" if doubling else "none"
            return Conv(channels, window, resample=resample, spectral=self.spectral, kernel_init=ORTHOGONAL)(x)

        for channels, next_channels in zip(features, [*features[1:], None], strict=True):
            if x.shape[1] == self.attention:
                x = SelfAttention(spectral=self.spectral)(x)
            for out, doubling in ((channels, False), (next_channels, True)) if next_channels else ():
                inner = max(1, channels // BOTTLENECK)
                h = layer(layer(x, inner, 1), inner, 3, doubling)
                h = layer(layer(h, inner, 3), out, 1)
                # The skip connection drops channels and has no weights.
                x = h + (double(x[..., :out]) if doubling else x)
        return jnp.tanh(layer(x, image_channels, 3, style=None))


class Discriminator(nn.Module):
    """images [B, H, W, C] -> two residual blocks per halving, of which the first halves -> sum over positions -> logits and
    features, by `discriminator_head`. Images below 48 pixels: 4 `width` channels, and three such stages, the first two halving.
    `attention` as in the Generator."""

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
        first, *others = (multiple * self.width for multiple in channel_multiples(self.sample_shape, D_CHANNELS, 4))
        num_halving = 2 if is_small(self.sample_shape) else len(others)

        def conv(x: Array, channels: int, window: int) -> Array:
            return Conv(channels, window, spectral=True, kernel_init=ORTHOGONAL)(x)

        x = conv(x, first, 3)
        for number, channels in enumerate(others):
            for halving in (number < num_halving, False):
                inner = max(1, channels // BOTTLENECK)
                h = conv(nn.relu(conv(nn.relu(x), inner, 1)), inner, 3)
                h = nn.relu(conv(nn.relu(h), inner, 3))
                h = conv(halve(h) if halving else h, channels, 1)
                x = halve(x) if halving else x
                if channels > x.shape[-1]:  # the skip connection keeps its channels and computes the missing ones from them
                    x = jnp.concatenate([x, conv(x, channels - x.shape[-1], 1)], axis=-1)
                x = x + h
            if x.shape[1] == self.attention:
                x = SelfAttention()(x)
        x = nn.relu(x).sum(axis=(1, 2))
        options = {"condition": self.condition, "outputs": self.outputs, "spectral": True, "kernel_init": ORTHOGONAL}
        return discriminator_head(x, label, self.num_classes, **options)
