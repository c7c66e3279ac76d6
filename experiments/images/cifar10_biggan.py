"""Class-conditional CIFAR-10 with BigGAN (Brock et al. 2019, arXiv:1809.11096): part of the latent for every block, a shared
class embedding, spectral norm and self-attention at 16 x 16 in both players, and an average of G.

    gan_jax train images/cifar10_biggan

Time: needs a GPU, not run by us
Published: FID 4.16, inception score 9.96, by StudioGAN

Settings of StudioGAN (figures of arXiv:2206.09479: 50,000 samples against the train split, TensorFlow's Inception, standing
statistics, best checkpoint). There also FID 3.16 with `--penalty consistency --gamma 10`; for twice as many steps, `--steps
200000`, 3.35 with `--augment "color + translation + cutout"` and 3.23 with `--penalty lecam --gamma 0.3`. Differences: there
batch norm with epsilon 1e-4 and mixed precision; one label for each pair of real and fake samples, there independent.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

SNGAN = load_recipe(Path(__file__).with_name("cifar10_sngan.py"))
NETWORKS = {"model": "biggan(attention=16)", "z_dim": 80, "g_width": 96, "d_width": 48, "d_norm": None}
CONFIG = replace(SNGAN, name="cifar10_biggan", **NETWORKS, ema=0.9999, ema_start=1_000)
