"""Samplers that use the discriminator, for Gaussians whose density ratio is known."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest

from gan_jax.config import Config
from gan_jax.data.dataset import Split
from gan_jax.errors import InputError
from gan_jax.evaluation import samplers
from gan_jax.evaluation.generator import LoadedGenerator

SCALE = 2.0  # of the generator
COUNT = 4_000


class Wide(nn.Module):
    """z -> 2 z: samples of N(0, 4)."""

    def __call__(self, z, label, train):
        return SCALE * z


class Optimal(nn.Module):
    """3 log r - 1, where log r = log 2 + x^2 / 8 - x^2 / 2 is the logarithm of the density ratio of N(0, 1) and N(0, 4): D's
    logits are neither calibrated nor centred. With several patches they are the means over these."""

    patches: int = 1

    def __call__(self, x, label, train):
        logits = 3 * (jnp.log(SCALE) + jnp.square(x[:, 0]) * (SCALE**-2 - 1) / 2) - 1
        return logits if self.patches == 1 else logits[:, None] + jnp.linspace(-1, 1, self.patches)[None, :]


def loaded(patches=1, pack=1, outputs=1):
    game = SimpleNamespace(
        generator=Wide(), discriminator=Optimal(patches), z_dim=1, sample_shape=(1,), real_labelled=False, pack=pack,
        outputs=outputs, label=None, draw_latents=lambda key, count: jax.random.normal(key, (count, 1)),
    )  # fmt: skip
    real = np.random.RandomState(0).normal(size=(10_000, 1)).astype(np.float32)
    data = SimpleNamespace(test=Split(real, None), to_float=lambda x: x)
    return LoadedGenerator(Config(), data, game, {}, {}, *jax.random.split(jax.random.key(0)))


Z = np.random.RandomState(1).normal(size=(COUNT, 1)).astype(np.float32)


def test_rejection_samples_the_data():
    """Accepted samples follow N(0, 1). A latent is kept with probability r / max r = exp(-3 x^2 / 8), one half on average."""
    z = samplers.rejection(loaded(), Z, None, jax.random.key(1), percentile=None)
    assert kstest(SCALE * z[:, 0], "norm").pvalue > 0.01 > kstest(SCALE * Z[:, 0], "norm").pvalue
    kept = (z == Z)[:, 0]
    assert kept.mean() == pytest.approx(1 / SCALE, abs=4 * 0.5 / COUNT**0.5)
    x = SCALE * np.abs(Z[:, 0])
    for low, high in ((0.0, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, 3.0)):
        rows = (x >= low) & (x < high)
        expected = np.exp(-3 / 8 * x[rows] ** 2).mean()
        assert kept[rows].mean() == pytest.approx(expected, abs=4 * 0.5 / rows.sum() ** 0.5)


def test_gamma_is_a_percentile_of_the_margin():
    """At the sample whose margin F is the chosen percentile, one half is accepted: here at |x| = 2 q, with q the quantile of
    |z| whose complement it is. sigmoid(F - gamma) = 1 / (1 + exp(gamma) (1 / a - 1)), where a = exp(-3 x^2 / 8)."""
    z = samplers.rejection(loaded(patches=3), Z, None, jax.random.key(1), percentile=80.0)
    kept, x = (z == Z)[:, 0], SCALE * np.abs(Z[:, 0])
    middle = SCALE * 0.2533471  # the 20% quantile of |N(0, 1)|
    odds = np.exp(3 / 8 * middle**2) - 1
    expected = 1 / (1 + (np.exp(3 / 8 * x**2) - 1) / odds)
    for low, high in ((0.0, 0.5), (0.5, 1.0), (1.0, 2.0)):
        rows = (x >= low) & (x < high)
        assert kept[rows].mean() == pytest.approx(expected[rows].mean(), abs=4 * 0.5 / rows.sum() ** 0.5)


def test_langevin_samples_the_data():
    """p(z) r(2 z) is proportional to exp(-2 z^2), so that x = 2 z ~ N(0, 1), up to the bias of steps of size h: the variance of
    z is 1 / (4 (1 - h))."""
    z = samplers.langevin(loaded(), Z, None, jax.random.key(2), steps=60, step_size=0.1)
    assert z.mean() == pytest.approx(0, abs=4 * 0.5 / COUNT**0.5)
    assert z.var() == pytest.approx(1 / (4 * (1 - 0.1)), rel=0.1)


@pytest.mark.parametrize(
    ("sample", "generator", "words"),
    [
        (lambda *a: samplers.rejection(*a, percentile=101), loaded(), "percentile must be from 0 to 100, or None, got 101"),
        (lambda *a: samplers.langevin(*a, steps=0), loaded(), "steps must be at least 1"),
        (samplers.rejection, loaded(outputs=3), "this run has pack 1 and d_outputs 3"),
        (samplers.langevin, loaded(pack=2), "one logit for a single sample: this run has pack 2 and d_outputs 1"),
    ],
)
def test_invalid_samplers(sample, generator, words):
    with pytest.raises(InputError, match=words):
        sample(generator, Z, None, jax.random.key(0))
