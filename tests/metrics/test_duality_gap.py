"""The duality gap of games whose equilibria and best responses are known."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import losses, optimizers
from gan_jax.metrics.duality_gap import duality_gap


@cache
def compiled(value, tx, steps):
    """The gap of a deterministic game, for which one test batch is enough, as a function of its players."""
    gap = partial(duality_gap, lambda g, d, batch: value(g, d), train=jnp.zeros(steps), test=jnp.zeros(1), g_tx=tx, d_tx=tx)
    return jax.jit(lambda g, d: gap(g, d))


def exploitabilities(value, tx, steps, g, d):
    """Return (g_exploitability, d_exploitability)."""
    gap = compiled(value, tx, steps)(np.asarray(g, np.float32), np.asarray(d, np.float32))
    np.testing.assert_allclose(gap["duality_gap"], gap["g_exploitability"] + gap["d_exploitability"], rtol=1e-6)
    return float(gap["g_exploitability"]), float(gap["d_exploitability"])


FAST, SLOW = optax.adam(1.0), optax.adam(0.05)
BOUNDED = optax.chain(optax.sgd(0.5), optimizers.clip_weights(1.0))

# A matrix game: g plays rock, paper, scissors or a pebble that loses to all three, d one of the three; g pays the entry.

A = np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0], [1.0, 1.0, 1.0]], np.float32)


def expected_payment(g, d):
    return jax.nn.softmax(g) @ A @ jax.nn.softmax(d)


def strategies(seed):
    """Random logits of mixed strategies, and the exact exploitabilities of g and d."""
    g, d = (np.random.default_rng(seed).normal(size=n) for n in A.shape)
    row, column = (np.exp(logits, dtype=np.float64) for logits in (g, d))
    row, column = row / row.sum(), column / column.sum()
    payment = row @ A @ column
    return g, d, payment - (A @ column).min(), (row @ A).max() - payment


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_matrix_game(seed):
    """The best response to a mixed strategy is a pure one."""
    g, d, g_expected, d_expected = strategies(seed)
    np.testing.assert_allclose(exploitabilities(expected_payment, FAST, 200, g, d), (g_expected, d_expected), atol=1e-6)


def test_matrix_game_at_its_equilibrium():
    g = np.array([0.0, 0.0, 0.0, -np.inf], np.float32)
    np.testing.assert_allclose(exploitabilities(expected_payment, FAST, 200, g, np.zeros(3)), 0, atol=1e-7)


def test_few_steps_bound_the_gap_from_below():
    g, d, *exact = strategies(0)
    estimates = [exploitabilities(expected_payment, optax.adam(0.1), steps, g, d) for steps in (5, 15)]
    assert (np.diff([(0, 0), *estimates, exact], axis=0) > 0.01).all()


def dirac(theta, psi):
    return -losses.minimax(jnp.zeros(1), psi * theta)[0]


@pytest.mark.parametrize(("theta", "psi"), [(0.0, 0.0), (0.7, 0.0), (0.0, -0.4), (-0.3, 0.8)])
def test_dirac_gan(theta, psi):
    """Data at 0, G at theta, D(x) = psi x, both between -1 and 1: V = log sigmoid(0) + log sigmoid(-psi theta). Each best
    response lies on the bound: psi = -sign(theta), theta = sign(psi)."""

    def softplus(x):
        return np.log1p(np.exp(x))

    result = exploitabilities(dirac, BOUNDED, 50, [theta], [psi])
    value = -softplus(psi * theta)
    np.testing.assert_allclose(result, (value + softplus(abs(psi)), -softplus(-abs(theta)) - value), atol=1e-6)


# Gaussians: real N(0, 1) against fake m + s z; the logit of D is quadratic; expectations by quadrature over z.

Z = np.linspace(-8, 8, 401)
WEIGHT = (np.exp(-(Z**2) / 2) / np.exp(-(Z**2) / 2).sum()).astype(np.float32)


def gaussians(g, d):
    z, (mean, deviation) = jnp.float32(Z), g
    real, fake = (d[0] + d[1] * x + d[2] * x**2 for x in (z, mean + deviation * z))
    return WEIGHT @ jax.nn.log_sigmoid(real) + WEIGHT @ jax.nn.log_sigmoid(-fake)


def optimal(m, s):
    """Coefficients (constant, linear, quadratic) of the optimal logit log p/q."""
    return np.log(s) + m**2 / (2 * s**2), -m / s**2, 1 / (2 * s**2) - 0.5


def twice_jensen_shannon(m, s):
    x = np.linspace(-15, 15, 30_001)
    p, q = (np.exp(-(((x - mean) / deviation) ** 2) / 2) / deviation for mean, deviation in ((0, 1), (m, s)))
    log_ratio = np.polynomial.polynomial.polyval(x, optimal(m, s))
    value = np.trapezoid(-p * np.logaddexp(0, -log_ratio) - q * np.logaddexp(0, log_ratio), x) / np.sqrt(2 * np.pi)
    return value + np.log(4)


@pytest.mark.parametrize(("m", "s"), [(1.0, 1.0), (0.5, 1.5), (-0.7, 0.9)])
def test_gaussians_against_a_constant_discriminator(m, s):
    """At D = 1/2, V is -log 4 for any G, and the best D gains 2 JSD."""
    result = exploitabilities(gaussians, SLOW, 300, [m, s], np.zeros(3))
    np.testing.assert_allclose(result, (0, twice_jensen_shannon(m, s)), atol=1e-5)


def test_gaussians_against_the_optimal_discriminator():
    """D can gain nothing. For s > 1 its logit has a maximum at m / (1 - s^2), where the best G puts all its mass."""
    m, s = 0.5, 1.5
    g_gain, d_gain = exploitabilities(gaussians, SLOW, 300, [m, s], optimal(m, s))
    constant, linear, quadratic = optimal(m, s)
    maximum = constant - linear**2 / (4 * quadratic)
    np.testing.assert_allclose(m / (1 - s**2), -linear / (2 * quadratic), rtol=1e-12)
    real = np.polynomial.polynomial.polyval(Z, optimal(m, s))
    best = -WEIGHT @ np.logaddexp(0, -real) - np.logaddexp(0, maximum)
    np.testing.assert_allclose(g_gain, twice_jensen_shannon(m, s) - np.log(4) - best, atol=1e-5)
    np.testing.assert_allclose(d_gain, 0, atol=1e-6)


def test_gaussians_at_the_equilibrium():
    result = exploitabilities(gaussians, SLOW, 300, [0, 1], np.zeros(3))
    np.testing.assert_allclose(result, 0, atol=1e-6)


# Selection of the response, fixed responses, statistics.


def test_selection_is_unbiased():
    """V = d . noise is 0 for any d: neither overfitting of the training noise nor luck among the checks must count."""

    def d_gain(key):
        noise = jax.random.normal(key, (60, 3))
        tx = optax.sgd(0.3)
        gap = partial(duality_gap, lambda g, d, batch: d @ batch, train=noise[:20], test=noise[20:], g_tx=tx, d_tx=tx)
        return gap(jnp.zeros(3), jnp.zeros(3))["d_exploitability"]

    gains = np.asarray(jax.jit(jax.vmap(d_gain))(jax.random.split(jax.random.key(0), 2_000)))
    error = gains.std() / np.sqrt(len(gains))
    assert abs(gains.mean()) < 3 * error
    assert gains.std() > 0.05  # d does learn the training noise, so that the selection has a choice


def test_no_gain_if_training_ascends_or_diverges():
    """The initial player is among the responses, and responses that are not finite are ignored."""
    g, d, *_ = strategies(0)
    assert exploitabilities(expected_payment, optax.sgd(-1.0), 10, g, d) == (0, 0)
    assert exploitabilities(expected_payment, optax.sgd(jnp.nan), 10, g, d) == (0, 0)


def test_a_fixed_response_counts():
    """V = g d with a learning rate of 0: only the fixed response, g = -3, gains anything."""
    frozen = optax.sgd(0.0)
    gap = partial(duality_gap, lambda g, d, batch: g * d, train=jnp.zeros(5), test=jnp.zeros(1), g_tx=frozen, d_tx=frozen)
    result = jax.jit(partial(gap, fixed_response=lambda d, batch: -3 * d))(jnp.ones(()), jnp.ones(()))
    assert {name: float(x) for name, x in result.items()} == {"duality_gap": 4, "g_exploitability": 4, "d_exploitability": 0}


def test_statistics_are_updated_after_each_step():
    """d is a weight and a copy of it, and V = weight - copy^2. The weight goes from 0 to 2.5 in five steps. With an up-to-date
    copy the best value is .5 - .25; with a stale copy d would gain 2.5."""

    def value(g, d, batch):
        weight, copy = d
        return weight - jax.lax.stop_gradient(copy) ** 2

    def update_stats(g, d, batch):
        return g, (d[0], d[0])

    tx, zero = optax.sgd(0.5), jnp.zeros(())
    gap = partial(duality_gap, value, zero, (zero, zero), jnp.zeros(5), jnp.zeros(1), tx, tx)
    assert float(jax.jit(partial(gap, update_stats=update_stats))()["d_exploitability"]) == 0.25
    assert float(jax.jit(gap)()["d_exploitability"]) == 2.5


def test_checks_are_evenly_spaced():
    """V = d, which each of 7 steps raises by 1. However many checks there are, the last is at the end; the second of three is
    at step 4, which is the best response if the last step leads down to -94."""
    tx, zero = optax.sgd(1.0), jnp.zeros(())
    gap = partial(duality_gap, g=zero, d=zero, train=jnp.arange(7.0), test=jnp.zeros(1), g_tx=tx, d_tx=tx)
    for checks in (1, 3, 7):
        assert float(jax.jit(partial(gap, lambda g, d, batch: d, checks=checks))()["d_exploitability"]) == 7
    steep = jax.jit(partial(gap, lambda g, d, batch: d * jnp.where(batch == 6, -100, 1), checks=3))
    assert float(steep()["d_exploitability"]) == 4
    for checks in (0, 8):
        with pytest.raises(ValueError, match=f"1 <= checks <= training batches, got {checks} checks and 7 batches"):
            gap(lambda g, d, batch: d, checks=checks)
