"""The other orders of play: on the Dirac-GAN, where each is a linear map with known eigenvalues; what `top_k` and `logan`
change, against the same step written out by hand; and each on a small game as `build` makes it.

In the Wasserstein Dirac-GAN the data is at 0, G(z) = theta, D(x) = psi x. The players descend along dtheta = psi and
dpsi = -theta: a rotation J. Everything there runs in float64; the losses cast logits to float32, which holds their slopes
1 and -1 exactly.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import losses, penalties
from gan_jax.data.load import load
from gan_jax.game import ema, update, update_rules
from gan_jax.game.build import build, cosine
from gan_jax.game.game import Game
from gan_jax.game.resolve import find_penalty
from gan_jax.game.state import init_state
from gan_jax.spec.lookup import find, public_functions
from gan_jax.storage.files import digest
from gan_jax.types import Batch

H = 0.1
KEY = jax.random.key(3)


class Net(nn.Module):
    """function(w, x), for a player whose parameters are one array that starts at `start`."""

    function: Callable
    start: tuple | float
    sample_shape: tuple = (1,)
    outputs: int = 1

    @nn.compact
    def __call__(self, x, label, train):
        return self.function(self.param("w", lambda _: jnp.array(self.start)), x)


def with_label(loss):
    return lambda real_logits, fake_logits, label: loss(real_logits, fake_logits)


DIRAC = Game(
    update=update.update,
    generator=Net(lambda theta, z: jnp.broadcast_to(theta, (len(z), 1)), 0.6),
    discriminator=Net(lambda psi, x: psi * x[:, 0], 0.8),
    auxiliary=None,
    g_tx=optax.sgd(H),
    d_tx=optax.sgd(H),
    loss=with_label(losses.wasserstein),
    penalty=None,
    g_penalty=None,
    augment=None,
    deceive=None,
    latent=lambda key, synthesis, critic, shape: jax.random.normal(key, shape),
    fake_label=lambda key, batch: batch.label,
    adapt=None,
    gamma=cosine(1.0, None, 1),
    augment_p=cosine(0.0, None, 1),
    ema_decay=lambda step: 1 - 1 / (jnp.asarray(step, float) + 1.0),  # the mean of all steps so far
    auxiliary_weight=1.0,
    g_gamma=1.0,
    penalty_every=1,
    g_penalty_every=1,
    d_steps=1,
    pack=1,
    posthoc_ema=False,
    z_dim=1,
    sample_shape=(1,),
    label=None,
    real_labelled=False,
)


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def run(game, steps, size=2):
    """`steps` steps on data at 0 -> (states after each, stacked; the parameters [steps + 1, 2] as theta, psi)."""
    batch = Batch(jnp.zeros((game.d_steps, size, 1)), None)

    def step(state, t):
        state, _ = game.update(game, state, batch, jax.random.fold_in(KEY, t))
        return state, state

    start = init_state(game, KEY)
    states = jax.jit(lambda state: jax.lax.scan(step, state, jnp.arange(steps))[1])(start)
    y = [np.append(first.params["w"], then.params["w"]) for first, then in ((start.g, states.g), (start.d, states.d))]
    return states, np.stack(y, axis=1)


def rate(theta):
    """|mu| of a motion mu^t + its conjugate: theta_t theta_{t+2} - theta_{t+1}^2 is multiplied by |mu|^2 at each step."""
    area = theta[:-2] * theta[2:] - theta[1:-1] ** 2
    return np.sqrt(area[-1] / area[-2])


ONE, J = np.eye(2), np.array([[0, 1], [-1, 0]])
THETA, PSI = np.array([[1.0, 0], [0, 0]]), np.array([[0.0, 0], [0, 1]])
ALTERNATING = (ONE + H * THETA @ J) @ (ONE + H * PSI @ J)
C, E = 0.5, 0.3
# rule, the matrix of its step (theta, psi) -> (theta, psi), |mu|. Source: by hand, from the rules' definitions; the unrolled
# D's slope is psi - k e theta, and so G's loss -theta (psi - k e theta), whose gradient is 2 k e theta - psi. Were the
# dependence of psi on theta left out, it would be k e theta - psi.
LINEAR = {
    "simultaneous": (update_rules.simultaneous, ONE + H * J, np.sqrt(1 + H**2)),
    "alternating": (update.update, ALTERNATING, 1),
    "extragradient": (update_rules.extragradient, ONE + H * J @ (ONE + H * J), np.sqrt(1 - H**2 + H**4)),
    "consensus": (partial(update_rules.consensus, weight=C), ONE + H * (J - C * ONE), abs(1 + H * (-C + 1j))),
    "unrolled": (partial(update_rules.unrolled, steps=1, lr=E), ALTERNATING - 2 * H * E * THETA, np.sqrt(1 - 2 * H * E)),
    "unrolled-3": (partial(update_rules.unrolled, steps=3, lr=E), ALTERNATING - 6 * H * E * THETA, np.sqrt(1 - 6 * H * E)),
}


@pytest.mark.parametrize(("rule", "matrix", "expected"), LINEAR.values(), ids=LINEAR)
def test_a_rule_is_its_linear_map(float64, rule, matrix, expected):
    _, y = run(replace(DIRAC, update=rule), 60)
    by_hand = [np.linalg.matrix_power(matrix, t) @ y[0] for t in range(61)]
    np.testing.assert_allclose(y, by_hand, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(rate(y[:, 0]), expected, rtol=1e-12)


def test_simultaneous_steps_grow_exactly_and_alternating_ones_stay_on_their_ellipse(float64):
    _, y = run(replace(DIRAC, update=update_rules.simultaneous), 100)
    np.testing.assert_allclose(np.square(y).sum(axis=1), (1 + H**2) ** np.arange(101), rtol=1e-12)
    theta, psi = run(DIRAC, 100)[1].T
    np.testing.assert_allclose(theta**2 + psi**2 - H * theta * psi, 1 - H * 0.48, rtol=1e-12)
    assert theta.min() < -0.9  # a turn takes 63 steps: the invariant is not that of a game that stands still


def momentum_roots(b):
    """Heavy-ball momentum b, psi first: ((l - 1) (l - b))^2 + h^2 l^3 = 0, by elimination of one player."""
    square = np.polymul([1, -1], [1, -b])
    return np.roots(np.polyadd(np.polymul(square, square), [H**2, 0, 0, 0]))


# |mu| to the digits that are known beforehand, and as a formula. Source: Daskalakis et al. 2018, arXiv:1711.00141, section 2,
# for the first; Gidel et al. 2019, arXiv:1807.04740, section 4, for negative momentum.
OPTIMISERS = {
    "optimistic": (
        update_rules.simultaneous,
        optax.optimistic_gradient_descent(H),
        np.sqrt((1 + np.sqrt(1 - 4 * H**2)) / 2),
        0.99494,
    ),
    "momentum -0.3": (update.update, optax.sgd(H, momentum=-0.3), np.abs(momentum_roots(-0.3)).max(), 0.99863),
    "momentum +0.5": (update.update, optax.sgd(H, momentum=0.5), np.abs(momentum_roots(0.5)).max(), 1.0323),
}


@pytest.mark.parametrize(("rule", "tx", "formula", "known"), OPTIMISERS.values(), ids=OPTIMISERS)
def test_an_optimisers_rate(float64, rule, tx, formula, known):
    """After 100 steps, when the faster modes have died out."""
    _, y = run(replace(DIRAC, update=rule, g_tx=tx, d_tx=tx), 100)
    np.testing.assert_allclose(rate(y[:, 0]), formula, rtol=1e-9)
    np.testing.assert_allclose(formula, known, atol=5e-6 if known < 1 else 5e-5)  # the last known digit


def test_averages_of_a_run_that_circles_converge(float64):
    """psi' = psi - h theta, so that the mean of theta telescopes: (psi_1 - psi_{n+1}) / (h n). The power-function averages are
    their weighted sums: theta_s counts (s^(g+1) - (s-1)^(g+1)) / n^(g+1); their decays are float32, 1e-5 off here."""
    n = 1000
    states, y = run(replace(DIRAC, posthoc_ema=True), n + 1)
    theta, psi = y.T
    assert np.abs(theta[-63:]).max() > 0.9
    mean = states.ema["params"]["w"]
    np.testing.assert_allclose(mean[n - 1], (psi[1] - psi[n + 1]) / (H * n), rtol=1e-9)
    assert abs(mean[n - 1]) < 0.02
    for sigma, average in zip(ema.SIGMAS, states.posthoc, strict=True):
        power = (np.arange(n + 1) / n) ** (ema.exponent(sigma) + 1)
        np.testing.assert_allclose(average["params"]["w"][n - 1], np.diff(power) @ theta[1 : n + 1], rtol=1e-4)
        assert abs(average["params"]["w"][n - 1]) < 0.3


def test_a_rule_that_moves_both_at_once_counts_its_updates():
    """A lazy penalty: at steps 0 and 2, twice as strong."""
    game = replace(
        DIRAC, update=update_rules.simultaneous, penalty=find_penalty("penalty", "r1", penalties), penalty_every=2,
        loss=lambda real, fake, label: (jnp.zeros(()), jnp.zeros(())),
    )  # fmt: skip
    _, y = run(game, 4)
    np.testing.assert_allclose(y[:, 1], 0.8 * (1 - 2 * H) ** np.array([0, 1, 1, 2, 2]), rtol=1e-6)


SCALE = replace(DIRAC, generator=Net(lambda theta, z: theta * z, 0.6))  # G(z) = theta z


def fakes_of(key, size, z_dim=1):
    """The latents of the generator step, after one discriminator step, and those of the discriminator step."""
    return [jax.random.normal(jax.random.split(jax.random.fold_in(key, i), 3)[0], (size, z_dim)) for i in (1, 0)]


@pytest.fixture(scope="module")
def top_k_step():
    """(loss, share) -> a compiled step of `top_k` on real samples 1, 2, ..., 8; the step's number is traced."""
    batch = Batch(jnp.arange(1.0, 9.0).reshape(1, 8, 1), None)
    made = {}

    def step(loss, share, number):
        game = replace(SCALE, loss=with_label(loss))
        rule = partial(update_rules.top_k, share=share, decay=0.8)
        made.setdefault((loss, share), jax.jit(lambda state: rule(game, state, batch, KEY)))
        made.setdefault(loss, jax.jit(lambda state: update.update(game, state, batch, KEY)))
        start = init_state(game, KEY).replace(step=jnp.int32(number))
        return made[loss, share](start), made[loss](start)

    return step


