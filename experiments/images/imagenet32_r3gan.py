"""Class-conditional ImageNet at 32 x 32 with R3GAN (Huang et al. 2024, arXiv:2501.05441), from a folder of its images.

    gan_jax train images/imagenet32_r3gan --data 'mirrored:folder(path="imagenet/train", side=32)'

Time: needs 32 GPUs, not run by us
Published: FID 1.27

The game of cifar10_r3gan.py with twice the channels. Settings of their table 9 and their code: all schedules end after 200
million of a billion images. The largest centred square of each image is resized with a Lanczos filter, as by the authors' tool.
The images that others have resized are faster to read: `mirrored:tfds:imagenet_resized/32x32`, with another filter. The FID is
of 50,000 samples against the whole training split; G has 82.91 million parameters, D 86.55 million. The authors trained it on
32 GPUs.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

CIFAR = load_recipe(Path(__file__).with_name("cifar10_r3gan.py"))
CONFIG = replace(
    CIFAR,
    name="imagenet32_r3gan",
    data='mirrored:folder(path="imagenet/train", side=32)',
    model="r3gan(group=32, bfloat16=3)",
    g_width=1536,
    d_width=1536,
    gamma=0.5,
    gamma_final=0.05,
    augment_p_final=0.5,
    ema_half_life_final=5e7,
    batch=4096,
    steps=244_141,
    schedule_steps=48_828,
)
