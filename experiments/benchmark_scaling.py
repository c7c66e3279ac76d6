"""Estimate how data parallelism scales: `python experiments/benchmark_scaling.py --help`."""

from gan_jax.cli.benchmark_scaling import main
from gan_jax.cli.command import command

if __name__ == "__main__":
    command(main)
