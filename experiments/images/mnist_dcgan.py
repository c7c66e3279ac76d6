"""MNIST, 28x28, by a small DCGAN (Radford et al. 2016, arXiv:1511.06434) with spectral norm and the hinge loss.

    python experiments/train.py experiments/images/mnist_dcgan.py

Measured on two shared CPU cores, jax 0.10.2, seed 0: 255 s from command to page, fd 8.6 (real 0.36), inception score 7.52
(9.58), precision .717 (.943), recall .941 (.944), coverage .625 (.956), every class between 8.2% and 12.4%. Most samples
are clean digits, some are malformed, and fd, still falling at the end, sees it: it is 24 times its floor.
"""

from gan_jax.config import Config

CONFIG = Config(
    data="tfds:mnist",
    model="dcgan",
    g_width=32,
    d_width=32,
    d_norm="spectral",
    loss="hinge",
    g_lr=2e-3,
    g_lr_final=2e-4,
    d_lr=4e-3,
    d_lr_final=4e-4,
    b1=0.0,
    b2=0.99,
    batch=64,
    steps=11_000,
    eval_every=2_000,
    save_every=2_000,
)
