"""CIFAR-10 with DCGAN (Radford et al. 2016, arXiv:1511.06434), the usual baseline: batch norm only, no average of G.

    python experiments/train.py experiments/images/cifar10_dcgan.py

Published for these settings: FID 48.3, inception score 6.11 (StudioGAN's table, 50,000 samples against the train split; its
networks are one layer deeper). Needs a GPU: not run by us at this size.
"""

from gan_jax.config import Config

CONFIG = Config(
    data="tfds:cifar10",
    model="dcgan",
    z_dim=100,
    loss="non_saturating",
    batch=64,
    d_steps=2,
    g_lr=2e-4,
    d_lr=2e-4,
    b1=0.5,
    b2=0.999,
    ema=0.0,
    steps=200_000,
    eval_every=10_000,
    save_every=2_000,
)
