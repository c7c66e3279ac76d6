"""Captions of COCO, 32 characters each, by WGAN-GP (Gulrajani et al. 2017, arXiv:1704.00028, section 5.6), narrow.

    python experiments/train.py experiments/text/coco_characters.py

"""

from gan_jax.config import Config

CONFIG = Config(
    data='text(path="coco_captions_texygen/image_coco.txt", test="coco_captions_texygen/test_coco.txt")',
    model="text_resnet",
    z_dim=64,
    g_width=64,
    d_width=64,
    loss="wasserstein",
    penalty="gradient_penalty",
    gamma=10.0,
    d_steps=3,
    batch=64,
    g_lr=5e-4,
    d_lr=5e-4,
    b1=0.5,
    b2=0.9,
    ema=0.99,
    steps=3_000,
    eval_every=500,
    save_every=500,
    eval_samples=5_000,
)
