"""RelGAN (Nie et al. 2019) at a size for two CPU cores: COCO captions, 16 words each from 2,000 and <unk>.

    gan_jax train text/coco_words_mle_narrow
    gan_jax train text/coco_words_relgan_narrow --fork_from runs/coco_words_mle_narrow-seed0
    gan_jax temperatures runs/coco_words_{mle_narrow-seed0,relgan_narrow-seed0-fork} --metrics bleu,self_bleu

Time: 7 to 7.5 min of CPU time
Measured: BLEU-4 .123, .133, .162 (pretrained .166), self-BLEU-4 .241, .189, .244 (.242), 3 seeds

Unlike coco_words_relgan.py: an LSTM of 256 instead of a relational memory of 512, 8 embeddings of 64 filters instead of 64 of
300, one D step instead of five, 1,000 steps of annealing to a softness of .01, a moving average.

On two shared CPU cores, jax 0.10.2, seeds 0, 1, 2, after 3 minutes of pretraining. Pretrained model in brackets: at temperature
1 NLL 4.19, 3.86, 3.90 (3.63); at .6 BLEU-4 .238, .260, .304 (.278), self-BLEU-4 .760, .641, .718 (.747). Captions: .190, .295.
That was before G's step read real samples of its own (see the changelog).
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

CONFIG = replace(
    load_recipe(Path(__file__).with_name("coco_words_mle_narrow.py")),
    name="coco_words_relgan_narrow",
    update="annealed(steps=1000)",
    loss="relativistic",
    g_lr=1e-4,
    g_lr_final=None,
    d_lr=1e-4,
    steps=1_000,
    eval_every=250,
)
