"""Distributions of the latents against their quantiles, and the one that a game uses."""

import jax
import numpy as np
import pytest
from scipy import stats

from gan_jax import latents
from gan_jax.config import Config
from gan_jax.data.load import load
from gan_jax.game.build import build
from gan_jax.spec.lookup import public_functions

KEY = jax.random.key(0)
DISTRIBUTIONS = {
    "normal": stats.norm(),
    "uniform": stats.uniform(-1, 2),
    "truncated": stats.truncnorm(-2, 2),
    "truncated(bound=0.5)": stats.truncnorm(-0.5, 0.5),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_every_game_draws_from_its_distribution(name):
    config = Config(latent=name, z_dim=5)
    z = np.asarray(build(config, load("digits", 0, 128)).draw_latents(KEY, 4_000))
    assert z.shape == (4_000, 5) and z.dtype == np.float32
    assert stats.kstest(z.ravel(), DISTRIBUTIONS[name].cdf).statistic < 0.015  # 1.63 / sqrt(20,000) is exceeded once in 100
    np.testing.assert_allclose(np.corrcoef(z.T), np.eye(5), atol=0.07)


def test_every_distribution_is_tested():
    assert public_functions(latents).keys() == {name.partition("(")[0] for name in DISTRIBUTIONS}


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan")])
def test_an_impossible_bound_is_refused(bound):
    with pytest.raises(ValueError, match="the bound of a truncated normal must be above 0"):
        latents.truncated(KEY, (2, 3), bound=bound)
