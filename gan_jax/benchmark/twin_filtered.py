"""The networks r3gan and stylegan2 in PyTorch, which resample with the filter [1, 3, 3, 1]; see `twin_networks.py`."""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_jax.benchmark.twin_networks import Networks, Shape, Squeeze, ToVector, Unlabelled
from gan_jax.config import Config
from gan_jax.models.dcgan import halvings
from gan_jax.models.r3gan import SLOPE, widths
from gan_jax.models.stylegan2 import MAPPING_RATE, W_SIZE


class Filter(nn.Module):
    """Filter each channel with gain * [1, 3, 3, 1] / 8 along both axes, with `padding` zeros at each border. A `stride` of 2
    halves the size, or doubles it with `doubling`."""

    def __init__(self, gain: float = 1.0, stride: int = 1, padding: int = 1, doubling: bool = False):
        super().__init__()
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) * gain / 8
        self.register_buffer("window", torch.outer(taps, taps)[None, None])
        self.stride, self.padding = stride, padding
        self.convolve = F.conv_transpose2d if doubling else F.conv2d

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        window = self.window.to(x.dtype).expand(channels, 1, 4, 4)
        return self.convolve(x, window, stride=self.stride, padding=self.padding, groups=channels)


def doubling() -> Filter:
    return Filter(gain=2.0, stride=2, doubling=True)


def halving() -> Filter:
    return Filter(stride=2)


