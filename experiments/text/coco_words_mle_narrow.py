"""COCO captions, 16 words each from 2,000 and <unk>, by maximum likelihood: coco_words_mle.py at a size for two CPU cores.

    gan_jax train text/coco_words_mle_narrow

Time: 2.2 min on one core
Measured: NLL 3.632 +- .004, BLEU-4 .166 +- .003 (captions .190), self-BLEU-4 .242 +- .003 (.295), 3 seeds

The pretraining for coco_words_relgan_narrow.py. An LSTM of 256 replaces the relational memory of 512, for 1,500 steps. Measured
on one of two CPU cores, while other jobs used the other one, jax 0.10.2, seeds 0, 1, 2, 2,000 samples at temperature 1. At .6,
BLEU-4 is .278 +- .002, self-BLEU-4 .747 +- .001.
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
