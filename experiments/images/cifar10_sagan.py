"""Class-conditional CIFAR-10 with SAGAN (Zhang et al. 2019, arXiv:1805.08318): SNGAN with self-attention at 16 x 16 in
both players, and spectral norm in G too.

    gan_jax train images/cifar10_sagan

Time: needs a GPU, not run by us
Published: FID 10.35, inception score 8.64, by StudioGAN

Settings of StudioGAN (figures of arXiv:2206.09479: 50,000 samples against the train split, TensorFlow's Inception, standing
statistics, best checkpoint). Differences: those of cifar10_sngan.py, and no spectral norm of G's class tables.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

SNGAN = load_recipe(Path(__file__).with_name("cifar10_sngan.py"))
CONFIG = replace(SNGAN, name="cifar10_sagan", model="resnet(attention=16, spectral=True)")
