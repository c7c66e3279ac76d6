"""Unconditional CIFAR-10 with StyleGAN2 and adaptive augmentation (Karras et al. 2020, arXiv:2006.06676, appendix D).

    python experiments/train.py experiments/images/cifar10_stylegan2_ada.py

D's learning rate and b2 are corrected for its lazy penalty: .0025 k and .99^k, k = 16/17. Published with labels, which is
`--g_condition norm --d_condition projection`: FID 2.31, inception score 10.53 (StudioGAN's table, 50,000 samples against the
train split; with DiffAugment 2.39, with neither 3.78). Needs a GPU: 100 million images; not run by us at this size.
"""

from gan_jax.config import Config

CONFIG = Config(
    data="tfds:cifar10",
    model="stylegan2(base=32768, mapping=2, mixing=0.0, residual=False, group=32)",
    z_dim=512,
    **{"loss": "non_saturating", "penalty": "r1", "gamma": 0.01, "penalty_every": 16},
    **{"augment": "ada", "augment_target": 0.6, "augment_kimg": 500.0},
    **{"g_lr": 2.5e-3, "d_lr": 2.353e-3, "b1": 0.0, "b2": 0.99, "d_optimizer": "adam(b2=0.99058)"},
    **{"ema_half_life": 500_000.0, "ema_ramp": 0.05},
    batch=64,
    steps=1_562_500,
    eval_every=10_000,
    save_every=5_000,
)
