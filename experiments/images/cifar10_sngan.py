"""Class-conditional CIFAR-10 with SNGAN (Miyato et al. 2018, arXiv:1802.05957; projection discriminator, Miyato and Koyama
2018, arXiv:1802.05637): residual networks, spectral norm in D, hinge loss.

    gan_jax train images/cifar10_sngan

Time: needs a GPU, not run by us
Published: FID 9.01, inception score 8.83, by StudioGAN

Settings of StudioGAN (figures of arXiv:2206.09479: 50,000 samples against the train split, TensorFlow's Inception, standing
statistics, best checkpoint). Differences: initial weights of the paper, there orthogonal; class tables of G start at zero,
there orthogonal and without a bias; there batch norm with epsilon 1e-4 and mixed precision; one label for each pair of real and
fake samples, there independent. cifar10_conditional.py is for two CPU cores.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

DCGAN = load_recipe(Path(__file__).with_name("cifar10_dcgan.py"))
NETWORKS = {"model": "resnet", "g_condition": "norm", "d_condition": "projection", "d_norm": "spectral"}
CONFIG = replace(DCGAN, name="cifar10_sngan", **NETWORKS, loss="hinge", d_steps=5, steps=100_000)
