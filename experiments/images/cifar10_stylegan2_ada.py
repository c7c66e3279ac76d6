"""Unconditional CIFAR-10 with StyleGAN2 and adaptive augmentation (Karras et al. 2020, arXiv:2006.06676, appendix D).

    gan_jax train images/cifar10_stylegan2_ada

Time: needs a GPU, not run by us
Published: FID 2.92, inception score 9.83

The authors' configuration "cifar". Rates and b2 are .0025 k and .99^k, k = 4/5 for G (without path length too) and 16/17 for D.
With labels, here `--g_condition norm --d_condition projection`, they report 2.42 and 10.14 (figure 11b: 50,000 samples against
all training images, best checkpoint, means of 5 runs). Differences: float32, without clamping at 256, where they use float16;
ADA adapts p at each step, not each fourth; R1 joins the step of the loss, there a step of its own; one label for each pair of
real and fake samples, there independent.
"""

from gan_jax.config import Config

CONFIG = Config(
    data="tfds:cifar10",
    model="stylegan2(base=32768, mapping=2, mixing=0.0, residual=False, group=32)",
    z_dim=512,
    loss="non_saturating",
    penalty="r1",
    gamma=0.01,
    penalty_every=16,
    augment="ada",
    augment_target=0.6,
    augment_kimg=500.0,
    g_lr=2e-3,
    d_lr=2.353e-3,
    b1=0.0,
    g_optimizer="adam(b2=0.99199)",
    d_optimizer="adam(b2=0.99059)",
    ema_half_life=500_000.0,
    ema_ramp=0.05,
    batch=64,
    steps=1_562_500,
    eval_every=10_000,
    save_every=5_000,
)
