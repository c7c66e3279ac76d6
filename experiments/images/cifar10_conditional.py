"""Class-conditional CIFAR-10 for two CPU cores: DCGAN's networks at full width (Radford et al. 2016, arXiv:1511.06434), with
spectral norm and the hinge loss; labels in G's batch norm, and projection in D (Miyato and Koyama 2018, arXiv:1802.05637).

    gan_jax train images/cifar10_conditional

Time: @TIME@
Measured: @MEASURED@

@TEXT@
"""

from gan_jax.config import Config

CONFIG = Config(
    data="tfds:cifar10",
    model="dcgan",
    g_width=64,
    d_width=64,
    d_norm="spectral",
    g_condition="norm",
    d_condition="projection",
    loss="hinge",
    g_lr=1e-3,
    g_lr_final=1e-4,
    d_lr=2e-3,
    d_lr_final=2e-4,
    batch=64,
    steps=13_000,
    eval_every=6_500,
    save_every=1_000,
)