@pytest.mark.parametrize(
    ("loss", "slope"),
    [(losses.hinge, lambda logit: -np.ones_like(logit)), (losses.non_saturating, lambda logit: -1 / (1 + np.exp(logit)))],
    ids=["hinge", "non_saturating"],
)
# Shares of 8: .8^1 = .8 is 6.4, .8^2 is 5.1, and so on down to the share. One sample at least is left.
@pytest.mark.parametrize(("share", "number", "count"), [(0.5, 0, 8), (0.5, 1, 6), (0.5, 2, 5), (0.5, 100, 4), (0.01, 100, 1)])
def test_top_k_is_the_mean_over_the_highest_logits(top_k_step, loss, slope, share, number, count):
    (state, metrics), (plain, plain_metrics) = top_k_step(loss, share, number)
    np.testing.assert_allclose(state.d.params["w"], plain.d.params["w"], rtol=1e-6)  # D learns from all of them
    np.testing.assert_allclose(metrics["g/loss"], plain_metrics["g/loss"], rtol=1e-6)
    psi, z = float(state.d.params["w"]), np.asarray(fakes_of(KEY, 8)[0][:, 0], np.float64)
    best = np.argsort(-psi * 0.6 * z)[:count]
    gradient = np.mean(slope(psi * 0.6 * z[best]) * psi * z[best])
    np.testing.assert_allclose(state.g.params["w"], 0.6 - H * gradient, rtol=1e-5)
    if count == 8:
        np.testing.assert_allclose(state.g.params["w"], plain.g.params["w"], rtol=1e-6)


