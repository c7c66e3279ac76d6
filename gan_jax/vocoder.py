"""What vocoders are trained by, beside a game: waves are to be those whose spectrograms they were made of.

    --loss gan_jax.vocoder:least_squares --g_penalty '45 * gan_jax.vocoder:mel_l1 + 2 * gan_jax.vocoder:feature_matching'

Losses are `f(real_logits, fake_logits) -> (d_loss, g_loss)` of logits [B, N], N judgements of each sample. Penalties are
`f(synthesis, critic, real, key)` as in `g_penalties.py`: the fake in row i was made of the spectrogram of the real one there.
"""

import jax
import jax.numpy as jnp

from gan_jax import spectral
from gan_jax.metrics import audio
from gan_jax.types import Array, Critic, Sample, Synthesis


def least_squares(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """E (D(x) - 1)^2 + E D(G)^2 and E (D(G) - 1)^2, means over samples and judgements.

    Source: Kong et al. 2020 (HiFi-GAN), arXiv:2010.05646, eq. 1 and 2, which sum over discriminators.
    """
    real, fake = real_logits.astype(jnp.float32), fake_logits.astype(jnp.float32)
    return jnp.square(real - 1).mean() + jnp.square(fake).mean(), jnp.square(fake - 1).mean()


def hinge(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G)) and E max(0, 1 - D(G)): here G is content with a margin too.

    Source: Siuzdak 2023 (Vocos), arXiv:2306.00814.
    """
    real, fake = real_logits.astype(jnp.float32), fake_logits.astype(jnp.float32)
    return jax.nn.relu(1 - real).mean() + jax.nn.relu(1 + fake).mean(), jax.nn.relu(1 - fake).mean()


def mel_l1(
    synthesis: Synthesis,
    critic: Critic,
    real: Sample,
    key: Array,
    *,
    rate: int = 8_000,
    bands: int = 64,
    fft: int = spectral.FFT,
    hop: int = spectral.HOP,
) -> Array:
    """How far mel spectrograms are from those of the real waves [B, T, 1], in nepers (`metrics.audio.mel_l1`). The options are
    those of the data, or others.

    Source: Kong et al. 2020, arXiv:2010.05646, eq. 3, weight 45.
    """
    fake = synthesis(synthesis.z)
    return audio.mel_l1(real[..., 0], fake[..., 0], rate, bands, fft, hop).mean()


def feature_matching(synthesis: Synthesis, critic: Critic, real: Sample, key: Array) -> Array:
    """What every layer of a vocoder's discriminators says of each fake is to be what it says of its real wave: the mean
    absolute difference over a layer, summed over layers. Raises ValueError for a D that tells no features.

    Source: Kong et al. 2020, arXiv:2010.05646, eq. 4, weight 2; Larsen et al. 2016, arXiv:1512.09300.
    """
    if critic.features is None:
        raise ValueError("feature_matching needs a Discriminator that returns (logits, features): this one tells no features")
    apart = critic.features(real) - critic.features(synthesis(synthesis.z))
    return jnp.abs(apart.astype(jnp.float32)).sum(axis=1).mean()
