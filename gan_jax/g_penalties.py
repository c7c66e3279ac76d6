"""Regularisers of the generator: `f(synthesis, critic, real, key) -> float32 scalar`, weighted by `g_gamma` outside.

Each public function here is a value of `--g_penalty`, and so is a sum of them; its keyword-only arguments are options.
`synthesis` is the generator as a function of its latents, with labels and parameters bound; latents near or far from
`synthesis.z` meet the same labels. A sample may be an array or a tree of them.
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from gan_jax import spectrogram
from gan_jax.metrics import audio
from gan_jax.models.layers import non_orthogonality
from gan_jax.types import Array, Critic, Memory, Sample, StatefulPenalty, Synthesis


@partial(StatefulPenalty, memory={"mean": 0.0})
def path_length(synthesis: Synthesis, critic: Critic, real: Sample, key: Array, *, decay: float = 0.99) -> tuple[Array, Memory]:
    """A step in the latents is to be a change of the same size in the samples, wherever it is taken and whereto:
    E (|J^T y| - a)^2 -> (scalar, the new a), where J is G's Jacobian, y ~ N(0, I) over the square root of the number of
    pixels (of positions; 1 where samples have none) and a the running mean of |J^T y|.

    J is taken at z, or where G has a mapping network at w [B, layers, W], of whose layers |J^T y| is the root mean square. a
    begins at 0, moves before it is used, and counts as a constant. Raises ValueError for a decay outside [0, 1).

    Source: Karras et al. 2020 (StyleGAN2), arXiv:1912.04958, eq. 4, weight 2 every 4 steps. They take half a batch, and let
    gradients through a.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"path_length's decay is the share of the past in a running mean, 0 <= decay < 1; got {decay}")

    at, samples = synthesis.z, synthesis.samples
    if synthesis.styles is not None:
        at, samples = synthesis.styles(synthesis.z), partial(synthesis.from_styles, synthesis.z)

    def projection(at: Array) -> Array:
        """y.G, summed over samples and leaves; its gradient is J^T y of each sample."""
        leaves = jax.tree.leaves(samples(at))
        keys = jax.random.split(key, len(leaves))
        return sum((_direction(key, x) * x.astype(jnp.float32)).sum() for key, x in zip(keys, leaves, strict=True))

    pulled_back = jax.grad(projection)(at).astype(jnp.float32)
    squares = jnp.square(pulled_back).sum(axis=-1)
    # sqrt has no derivative at 0, where a constant generator is; the floor makes it 0 there instead of NaN.
    lengths = jnp.sqrt(jnp.maximum(squares if squares.ndim == 1 else squares.mean(axis=1), 1e-12))
    mean = jax.lax.stop_gradient(decay * synthesis.memory["mean"] + (1 - decay) * lengths.mean())
    return jnp.square(lengths - mean).mean(), {"mean": mean}


def latent_consistency(synthesis: Synthesis, critic: Critic, real: Sample, key: Array, *, sigma: float = 0.03) -> Array:
    """zCR, the generator's half: the samples of near latents are to differ, -E |G(z) - G(z + n)|^2 with n ~ N(0, sigma^2 I),
    against the discriminator's half (`latent_consistency` of `--penalty`), which would have G ignore z. The square is the
    mean over a sample's numbers, so that a weight means the same at any size. It has no lower bound: keep the weight small.

    Source: Zhao et al. 2021, arXiv:2002.04724, algorithm 2, weight 0.5. They write a squared norm.
    """
    near = synthesis.z + sigma * jax.random.normal(key, synthesis.z.shape, synthesis.z.dtype)
    return -_mean_difference(jnp.square, synthesis(synthesis.z), synthesis(near))


