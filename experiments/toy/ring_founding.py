"""The ring with the original GAN (Goodfellow et al. 2014, arXiv:1406.2661): minimax loss, no penalty, constant learning rates,
no average of G.

    gan_jax train toy/ring_founding

Time: 158 s of CPU time for 10 seeds
Measured: 4.0 +- .9 of 8 modes, 2.5 +- 1.1% high quality, 10 seeds

It does not converge. `gan_jax compare toy/ring_founding --seeds 0:10`, one CPU core, jax 0.10.2, counts the modes that have at
least one sample at step 5,000: 4, 2, 8, 0, 8, 5, 5, 0, 6 and 2 of 8, with a high quality of 0% to 11%. In the pictures, the
samples are clouds and bands that change from one evaluation to the next; those of seeds 3 and 7 have left the frame.

D learns slowly, as in Metz et al. 2017, arXiv:1611.02163, whose remedy is `--update "unrolled(steps=5)"`. It has samples in 8,
7 and 8 modes (seeds 0 to 2), but has not converged by step 5,000 either: they are one cloud over the whole ring, high quality
1.2%.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

RING = load_recipe(Path(__file__).with_name("ring.py"))
FOUNDING = {"loss": "minimax", "penalty": None, "g_lr_final": None, "d_lr_final": None, "ema": 0.0, "b1": 0.5, "b2": 0.999}
NETWORKS = {"z_dim": 256, "g_depth": 2, "d_depth": 2}
CONFIG = replace(RING, name="ring_founding", g_lr=1e-3, d_lr=1e-4, steps=5_000, eval_every=1_000, **FOUNDING, **NETWORKS)
