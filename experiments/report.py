"""Write or show the page of a run: `python experiments/report.py --help`."""

from gan_jax.cli.command import command
from gan_jax.cli.report import main

if __name__ == "__main__":
    command(main)
