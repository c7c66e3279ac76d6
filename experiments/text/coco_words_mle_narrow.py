"""COCO captions, 16 words each from 2,000 and <unk>, by maximum likelihood: coco_words_mle.py at a size for two CPU cores.

    gan_jax train text/coco_words_mle_narrow

Time: 3 min of CPU time

The pretraining for coco_words_relgan_narrow.py. An LSTM of 256 replaces the relational memory of 512, for 1,500 steps.
"""

from gan_jax.config import Config

CONFIG = Config(
    data='text(path="coco_captions_texygen/image_coco.txt", test="coco_captions_texygen/test_coco.txt", '
    'level="word", length=16, vocabulary=2000)',
    model='relgan(memory="lstm", embeddings=8)',
    update="maximum_likelihood",
    z_dim=2,
    g_width=256,
    d_width=64,
    batch=64,
    g_lr=2e-3,
    g_lr_final=2e-4,
    b1=0.9,
    b2=0.999,
    ema=0.99,
    steps=1_500,
    eval_every=500,
    eval_samples=2_000,
)
