"""Class-conditional ImageNet at 64 x 64 with R3GAN (Huang et al. 2024, arXiv:2501.05441), from a folder of its images.

    gan_jax train images/imagenet64_r3gan --data 'mirrored:folder(path="imagenet/train", side=64)'

Time: needs 64 GPUs, not run by us
Published: FID 2.09

The game of imagenet32_r3gan.py with one more resolution, as wide as the others. Settings of their table 9 and their code: gamma
falls from 1 to .1 and the augmentation probability rises to .4; the four largest resolutions are computed in bfloat16. Already
resized: `mirrored:tfds:imagenet_resized/64x64`. The FID is of 50,000 samples against the whole training split; G has 103.57
million parameters, D 107.21 million. The authors trained it on 64 GPUs.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

IMAGENET32 = load_recipe(Path(__file__).with_name("imagenet32_r3gan.py"))
CONFIG = replace(
    IMAGENET32,
    name="imagenet64_r3gan",
    data='mirrored:folder(path="imagenet/train", side=64)',
    model="r3gan(group=32, taper_above=64, bfloat16=4)",
    gamma=1.0,
    gamma_final=0.1,
    augment_p_final=0.4,
)
