"""The update: one step compared with the same step by hand; lazy penalties; the moving average."""

from dataclasses import replace
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax import auxiliary, g_penalties, losses, penalties
from gan_jax.config import Config
from gan_jax.data.load import load
from gan_jax.game import update as update_page
from gan_jax.game.build import build, cosine, linear
from gan_jax.game.game import Game, Head
from gan_jax.game.resolve import find_penalty
from gan_jax.game.state import init_state
from gan_jax.game.update import update
from gan_jax.models import mlp
from gan_jax.spec.lookup import public_functions
from gan_jax.training.members import batches_of_step
from gan_jax.types import Batch, ComparativeLoss, LabelledLoss, StatefulPenalty


class Shift(nn.Module):
    """G(z) = z + theta."""

    @nn.compact
    def __call__(self, z, label, train):
        return z + self.param("theta", nn.initializers.constant(0.5), (1,))[None]


class Linear(nn.Module):
    """D(x) = psi . x"""

    @nn.compact
    def __call__(self, x, label, train):
        return x @ self.param("psi", nn.initializers.constant(-0.25), (1,))


RATE, GAMMA = 0.1, 0.3
GAME = Game(
    update=update,
    generator=Shift(),
    discriminator=Linear(),
    g_tx=optax.sgd(RATE),
    d_tx=optax.sgd(RATE),
    loss=lambda real_logits, fake_logits, label: losses.wasserstein(real_logits, fake_logits),
    penalty=find_penalty("penalty", "r1", penalties),
    gamma=cosine(GAMMA, None, 1),
    augment_p=cosine(0.0, None, 1),
    ema_decay=lambda step: 0.75,
    z_dim=1,
    sample_shape=(1,),
)


def play(game: Game, steps: int, key=0):
    state = init_state(game, jax.random.key(1))
    real = jnp.linspace(-1, 2, 4 * game.batches).reshape(game.batches, 4, 1)
    history = []
    step = jax.jit(lambda state, key: update(game, state, Batch(real, None), key))
    for t in range(steps):
        state, metrics = step(state, jax.random.fold_in(jax.random.key(key), t))
        history.append(metrics)
    return state, history


def test_one_step_by_hand():
    """Wasserstein, R1 and SGD on linear players: psi moves first, then theta against the new psi."""
    state, [metrics] = play(GAME, 1)
    psi, theta = -0.25, 0.5
    z_key = jax.random.split(jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 0), 0), 3)[0]
    z_mean = float(jax.random.normal(z_key, (4, 1)).mean())
    real_mean = 0.5
    # d/dpsi of [psi (mean fake - mean real) + gamma psi^2 / 2]
    new_psi = psi - RATE * ((theta + z_mean - real_mean) + GAMMA * psi)
    new_theta = theta + RATE * new_psi
    np.testing.assert_allclose(state.d.params["psi"], [new_psi], rtol=1e-6)
    np.testing.assert_allclose(state.g.params["theta"], [new_theta], rtol=1e-6)
    np.testing.assert_allclose(state.ema["params"]["theta"], [0.75 * theta + 0.25 * new_theta], rtol=1e-6)
    assert int(state.step) == 1
    np.testing.assert_allclose(metrics["d/penalty"], psi**2 / 2, rtol=1e-6)
    np.testing.assert_allclose(metrics["d/real_logit"], psi * real_mean, rtol=1e-6)
    np.testing.assert_allclose(metrics["d/loss"], psi * (theta + z_mean - real_mean), rtol=1e-5)
    np.testing.assert_allclose(metrics["g/grad_norm"], abs(new_psi), rtol=1e-6)
    np.testing.assert_allclose(metrics["g/param_norm"], abs(new_theta), rtol=1e-6)


