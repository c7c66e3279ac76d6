"""The game of RelGAN (Nie et al. 2019), after maximum likelihood: captions of COCO, 16 words each of 2,000 and <unk>.

python experiments/train.py experiments/text/coco_words_mle.py
python experiments/train.py experiments/text/coco_words_relgan.py --fork_from runs/coco_words_mle-seed0
python experiments/temperatures.py runs/coco_words_mle-seed0 runs/coco_words_relgan-seed0 --metrics bleu,self_bleu

Measured on two shared CPU cores, jax 0.10.2, seed 0, 3.3 min of CPU time after 1.8 of likelihood: NLL, BLEU-4, self-BLEU-4 at
temperature 1: 3.91, .159, .283, before it 3.56, .166, .255; at .6: 4.97, .294, .753, before it 4.42, .268, .745; training
captions: .190, .295. At 1 the game made it worse; at .6 it writes better sentences, of as few kinds.
"""

from gan_jax.config import Config

CONFIG = Config(
    data='text(path="coco_captions_texygen/image_coco.txt", test="coco_captions_texygen/test_coco.txt", '
    'level="word", length=16, vocabulary=2000)',
    model='relgan(memory="lstm", embeddings=8)',
    update="gan_jax.sequences:annealed(steps=1000)",
    z_dim=2,
    g_width=256,
    d_width=64,
    loss="relativistic",
    batch=64,
    g_lr=1e-4,
    d_lr=1e-4,
    **{"b1": 0.9, "b2": 0.999, "ema": 0.99},
    steps=1_000,
    eval_every=250,
    eval_samples=2_000,
)
