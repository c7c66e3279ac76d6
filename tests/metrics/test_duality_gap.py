"""The duality gap of games whose equilibrium and best answers are known, and of generators that drop modes."""

from dataclasses import replace
from functools import cache, partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import losses, optimizers
from gan_jax.config import Config
from gan_jax.data.dataset import Split
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.evaluation.exploitability import game_duality_gap
from gan_jax.evaluation.sample import latents, sampler
from gan_jax.game.build import build, cosine
from gan_jax.game.game import Game
from gan_jax.game.state import init_state
from gan_jax.game.update import update
from gan_jax.metrics.duality_gap import duality_gap
from gan_jax.models.mlp import Discriminator
from gan_jax.training.compile import compile_update
from gan_jax.training.members import feed_of_step, keys


@cache
def compiled(value, tx, steps):
    """The gap of a game without noise, which needs one test batch, as a function of its players."""
    play = partial(duality_gap, lambda g, d, batch: value(g, d), train=jnp.zeros(steps), test=jnp.zeros(1), g_tx=tx, d_tx=tx)
    return jax.jit(lambda g, d: play(g, d))


def exploitabilities(value, tx, steps, g, d):
    """(g's, d's)"""
    gap = compiled(value, tx, steps)(np.asarray(g, np.float32), np.asarray(d, np.float32))
    np.testing.assert_allclose(gap["duality_gap"], gap["g_exploitability"] + gap["d_exploitability"], rtol=1e-6)
    return float(gap["g_exploitability"]), float(gap["d_exploitability"])


FAST, SLOW = optax.adam(1.0), optax.adam(0.05)
BOUNDED = optax.chain(optax.sgd(0.5), optimizers.clip_weights(1.0))

# A matrix game: g chooses rock, paper, scissors or a pebble that loses to all of them, d one of the three; g pays the entry.

A = np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 1.0], [1.0, -1.0, 0.0], [1.0, 1.0, 1.0]], np.float32)


def mixed(g, d):
    return jax.nn.softmax(g) @ A @ jax.nn.softmax(d)


def strategies(seed):
    g, d = (np.random.default_rng(seed).normal(size=n) for n in A.shape)
    row, column = (np.exp(logits, dtype=np.float64) for logits in (g, d))
    row, column = row / row.sum(), column / column.sum()
    now = row @ A @ column
    return g, d, now - (A @ column).min(), (row @ A).max() - now


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_matrix_game(seed):
    """The best answer to a mixed strategy is a pure one."""
    g, d, of_g, of_d = strategies(seed)
    np.testing.assert_allclose(exploitabilities(mixed, FAST, 200, g, d), (of_g, of_d), atol=1e-6)


def test_matrix_game_at_its_equilibrium():
    g = np.array([0.0, 0.0, 0.0, -np.inf], np.float32)
    np.testing.assert_allclose(exploitabilities(mixed, FAST, 200, g, np.zeros(3)), 0, atol=1e-7)


def test_few_steps_bound_the_gap_from_below():
    g, d, *exact = strategies(0)
    found = [exploitabilities(mixed, optax.adam(0.1), steps, g, d) for steps in (5, 15)]
    assert (np.diff([(0, 0), *found, exact], axis=0) > 0.01).all()


def dirac(theta, psi):
    return -losses.minimax(jnp.zeros(1), psi * theta)[0]


@pytest.mark.parametrize(("theta", "psi"), [(0.0, 0.0), (0.7, 0.0), (0.0, -0.4), (-0.3, 0.8)])
def test_dirac_gan(theta, psi):
    """Data at 0, G at theta, D(x) = psi x, both between -1 and 1: V = log sigmoid(0) + log sigmoid(-psi theta). Each best
    answer lies on the bound: psi = -sign(theta), theta = sign(psi)."""

    def softplus(x):
        return np.log1p(np.exp(x))

    found = exploitabilities(dirac, BOUNDED, 50, [theta], [psi])
    now = -softplus(psi * theta)
    np.testing.assert_allclose(found, (now + softplus(abs(psi)), -softplus(-abs(theta)) - now), atol=1e-6)


