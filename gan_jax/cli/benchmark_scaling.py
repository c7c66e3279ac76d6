"""How far data parallelism carries, on paper and by the compiler's account: `python experiments/benchmark_scaling.py`.

A step of one global batch on n devices computes F / n FLOPs on each and adds up the gradients of both players, b bytes, by a
ring: 2 b (n - 1) / n bytes through each link. Communication overtakes computation at

    n = 1 + F W / (2 b R)

devices, with R the FLOPs a second that a device attains and W the bytes a second of its link, nothing overlapped. b is on paper
4 bytes a parameter, D's once for each of its steps; beside it is what the compiler sends on eight fake CPU devices, where it
adds up D's gradients of real and of fake samples apart. No penalties are counted. Nothing is run.
"""

import argparse
import os
from dataclasses import replace
from typing import NamedTuple

DEVICES = 8


class Accelerator(NamedTuple):
    """Vendors' figures, not measured."""

    name: str
    flops: float  # bfloat16, dense, a second
    link: float  # bytes a second in one direction, to the devices that it is wired to
    source: str


ACCELERATORS = (
    Accelerator("A100, NVLink", 312e12, 300e9, "NVIDIA A100 data sheet"),
    Accelerator("H100, NVLink", 989e12, 450e9, "NVIDIA H100 SXM data sheet"),
    Accelerator("H100, 400 Gb/s network", 989e12, 50e9, "the same, one NDR port a GPU"),
    Accelerator("TPU v4", 275e12, 50e9, "Google Cloud TPU v4: 2,400 Gb/s over 6 links"),
    Accelerator("TPU v5e", 197e12, 50e9, "Google Cloud TPU v5e: 1,600 Gb/s over 4 links"),
)


def main() -> None:
    # Before JAX is imported.
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={DEVICES}".strip()
    from gan_jax.cli.command import Parser
    from gan_jax.errors import InputError

    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument(
        "--attained", type=float, default=0.3, help="share of a device's peak that is attained (default: %(default)s)"
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    if not 0 < options.attained <= 1:
        raise InputError(f"--attained must be above 0 and at most 1, got {options.attained}")

    rows = [(name, *measured(*of)) for name, of in networks().items()]
    print(f"{'':28} {'batch':>6} {'GFLOP':>8} {'MB on paper':>12} {'MB sent':>8}  devices at which communication overtakes")
    for name, batch, flops, paper, sent in rows:
        print(f"{name:28} {batch:6} {flops / 1e9:8,.0f} {paper / 1e6:12.1f} {sent / 1e6:8.1f}")
        for device in ACCELERATORS:
            overtakes = 1 + flops * device.link / (2 * paper * device.flops * options.attained)
            print(f"{'':28} {device.name:>38}: {overtakes:8.1f}   ({device.source})")
    print(f"{options.attained:.0%} of peak attained; gradients float32, computation bfloat16; {DEVICES} fake CPU devices")


def networks() -> dict:
    """Name -> (Config, shape of a sample)."""
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


def measured(config, shape):
    """-> (batch, FLOPs of a step, bytes of its gradients on paper, bytes that the compiler sends to each device)."""
    import numpy as np

    from gan_jax.data.dataset import Split
    from gan_jax.data.load import load
    from gan_jax.game.build import build
    from gan_jax.game.state import count_parameters
    from gan_jax.training.compile import plan_devices
    from gan_jax.training.cost import cost

    few = Split(np.zeros((config.batch, *shape), np.uint8), np.zeros(config.batch, np.int32))
    data = replace(
        load("digits", 0, config.batch), train=few, sample_shape=shape, num_train=config.batch, to_float=lambda x: x / 255.0
    )
    game = build(config, data)
    parameters = count_parameters(game)
    paper = 4 * (parameters["g"] + config.d_steps * parameters["d"])
    one, several = (cost(game, data, plan_devices(replace(config, devices=n))) for n in (1, DEVICES))
    return config.batch, one.flops, paper, several.communicated
