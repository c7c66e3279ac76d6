"""RelGAN (Nie et al. 2019) at a size for two CPU cores: COCO captions, 16 words each from 2,000 and <unk>.

    python experiments/train.py experiments/text/coco_words_mle_narrow.py
    python experiments/train.py experiments/text/coco_words_relgan_narrow.py --fork_from runs/coco_words_mle_narrow-seed0
    python experiments/temperatures.py runs/coco_words_{mle_narrow-seed0,relgan_narrow-seed0-fork} --metrics bleu,self_bleu

Unlike coco_words_relgan.py: an LSTM of 256 instead of a relational memory of 512, 8 embeddings of 64 filters instead of 64 of
300, one D step instead of five, 1,000 steps of annealing to a softness of .01, a moving average.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

CONFIG = replace(
    load_recipe(Path(__file__).with_name("coco_words_mle_narrow.py")),
    name="coco_words_relgan_narrow",
    update="annealed(steps=1000)",
    g_lr=1e-4,
    g_lr_final=None,
    d_lr=1e-4,
    steps=1_000,
    eval_every=250,
)
