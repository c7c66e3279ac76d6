"""Compare methods over seeds: `python experiments/compare.py --help`."""

from gan_jax.cli.command import command
from gan_jax.cli.compare import main

if __name__ == "__main__":
    command(main)