# Gaussians: real N(0, 1) against m + s z, D's logit a quadratic, expectations by quadrature over z.

Z = np.linspace(-8, 8, 401)
WEIGHT = (np.exp(-(Z**2) / 2) / np.exp(-(Z**2) / 2).sum()).astype(np.float32)


def gaussians(g, d):
    z, (mean, deviation) = jnp.float32(Z), g
    real, fake = (d[0] + d[1] * x + d[2] * x**2 for x in (z, mean + deviation * z))
    return WEIGHT @ jax.nn.log_sigmoid(real) + WEIGHT @ jax.nn.log_sigmoid(-fake)


def optimal(m, s):
    """log p/q as (constant, linear, quadratic)."""
    return np.log(s) + m**2 / (2 * s**2), -m / s**2, 1 / (2 * s**2) - 0.5


def twice_jensen_shannon(m, s):
    x = np.linspace(-15, 15, 30_001)
    p, q = (np.exp(-(((x - mean) / deviation) ** 2) / 2) / deviation for mean, deviation in ((0, 1), (m, s)))
    log_ratio = np.polynomial.polynomial.polyval(x, optimal(m, s))
    value = np.trapezoid(-p * np.logaddexp(0, -log_ratio) - q * np.logaddexp(0, log_ratio), x) / np.sqrt(2 * np.pi)
    return value + np.log(4)


@pytest.mark.parametrize(("m", "s"), [(1.0, 1.0), (0.5, 1.5), (-0.7, 0.9)])
def test_gaussians_against_a_blind_discriminator(m, s):
    """At D = 1/2, V is -log 4 whatever G does, and the best D gains 2 JSD."""
    found = exploitabilities(gaussians, SLOW, 300, [m, s], np.zeros(3))
    np.testing.assert_allclose(found, (0, twice_jensen_shannon(m, s)), atol=1e-5)


def test_gaussians_against_the_optimal_discriminator():
    """It gains nothing more. At s > 1 its logit has a top, at m / (1 - s^2), and the best G puts everything there."""
    m, s = 0.5, 1.5
    of_g, of_d = exploitabilities(gaussians, SLOW, 300, [m, s], optimal(m, s))
    constant, linear, quadratic = optimal(m, s)
    top = constant - linear**2 / (4 * quadratic)
    np.testing.assert_allclose(m / (1 - s**2), -linear / (2 * quadratic), rtol=1e-12)
    real = np.polynomial.polynomial.polyval(Z, optimal(m, s))
    best = -WEIGHT @ np.logaddexp(0, -real) - np.logaddexp(0, top)
    np.testing.assert_allclose(of_g, twice_jensen_shannon(m, s) - np.log(4) - best, atol=1e-5)
    np.testing.assert_allclose(of_d, 0, atol=1e-6)


def test_gaussians_at_the_equilibrium():
    found = exploitabilities(gaussians, SLOW, 300, [0, 1], np.zeros(3))
    np.testing.assert_allclose(found, 0, atol=1e-6)


# The core's own rules.


def test_picking_does_not_flatter():
    """V = d . noise is 0 whatever d: what d learns of the training noise, and luck among the checks, must not count."""

    def one(key):
        noise = jax.random.normal(key, (60, 3))
        tx = optax.sgd(0.3)
        play = partial(duality_gap, lambda g, d, batch: d @ batch, train=noise[:20], test=noise[20:], g_tx=tx, d_tx=tx)
        return play(jnp.zeros(3), jnp.zeros(3))["d_exploitability"]

    gains = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), 2_000)))
    error = gains.std() / np.sqrt(len(gains))
    assert abs(gains.mean()) < 3 * error
    assert gains.std() > 0.05  # the training noise is learned, and picking has something to pick from


def test_what_misleads_or_diverges_gains_nothing():
    """The start is among the answers, and one that is not finite is none."""
    g, d, *_ = strategies(0)
    assert exploitabilities(mixed, optax.sgd(-1.0), 10, g, d) == (0, 0)
    assert exploitabilities(mixed, optax.sgd(jnp.nan), 10, g, d) == (0, 0)


