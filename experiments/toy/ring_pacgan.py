"""8 Gaussians on a ring as in PacGAN (radius 1, standard deviation 0.01; Lin et al. 2018, arXiv:1712.04086).

python experiments/train.py experiments/toy/ring_pacgan.py
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

RING = load_recipe(Path(__file__).with_name("ring.py"))
CONFIG = replace(RING, name="ring_pacgan", data="ring(sigma=0.01)")
