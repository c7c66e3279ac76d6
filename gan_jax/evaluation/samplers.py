"""Choose latents with the help of the trained discriminator: each public function here is a value of `sample.py --sampler`.

    f(generator, z [N, Z], label [N, ...] or None, key, *, options) -> z [N, Z]

If D tells better samples from worse ones, the samples G(z) of the result are distributed more like the data than those of the
given z; labels are kept. Both functions use the ratio p(x) / q(x) of the densities of real and generated samples. Its logarithm
is the logit of an optimal D that was trained by cross-entropy. For any D, it is estimated here by a logistic regression on D's
logit, between held-out samples and generated ones; logits of patches are averaged. Measure the result with `evaluate.py`: with
the D of experiments/images/mnist_dcgan.py, `rejection` made samples worse.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from gan_jax.errors import InputError
from gan_jax.evaluation.generator import LoadedGenerator
from gan_jax.evaluation.latents import langevin_dynamics
from gan_jax.evaluation.sample import compile_batched, labels, latents
from gan_jax.game.state import apply
from gan_jax.types import Array, Sample

CALIBRATION = 10_000  # generated samples, and at most as many held-out ones, behind the density ratio and its maximum
ROUNDS = 10_000  # of drawing again the latents that were rejected


def rejection(
    generator: LoadedGenerator, z: np.ndarray, label: np.ndarray | None, key: Array, *, percentile: float | None = 80.0
) -> np.ndarray:
    """Discriminator rejection sampling: keep a latent with probability sigmoid(F - gamma), otherwise draw it again. F is such
    that sigmoid(F) = r / max r for the density ratio r of its sample, and gamma is the `percentile` of F among 10,000 samples.

    With percentile None gamma is 0: exact rejection sampling, which accepts one in max r. The maximum is that of all samples so
    far. Source: Azadi et al. 2019, arXiv:1810.06758, eqs. 5 to 8 and section 3.3; they train D's last layer again instead.
    """
    if percentile is not None and not 0 <= percentile <= 100:
        raise InputError(f"rejection: percentile must be from 0 to 100, or None, got {percentile}")
    ratio_key, draw_key = jax.random.split(key)
    log_ratio, ratios = _density_ratio(generator, ratio_key)
    measure = compile_batched(generator.game, log_ratio)
    variables, z = (generator.variables, generator.d_variables), np.array(z)
    largest, pending = ratios.max(), np.arange(len(z))
    gamma = 0.0 if percentile is None else np.percentile(_margin(ratios, largest), percentile)
    for number in tqdm(range(ROUNDS), desc="drawing", leave=False, disable=None):
        normal_key, uniform_key = jax.random.split(jax.random.fold_in(draw_key, number))
        if number:  # drawn for all rows, so that nothing is compiled again
            z[pending] = latents(generator.game, normal_key, len(z))[pending]
        ratio = measure(variables, z[pending], None if label is None else label[pending]).astype(np.float64)
        largest = max(largest, ratio.max())
        accepted = 1 / (1 + np.exp(gamma - _margin(ratio, largest)))
        pending = pending[np.asarray(jax.random.uniform(uniform_key, (len(z),)))[pending] >= accepted]
        if not len(pending):
            return z
    raise InputError(f"rejection: {len(pending)} of {len(z)} samples were rejected {ROUNDS} times; set a lower percentile")


def langevin(
    generator: LoadedGenerator,
    z: np.ndarray,
    label: np.ndarray | None,
    key: Array,
    *,
    steps: int = 1_000,
    step_size: float = 0.01,
) -> np.ndarray:
    """Discriminator-driven latent sampling (DDLS): Langevin dynamics in z towards the density p(z) r(G(z)), where p is N(0, 1)
    and r is the density ratio of the sample. If r is exact, G(z) follows the data wherever G can reach them.

    Source: Che et al. 2020, arXiv:2003.06060, eq. 6 and algorithm 1.
    """
    if steps < 1 or not step_size > 0:
        raise InputError(f"langevin: steps must be at least 1 and step_size above 0, got {steps} and {step_size}")
    if generator.config.latent != "normal":
        raise InputError(f"langevin: the density of z must be normal; this run has latent {generator.config.latent}")
    ratio_key, noise_key = jax.random.split(key)
    log_ratio, _ = _density_ratio(generator, ratio_key)

    def move(variables: Any, z: Array, label: Array | None, keys: Array) -> Array:
        def log_density(z: Array) -> Array:
            return log_ratio(variables, z, label) - jnp.square(z).sum(axis=1) / 2

        return langevin_dynamics(log_density, z, jax.random.wrap_key_data(keys), steps, step_size)

    variables = (generator.variables, generator.d_variables)
    keys = np.asarray(jax.random.key_data(jax.random.split(noise_key, len(z))))  # one for each row: it keeps its noise
    return compile_batched(generator.game, move)(variables, z, label, keys)


def _density_ratio(generator: LoadedGenerator, key: Array) -> tuple[Callable[..., Array], np.ndarray]:
    """Return the function (variables of G and D, z [B, Z], label) -> log of the density ratio [B] of their samples, traced; and
    its values for `CALIBRATION` samples."""
    game, data = generator.game, generator.data
    z_key, label_key = jax.random.split(key)

    def logit(variables: Any, x: Sample, label: Array | None) -> Array:
        d_label = label if game.real_labelled else None
        output = apply(game.discriminator, variables, x, d_label, train=False)[0]
        logits = output[0] if isinstance(output, tuple) else output
        return logits.reshape(len(logits), -1).astype(jnp.float32).mean(axis=1)

    def logit_of_sample(variables: Any, z: Array, label: Array | None) -> Array:
        g_variables, d_variables = variables
        return logit(d_variables, apply(game.generator, g_variables, z, label, train=False)[0], label)

    if game.pack > 1 or game.outputs > 1:
        raise InputError(
            f"a sampler needs one logit for a single sample: this run has pack {game.pack} and d_outputs {game.outputs}"
        )
    variables = (generator.variables, generator.d_variables)
    z = latents(game, z_key, CALIBRATION)
    fake = compile_batched(game, logit_of_sample)(variables, z, labels(game, data, label_key, CALIBRATION))
    held_out = data.test.take(slice(CALIBRATION))
    real = compile_batched(game, logit)(generator.d_variables, data.to_float(held_out.samples), held_out.labels)
    # Weighted as if there were equally many of both, so that the log odds are the log ratio of the densities.
    regression = LogisticRegression(C=1e6, class_weight="balanced")
    regression.fit(np.concatenate([real, fake])[:, None], np.arange(len(real) + len(fake)) < len(real))
    scale, shift = float(regression.coef_[0, 0]), float(regression.intercept_[0])

    def log_ratio(variables: Any, z: Array, label: Array | None) -> Array:
        return scale * logit_of_sample(variables, z, label) + shift

    return log_ratio, scale * fake.astype(np.float64) + shift


def _margin(log_ratio: np.ndarray, largest: float) -> np.ndarray:
    """Return F with sigmoid(F) = exp(log_ratio - largest), finite where that is 1. Source: Azadi et al. 2019, eq. 8."""
    difference = log_ratio - largest
    return difference - np.log(-np.expm1(difference - 1e-14))