def test_a_known_answer_counts():
    """V = g d with players that cannot move: only the known answer, -3, gains anything."""
    still = optax.sgd(0.0)
    play = partial(duality_gap, lambda g, d, batch: g * d, train=jnp.zeros(5), test=jnp.zeros(1), g_tx=still, d_tx=still)
    gap = jax.jit(partial(play, known=lambda d, batch: -3 * d))(jnp.ones(()), jnp.ones(()))
    assert {name: float(x) for name, x in gap.items()} == {"duality_gap": 4, "g_exploitability": 4, "d_exploitability": 0}


def test_statistics_settle_on_the_player_that_moved():
    """d is a weight and a copy of it, and V = weight - copy^2. The weight goes from 0 to 2.5 in five steps. With the copy up to
    date the best is .5 - .25; a copy left behind would let it gain 2.5."""

    def value(g, d, batch):
        weight, copy = d
        return weight - jax.lax.stop_gradient(copy) ** 2

    def settle(g, d, batch):
        return g, (d[0], d[0])

    tx, zero = optax.sgd(0.5), jnp.zeros(())
    play = partial(duality_gap, value, zero, (zero, zero), jnp.zeros(5), jnp.zeros(1), tx, tx)
    assert float(jax.jit(partial(play, settle=settle))()["d_exploitability"]) == 0.25
    assert float(jax.jit(play)()["d_exploitability"]) == 2.5


def test_checks_stand_evenly_on_the_way():
    """V = d, which each of 7 steps raises by 1. However many checks, the last stands at the end; of three the second stands at
    4, which is the best where the last step leads down to -94."""
    tx, zero = optax.sgd(1.0), jnp.zeros(())
    play = partial(duality_gap, g=zero, d=zero, train=jnp.arange(7.0), test=jnp.zeros(1), g_tx=tx, d_tx=tx)
    for checks in (1, 3, 7):
        assert float(jax.jit(partial(play, lambda g, d, batch: d, checks=checks))()["d_exploitability"]) == 7
    steep = jax.jit(partial(play, lambda g, d, batch: d * jnp.where(batch == 6, -100, 1), checks=3))
    assert float(steep()["d_exploitability"]) == 4
    for checks in (0, 8):
        with pytest.raises(ValueError, match=f"at least one check and a training batch for each: got {checks} and 7"):
            play(lambda g, d, batch: d, checks=checks)


# A Game on the ring, whose generator draws from modes that are its parameters.

ANGLE = 2 * np.pi * np.arange(8) / 8
RING = np.stack([np.cos(ANGLE), np.sin(ANGLE)], axis=1).astype(np.float32)


class Modes(nn.Module):
    """z [B, 4] -> one of eight centres, by the angle of z's first half, plus noise, its second half."""

    @nn.compact
    def __call__(self, z, label, train):
        centers = self.param("centers", lambda key: jnp.asarray(RING))
        octant = jnp.floor(8 * (jnp.arctan2(z[:, 1], z[:, 0]) / (2 * jnp.pi) % 1)).astype(jnp.int32) % 8
        return centers[octant] + 0.02 * z[:, 2:]


GAME = Game(
    update=update,
    generator=Modes(),
    discriminator=Discriminator((2,), width=64, depth=3),
    g_tx=optax.sgd(0.0),
    d_tx=optax.sgd(0.0),
    loss=lambda real_logits, fake_logits, label: losses.hinge(real_logits, fake_logits),
    gamma=cosine(0.0, None, 1),
    augment_p=cosine(0.0, None, 1),
    ema_decay=lambda step: 0.0,
    z_dim=4,
    sample_shape=(2,),
)
ring_data = cache(lambda: load("ring", 0, 128))
ring_gap = cache(lambda: game_duality_gap(GAME, ring_data(), jax.random.key(1)))
initial = cache(lambda: jax.jit(lambda: init_state(GAME, jax.random.key(0)))())


