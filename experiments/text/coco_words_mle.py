"""COCO captions, 37 words each, by maximum likelihood: the pretraining of RelGAN (Nie et al. 2019), for coco_words_relgan.py.

    gan_jax train text/coco_words_mle

Time: needs a GPU, not run by us

The settings of the authors' code: 150 epochs of 156 batches, and no moving average. Words are split by our own rule: 4,679
different ones. coco_words_mle_narrow.py is a version for two CPU cores.
"""

from gan_jax.config import Config

CONFIG = Config(
    data='text(path="coco_captions_texygen/image_coco.txt", test="coco_captions_texygen/test_coco.txt", '
    'level="word", length=37)',
    model="relgan",
    update="maximum_likelihood",
    z_dim=2,
    batch=64,
    g_optimizer="clipped_adam",
    g_lr=1e-2,
    b1=0.9,
    b2=0.999,
    ema=0.0,
    steps=23_400,
    eval_every=1_560,
)
