"""Estimate how far data parallelism scales, without running anything: `gan_jax benchmark_scaling`.

A step with a fixed global batch on n devices computes F / n FLOPs on each, and sums the gradients of both players, b bytes, by
a ring all-reduce: 2 b (n - 1) / n bytes through each link. Communication takes longer than computation beyond

    n = 1 + F W / (2 b R)

devices, where R is the FLOPs per second that a device attains and W the bytes per second of its link, without overlap. The
formula uses b = 4 bytes per parameter, counting D's once per step of D; the column "MB sent" shows what XLA actually
communicates on eight fake CPU devices, where it sums D's gradients of real and of fake samples separately. Penalties are not
included.
"""

import os
from dataclasses import replace
from typing import NamedTuple

DEVICES = 8


class Accelerator(NamedTuple):
    """An accelerator, with its vendor's specifications, which are not measured."""

    name: str
    flops: float  # per second, bfloat16, dense
    link: float  # bytes per second in one direction, to directly connected devices
    source: str


ACCELERATORS = (
    Accelerator("A100, NVLink", 312e12, 300e9, "NVIDIA A100 data sheet"),
    Accelerator("H100, NVLink", 989e12, 450e9, "NVIDIA H100 SXM data sheet"),
    Accelerator("H100, 400 Gb/s network", 989e12, 50e9, "NVIDIA H100 SXM data sheet; one NDR port per GPU"),
    Accelerator("TPU v4", 275e12, 50e9, "Google Cloud TPU v4: 2,400 Gb/s over 6 links"),
    Accelerator("TPU v5e", 197e12, 50e9, "Google Cloud TPU v5e: 1,600 Gb/s over 4 links"),
)


def main() -> None:
    # These must be set before JAX is imported.
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={DEVICES}".strip()
    from gan_jax.cli.command import Parser
    from gan_jax.errors import InputError

    parser = Parser(description=__doc__)
    parser.add_argument(
        "--attained", type=float, default=0.3, help="fraction of a device's peak FLOPs that is attained (default: %(default)s)"
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    if not 0 < options.attained <= 1:
        raise InputError(f"--attained must be above 0 and at most 1, got {options.attained}")

    rows = [(name, *measure(config, shape)) for name, (config, shape) in networks().items()]
    print(f"{'':28} {'batch':>6} {'GFLOP':>8} {'MB formula':>12} {'MB sent':>8}  devices beyond which communication dominates")
    for name, batch, flops, formula, sent in rows:
        print(f"{name:28} {batch:6} {flops / 1e9:8,.0f} {formula / 1e6:12.1f} {sent / 1e6:8.1f}")
        for device in ACCELERATORS:
            limit = 1 + flops * device.link / (2 * formula * device.flops * options.attained)
            print(f"{'':28} {device.name:>38}: {limit:8.1f}   ({device.source})")
    print(f"{options.attained:.0%} of peak attained; gradients float32, computation bfloat16; {DEVICES} fake CPU devices")


def networks() -> dict:
    """Return the networks by name: (Config, shape of a sample)."""
    from gan_jax.config import Config

    adam = {"b1": 0.0, "b2": 0.9}
    sngan = Config(model="resnet", z_dim=128, batch=64, d_steps=5, loss="hinge", d_norm="spectral", **adam)
    biggan = replace(sngan, d_norm=None, g_condition="norm", d_condition="projection", g_width=64, d_width=64)
    stylegan2 = Config(model="stylegan2", z_dim=512, batch=64, loss="non_saturating", **adam)
    return {
        "DCGAN, 64x64": (Config(model="dcgan", z_dim=100, batch=128, loss="non_saturating", g_width=128), (64, 64, 3)),
        "SNGAN, CIFAR-10": (sngan, (32, 32, 3)),
        "SNGAN, 128x128": (replace(sngan, g_condition="norm", d_condition="projection"), (128, 128, 3)),
        "BigGAN, CIFAR-10": (replace(biggan, model="biggan(hierarchy=False, attention=0)", d_steps=4), (32, 32, 3)),
        "BigGAN, 128x128": (
            replace(biggan, model="biggan", g_width=96, d_width=96, z_dim=120, batch=256, d_steps=2),
            (128, 128, 3),
        ),
        "StyleGAN2, CIFAR-10": (
            replace(stylegan2, model="stylegan2(base=32768, mapping=2, mixing=0.0, residual=False)"),
            (32, 32, 3),
        ),
        "StyleGAN2, 256x256": (stylegan2, (256, 256, 3)),
    }


def measure(config, shape):
    """Return (batch, FLOPs of a step, bytes of its gradients by the formula, bytes that XLA sends to each device)."""
    import numpy as np

    from gan_jax.data.dataset import Split
    from gan_jax.data.load import load
    from gan_jax.game.build import build
    from gan_jax.game.state import count_parameters
    from gan_jax.training.compile import plan_devices
    from gan_jax.training.cost import cost

    train = Split(np.zeros((config.batch, *shape), np.uint8), np.zeros(config.batch, np.int32))
    data = replace(
        load("digits", 0, config.batch), train=train, sample_shape=shape, num_train=config.batch, to_float=lambda x: x / 255.0
    )
    game = build(config, data)
    parameters = count_parameters(game)
    formula = 4 * (parameters["g"] + config.d_steps * parameters["d"])
    single, parallel = (cost(game, data, plan_devices(replace(config, devices=n))) for n in (1, DEVICES))
    return config.batch, single.flops, formula, parallel.communicated