def with_modes(count):
    """A generator of the first `count` modes, `count` dividing 8."""
    state = initial()
    return state.replace(g=state.g.replace(params={"centers": jnp.asarray(RING[np.arange(8) % count])}))


def with_last_layer(state, kernel, bias):
    last = state.d.params["Dense_3"]
    new = {"kernel": kernel * last["kernel"], "bias": last["bias"] + bias}
    return state.replace(d=state.d.replace(params=state.d.params | {"Dense_3": new}))


@pytest.mark.parametrize("count", [8, 4, 2, 1])
def test_the_gap_of_dropped_modes(count):
    """Before D has learned anything the gap is 2 JSD. With the data's 8 modes against k of them it is known; the held-out
    shares of the modes, known to 1 / sqrt(2,432), leave it a noise of about .01."""
    gap = ring_gap()(with_last_layer(with_modes(count), kernel=0, bias=0))
    covered = np.log(1 / 8 / (1 / 8 + 1 / count)) * count / 8 + np.log(1 / count / (1 / 8 + 1 / count))
    np.testing.assert_allclose(gap["duality_gap"], covered + np.log(4), atol=0.02)
    np.testing.assert_allclose(gap["g_exploitability"], 0, atol=1e-6)


def test_a_constant_of_the_logits_does_not_count():
    state = with_modes(4)
    plain, shifted = ring_gap()(state), ring_gap()(with_last_layer(state, kernel=1, bias=7.0))
    assert plain["duality_gap"] > 0.3
    for name, value in plain.items():
        np.testing.assert_allclose(shifted[name], value, atol=2e-4)


def test_the_same_figures_twice():
    state = with_modes(4)
    assert ring_gap()(state) == ring_gap()(state)


def test_a_dead_game_is_no_equilibrium():
    """D's logit is 24 - 2 (x + 2) and all fakes lie at x = 50: G's gradient is 0, and D gains nothing either."""
    state = initial()

    def wire(layer):
        return {name: jnp.zeros_like(x) for name, x in layer.items()} | {
            "kernel": jnp.zeros_like(layer["kernel"]).at[0, 0].set(1)
        }

    d = {name: wire(layer) for name, layer in state.d.params.items()}
    d["Dense_0"]["bias"] = d["Dense_0"]["bias"].at[0].set(2.0)
    d["Dense_3"] = {"kernel": -2 * d["Dense_3"]["kernel"], "bias": np.array([24.0], np.float32)}
    g = {"centers": np.full((8, 2), 50.0, np.float32)}
    gap = ring_gap()(state.replace(g=state.g.replace(params=g), d=state.d.replace(params=d)))
    assert abs(gap["d_exploitability"]) < 1e-6
    assert gap["g_exploitability"] > 18


def test_average_is_played_and_the_second_half_values():
    """The averaged generator makes one mode, the one that is trained nothing near. In the first half of the held-out samples
    are all modes, in the second that one only. A linear D learns to tell it from all modes, which is worse than nothing."""
    game, data = replace(GAME, discriminator=Discriminator((2,), depth=0)), ring_data()
    one = RING[:1] + 0.02 * np.random.default_rng(0).normal(size=(1_000, 2)).astype(np.float32)
    data = replace(data, test=Split(np.concatenate([data.test.samples[:1_000], one]), None))
    state = jax.jit(lambda: init_state(game, jax.random.key(0)))()
    far, near = ({"centers": np.tile(center, (8, 1)).astype(np.float32)} for center in ([[5, 5]], RING[:1]))
    state = state.replace(g=state.g.replace(params=far), ema={"params": near})
    state = state.replace(d=state.d.replace(params=jax.tree.map(jnp.zeros_like, state.d.params)))
    gap = game_duality_gap(game, data, jax.random.key(1), average=True, lr=0.05)(state)
    np.testing.assert_allclose(list(gap.values()), 0, atol=1e-6)


