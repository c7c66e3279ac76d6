"""8 Gaussians on a ring as in PacGAN (radius 1, standard deviation 0.01; Lin et al. 2018, arXiv:1712.04086).

    gan_jax train toy/ring_pacgan

Time: 739 s for 10 seeds
Measured: 8 of 8 modes, 97.996% high quality, reverse KL .0029, 10 seeds

`gan_jax compare toy/ring_pacgan --seeds 0:10`, two busy CPU cores, jax 0.10.2, 336 s of CPU time: every run has all modes,
96.3% to 99.3% high quality; spread inside modes .36 of the true value. Measured before G's step read real samples of its own
(see the changelog).
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

RING = load_recipe(Path(__file__).with_name("ring.py"))
CONFIG = replace(RING, name="ring_pacgan", data="ring(sigma=0.01)")
