"""Download pretrained weights, or import a pretrained generator as a run: `python experiments/weights.py --help`."""

from gan_jax.cli.command import command
from gan_jax.cli.weights import main

if __name__ == "__main__":
    command(main)
