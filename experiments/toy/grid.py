"""25 Gaussians on a grid (spacing 2, standard deviation 0.05): does the generator find every mode?

    python experiments/train.py experiments/toy/grid.py

`python experiments/compare.py experiments/toy/grid.py --seeds 0:10`, two CPU cores, jax 0.10.2, 279 s for all ten runs: 25 of
25 modes in each, 96.1% high quality (95.3 to 96.8), reverse KL .0056, spread inside modes .43 of the true value.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

RING = load_recipe(Path(__file__).with_name("ring.py"))
CONFIG = replace(RING, name="grid", data="grid", gamma=0.05, gamma_final=0.001)