@pytest.mark.parametrize("unroll", [True, False], ids=["unrolled", "loop"])
def test_d_steps_use_fresh_batches_and_g_moves_once(unroll):
    three = replace(GAME, d_steps=3, penalty=None, fast_in_loops=not unroll)
    state, _ = play(three, 1)
    psi, theta = -0.25, 0.5
    real = np.linspace(-1, 2, 12).reshape(3, 4)
    for i in range(3):
        z_key = jax.random.split(jax.random.fold_in(jax.random.fold_in(jax.random.key(0), 0), i), 3)[0]
        psi -= RATE * (theta + float(jax.random.normal(z_key, (4, 1)).mean()) - real[i].mean())
    np.testing.assert_allclose(state.d.params["psi"], [psi], rtol=1e-5)
    np.testing.assert_allclose(state.g.params["theta"], [theta + RATE * psi], rtol=1e-5)


@pytest.mark.parametrize(("model", "fast"), [("mlp", True), ("stock", False)])
def test_steps_are_compiled_as_loops_if_the_networks_are_ours(tmp_path, model, fast):
    """On a CPU the gradients of stock convolutions, which a user's networks may contain, are slow inside a loop."""
    (tmp_path / "stock.py").write_text(Path(mlp.__file__).read_text())
    name = model if model == "mlp" else f"{tmp_path / 'stock.py'}"
    config = Config(data="ring", model=name, batch=4, g_width=4, d_width=4, g_depth=1, d_depth=1)
    assert build(config, load("ring", 0, 4)).fast_in_loops == fast


def test_g_compares_with_fresh_real_samples():
    """Two steps of D use the first two of three batches, and G's step the third: its gradient by theta of the mean of
    real^2 fake logits is psi times the mean of real^2."""

    def product(real_logits, fake_logits, label):
        return jnp.zeros(()), (jax.lax.stop_gradient(real_logits) ** 2 * fake_logits).mean()

    game = replace(GAME, d_steps=2, penalty=None, loss=product, fresh_real=True)
    state, _ = play(game, 1)
    psi, real = -0.25, np.linspace(-1, 2, 12).reshape(3, 4)
    gradient = ((psi * real[2]) ** 2).mean() * psi
    np.testing.assert_allclose(state.g.params["theta"], [0.5 - RATE * gradient], rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "batches"), [("relativistic", 3), ("relativistic_average", 3), ("mmd", 3), ("hinge", 2), ("wasserstein", 2)]
)
def test_only_losses_that_compare_read_a_batch_more(loss, batches):
    """And their G receives a batch that no step of D has read: step 5 of a game with two steps of D."""
    data = load("ring", 0, 8)
    config = Config(data="ring", batch=8, loss=loss, d_steps=2, g_width=4, d_width=4, g_depth=1, d_depth=1)
    game = build(config, data)
    assert game.batches == batches
    rows = batches_of_step(game, data.feed_at, 5)
    np.testing.assert_array_equal(rows, [data.feed_at(5 * batches + i) for i in range(batches)])


@pytest.mark.parametrize("loss", sorted(public_functions(losses)))
def test_the_losses_that_compare_are_those_whose_g_loss_depends_on_real_logits(loss):
    function = public_functions(losses)[loss]
    if isinstance(function, LabelledLoss):
        pytest.skip("its G learns from labels")
    real, fake = np.float32(np.random.RandomState(0).randn(2, 6))
    slope = jax.grad(lambda real: function(real, fake)[1])(real)
    assert isinstance(function, ComparativeLoss) == bool(jnp.abs(slope).max() > 0)


def test_a_lazy_penalty_is_taken_on_every_kth_update_k_times_as_strong():
    """Three steps of two updates each, penalised at updates 0, 3: at the first of step 0 and the second of step 1."""
    lazy = replace(GAME, penalty_every=3, d_steps=2, loss=lambda real, fake, label: (jnp.zeros(()), jnp.zeros(())))
    state, history = play(lazy, 3)
    np.testing.assert_allclose(state.d.params["psi"], [-0.25 * (1 - RATE * 3 * GAMMA) ** 2], rtol=1e-6)
    # The last update is logged.
    assert [bool(metrics["d/penalty"] > 0) for metrics in history] == [False, True, False]


