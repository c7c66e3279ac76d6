"""Fashion-MNIST with a narrow R3GAN (Huang et al. 2024, arXiv:2501.05441), small enough for two CPU cores.

    gan_jax train images/fashion_mnist_r3gan

Time: not measured

It trains on 160,000 images, fashion_mnist_dcgan.py on 1.5 million in about the same time. Not measured since its resampling,
and the real samples of G's step, became those of the authors' code.
"""

from gan_jax.config import Config

CONFIG = Config(
    data="tfds:fashion_mnist",
    model="r3gan(blocks=1)",
    z_dim=64,
    g_width=32,
    d_width=32,
    loss="relativistic",
    penalty="r1_r2",
    gamma=2.0,
    gamma_final=0.2,
    g_lr=1e-3,
    g_lr_final=1e-4,
    d_lr=1e-3,
    d_lr_final=1e-4,
    b1=0.0,
    b2=0.9,
    b2_final=0.99,
    ema_half_life=0.0,
    ema_half_life_final=10_000.0,
    ema_ramp=None,
    batch=32,
    steps=5_000,
    eval_every=1_000,
    save_every=500,
)