def test_logan_moves_z_by_its_formula(float64):
    """D(G(z)) = psi theta.z has the gradient w = psi theta: its mean becomes that of w.z plus alpha |w|^2 / (beta + |w|^2)."""
    theta, psi = np.array([0.5, -1.5]), 0.8
    game = replace(SCALE, generator=Net(lambda w, z: z @ w[:, None], tuple(theta)), z_dim=2, d_tx=optax.sgd(0.0))
    batch = Batch(jnp.zeros((1, 8, 1)), None)
    rule = jax.jit(lambda state: update_rules.logan(game, state, batch, KEY, alpha=0.9, beta=0.3))
    _, metrics = rule(init_state(game, KEY))
    w, squared = psi * theta, np.square(psi * theta).sum()
    (g_z, d_z), moved = fakes_of(KEY, 8, 2), 0.9 * squared / (0.3 + squared)
    assert moved > 0.5
    np.testing.assert_allclose(metrics["d/fake_logit"], (d_z @ w).mean() + moved, rtol=1e-6)  # logged in float32
    np.testing.assert_allclose(metrics["g/loss"], -(g_z @ w).mean() - moved, rtol=1e-6)


def test_logan_trains_both_players_through_the_move(float64):
    """Against the whole objective in one piece, differentiated by JAX: D's parameters and G's both decide where z goes."""
    alpha, beta, theta, psi = 0.9, 0.5, jnp.array([[0.5, -1.5], [1.0, 0.25]]), jnp.array([0.75, -0.5])

    def sample(theta, z):
        return jnp.tanh(z @ theta)

    def judge(psi, x):
        return x @ psi + (x @ psi) ** 2

    def mean_logit(psi, theta, z):
        def at(z):
            gradient = jax.grad(lambda z: judge(psi, sample(theta, z)))(z)
            return judge(psi, sample(theta, z + alpha * gradient / (beta + gradient @ gradient)))

        return jax.vmap(at)(z).mean()

    start = [tuple(map(tuple, np.asarray(theta))), tuple(np.asarray(psi))]
    game = replace(
        DIRAC, generator=Net(sample, start[0], (2,)), discriminator=Net(judge, start[1], (2,)), z_dim=2, sample_shape=(2,)
    )
    real = jnp.linspace(-1, 1, 8).reshape(4, 2)
    rule = jax.jit(lambda state: update_rules.logan(game, state, Batch(real[None], None), KEY, alpha=alpha, beta=beta))
    state, _ = rule(init_state(game, KEY))
    g_z, d_z = fakes_of(KEY, 4, 2)
    psi_after = psi - H * jax.grad(lambda psi: mean_logit(psi, theta, d_z) - judge(psi, real).mean())(psi)
    np.testing.assert_allclose(state.d.params["w"], psi_after, rtol=1e-10)
    theta_after = theta + H * jax.grad(mean_logit, 1)(psi_after, theta, g_z)
    np.testing.assert_allclose(state.g.params["w"], theta_after, rtol=1e-10)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (partial(update_rules.top_k, share=0.0), "top_k needs a share above 0 and at most 1, got 0.0"),
        (partial(update_rules.top_k, share=1.5), "top_k needs a share above 0 and at most 1, got 1.5"),
        (partial(update_rules.top_k, decay=1.5), "top_k needs a decay between 0 and 1, got 1.5"),
        (partial(update_rules.unrolled, steps=0), "unrolled needs steps of at least 1, got 0"),
    ],
)
def test_invalid_options_are_refused(rule, words):
    with pytest.raises(ValueError, match=words):
        rule(DIRAC, init_state(DIRAC, KEY), Batch(jnp.zeros((1, 2, 1)), None), KEY)


