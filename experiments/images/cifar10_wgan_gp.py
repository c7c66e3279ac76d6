"""CIFAR-10 with WGAN-GP's residual networks (Gulrajani et al. 2017, arXiv:1704.00028): gradient norm 1, no normalisation in D.

    gan_jax train images/cifar10_wgan_gp

Time: needs a GPU, not run by us
Published: FID 22.29, inception score 7.33, by mimicry

Settings and figures of mimicry (arXiv:2005.02494: 50,000 samples against the train split, TensorFlow's Inception, the last of
100,000 steps). Differences: their G doubles by bilinear interpolation, their D takes the mean over positions; here G repeats
pixels and D sums.
"""

from gan_jax.config import Config

CONFIG = Config(
    data="tfds:cifar10",
    model="resnet",
    z_dim=128,
    d_norm="none",
    loss="wasserstein",
    penalty="gradient_penalty",
    gamma=10.0,
    batch=64,
    d_steps=5,
    g_lr=2e-4,
    g_lr_final=0.0,
    d_lr=2e-4,
    d_lr_final=0.0,
    schedule="linear",
    b1=0.0,
    b2=0.9,
    ema=0.0,
    steps=100_000,
    eval_every=10_000,
    save_every=2_000,
)
