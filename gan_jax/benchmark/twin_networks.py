"""The networks of `models/` in PyTorch: mlp, dcgan, resnet and biggan; r3gan and stylegan2 are in `twin_filtered.py`.

Each function returns (generator, discriminator) with as many parameters as ours, as modules f(z, label) -> samples and
f(samples, label) -> logits [B]. Images are [B, C, H, W] in PyTorch's memory format channels_last, and are reshaped from and to
vectors in our order, [B, H W C]. Labels are integers [B], ignored by networks without classes.
"""

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_jax.config import Config
from gan_jax.models.biggan import D_CHANNELS, EMBEDDING_SIZE, G_CHANNELS, channel_multiples
from gan_jax.models.dcgan import exact_padding, halvings
from gan_jax.models.resnet import discriminator_blocks, is_small

Networks = tuple[nn.Module, nn.Module]
Shape = tuple[int, ...]


class Unlabelled(nn.Sequential):
    """A sequence of modules that takes a label and ignores it."""

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return super().forward(x)


class ToGrid(nn.Module):
    """[B, H W C] -> [B, C, H, W]"""

    def __init__(self, height: int, width: int, channels: int):
        super().__init__()
        self.shape = (height, width, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1, *self.shape).permute(0, 3, 1, 2)


class ToVector(nn.Module):
    """[B, C, H, W] -> [B, H W C]"""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


class Squeeze(nn.Module):
    """[B, 1] -> [B]"""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


def mlp(config: Config, shape: Shape, num_classes: int) -> Networks:
    """For points, without norms."""

    def layers(inputs: int, width: int, depth: int, activation: nn.Module, outputs: int) -> list[nn.Module]:
        sizes = [inputs] + [width] * depth
        hidden = [m for a, b in itertools.pairwise(sizes) for m in (nn.Linear(a, b), activation)]
        return [*hidden, nn.Linear(sizes[-1], outputs)]

    points = math.prod(shape)
    g = layers(config.z_dim, config.g_width or 256, config.g_depth or 2, nn.ReLU(), points)
    d = layers(points, config.d_width or 256, config.d_depth or 2, nn.LeakyReLU(0.2), 1)
    return Unlabelled(*g), Unlabelled(*d, Squeeze())


