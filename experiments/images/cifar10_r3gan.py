"""Class-conditional CIFAR-10 with R3GAN (Huang et al. 2024, arXiv:2501.05441): no normalisation, relativistic loss, R1 and R2
at every step.

    gan_jax train images/cifar10_r3gan

Time: needs a GPU, not run by us
Published: FID 1.96

Settings of their table 9 and their code: all schedules are cosines over the first 20 million of 250 million images, and the
three largest resolutions are computed in bfloat16. The FID is of 50,000 samples against the whole training split; G has 20.78
million parameters, D 21.28 million.
"""

from gan_jax.config import Config

CONFIG = Config(
    data="mirrored:tfds:cifar10",
    model="r3gan(bfloat16=3)",
    z_dim=64,
    g_condition="concat",
    d_condition="projection",
    loss="relativistic",
    penalty="r1_r2",
    gamma=0.05,
    gamma_final=0.005,
    augment="ada(color=0.5) + cutout",
    augment_p=0.0,
    augment_p_final=0.55,
    g_lr=2e-4,
    g_lr_final=5e-5,
    d_lr=2e-4,
    d_lr_final=5e-5,
    b1=0.0,
    b2=0.9,
    b2_final=0.99,
    ema_half_life=0.0,
    ema_half_life_final=5e6,
    ema_ramp=None,
    batch=512,
    steps=488_281,
    schedule_steps=39_063,
    eval_every=5_000,
    save_every=2_000,
)
