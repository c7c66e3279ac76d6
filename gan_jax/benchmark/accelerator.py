"""What `gan_jax benchmark --accelerator` measures. Imports neither JAX nor PyTorch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax.benchmark.cases import CASES, Case

COMPUTES = ("bfloat16", "float32")  # float32 products in TF32: JAX's default, and set for PyTorch

# Sizes for a GPU with 80 GB, in the order in which they are measured until the time is up.
GAMES = {
    "r3gan": CASES["r3gan"].at(g_width=768, d_width=768, batch=256),
    "biggan": CASES["biggan"].at(g_width=96, d_width=48, batch=256),
    "sngan": CASES["sngan64"],
    "stylegan2": CASES["stylegan2"].at(model="stylegan2(base=16384, mapping=8, mixing=0.0)", batch=64),
    "dcgan": CASES["dcgan"].at(batch=256)._replace(shape=(32, 32, 3)),
}


def games(smoke: bool) -> dict[str, Case]:
    """The cases by name; with `smoke`, so small that a CPU can compute them."""
    if not smoke:
        return GAMES
    tiny = {name: case.at(g_width=4, d_width=4, batch=8, d_steps=1)._replace(shape=(8, 8, 3)) for name, case in GAMES.items()}
    return tiny | {"stylegan2": tiny["stylegan2"].at(model="stylegan2(base=32, mapping=2, mixing=0.0)")}


def describe(case: Case) -> str:
    """The size of a case in words."""
    config, (height, width, channels) = case.config, case.shape
    widths = "" if config.g_width is None else f", widths {config.g_width} and {config.d_width}"
    return f"{config.model}{widths}, {height}x{width}x{channels}, batch {config.batch}, D steps {config.d_steps}"


class Task(NamedTuple):
    """The arguments of a part of the benchmark."""

    seconds_left: Callable[[], float]  # until the part must have ended
    record: Callable[[dict[str, Any]], None]  # save the results so far, as JSON
    smoke: bool
    data: Path | None  # CIFAR-10 as an .npz
    inception: Path | None  # weights of the Inception network
    out: Path  # folder of the results
    scratch: Path  # folder of temporary files
    train_command: Callable[[Path, Path], list[str]]  # (config file, run directory) -> a command that trains reproducibly
