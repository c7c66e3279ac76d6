"""FFHQ at 256 x 256 with R3GAN (Huang et al. 2024, arXiv:2501.05441), from a folder of its images, which are resized when read.

    gan_jax train images/ffhq256_r3gan
    --data 'mirrored:folder(path="ffhq", side=256, labels="none")'

Time: needs a GPU, not run by us
Published: FID 2.75

The game of ffhq64_r3gan.py with two more resolutions of 192 and 96 channels, gamma from 150 to 15, and 200 million images, as
in their table 9. The FID is of 50,000 samples against all 70,000 images; G has 23.06 million parameters, D 23.01 million.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

FFHQ64 = load_recipe(Path(__file__).with_name("ffhq64_r3gan.py"))
DATA = 'mirrored:folder(path="ffhq", side=256, labels="none")'
CONFIG = replace(FFHQ64, name="ffhq256_r3gan", data=DATA, gamma=150.0, gamma_final=15.0, steps=781_250)
