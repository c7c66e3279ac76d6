"""MNIST, 28x28, by a small DCGAN.

python experiments/train.py experiments/images/mnist_dcgan.py
"""

from gan_jax.config import Config

CONFIG = Config(
    data="tfds:mnist",
    model="dcgan",
    g_width=32,
    d_width=32,
    d_norm="spectral",
    loss="hinge",
    g_lr=8e-4,
    d_lr=1.6e-3,
    b1=0.0,
    b2=0.99,
    batch=64,
    steps=6_000,
)
