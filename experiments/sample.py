"""Sample a run's generator: `python experiments/sample.py --help`."""

from gan_jax.cli.command import command
from gan_jax.cli.sample import main

if __name__ == "__main__":
    command(main)
