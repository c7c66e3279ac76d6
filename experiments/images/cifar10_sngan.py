"""Class-conditional CIFAR-10 with SNGAN (Miyato et al. 2018, arXiv:1802.05957; projection discriminator, Miyato and Koyama
2018, arXiv:1802.05637): residual networks, spectral norm in D, hinge loss.

    python experiments/train.py experiments/images/cifar10_sngan.py

Published for these settings: FID 9.01, inception score 8.83 (StudioGAN's table, 50,000 samples against the train split). Needs
a GPU: not run by us at this size; cifar10_sngan_narrow.py is a version for two CPU cores.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

WGAN = load_recipe(Path(__file__).with_name("cifar10_wgan_gp.py"))
LABELS = {"g_condition": "norm", "d_condition": "projection"}
CONFIG = replace(WGAN, name="cifar10_sngan", **LABELS, d_norm="spectral", loss="hinge", penalty=None, gamma=1.0)