def dcgan(config: Config, shape: Shape, num_classes: int) -> Networks:
    """For images without labels; batch norm in G, and batch norm or none in D."""
    (height, width, channels), stages = shape, halvings(shape)
    start = (height >> stages, width >> stages, (config.g_width or 64) << (stages - 1))
    window = {"kernel_size": 4, "stride": 2, "padding": exact_padding(4)}
    g = [nn.Linear(config.z_dim, math.prod(start), bias=False), ToGrid(*start)]
    inputs = start[2]
    for _ in range(stages - 1):
        g += [nn.BatchNorm2d(inputs), nn.ReLU(), nn.ConvTranspose2d(inputs, inputs // 2, **window, bias=False)]
        inputs //= 2
    g += [nn.BatchNorm2d(inputs), nn.ReLU(), nn.ConvTranspose2d(inputs, channels, **window), nn.Tanh()]
    d, inputs = [], channels
    for stage in range(stages):
        outputs, norm = (config.d_width or 64) << stage, config.d_norm in (None, "batch") and stage > 0
        d += [nn.Conv2d(inputs, outputs, **window, bias=not norm), *[nn.BatchNorm2d(outputs)] * norm, nn.LeakyReLU(0.2)]
        inputs = outputs
    return Unlabelled(*g), Unlabelled(*d, ToVector(), nn.Linear(start[0] * start[1] * inputs, 1), Squeeze())


def conv(inputs: int, outputs: int, window: int = 3, spectral: bool = False, bias: bool = True) -> nn.Module:
    layer = nn.Conv2d(inputs, outputs, window, padding=window // 2, bias=bias)
    return spectral_norm(layer) if spectral else layer


def double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2)


class Up(nn.Module):
    """A residual block of G of resnet and biggan."""

    def __init__(self, inputs: int, outputs: int, spectral: bool, norms: Sequence[nn.Module]):
        super().__init__()
        self.norms = nn.ModuleList(norms)
        self.first, self.second = conv(inputs, outputs, 3, spectral), conv(outputs, outputs, 3, spectral)
        self.skip = conv(inputs, outputs, 1, spectral)

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        style = () if style is None else (style,)
        h = self.first(double(F.relu(self.norms[0](x, *style))))
        return self.second(F.relu(self.norms[1](h, *style))) + self.skip(double(x))


class Down(nn.Module):
    """A residual block of D of resnet and biggan."""

    def __init__(self, inputs: int, outputs: int, spectral: bool, first: bool, halving: bool):
        super().__init__()
        self.is_first, self.halving = first, halving
        self.first, self.second = conv(inputs, outputs, 3, spectral), conv(outputs, outputs, 3, spectral)
        self.skip = conv(inputs, outputs, 1, spectral) if first or halving or inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.second(F.relu(self.first(x if self.is_first else F.relu(x))))
        if not self.halving:
            return self.skip(x) + h
        skip = self.skip(F.avg_pool2d(x, 2)) if self.is_first else F.avg_pool2d(self.skip(x), 2)
        return skip + F.avg_pool2d(h, 2)


class Projection(nn.Module):
    """features [B, C, H, W] -> logits: a linear map of the sum over positions and, with classes, its product with the class."""

    def __init__(self, features: int, num_classes: int, spectral: bool):
        super().__init__()
        self.linear = spectral_norm(nn.Linear(features, 1)) if spectral else nn.Linear(features, 1)
        self.classes = spectral_norm(nn.Linear(num_classes, features, bias=False)) if num_classes else None

    def forward(self, x: Tensor, label: Tensor | None) -> Tensor:
        features = F.relu(x).sum((2, 3))
        logits = self.linear(features)[:, 0]
        if self.classes is None:
            return logits
        one_hot = F.one_hot(label, self.classes.in_features).to(features.dtype)
        return logits + (self.classes(one_hot) * features).sum(1)


class ResidualDiscriminator(nn.Module):
    """D of resnet and biggan: blocks, then a head."""

    def __init__(self, blocks: Sequence[nn.Module], head: Projection):
        super().__init__()
        self.blocks, self.head = nn.Sequential(*blocks), head

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return self.head(self.blocks(x), label)


def resnet(config: Config, shape: Shape, num_classes: int) -> Networks:
    """For images below 48 pixels without labels; no attention, batch norm in G, spectral norm or none in D."""
    (height, width, channels), stages = shape, halvings(shape)
    inner = 4 * (config.g_width or 64)
    start = (height >> stages, width >> stages, inner)
    g = [nn.Linear(config.z_dim, math.prod(start)), ToGrid(*start)]
    g += [Up(inner, inner, False, [nn.BatchNorm2d(inner), nn.BatchNorm2d(inner)]) for _ in range(stages)]
    g += [nn.BatchNorm2d(inner), nn.ReLU(), conv(inner, channels), nn.Tanh()]
    spectral, blocks, inputs = config.d_norm in (None, "spectral"), [], channels
    for number, (multiple, halving) in enumerate(discriminator_blocks(shape)):
        outputs = multiple * (config.d_width or 64)
        blocks.append(Down(inputs, outputs, spectral, number == 0, halving))
        inputs = outputs
    return Unlabelled(*g), ResidualDiscriminator(blocks, Projection(inputs, 0, spectral))


class ConditionalNorm(nn.Module):
    """Batch norm whose gain and bias are linear in a style [B, K]."""

    def __init__(self, channels: int, style: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain, self.bias = (spectral_norm(nn.Linear(style, channels, bias=False)) for _ in range(2))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return self.norm(x) * (1 + self.gain(style)[:, :, None, None]) + self.bias(style)[:, :, None, None]


class Attention(nn.Module):
    """Self-attention, as in `models/attention.py`."""

    def __init__(self, channels: int):
        super().__init__()
        self.theta, self.phi = (conv(channels, max(1, channels // 8), 1, True, bias=False) for _ in range(2))
        self.g, self.o = (conv(a, b, 1, True, False) for a, b in ((channels, channels // 2), (channels // 2, channels)))
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        theta = self.theta(x).flatten(2)  # [B, C / 8, H W]
        phi, g = (F.max_pool2d(layer(x), 2).flatten(2) for layer in (self.phi, self.g))
        weights = torch.softmax(theta.transpose(1, 2) @ phi, dim=-1)  # [B, H W, H W / 4]
        return x + self.gain * self.o((weights @ g.transpose(1, 2)).transpose(1, 2).reshape(len(x), -1, *x.shape[2:]))


class BigGANGenerator(nn.Module):
    """G of biggan with `hierarchy`."""

    def __init__(self, config: Config, shape: Shape, num_classes: int, attention: int):
        super().__init__()
        (height, width, channels), stages = shape, halvings(shape)
        features = [(config.g_width or 96) * multiple for multiple in channel_multiples(shape, G_CHANNELS, stages + 1)]
        self.chunk = config.z_dim // (stages + 1)
        self.shared = nn.Linear(num_classes, EMBEDDING_SIZE, bias=False)
        start, style = (height >> stages, width >> stages, features[0]), EMBEDDING_SIZE + self.chunk
        self.start = nn.Sequential(spectral_norm(nn.Linear(self.chunk, math.prod(start))), ToGrid(*start))
        self.blocks = nn.ModuleList(
            Up(a, b, True, [ConditionalNorm(a, style), ConditionalNorm(b, style)]) for a, b in itertools.pairwise(features)
        )
        attended = [height >> (stages - stage) == attention for stage in range(1, stages + 1)]
        self.attentions = nn.ModuleList(
            Attention(count) if has else nn.Identity() for count, has in zip(features[1:], attended, strict=True)
        )
        self.end = nn.Sequential(nn.BatchNorm2d(features[-1]), nn.ReLU(), conv(features[-1], channels, 3, True), nn.Tanh())

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        first, *chunks = z[:, : self.chunk * (len(self.blocks) + 1)].split(self.chunk, dim=1)
        shared = self.shared(F.one_hot(label, self.shared.in_features).to(z.dtype))
        x = self.start(first)
        for block, attention, chunk in zip(self.blocks, self.attentions, chunks, strict=True):
            x = attention(block(x, torch.cat([shared, chunk], dim=1)))
        return self.end(x)


def biggan(config: Config, shape: Shape, num_classes: int, attention: int = 64) -> Networks:
    """For images with classes."""
    multiples, blocks, (size, _, inputs) = channel_multiples(shape, D_CHANNELS, 4), [], shape
    for number, multiple in enumerate(multiples):
        halving, outputs = number < (2 if is_small(shape) else len(multiples) - 1), multiple * (config.d_width or 96)
        blocks.append(Down(inputs, outputs, True, number == 0, halving))
        inputs, size = outputs, size // 2 if halving else size
        if size == attention:
            blocks.append(Attention(inputs))
    d = ResidualDiscriminator(blocks, Projection(inputs, num_classes, True))
    return BigGANGenerator(config, shape, num_classes, attention), d
