"""Class-conditional CIFAR-10 with BigGAN (Brock et al. 2019, arXiv:1809.11096): part of the latent for every block, a shared
class embedding, spectral norm in both players, and an average of G.

    python experiments/train.py experiments/images/cifar10_biggan.py

Published (StudioGAN's table, 50,000 samples against the train split): FID 4.16, inception score 9.96. FID with
    --augment "color + translation + cutout"    3.35 (DiffAugment)
    --penalty consistency --gamma 10            3.16 (CR)
    --penalty "lecam(one_sided=True)" --gamma 0.3     3.23 (LeCam; theirs starts at step 1,000)
Needs a GPU: not run by us at this size.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

SNGAN = load_recipe(Path(__file__).with_name("cifar10_sngan.py"))
CONFIG = replace(SNGAN, name="cifar10_biggan", model="biggan", z_dim=80, d_norm=None, ema=0.9999)
