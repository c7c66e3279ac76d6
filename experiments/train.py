"""Train a GAN: `python experiments/train.py --help`."""

from gan_jax.cli.command import command
from gan_jax.cli.train import main

if __name__ == "__main__":
    command(main)
