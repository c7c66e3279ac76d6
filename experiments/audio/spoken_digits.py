"""Spoken digits by class: the Free Spoken Digit Dataset as log-mel spectrograms of 64 x 64, heard through Griffin-Lim.

    python experiments/train.py experiments/audio/spoken_digits.py

"""

from gan_jax.config import Config

CONFIG = Config(
    data='audio(path="fsdd/recordings.zip")',
    model="dcgan",
    z_dim=64,
    g_width=32,
    g_norm="batch",
    g_condition="norm",
    d_width=32,
    d_window=6,
    d_norm="spectral",
    d_condition="projection",
    loss="hinge",
    g_lr=2e-3,
    g_lr_final=2e-4,
    d_lr=4e-3,
    d_lr_final=4e-4,
    batch=64,
    steps=3_000,
    eval_every=500,
    save_every=1_000,
    eval_samples=2_000,
)
