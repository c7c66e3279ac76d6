"""Time streamed data: `python experiments/benchmark_data.py --help`."""

from gan_jax.cli.benchmark_data import main
from gan_jax.cli.command import command

if __name__ == "__main__":
    command(main)
