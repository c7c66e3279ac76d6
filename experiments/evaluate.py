"""Evaluate a run's generator, or one set of samples against another: `python experiments/evaluate.py --help`."""

from gan_jax.cli.command import command
from gan_jax.cli.evaluate import main

if __name__ == "__main__":
    command(main)
