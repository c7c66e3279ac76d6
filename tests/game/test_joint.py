"""Real and fake samples in one batch: the same game as with two passes of D, for the D that declare it."""

from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh

from gan_jax import losses, penalties
from gan_jax.config import Config
from gan_jax.data.load import load
from gan_jax.game.build import build, cosine
from gan_jax.game.game import Game
from gan_jax.game.partition import AXIS, shard_random_draws
from gan_jax.game.state import apply, init_state
from gan_jax.game.update import d_objective, update
from gan_jax.models import dcgan, mlp
from gan_jax.types import Batch, StatefulPenalty

KEY = jax.random.key(0)
REAL = jax.random.normal(jax.random.key(1), (6, 2))
LABEL = jnp.arange(6) % 3
GAMMA = 0.7


def game_of(condition: str) -> Game:
    classes = {"num_classes": 0 if condition == "none" else 3, "width": 8, "condition": condition}
    discriminator = mlp.Discriminator(sample_shape=(2,), depth=2, **classes)
    assert discriminator.joint
    return Game(
        update=update,
        generator=mlp.Generator(sample_shape=(2,), depth=1, **classes | {"condition": "none"}),
        discriminator=discriminator,
        joint=True,
        g_tx=optax.sgd(0.1),
        d_tx=optax.sgd(0.1),
        loss=lambda real_logits, fake_logits, label: losses.relativistic(real_logits, fake_logits),
        penalty=StatefulPenalty(lambda *arguments: (penalties.r1_r2(*arguments), {}), memory={}),
        gamma=cosine(GAMMA, None, 1),
        augment_p=cosine(0.0, None, 1),
        ema_decay=lambda step: 0.9,
        z_dim=3,
        sample_shape=(2,),
        label=None if condition == "none" else jax.ShapeDtypeStruct((), jnp.int32),
        real_labelled=condition != "none",
    )


@pytest.mark.parametrize("condition", ["none", "concat", "projection"])
def test_value_and_gradient_are_those_of_separate_passes(condition):
    """softplus(D(fake) - D(real)) + gamma / 2 (|grad D(real)|^2 + |grad D(fake)|^2), D applied to real and to fake samples
    separately."""
    z, label = jax.random.normal(KEY, (6, 3)), None if condition == "none" else LABEL
    game, batch = replace(game_of(condition), latent=lambda *_: z), Batch(REAL, label)
    state = init_state(game, KEY)

    def objective(params):
        return d_objective(game, state, batch, params, jnp.zeros((), jnp.int32), KEY)[0]

    def formula(params):
        fake, _ = apply(game.generator, {"params": state.g.params}, z, label, True)

        def logits(x):
            return apply(game.discriminator, {"params": params}, x, label, True)[0][0]

        slopes = [jax.grad(lambda x: logits(x).sum())(x) for x in (REAL, fake)]
        penalty = 0.5 * sum((slope**2).sum(axis=1).mean() for slope in slopes)
        return jnp.log(1 + jnp.exp(logits(fake) - logits(REAL))).mean() + GAMMA * penalty

    ours, plain = (jax.jit(jax.value_and_grad(f))(state.d.params) for f in (objective, formula))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6), ours, plain)


@pytest.mark.parametrize(("joint", "passes"), [(True, 1), (False, 2)])
def test_d_is_applied_once(joint, passes):
    """Products of matrices in the traced objective: 2 layers of G, and 3 of D in each pass."""
    game = replace(game_of("none"), joint=joint, penalty=None)
    state = init_state(game, KEY)
    traced = jax.make_jaxpr(lambda: d_objective(game, state, Batch(REAL, None), state.d.params, state.step, KEY)[0])()
    assert str(traced).count("dot_general[") == 2 + 3 * passes


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "spectral"])
@pytest.mark.parametrize("minibatch", ["none", "stddev", "discrimination"])
def test_an_mlp_declares_whether_one_batch_is_the_same_function(norm, minibatch):
    network = mlp.Discriminator(sample_shape=(2,), width=4, depth=1, norm=norm, minibatch=minibatch)
    fake = 2 * REAL + 1
    variables = network.init(KEY, REAL, None, True)
    (real_logits, _), stats = apply(network, variables, REAL, None, True)
    (fake_logits, _), _ = apply(network, variables | stats, fake, None, True)
    (together, _), _ = apply(network, variables, jnp.concatenate([REAL, fake]), None, True)
    same = np.allclose(together, jnp.concatenate([real_logits, fake_logits]), rtol=1e-5, atol=1e-5)
    assert network.joint == same


def test_which_games_are_played_in_one_batch():
    """Not with augmentations, convolutions or rows that are split across devices."""
    config = Config(data="digits", batch=4, z_dim=4, d_width=8, g_width=8)
    data = load("digits", 0, 4)
    assert build(config, data).joint
    assert not build(replace(config, augment="cutout"), data).joint
    assert not shard_random_draws(build(config, data), Mesh(np.array(jax.devices()[:1]), (AXIS,))).joint
    assert not hasattr(dcgan.Discriminator(sample_shape=(8, 8, 1)), "joint")


def test_penalties_of_a_pair_share_its_pass():
    """For D(x) = w x, R1 + R2 is |w|^2; LeCam's first means are those of the logits."""
    w = jnp.array([3.0, 4.0])
    critic = SimpleNamespace(pair=lambda real, fake: (real @ w, fake @ w), outputs=1)
    assert penalties.r1_r2(critic, REAL, REAL + 1, KEY) == pytest.approx(25.0)
    critic.memory = {name: jnp.float32(value) for name, value in penalties.lecam.memory.items()}
    _, memory = penalties.lecam(critic, REAL, REAL + 1, KEY, decay=0.0)
    assert memory["fake_logit"] - memory["real_logit"] == pytest.approx(7.0, rel=1e-5)
