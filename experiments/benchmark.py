"""Time training steps: `python experiments/benchmark.py --help`."""

from gan_jax.cli.benchmark import main
from gan_jax.cli.command import command

if __name__ == "__main__":
    command(main)
