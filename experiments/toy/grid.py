"""25 Gaussians on a grid (spacing 2, standard deviation 0.05): does the generator find every mode?

python experiments/train.py experiments/toy/grid.py
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

RING = load_recipe(Path(__file__).with_name("ring.py"))
CONFIG = replace(RING, name="grid", data="grid", gamma=0.05, gamma_final=0.001)
