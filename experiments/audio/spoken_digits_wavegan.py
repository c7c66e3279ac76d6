"""Class-conditional spoken digits as waveforms: WaveGAN (Donahue et al. 2019, arXiv:1802.04208) at the paper's size.

    gan_jax train audio/spoken_digits_wavegan

Time: needs a GPU, not run by us

WGAN-GP with the paper's 19 million parameters. Differences: 8,192 samples at 8 kHz, conditioned on the digit. Published for the
digits of Speech Commands, 16,384 samples: the real training clips have an inception score of 9.18. Generated ones,
unconditional there, are scored by 50,000 samples in the authors' classifier. For those data, with one folder per word, use
`--data 'audio(path="FOLDER", form="wave", rate=16000, length=16384)'`.
"""

from gan_jax.config import Config

CONFIG = Config(
    data='audio(path="fsdd/recordings.zip", form="wave")',
    model="wavegan(shuffle=2)",
    z_dim=100,
    latent="uniform",
    g_condition="concat",
    d_condition="projection",
    loss="wasserstein",
    penalty="gradient_penalty",
    gamma=10.0,
    d_steps=5,
    batch=64,
    g_lr=1e-4,
    d_lr=1e-4,
    b1=0.5,
    b2=0.9,
    ema=0.0,
    steps=200_000,
    eval_every=10_000,
    save_every=10_000,
    eval_samples=2_000,
)
