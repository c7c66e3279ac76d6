"""RelGAN (Nie et al. 2019) after maximum-likelihood pretraining: COCO captions, 16 words each from 2,000 and <unk>.

    python experiments/train.py experiments/text/coco_words_mle.py
    python experiments/train.py experiments/text/coco_words_relgan.py --fork_from runs/coco_words_mle-seed0
    python experiments/temperatures.py runs/coco_words_mle-seed0 runs/coco_words_relgan-seed0 --metrics bleu,self_bleu

Measured on two shared CPU cores, jax 0.10.2, seeds 0, 1, 2: 3 min of CPU time after 1.7 of pretraining. Pretrained model in
brackets: at temperature 1 NLL 3.91, 4.05, 3.88 (3.6), BLEU-4 .159, .144, .181 (.17), self-BLEU-4 .283, .250, .319 (.26); at .6
BLEU-4 .294, .232, .315 (.27), self-BLEU-4 .753, .744, .763 (.74). Captions: .190, .295. No gain beyond seed variation.
Differences from the authors' code: an LSTM in place of the relational memory, 8 embeddings for 64, one step of D for 5,
1,000 steps for 2,000, an average of G.
"""

from gan_jax.config import Config

CONFIG = Config(
    data='text(path="coco_captions_texygen/image_coco.txt", test="coco_captions_texygen/test_coco.txt", '
    'level="word", length=16, vocabulary=2000)',
    model='relgan(memory="lstm", embeddings=8)',
    update="annealed(steps=1000)",
    z_dim=2,
    g_width=256,
    d_width=64,
    loss="relativistic",
    **{"batch": 64, "g_lr": 1e-4, "d_lr": 1e-4, "b1": 0.9, "b2": 0.999, "ema": 0.99},
    steps=1_000,
    eval_every=250,
    eval_samples=2_000,
)