class Bottleneck(nn.Module):
    """A residual block of r3gan."""

    def __init__(self, channels: int, group: int, blocks: int):
        super().__init__()
        inner = 2 * channels
        self.layers = nn.Sequential(
            nn.Conv2d(channels, inner, 1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(inner, inner, 3, padding=1, groups=inner // math.gcd(inner, group)),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(inner, channels, 1, bias=False),
        )
        for layer in self.layers[:3:2]:
            nn.init.kaiming_normal_(layer.weight, SLOPE)
            layer.weight.data *= blocks**-0.25
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.layers[4].weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Basis(nn.Module):
    """A learned grid [C, H, W]: in G, scaled by z [B, C]; in D, multiplied by the features and summed over positions."""

    def __init__(self, channels: int, height: int, width: int, scale: float):
        super().__init__()
        self.grid = nn.Parameter(scale * torch.randn(channels, height, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.grid * x[:, :, None, None] if x.ndim == 2 else (self.grid * x).sum((2, 3))


def r3gan(config: Config, shape: Shape, num_classes: int, blocks: int = 2, group: int = 16) -> Networks:
    """For data without labels."""

    def tower(channels: list[int], resample: nn.Module, first: bool) -> list[nn.Module]:
        """Blocks at all sizes; with `first`, the number of channels changes before resampling, otherwise after it."""
        layers = []
        for stage, count in enumerate(channels):
            if stage:
                mapped = [nn.Conv2d(channels[stage - 1], count, 1, bias=False)] if channels[stage - 1] != count else []
                layers += [*mapped, resample] if first else [resample, *mapped]
            layers += [Bottleneck(count, group, blocks * len(channels)) for _ in range(blocks)]
        return layers

    g_channels, d_channels = (widths(shape, width or 768, 32) for width in (config.g_width, config.d_width))
    stages = len(g_channels) - 1
    grid = shape[0] >> stages, shape[1] >> stages
    g = [nn.Linear(config.z_dim, g_channels[0], bias=False), Basis(g_channels[0], *grid, scale=1.0)]
    g += [*tower(g_channels, doubling(), True), nn.Conv2d(g_channels[-1], shape[2], 1, bias=False)]
    d = [nn.Conv2d(shape[2], d_channels[-1], 1, bias=False), *tower(d_channels[::-1], halving(), False)]
    d += [Basis(d_channels[0], *grid, scale=math.prod(grid) ** -0.5), nn.Linear(d_channels[0], 1, bias=False), Squeeze()]
    return Unlabelled(*g), Unlabelled(*d)


def rectified(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.2) * math.sqrt(2)


class EqualLinear(nn.Module):
    """[B, inputs] -> [B, outputs], with equalised learning rate."""

    def __init__(self, inputs: int, outputs: int, linear: bool = False, rate: float = 1.0, bias: float = 0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self.linear, self.rate, self.scale = linear, rate, rate / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.weight * self.scale, self.bias * self.rate)
        return y if self.linear else rectified(y)


class EqualConv(nn.Module):
    """A convolution with equalised learning rate; with `halves`, a blur and stride 2."""

    def __init__(self, inputs: int, outputs: int, window: int = 3, halves: bool = False, skip: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, window, window))
        self.bias = None if skip else nn.Parameter(torch.zeros(outputs))
        self.scale, self.padding, self.skip = 1 / math.sqrt(inputs * window**2), window // 2, skip
        self.stride = 2 if halves and window > 1 else 1
        if halves:
            self.padding = 0
        self.filter = nn.Identity() if not halves else Filter(padding=2) if window > 1 else halving()

    def forward(self, x: Tensor) -> Tensor:
        y = F.conv2d(self.filter(x), self.weight * self.scale, self.bias, self.stride, self.padding)
        return y if self.skip else rectified(y)


class Styled(nn.Module):
    """A modulated convolution; with `plain`, to an image, without demodulation, noise and activation."""

    def __init__(self, inputs: int, outputs: int, doubles: bool = False, plain: bool = False):
        super().__init__()
        self.window, self.plain = 1 if plain else 3, plain
        self.style = EqualLinear(W_SIZE, inputs, linear=True, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, self.window, self.window))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.strength = None if plain else nn.Parameter(torch.zeros(()))
        self.filter = Filter(gain=2.0) if doubles else None

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        style, weight = self.style(w), self.weight / math.sqrt(self.weight[0].numel())
        x = x * style[:, :, None, None]
        if self.filter is None:
            y = F.conv2d(x, weight, padding=self.window // 2)
        else:
            y = self.filter(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2))
        if self.plain:
            return y + self.bias[:, None, None]
        demodulation = (style.square() @ weight.square().sum((2, 3)).T + 1e-8).rsqrt()
        noise = torch.randn(len(y), 1, *y.shape[2:], device=y.device, dtype=y.dtype)
        return rectified(y * demodulation[:, :, None, None] + self.strength * noise + self.bias[:, None, None])


class StyleGAN2Generator(nn.Module):
    """G of stylegan2 without labels and mixing, in two parts: `mapping`, z -> w [B, W_SIZE], and `synthesis`, [B, layers,
    W_SIZE] -> images."""

    def __init__(self, z_dim: int, shape: Shape, channels: list[int], mapping: int):
        super().__init__()
        sizes = [z_dim] + [W_SIZE] * mapping
        self.mapping_layers = nn.Sequential(*(EqualLinear(a, b, rate=MAPPING_RATE) for a, b in itertools.pairwise(sizes)))
        stages = len(channels) - 1
        self.start = nn.Parameter(torch.randn(channels[0], shape[0] >> stages, shape[1] >> stages))
        self.first, self.upsample = Styled(channels[0], channels[0]), doubling()
        pairs = list(itertools.pairwise(channels))
        self.ups = nn.ModuleList(Styled(a, b, doubles=True) for a, b in pairs)
        self.convs = nn.ModuleList(Styled(b, b) for _, b in pairs)
        self.images = nn.ModuleList(Styled(count, shape[2], plain=True) for count in channels)
        self.layers = 2 * stages + 2
        self.register_buffer("average", torch.zeros(W_SIZE))

    def mapping(self, z: Tensor) -> Tensor:
        w = self.mapping_layers(z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt())
        if torch.is_grad_enabled():  # true in G's step only
            self.average.lerp_(w.detach().mean(0).float(), 0.005)
        return w

    def synthesis(self, w: Tensor) -> Tensor:
        x = self.start.expand(len(w), *self.start.shape).contiguous(memory_format=torch.channels_last)
        x = self.first(x, w[:, 0])
        image = self.images[0](x, w[:, 1])
        for stage, (up, conv) in enumerate(zip(self.ups, self.convs, strict=True), start=1):
            x = conv(up(x, w[:, 2 * stage - 1]), w[:, 2 * stage])
            image = self.upsample(image) + self.images[stage](x, w[:, 2 * stage + 1])
        return image

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return self.synthesis(self.mapping(z)[:, None].expand(-1, self.layers, -1))


class ResidualHalving(nn.Module):
    """A residual block of D of stylegan2."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.layers = nn.Sequential(EqualConv(inputs, inputs), EqualConv(inputs, outputs, halves=True))
        self.skip = EqualConv(inputs, outputs, 1, halves=True, skip=True)

    def forward(self, x: Tensor) -> Tensor:
        return (self.layers(x) + self.skip(x)) * math.sqrt(0.5)


class Stddev(nn.Module):
    """Append the minibatch standard deviation over groups of 4 samples as another channel."""

    def forward(self, x: Tensor) -> Tensor:
        group = 4 if len(x) % 4 == 0 else len(x)
        grouped = x.float().reshape(group, len(x) // group, -1)
        deviation = (grouped.var(0, correction=0) + 1e-8).sqrt().mean(1).repeat(group)
        return torch.cat([x, deviation.to(x.dtype)[:, None, None, None].expand(-1, 1, *x.shape[2:])], dim=1)


def stylegan2(
    config: Config, shape: Shape, num_classes: int, base: int = 16_384, mapping: int = 8, mixing: float = 0.0
) -> Networks:
    """For data without labels, without mixing; D is residual."""
    stages = halvings(shape)

    def counts(width: int | None) -> list[int]:
        return [min(width or 512, base // (max(shape[:2]) >> (stages - stage))) for stage in range(stages + 1)]

    d_counts = counts(config.d_width)[::-1]
    d = [EqualConv(shape[2], d_counts[0], 1)]
    d += [ResidualHalving(a, b) for a, b in itertools.pairwise(d_counts)]
    last, positions = d_counts[-1], (shape[0] >> stages) * (shape[1] >> stages)
    d += [Stddev(), EqualConv(last + 1, last), ToVector(), EqualLinear(last * positions, last)]
    d += [EqualLinear(last, 1, linear=True), Squeeze()]
    return StyleGAN2Generator(config.z_dim, shape, counts(config.g_width), mapping), Unlabelled(*d)
