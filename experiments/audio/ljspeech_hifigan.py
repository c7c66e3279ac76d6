"""LJSpeech: waveforms from mel spectrograms with HiFi-GAN V1 (Kong et al. 2020, arXiv:2010.05646) at the paper's size.

    gan_jax train audio/ljspeech_hifigan --data_dir DIRECTORY_OF_LJSpeech-1.1

Time: needs a GPU, not run by us
Published: mean opinion score 4.36 (V1; real 4.45)

The score is of crowd-sourced ratings of 50 utterances, which no metric here estimates. `g_width` 128 gives V2. Differences from
the paper: spectrogram discriminators in place of multi-scale ones; a fixed cut into clips, not random segments; mel bands up to
half the sample rate, which there only the loss has, and G's input up to 8 kHz; cosine learning rates, there multiplied by .999
after each epoch. The losses here are means over 8 discriminators, in the paper sums: hence `g_gamma` is 1 / 8.
"""

from gan_jax.config import Config

SOUND = "rate=22050, bands=80, fft=1024, hop=256"
MEL = f"mel_l1({SOUND})"
CONFIG = Config(
    data=f'audio(path="LJSpeech-1.1/wavs", form="vocoder", length=8192, {SOUND})',
    model="hifigan(bands=80, strides=(8, 8, 2, 2))",
    z_dim=1,
    d_outputs=256,  # 8 discriminators, 32 frames each
    loss="vocoder_least_squares",
    g_penalty=f"45 * {MEL} + 2 * layer_feature_matching",
    g_gamma=1 / 8,
    batch=16,
    b1=0.8,
    b2=0.99,
    ema=0.0,
    g_optimizer="adamw(weight_decay=0.01)",
    d_optimizer="adamw(weight_decay=0.01)",
    g_lr=2e-4,
    g_lr_final=1e-5,
    d_lr=2e-4,
    d_lr_final=1e-5,
    steps=2_500_000,
    eval_every=50_000,
    save_every=50_000,
    eval_samples=1_000,
)