def mode_seeking(synthesis: Synthesis, critic: Critic, real: Sample, key: Array, *, eps: float = 1e-5) -> Array:
    """Far latents are to give far samples: 1 / (d(G(z), G(z')) / d(z, z') + eps), with d the mean absolute difference over
    the batch and z' ~ N(0, I) drawn for the same labels. It is largest, 1 / eps, where G has collapsed.
    Raises ValueError for an eps that is not above 0.

    Source: Mao et al. 2019 (MSGAN), arXiv:1903.05628, section 3.2, weight 1. They maximise the ratio; its inverse is what
    their code minimises.
    """
    if eps <= 0:
        raise ValueError(f"mode_seeking's eps keeps a collapsed generator's loss finite, above 0; got {eps}")
    other = jax.random.normal(key, synthesis.z.shape, synthesis.z.dtype)
    samples_apart = _mean_difference(jnp.abs, synthesis(synthesis.z), synthesis(other))
    latents_apart = _mean_difference(jnp.abs, synthesis.z, other)
    return 1 / (samples_apart / latents_apart + eps)


def orthogonal(synthesis: Synthesis, critic: Critic, real: Sample, key: Array) -> Array:
    """The filters of each of the generator's layers are to be orthogonal: `orthogonal` of penalties.py, on its parameters.
    It makes truncated latents safe. Raises ValueError for a network without kernels.

    Source: Brock et al. 2019 (BigGAN), arXiv:1809.11096, eq. 3, weight 1e-4. They leave embeddings of classes out.
    """
    return non_orthogonality(synthesis.params)


def feature_matching(synthesis: Synthesis, critic: Critic, real: Sample, key: Array) -> Array:
    """Generated samples are to have the discriminator's features of real ones on average: |E f(x) - E f(G(z))|^2, where f are
    the features [B, F] that D's logits are made of. Raises ValueError for a D that tells none.

    Source: Salimans et al. 2016, arXiv:1606.03498, section 3.1. There it is all of G's loss; here it is beside it.
    """
    features = getattr(critic, "features", None)
    judged_real = None if features is None else features(real)
    if judged_real is None:
        raise ValueError("feature_matching needs a Discriminator that returns (logits, features): this one tells no features")
    judged_fake = features(synthesis(synthesis.z))
    gap = judged_real.astype(jnp.float32).mean(axis=0) - judged_fake.astype(jnp.float32).mean(axis=0)
    return jnp.square(gap).sum()


def mel_l1(
    synthesis: Synthesis,
    critic: Critic,
    real: Sample,
    key: Array,
    *,
    rate: int = 8_000,
    bands: int = 64,
    fft: int = spectrogram.FFT,
    hop: int = spectrogram.HOP,
) -> Array:
    """How far mel spectrograms are from those of the real waves [B, T, 1], in nepers (`metrics.audio.mel_l1`). The options are
    those of the data, or others.

    Source: Kong et al. 2020, arXiv:2010.05646, eq. 3, weight 45.
    """
    fake = synthesis(synthesis.z)
    return audio.mel_l1(real[..., 0], fake[..., 0], rate, bands, fft, hop).mean()


def layer_feature_matching(synthesis: Synthesis, critic: Critic, real: Sample, key: Array) -> Array:
    """What every layer of a vocoder's discriminators says of each fake is to be what it says of its real wave: the mean
    absolute difference over a layer, summed over layers. Raises ValueError for a D that tells no features.

    Source: Kong et al. 2020, arXiv:2010.05646, eq. 4, weight 2; Larsen et al. 2016, arXiv:1512.09300.
    """
    if critic.features is None:
        raise ValueError(
            "layer_feature_matching needs a Discriminator that returns (logits, features): this one returns logits only"
        )
    apart = critic.features(real) - critic.features(synthesis(synthesis.z))
    return jnp.abs(apart.astype(jnp.float32)).sum(axis=1).mean()


def _direction(key: Array, x: Array) -> Array:
    """y for samples x [B, *positions, C]."""
    return jax.random.normal(key, x.shape) / math.sqrt(math.prod(x.shape[1:-1]))


def _mean_difference(measure: Callable[[Array], Array], a: Sample, b: Sample) -> Array:
    """The mean of `measure` of the differences of all numbers of two batches."""
    apart = jax.tree.leaves(jax.tree.map(lambda a, b: measure(a.astype(jnp.float32) - b.astype(jnp.float32)), a, b))
    return sum(x.sum() for x in apart) / sum(x.size for x in apart)
