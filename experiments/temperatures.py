"""Evaluate text generators at several temperatures: `python experiments/temperatures.py --help`."""

from gan_jax.cli.command import command
from gan_jax.cli.temperatures import main

if __name__ == "__main__":
    command(main)