class Spent(nn.Module):
    """D(x) = w . x until it has moved once, and 0 from then on; a second statistic could tell real from fake, if trained."""

    @nn.compact
    def __call__(self, x, label, train):
        first, second = (self.variable("stats", name, partial(jnp.full, (), value)) for name, value in (("a", 1.0), ("b", 0.0)))
        logits = first.value * (x @ self.param("w", nn.initializers.zeros, (2,))) + second.value * x[:, 0]
        if self.is_mutable_collection("stats") and not self.is_initializing():
            first.value = jnp.zeros(())
        return logits


def test_statistics_move_as_in_training_and_are_not_trained():
    game = replace(GAME, discriminator=Spent())
    state = jax.jit(lambda: init_state(game, jax.random.key(0)))()
    state = state.replace(g=with_modes(1).g)
    gap = game_duality_gap(game, ring_data(), jax.random.key(1), lr=0.05)(state)
    np.testing.assert_allclose(list(gap.values()), 0, atol=1e-6)


LABELLED = {"data": "digits", "g_norm": "batch", "g_condition": "norm", "d_norm": "spectral", "d_condition": "projection"}
ALTERED = {"augment": "translation", "deceive": "apa(shift=0)", "update": "logan"}
CODED = {"data": "digits", "auxiliary": "info_gan", "code_classes": 10, "code_dims": 2, "g_condition": "concat"}


@pytest.mark.parametrize("options", [LABELLED | ALTERED, CODED, {"pack": 2}], ids=["labelled", "coded", "packed"])
def test_fits_any_game(tiny, options):
    """Tracing it on abstract arrays is all that `game_duality_gap` itself does."""
    config = replace(tiny, **options)
    data = load(config.data, 0, config.batch)
    game_duality_gap(build(config, data), data, jax.random.key(0), batch=config.batch)


def test_refuses_what_it_cannot_measure():
    data = ring_data()
    several = replace(GAME, discriminator=Discriminator((2,), width=4, depth=1, outputs=3))
    with pytest.raises(InputError, match=r"one logit a sample, D gives \(128, 3\): set d_outputs to 1"):
        game_duality_gap(several, data, jax.random.key(0))
    for asked in ({"duality_gap": 10}, {"stop": "duality_gap < 0.1"}):  # and before anything is written
        with pytest.raises(InputError, match="a duality gap needs one logit a sample: set d_outputs to 1, not 3"):
            build(Config(data="ring", loss="mmd", d_outputs=3, **asked), data)
    few = replace(data, test=jax.tree.map(lambda x: x[:3], data.test))
    with pytest.raises(InputError, match="needs 4 held-out samples: ring has 3"):
        game_duality_gap(replace(GAME, pack=2), few, jax.random.key(0))


def trained(config):
    """(modes that its samples cover, its gap), after all its steps."""
    data = ring_data()
    game = build(config, data)
    init_key, train_key, _ = keys(0)
    state = jax.jit(lambda: init_state(game, init_key))()
    advance, most = compile_update(game, data, "scan")
    for first in range(0, config.steps, most):
        feeds = np.stack([feed_of_step(game, data.feed_at, first + i) for i in range(most)])
        state, _ = advance(state, data.train, feeds, most, train_key)
    samples = sampler(game)(state.ema, latents(game, jax.random.key(1), 2_500), None)
    return data.evaluator(data)(samples, None)["modes"], game_duality_gap(game, data, jax.random.key(2))(state)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["relativistic", "minimax", "hinge"])
def test_a_collapsed_training_has_the_larger_gap(loss):
    sizes = {"g_width": 64, "g_depth": 3, "d_width": 64, "d_depth": 3, "z_dim": 2}
    good = Config(data="ring", **sizes, loss=loss, penalty="r1_r2", gamma=0.01, g_lr=4e-3, g_lr_final=1e-5, d_lr=2e-3,
                  d_lr_final=1e-5, steps=2_000)  # fmt: skip
    collapsed = replace(good, penalty=None, b1=0.9, g_lr=1e-2, g_lr_final=None, d_lr=1e-2, d_lr_final=None, steps=600)
    (all_modes, small), (few_modes, large) = trained(good), trained(collapsed)
    assert all_modes == 8
    assert few_modes < 8
    assert small["duality_gap"] < 0.1 < 0.5 < large["duality_gap"]
