"""Two half circles with noise of standard deviation 0.05, each cut into pieces: does the generator cover both?

python experiments/train.py experiments/toy/two_moons.py
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

RING = load_recipe(Path(__file__).with_name("ring.py"))
CONFIG = replace(RING, name="two_moons", data="two_moons")