def test_a_schedule_is_traced_from_the_step():
    """gamma falls to 0 along half a cosine over 4 steps: no recompilation, and the right weights."""
    game = replace(GAME, gamma=cosine(GAMMA, 0.0, 4), loss=lambda real, fake, label: (jnp.zeros(()), jnp.zeros(())))
    state, _ = play(game, 3)
    psi = -0.25
    for t in range(3):
        psi *= 1 - RATE * GAMMA * 0.5 * (1 + np.cos(np.pi * t / 4))
    np.testing.assert_allclose(state.d.params["psi"], [psi], rtol=1e-6)
    np.testing.assert_allclose(cosine(2.0, 0.5, 10)(jnp.asarray(25)), 0.5)


def test_linear_decay():
    """mimicry's schedule for 100,000 steps: 2e-4 (1 - t / 100,000); the end value afterwards."""
    rates = linear(2e-4, 0.0, 100_000)(jnp.array([0, 25_000, 90_000, 100_000, 120_000]))
    np.testing.assert_allclose(rates, [2e-4, 1.5e-4, 2e-5, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(linear(0.5, None, 10)(jnp.arange(3)), 0.5)


class Features(nn.Module):
    """D(x) = psi . x, with features [x, x^2]."""

    @nn.compact
    def __call__(self, x, label, train):
        return Linear()(x, label, train), jnp.concatenate([x, x**2], axis=1)


def test_spectral_norm_of_an_auxiliary_head_is_part_of_the_state():
    """One D step makes two power iterations, for real and for fake features; the G step makes none that last."""
    label = jax.ShapeDtypeStruct((), jnp.int32)
    game = replace(GAME, discriminator=Features(), auxiliary=Head(auxiliary.adc_gan, 2), label=label, real_labelled=True)
    state = init_state(game, jax.random.key(1))
    kernel, left = (
        np.float64(tree["auxiliary"]["classes"][name])
        for tree, name in ((state.d.params, "kernel"), (state.d.stats["spectral"], "left"))
    )
    batch = Batch(jnp.linspace(-1, 2, 4).reshape(1, 4, 1), jnp.array([[0, 1, 1, 0]]))
    after, _ = jax.jit(lambda state: update(game, state, batch, jax.random.key(2)))(state)
    for _ in range(2):
        left = kernel.T @ kernel @ left
        left /= np.linalg.norm(left)
    np.testing.assert_allclose(after.d.stats["spectral"]["auxiliary"]["classes"]["left"], left, atol=1e-5)


@pytest.mark.parametrize("player", ["d", "g"])
def test_each_player_moves_against_the_others_frozen_parameters(player):
    """With one learning rate at zero, that player stays and the other still moves."""
    still = replace(GAME, **{f"{player}_tx": optax.sgd(0.0)})
    start, (state, _) = init_state(still, jax.random.key(1)), play(still, 1)
    other = {"d": "g", "g": "d"}[player]
    same = jax.tree.map(lambda a, b: bool((a == b).all()), getattr(start, player).params, getattr(state, player).params)
    moved = jax.tree.map(lambda a, b: bool((a != b).all()), getattr(start, other).params, getattr(state, other).params)
    assert all(jax.tree.leaves(same))
    assert all(jax.tree.leaves(moved))


def test_the_key_of_a_step_is_all_its_randomness():
    a, b, c = play(GAME, 2, key=0)[0], play(GAME, 2, key=0)[0], play(GAME, 2, key=7)[0]
    assert jax.tree.all(jax.tree.map(lambda x, y: bool((x == y).all()), a, b))
    assert float(a.d.params["psi"][0]) != float(c.d.params["psi"][0])


def test_fakes_are_generated_once_per_step(monkeypatch):
    """A penalty on G reuses the step's fake samples, and generates others only from other latents."""
    made, generate = [], update_page.generate
    monkeypatch.setattr(update_page, "generate", lambda *given: made.append(given[3]) or generate(*given))

    def bright(synthesis, critic, real, key):
        return synthesis(synthesis.z).mean(), {}

    for penalty, times in ((StatefulPenalty(bright, {}), 2), (find_penalty("g_penalty", "mode_seeking", g_penalties), 3)):
        made.clear()
        game = replace(GAME, g_penalty=penalty)
        state = init_state(game, jax.random.key(1))
        jax.eval_shape(lambda state, game=game: update(game, state, Batch(jnp.ones((1, 4, 1)), None), jax.random.key(0)), state)
        assert len(made) == times