def test_top_k_ranks_one_logit_per_sample():
    game = replace(SCALE, discriminator=Net(lambda psi, x: psi * jnp.tile(x, 2), 0.8, outputs=2))
    with pytest.raises(ValueError, match=r"D returns \(2, 2\): set d_outputs to 1"):
        update_rules.top_k(game, init_state(game, KEY), Batch(jnp.zeros((1, 2, 1)), None), KEY)


@pytest.mark.parametrize("rule", [partial(update_rules.top_k, decay=0.0), partial(update_rules.logan, beta=0.3)])
def test_patches_count_by_their_mean(rule):
    """A D of one logit psi x, and one of three patches with that mean, make the same step of a Wasserstein game."""
    patches = replace(SCALE, discriminator=Net(lambda psi, x: psi * (x + jnp.array([[-2.0, 0.5, 1.5]])), 0.8))
    batch = Batch(jnp.arange(1.0, 9.0).reshape(1, 8, 1), None)
    one, several = (jax.jit(partial(rule, game))(init_state(game, KEY), batch, KEY) for game in (SCALE, patches))
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(several), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def small(tiny):
    """A game as `build` makes it, and a function from a step's number to its batch, [2, B, ...]."""
    data, config = load("ring", 0, tiny.batch), replace(tiny, d_steps=2, penalty="r1")
    game = build(config, data)
    return game, lambda step: jax.tree.map(lambda *x: jnp.stack(x), data.batch_at(2 * step), data.batch_at(2 * step + 1))


