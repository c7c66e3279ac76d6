"""8 Gaussians on a ring as in PacGAN (radius 1, standard deviation 0.01; Lin et al. 2018, arXiv:1712.04086).

    python experiments/train.py experiments/toy/ring_pacgan.py

`python experiments/compare.py experiments/toy/ring_pacgan.py --seeds 0:10`, two busy CPU cores, jax 0.10.2, 739 s for all runs
(336 s of CPU time): 8 of 8 modes in each, 97.996% high quality (96.3 to 99.3), reverse KL .0029, spread inside modes .36 of the
true value.
Measured before G's step read real samples of its own (see the changelog).
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

RING = load_recipe(Path(__file__).with_name("ring.py"))
CONFIG = replace(RING, name="ring_pacgan", data="ring(sigma=0.01)")
