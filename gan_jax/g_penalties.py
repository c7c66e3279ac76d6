"""Regularisers of the generator: `f(synthesis, critic, real, key) -> float32 scalar`; the caller multiplies by `g_gamma`.

Each public function is a value of `--g_penalty`, and so is a sum of them; keyword-only arguments are options. `synthesis` is
the generator as a function of its latents, with labels and parameters bound: perturbed or resampled latents keep the labels of
`synthesis.z`. A sample may be an array or a pytree of arrays, unless the function says otherwise.
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
    """Path length regularisation: a step of fixed size in the latents should change the samples by a fixed amount, whatever the
    position and direction. The penalty is E (|J^T y| - a)^2, where J is G's Jacobian, y is N(0, I) noise divided by the square
    root of the number of positions (pixels; 1 for samples without positions) and a is the running mean of |J^T y|.
    Returns (scalar, new a).

    J is taken at z or, for a G with a mapping network, at w [B, layers, W]; |J^T y| is then the root mean square over layers.
    a starts at 0, is updated before it is used, and counts as a constant in the gradient. Raises ValueError for a decay outside
    [0, 1).

    Source: Karras et al. 2020 (StyleGAN2), arXiv:1912.04958, eq. 4, weight 2 every 4 steps. They use half a batch and let
    gradients flow through a.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"path_length's decay is the weight of the past in a running mean, 0 <= decay < 1; got {decay}")

    latents, generate = synthesis.z, synthesis.samples
    if synthesis.styles is not None:
        latents, generate = synthesis.styles(synthesis.z), partial(synthesis.from_styles, synthesis.z)

    def projection(latents: Array) -> Array:
        """y.G, summed over samples and leaves; its gradient is J^T y for each sample."""
        leaves = jax.tree.leaves(generate(latents))
        keys = jax.random.split(key, len(leaves))
        return sum((_direction(key, x) * x.astype(jnp.float32)).sum() for key, x in zip(keys, leaves, strict=True))

    gradient = jax.grad(projection)(latents).astype(jnp.float32)
    squares = jnp.square(gradient).sum(axis=-1)
    # sqrt has no derivative at 0, the gradient of a constant generator; the floor makes it 0 there instead of NaN.
    lengths = jnp.sqrt(jnp.maximum(squares if squares.ndim == 1 else squares.mean(axis=1), 1e-12))
    mean = jax.lax.stop_gradient(decay * synthesis.memory["mean"] + (1 - decay) * lengths.mean())
    return jnp.square(lengths - mean).mean(), {"mean": mean}


def latent_consistency(synthesis: Synthesis, critic: Critic, real: Sample, key: Array, *, sigma: float = 0.03) -> Array:
    """zCR, the generator's part: samples of nearby latents should differ. The penalty is -E |G(z) - G(z + n)|^2 with
    n ~ N(0, sigma^2 I). It counteracts the discriminator's part (`--penalty latent_consistency`), which rewards a G that
    ignores z. |.|^2 is the mean over a sample's values, so that the same weight suits any sample size. There is no lower bound:
    keep the weight small.

    Source: Zhao et al. 2021, arXiv:2002.04724, algorithm 2, weight 0.5. They use the squared norm.
    """
    nearby = synthesis.z + sigma * jax.random.normal(key, synthesis.z.shape, synthesis.z.dtype)
    return -_mean_difference(jnp.square, synthesis(synthesis.z), synthesis(nearby))


def mode_seeking(synthesis: Synthesis, critic: Critic, real: Sample, key: Array, *, eps: float = 1e-5) -> Array:
    """Mode seeking: distant latents should give distant samples. The penalty is 1 / (d(G(z), G(z')) / d(z, z') + eps), with d
    the mean absolute difference over the batch and z' ~ N(0, I) drawn for the same labels. Its maximum, 1 / eps, is reached by
    a collapsed G. Raises ValueError unless eps is positive.

    Source: Mao et al. 2019 (MSGAN), arXiv:1903.05628, section 3.2, weight 1. They maximise the ratio of distances; their code,
    like ours, minimises its inverse.
    """
    if eps <= 0:
        raise ValueError(f"mode_seeking's eps keeps the penalty of a collapsed generator finite and must be above 0; got {eps}")
    other_z = jax.random.normal(key, synthesis.z.shape, synthesis.z.dtype)
    sample_distance = _mean_difference(jnp.abs, synthesis(synthesis.z), synthesis(other_z))
    latent_distance = _mean_difference(jnp.abs, synthesis.z, other_z)
    return 1 / (sample_distance / latent_distance + eps)


