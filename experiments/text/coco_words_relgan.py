"""RelGAN (Nie et al. 2019) on COCO captions, 37 words each, forked from the maximum-likelihood run of coco_words_mle.py.

    gan_jax train text/coco_words_mle
    gan_jax train text/coco_words_relgan --fork_from runs/coco_words_mle-seed0
    gan_jax temperatures runs/coco_words_mle-seed0 runs/coco_words_relgan-seed0-fork --metrics bleu,self_bleu

Time: needs a GPU, not run by us

The settings of the authors' code, with a highest inverse temperature of 100, which it would reach after 5,000 steps. Theirs has
dropout in D, and G moves before D does. coco_words_relgan_narrow.py is a version for two CPU cores.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

CONFIG = replace(
    load_recipe(Path(__file__).with_name("coco_words_mle.py")),
    name="coco_words_relgan",
    update="annealed(steps=5000, softness=.01)",
    loss="relativistic",
    d_steps=5,
    d_optimizer="clipped_adam",
    g_lr=1e-4,
    d_lr=1e-4,
    steps=2_000,
    eval_every=250,
)
