"""A few hundred of your own images with FastGAN (Liu et al. 2021, arXiv:2101.04775), at 256 pixels, in hours on one GPU.

    python experiments/train.py experiments/images/folder_fastgan.py --data 'mirrored:folder(path="photos", side=256)'

Hinge loss, DiffAugment's color and translation, and a discriminator that also reconstructs its input. Their table has nine
data sets of 65 to 1,000 images at 256 and 1,024 pixels. Needs a GPU: not run by us at this size.
"""

from gan_jax.config import Config

CONFIG = Config(
    data='mirrored:folder(path="photos", side=256)',
    model="fastgan",
    z_dim=256,
    **{"loss": "hinge", "penalty": "gan_jax.models.fastgan:reconstruction", "gamma": 1.0},
    augment="color + translation",
    **{"g_lr": 2e-4, "d_lr": 2e-4, "b1": 0.5, "b2": 0.999},
    batch=8,
    steps=50_000,
    eval_every=5_000,
    eval_samples=1_000,
)