SEQUENCES = {"maximum_likelihood", "annealed"}  # these need a generator of sequences: tests/models/test_relgan.py
RULES = [name.replace("unrolled", "unrolled(steps=1)") for name in public_functions(update_rules) if name not in SEQUENCES]


@pytest.mark.parametrize("name", RULES)
def test_every_rule_on_a_small_game(small, name):
    """One program for all steps, the same state structure, only finite numbers, both players moved, and bitwise resumption."""
    game, batch_at = small
    rule = find("update", name, update_rules)
    if name in ("simultaneous", "extragradient", "consensus"):  # which take one step of each
        game, two_at = replace(game, d_steps=1), batch_at
        batch_at = lambda t: jax.tree.map(lambda x: x[:1], two_at(t))  # noqa: E731
    step = jax.jit(lambda state, batch, key: rule(game, state, batch, key))
    states = [jax.jit(lambda key: init_state(game, key))(KEY)]
    for t in range(3):
        state, metrics = step(states[-1], batch_at(t), jax.random.fold_in(KEY, t))
        assert jax.tree.map(lambda x: (x.shape, x.dtype), state) == jax.tree.map(lambda x: (x.shape, x.dtype), states[-1])
        assert all(np.isfinite(value) and value.dtype == jnp.float32 for value in metrics.values()), metrics
        assert {"d/loss", "g/loss", "d/penalty", "d/grad_norm", "g/grad_norm"} <= set(metrics)
        states.append(state)
    assert int(states[-1].step) == 3
    assert digest(states[3].g.params) != digest(states[2].g.params)
    assert digest(states[3].d.params) != digest(states[2].d.params)
    saved = jax.tree.map(jnp.asarray, jax.device_get(states[1]))
    for t in (1, 2):
        saved, _ = step(saved, batch_at(t), jax.random.fold_in(KEY, t))
    assert digest(saved) == digest(states[3])
    assert step._cache_size() == 1, "a value that changes between steps became part of the program: trace it"
