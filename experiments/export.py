"""Export a trained generator: `python experiments/export.py --help`."""

from gan_jax.cli.command import command
from gan_jax.cli.export import main

if __name__ == "__main__":
    command(main)
