"""The command `gan_jax COMMAND ...`: runs the command's module, as its script in `experiments/` does."""

import importlib
import sys

from gan_jax.cli.command import command
from gan_jax.errors import unknown
from gan_jax.version import VERSION

# Each is a module of this folder with a function `main`, which is imported only when it is called.
COMMANDS = {
    "train": "train a recipe",
    "recipes": "list the recipes, with their data, time and result; or describe one",
    "evaluate": "measure a run's generator, or one set of samples against another",
    "sample": "write samples of a run's generator, and other views of it",
    "compare": "train methods over several seeds, and compare them on one page",
    "export": "write a generator as files that run without this package",
    "report": "write the page of a run, or serve it while the run trains",
    "temperatures": "evaluate text generators at several temperatures",
    "weights": "download the networks of metrics, or import a pretrained generator as a run",
    "benchmark": "time training steps, beside PyTorch if it is installed",
    "benchmark_data": "time streamed data",
    "benchmark_metrics": "time metrics, beside other tools if they are installed",
    "benchmark_scaling": "estimate how far data parallelism scales",
}


def main() -> None:
    command(_main)


def _main() -> None:
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print(_help())
    elif name == "--version":
        print(f"gan_jax {VERSION}")
    elif name in COMMANDS:
        sys.argv = [f"gan_jax {name}", *arguments]
        importlib.import_module(f"gan_jax.cli.{name}").main()
    else:
        raise unknown("command", name, COMMANDS)


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = (f"  {name:{width}}  {description}" for name, description in COMMANDS.items())
    return "\n".join(
        [
            "usage: gan_jax COMMAND [--help] ...",
            "",
            "Research on generative adversarial networks in functional JAX.",
            "",
            *lines,
            "",
            "`gan_jax train` alone trains images/digits, without a network; `gan_jax --version` shows the version.",
        ]
    )
