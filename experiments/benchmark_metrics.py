"""Compare time and memory of metrics with other tools: `python experiments/benchmark_metrics.py --help`."""

from gan_jax.cli.benchmark_metrics import main
from gan_jax.cli.command import command

if __name__ == "__main__":
    command(main)
