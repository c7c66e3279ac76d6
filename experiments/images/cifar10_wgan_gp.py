"""CIFAR-10 with WGAN-GP's residual networks (Gulrajani et al. 2017, arXiv:1704.00028): gradient norm 1, no normalisation in D.

    python experiments/train.py experiments/images/cifar10_wgan_gp.py

Published for these settings: FID 54.0, inception score 5.22 (StudioGAN's table, 50,000 samples against the train split;
mimicry's table has FID 22.29, for 100,000 steps). Needs a GPU: not run by us at this size.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

DCGAN = load_recipe(Path(__file__).with_name("cifar10_dcgan.py"))
PENALTY = {"loss": "wasserstein", "penalty": "gradient_penalty", "gamma": 10.0}
CONFIG = replace(DCGAN, name="cifar10_wgan_gp", model="resnet", z_dim=128, d_norm="none", **PENALTY, d_steps=5, steps=100_000)
