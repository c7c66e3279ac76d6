"""LJSpeech: waveforms from mel spectrograms with Vocos (Siuzdak 2023, arXiv:2306.00814) at the paper's size.

    gan_jax train audio/ljspeech_vocos --data_dir DIRECTORY_OF_LJSpeech-1.1

Time: needs a GPU, not run by us
Published: UTMOS 3.73 (real 4.06), PESQ 3.70, for LibriTTS

The figures are those of LibriTTS at 24 kHz with 100 bands, at a fraction of HiFi-GAN's cost (PESQ of LibriTTS; the paper does
not name the recordings). As in section 4.1 of the paper, a million steps of AdamW(2e-4; .9, .999), a cosine, and batches of 16
clips of 16,384 samples; the configuration in the authors' code has AdamW(5e-4; .8, .9). Differences: equal weights for all
discriminators, as in the paper's formulas (in their code, period discriminators have ten times the weight of spectrogram ones);
a fixed cut into clips, not random segments; no random gain.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

HIFIGAN = load_recipe(Path(__file__).with_name("ljspeech_hifigan.py"))
SOUND = "rate=22050, bands=80, fft=1024, hop=256"
CONFIG = replace(
    HIFIGAN,
    name="ljspeech_vocos",
    data=f'audio(path="LJSpeech-1.1/wavs", form="vocoder", length=16384, {SOUND})',
    model="vocos(bands=80, fft=1024)",
    d_outputs=512,  # 8 discriminators, 64 frames each
    loss="vocoder_hinge",
    g_penalty=f"45 * mel_l1({SOUND}) + 0.125 * layer_feature_matching",  # a mean over 8 discriminators
    g_gamma=1.0,
    b1=0.9,
    b2=0.999,
    g_lr_final=0.0,
    d_lr_final=0.0,
    steps=1_000_000,
)
