"""Pieces of the package in training loops of other frameworks: the script of the documentation, plain functions, Equinox."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import augment, losses, penalties
from gan_jax.metrics.frechet import frechet_distance

EXPERIMENTS = Path(__file__).parents[1] / "experiments"


def test_the_loop_in_flax_nnx_learns_the_ring(monkeypatch):
    """The whole script, for a tenth of its steps: nearly all modes have samples, none of which an untrained G makes."""
    monkeypatch.syspath_prepend(str(EXPERIMENTS))
    import own_loop

    untrained, trained = own_loop.main(steps=1), own_loop.main(steps=300)
    sys.modules.pop("own_loop")
    assert untrained["high_quality"] < 0.05
    assert trained["modes"] >= 6 and trained["high_quality"] > 0.2


def test_a_plain_function_is_a_critic():
    """For D(x) = w . x: R1 is |w|^2 / 2, R1 + R2 is |w|^2, and the relativistic loss of equal samples is log 2."""
    w = jnp.array([3.0, 4.0])
    real, fake = jax.random.normal(jax.random.key(0), (2, 16, 2))

    def critic(x):
        return x @ w

    assert penalties.r1(critic, real, fake, jax.random.key(1)) == pytest.approx(12.5)
    assert penalties.r1_r2(critic, real, fake, jax.random.key(1)) == pytest.approx(25.0)
    d_loss, g_loss = losses.relativistic(critic(real), critic(real))
    assert (float(d_loss), float(g_loss)) == pytest.approx((np.log(2), np.log(2)))
    assert jnp.array_equal(augment.noise(jax.random.key(2), real, jnp.float32(0)), real)
    assert frechet_distance(np.asarray(real), np.asarray(real)) == pytest.approx(0, abs=1e-9)


def test_an_equinox_module_is_trained_by_our_loss_and_penalty():
    eqx = pytest.importorskip("equinox")
    d = eqx.nn.MLP(2, "scalar", 8, 1, key=jax.random.key(0))
    real, fake = jnp.array([[1.0, 1.0], [2.0, 1.0]]), jnp.array([[-1.0, 0.0], [0.0, -2.0]])

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def objective(d):
        critic = jax.vmap(d)
        d_loss, _ = losses.hinge(critic(real), critic(fake))
        return d_loss + 0.1 * penalties.r1(critic, real, fake, jax.random.key(1))

    before, gradients = objective(d)
    after, _ = objective(eqx.apply_updates(d, jax.tree.map(lambda x: -0.01 * x, eqx.filter(gradients, eqx.is_array))))
    assert after < before
