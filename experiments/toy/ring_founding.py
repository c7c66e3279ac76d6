"""The ring with the original GAN (Goodfellow et al. 2014, arXiv:1406.2661): minimax loss, no penalty, constant learning rates,
no average of G.

    gan_jax train toy/ring_founding

Time: not measured
Measured: collapses: 1, 2 and 6 of 8 modes, 3 seeds

It collapses: the samples form one cluster that moves from mode to mode. D learns slowly, as in Metz et al. 2017,
arXiv:1611.02163, whose remedy is `--update "unrolled(steps=5)"`. With compare.py, seeds 0:3, two CPU cores, jax 0.10.2, the
modes that have samples at step 5,000 were counted; unrolled 8 in each. High quality 0.6%, unrolled 1.0%: neither converges,
since no learning rate decays.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

RING = load_recipe(Path(__file__).with_name("ring.py"))
FOUNDING = {"loss": "minimax", "penalty": None, "g_lr_final": None, "d_lr_final": None, "ema": 0.0, "b1": 0.5, "b2": 0.999}
NETWORKS = {"z_dim": 256, "g_depth": 2, "d_depth": 2}
CONFIG = replace(RING, name="ring_founding", g_lr=1e-3, d_lr=1e-4, steps=5_000, eval_every=1_000, **FOUNDING, **NETWORKS)
