"""CIFAR-10 with DCGAN (Radford et al. 2016, arXiv:1511.06434), the usual baseline: batch norm only, no average of G.

    gan_jax train images/cifar10_dcgan

Time: needs a GPU, not run by us
Published: FID 48.3, inception score 6.11, for StudioGAN's networks

Settings of StudioGAN, networks of the paper. Figures of StudioGAN's networks (table of arXiv:2206.09479: 50,000 samples against
the train split, TensorFlow's Inception, standing statistics, best checkpoint). Differences: their D has seven convolutions and
sums over positions, their G a last layer of 3x3, both orthogonal initial weights and batch norm with epsilon 1e-4; they train
in mixed precision.
"""

from gan_jax.config import Config

CONFIG = Config(
    data="mirrored:tfds:cifar10",
    model="dcgan",
    z_dim=128,
    loss="non_saturating",
    batch=64,
    d_steps=2,
    g_lr=2e-4,
    d_lr=2e-4,
    b1=0.5,
    b2=0.999,
    g_optimizer="adam(eps=1e-6)",
    d_optimizer="adam(eps=1e-6)",
    ema=0.0,
    steps=200_000,
    eval_every=10_000,
    save_every=2_000,
)
