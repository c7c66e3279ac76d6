"""Two turns of a spiral with noise of standard deviation 0.02, cut into 20 pieces: does the generator follow all of it?

python experiments/train.py experiments/toy/spiral.py
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

RING = load_recipe(Path(__file__).with_name("ring.py"))
CONFIG = replace(RING, name="spiral", data="spiral")
