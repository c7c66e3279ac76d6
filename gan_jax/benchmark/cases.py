"""The cases of the benchmark: training steps by their configs, and single convolutions. Imports neither JAX nor PyTorch."""

import math
from dataclasses import replace
from typing import NamedTuple

from gan_jax.config import Config


class Case(NamedTuple):
    """A training step."""

    description: str
    config: Config
    shape: tuple[int, ...]  # of a sample
    num_classes: int = 0
    bar: float | None = None  # the speed to reach, relative to PyTorch's

    @property
    def period(self) -> int:
        """The number of steps after which the lazy penalties repeat."""
        return math.lcm(self.config.penalty_every, self.config.g_penalty_every)

    def at(self, **changes: object) -> "Case":
        """The same case with other values in its Config."""
        return self._replace(config=replace(self.config, **changes))


_MLP = Config(
    model="mlp",
    z_dim=2,
    g_width=128,
    g_depth=5,
    d_width=128,
    d_depth=3,
    loss="relativistic",
    penalty="r1_r2",
    gamma=0.01,
    batch=512,
)
_DCGAN = Config(
    model="dcgan",
    z_dim=128,
    g_width=64,
    d_width=64,
    loss="non_saturating",
    batch=64,
    b1=0.5,
    b2=0.999,
)
_SNGAN = Config(
    model="resnet",
    z_dim=128,
    g_width=64,
    d_width=64,
    d_norm="spectral",
    loss="hinge",
    d_steps=5,
    batch=64,
    b1=0.5,
    b2=0.999,
)
_STYLEGAN2 = Config(
    model="stylegan2(base=2048, mapping=2, mixing=0.0)",
    z_dim=512,
    loss="non_saturating",
    batch=8,
    penalty="r1",
    gamma=0.1,
    penalty_every=16,
    g_penalty="path_length",
    g_gamma=2.0,
    g_penalty_every=4,
    g_lr=2e-3,
    d_lr=2e-3,
)
_BIGGAN = Config(
    model="biggan(attention=16)",
    z_dim=80,
    g_width=32,
    d_width=32,
    g_condition="norm",
    d_condition="projection",
    loss="hinge",
    d_steps=5,
    batch=16,
    b1=0.5,
    b2=0.999,
)
_R3GAN = Config(
    model="r3gan",
    z_dim=64,
    g_width=96,
    d_width=96,
    loss="relativistic",
    penalty="r1_r2",
    gamma=0.05,
    batch=16,
    b2=0.9,
)
_MLP_TEXT = "2-D MLP, G 5 and D 3 layers of 128, relativistic, R1 + R2"
_DCGAN_TEXT = "32x32x1, width 64"
_SNGAN_TEXT = "SNGAN 32x32x3, width 64 (256 channels in G, 128 in D), hinge, 5 D steps"

CASES = {
    "mlp512": Case(f"{_MLP_TEXT}, batch 512", _MLP, (2,), bar=2.0),
    "mlp8": Case(f"{_MLP_TEXT}, batch 8", replace(_MLP, batch=8), (2,), bar=8.0),
    "dcgan": Case(f"DCGAN {_DCGAN_TEXT}, batch norm, batch 64", _DCGAN, (32, 32, 1), bar=1.15),
    "wgan_gp": Case(
        f"WGAN-GP, DCGAN's networks {_DCGAN_TEXT}, no norm in D, 1 D step, batch 64",
        replace(_DCGAN, d_norm="none", loss="wasserstein", penalty="gradient_penalty", gamma=10.0, b2=0.9),
        (32, 32, 1),
        bar=1.15,
    ),
    "sngan8": Case(f"{_SNGAN_TEXT}, batch 8", replace(_SNGAN, batch=8), (32, 32, 3), bar=1.1),
    "sngan64": Case(f"{_SNGAN_TEXT}, batch 64", _SNGAN, (32, 32, 3), bar=1.1),
    "stylegan2": Case(
        "StyleGAN2 64x64x3, 32 channels at 64 pixels to 512 at 4, R1 each 16th and path length each 4th step, batch 8",
        _STYLEGAN2,
        (64, 64, 3),
    ),
    "biggan": Case(
        "BigGAN 32x32x3, 10 classes, width 32 (128 channels), self-attention at 16x16, 5 D steps, batch 16",
        _BIGGAN,
        (32, 32, 3),
        10,
    ),
    "r3gan": Case("R3GAN 32x32x3, width 96, R1 + R2, batch 16", _R3GAN, (32, 32, 3), bar=1.1),
}


class Layer(NamedTuple):
    """A convolution of stride 1 that keeps the size of images [batch, size, size, channels], or one of its derivatives."""

    derivative: str  # "forward", "input" (gradient) or "weights" (gradient)
    window: int
    batch: int
    size: int
    channels: int
    features: int  # output channels

    @property
    def flops(self) -> float:
        return 2.0 * self.batch * self.size**2 * self.window**2 * self.channels * self.features

    @property
    def description(self) -> str:
        kind = "forward" if self.derivative == "forward" else f"gradient of {self.derivative}"
        shape = f"{self.batch} x {self.size} x {self.size} x {self.channels} -> {self.features}"
        return f"{self.window}x{self.window} {kind}, {shape}"


LAYERS = tuple(
    Layer(*layer)
    for layer in (
        ("weights", 3, 8, 32, 256, 256),
        ("weights", 3, 16, 32, 128, 128),
        ("weights", 3, 64, 32, 128, 128),
        ("weights", 3, 8, 16, 256, 256),
        ("forward", 1, 16, 32, 96, 192),
        ("input", 1, 16, 32, 96, 192),
        ("weights", 1, 16, 32, 96, 192),
        ("forward", 3, 8, 32, 256, 256),
        ("input", 3, 8, 32, 256, 256),
        ("forward", 3, 16, 32, 128, 128),
        ("input", 3, 16, 32, 128, 128),
    )
)
