"""Sentences of the Billion Word benchmark, 32 characters each, with WGAN-GP at the paper's size.

    gan_jax train text/billion_word_characters --data_dir DIRECTORY_OF_sentences.txt

Time: needs a GPU, not run by us

Gulrajani et al. 2017, arXiv:1704.00028, section 5.5, and their code: five residual blocks of 512 channels, ten critic steps.
The paper shows samples and no figures; the code follows the divergences of 1- to 4-grams, which are reported here too. The file
has one sentence per line; while it is read, about a million sentences fit in 8 GB of memory. To hold out another file, add
`test="other.txt"` to `data`.
"""

from gan_jax.config import Config

CONFIG = Config(
    data='text(path="sentences.txt", length=32)',
    model="text_resnet",
    z_dim=128,
    loss="wasserstein",
    penalty="gradient_penalty",
    gamma=10.0,
    d_steps=10,
    batch=64,
    g_lr=1e-4,
    d_lr=1e-4,
    b1=0.5,
    b2=0.9,
    ema=0.0,
    steps=200_000,
    eval_every=10_000,
)
