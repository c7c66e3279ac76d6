"""COCO captions, 32 characters each, with the relativistic loss, R1 and R2 (Huang et al. 2024, arXiv:2501.05441).

    gan_jax train text/coco_characters_relativistic

Time: not measured

The networks are those of coco_characters.py (WGAN-GP).
"""

from gan_jax.config import Config

CONFIG = Config(
    data='text(path="coco_captions_texygen/image_coco.txt", test="coco_captions_texygen/test_coco.txt")',
    model="text_resnet",
    g_width=64,
    d_width=64,
    loss="relativistic",
    penalty="r1 + r2",
    gamma=1.0,
    batch=64,
    g_lr=5e-4,
    d_lr=5e-4,
    b1=0.0,
    b2=0.99,
    ema=0.99,
    steps=2_000,
    eval_every=500,
    eval_samples=5_000,
)
