"""Spoken digits from their mel spectrograms with a small Vocos (Siuzdak 2023, arXiv:2306.00814), for two CPU cores.

    gan_jax train audio/spoken_digits_vocos

Time: 17 min on one core
Measured: mel_l1 .221 +- .012, mstft 1.23 +- .03, mcd 1.55 +- .10 dB (Griffin-Lim .016, .48, .23), 3 seeds

On one CPU core, jax 0.10.2, 300 held-out clips, seeds 0, 1, 2: mel_l1 .205, .212, .245, mstft 1.18, 1.22, 1.30, mcd 1.44,
1.46, 1.74 dB; after 400 of 1,200 steps mel_l1 .308, .274, .321. Griffin-Lim is not trained. With frames that overlap this
much, and after minutes of training, no vocoder comes close to Griffin-Lim; vocoders are meant for less overlap, as in
ljspeech_vocos.py. The doctor's warning about large gradients is due to the paper's weight of 45; Adam's steps do not depend on
their scale.
"""

from gan_jax.config import Config

CONFIG = Config(
    data='audio(path="fsdd/recordings.zip", form="vocoder")',
    model="vocos(bands=64, fft=256, periods=(2, 3, 5), resolutions=((256, 64, 256),))",
    z_dim=1,
    d_outputs=256,  # 4 discriminators, 64 frames each
    loss="vocoder_hinge",
    g_penalty="45 * mel_l1 + 0.25 * layer_feature_matching",
    g_width=96,
    g_depth=4,
    d_width=4,
    batch=16,
    b1=0.8,
    g_lr=1e-3,
    g_lr_final=1e-4,
    d_lr=1e-3,
    d_lr_final=1e-4,
    steps=1_200,
    eval_every=400,
    save_every=400,
    eval_samples=300,
)
