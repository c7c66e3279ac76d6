"""FFHQ at 64 x 64 with R3GAN (Huang et al. 2024, arXiv:2501.05441), from a folder of its images, which are resized when read.

    gan_jax train images/ffhq64_r3gan --data 'mirrored:folder(path="ffhq", side=64, labels="none")'

Time: needs a GPU, not run by us
Published: FID 1.95

The game of cifar10_r3gan.py with one more resolution and no labels. Settings of their table 9 and their code: gamma falls from
2 to .2, the average's half-life rises to half a million images and the augmentation probability to .3, all over the first 20
million of 100 million images; the four largest resolutions are computed in bfloat16. The FID is of 50,000 samples against all
70,000 images; G has 22.43 million parameters, D 22.38 million.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

CIFAR = load_recipe(Path(__file__).with_name("cifar10_r3gan.py"))
CONFIG = replace(
    CIFAR,
    name="ffhq64_r3gan",
    data='mirrored:folder(path="ffhq", side=64, labels="none")',
    model="r3gan(bfloat16=4)",
    g_condition=None,
    d_condition=None,
    gamma=2.0,
    gamma_final=0.2,
    augment_p_final=0.3,
    ema_half_life_final=5e5,
    batch=256,
    steps=390_625,
    schedule_steps=78_125,
)