def orthogonal(synthesis: Synthesis, critic: Critic, real: Sample, key: Array) -> Array:
    """Orthogonal regularisation of the generator's kernels: `orthogonal` of penalties.py applied to its parameters. It makes
    generators amenable to truncation. Raises ValueError for a network without kernels.

    Source: Brock et al. 2019 (BigGAN), arXiv:1809.11096, eq. 3, weight 1e-4. They exclude class embeddings.
    """
    return non_orthogonality(synthesis.params)


def feature_matching(synthesis: Synthesis, critic: Critic, real: Sample, key: Array) -> Array:
    """Feature matching: generated samples should have the discriminator features of real ones on average. The penalty is
    |E f(x) - E f(G(z))|^2, where f are the features [B, F] from which D's logits are computed. Raises ValueError for a D that
    returns no features.

    Source: Salimans et al. 2016, arXiv:1606.03498, section 3.1. There it replaces G's loss; here it is added to it.
    """
    real_features = _features("feature_matching", critic, real)
    fake_features = _features("feature_matching", critic, synthesis(synthesis.z))
    gap = real_features.astype(jnp.float32).mean(axis=0) - fake_features.astype(jnp.float32).mean(axis=0)
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
    """Mean absolute difference between the log-mel spectrograms of fake and real waveforms [B, T, 1], in nepers
    (`metrics.audio.mel_l1`). The options describe the spectrogram, which may differ from that of the data. Raises ValueError if
    real and fake differ in shape.

    Source: Kong et al. 2020, arXiv:2010.05646, eq. 3, weight 45.
    """
    fake = synthesis(synthesis.z)
    return audio.mel_l1(real[..., 0], fake[..., 0], rate, bands, fft, hop).mean()


def layer_feature_matching(synthesis: Synthesis, critic: Critic, real: Sample, key: Array) -> Array:
    """Feature matching for vocoders: each fake waveform should have the features of its real counterpart in every layer of D.
    The penalty is the mean absolute difference over a layer, summed over layers; it relies on D dividing each feature by the
    size of its layer (`models/hifigan.py`). Raises ValueError for a D that returns no features.

    Source: Kong et al. 2020, arXiv:2010.05646, eq. 4, weight 2; Larsen et al. 2016, arXiv:1512.09300.
    """
    real_features = _features("layer_feature_matching", critic, real)
    difference = real_features - _features("layer_feature_matching", critic, synthesis(synthesis.z))
    return jnp.abs(difference.astype(jnp.float32)).sum(axis=1).mean()


def _features(name: str, critic: Critic, x: Sample) -> Array:
    """Return D's features of x. Raises ValueError if it has none."""
    function = getattr(critic, "features", None)  # a critic may be any function of samples
    features = None if function is None else function(x)
    if features is None:
        raise ValueError(f"{name} needs a Discriminator that returns (logits, features): this one returns logits only")
    return features


def _direction(key: Array, x: Array) -> Array:
    """Draw y for samples x [B, *positions, C]."""
    return jax.random.normal(key, x.shape) / math.sqrt(math.prod(x.shape[1:-1]))


def _mean_difference(measure: Callable[[Array], Array], a: Sample, b: Sample) -> Array:
    """Return the mean of `measure(a - b)` over all values of two batches."""
    differences = jax.tree.leaves(jax.tree.map(lambda a, b: measure(a.astype(jnp.float32) - b.astype(jnp.float32)), a, b))
    return sum(x.sum() for x in differences) / sum(x.size for x in differences)
