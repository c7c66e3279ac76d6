"""Random keys: each role of a step has its own, so that what they draw is independent."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn

from gan_jax import augment, deceive, losses
from gan_jax.game import update_rules
from gan_jax.game.build import cosine, draw_code
from gan_jax.game.game import Game
from gan_jax.game.state import init_state
from gan_jax.game.update import StepKeys, bind_discriminator, update
from gan_jax.spec.lookup import public_functions
from gan_jax.training.members import RunKeys, run_keys
from gan_jax.types import Batch, StatefulPenalty

BATCH = Batch(jnp.ones((2, 8, 1)), None)
SEQUENCE_RULES = {"maximum_likelihood", "annealed"}  # they need a generator of sequences, and draw nothing beyond `update`
RULES = {"update": update} | {name: f for name, f in public_functions(update_rules).items() if name not in SEQUENCE_RULES}
RULES["unrolled"] = lambda *arguments: update_rules.unrolled(*arguments, steps=3)


class Linear(nn.Module):
    """x w, for both players."""

    sample_shape: tuple = (1,)
    num_classes: int = 0

    @nn.compact
    def __call__(self, x, label, train):
        return nn.Dense(1)(x) if self.sample_shape == (1,) else nn.Dense(1)(x)[:, 0]


class Function(nn.Module):
    """A player without parameters."""

    function: Callable

    @nn.compact
    def __call__(self, x, label, train):
        return self.function(x)


GAME = Game(
    update=update,
    generator=Linear(),
    discriminator=Linear(sample_shape=()),
    g_tx=optax.sgd(0.1),
    d_tx=optax.sgd(0.1),
    loss=lambda real_logits, fake_logits, label: losses.non_saturating(real_logits, fake_logits),
    gamma=cosine(1.0, None, 1),
    augment_p=cosine(0.5, None, 1),
    ema_decay=lambda step: 0.9,
    z_dim=1,
    sample_shape=(1,),
)


def recording(game, consumed):
    """`game` with functions that record the keys that they consume, in `consumed`: {role: set of keys}."""

    def record(role, key):
        consumed.setdefault(role, set()).add(tuple(np.asarray(jax.random.key_data(key)).tolist()))

    def latent(key, synthesis, critic, shape):
        record("z", key)
        return jax.random.normal(key, shape)

    def augmented(key, x, p):
        record("augment", key)
        return x

    def deceived(key, real, fake, p):
        record("deceive", key)
        return real, fake

    def fake_label(key, batch):
        record("label", key)
        return None

    def penalty(role):
        def call(subject, *arguments):
            record(role, arguments[-1])
            return jnp.zeros(()), {}

        return StatefulPenalty(call, {})

    functions = {"latent": latent, "augment": augmented, "deceive": deceived, "fake_label": fake_label}
    return replace(game, **functions, penalty=penalty("penalty"), g_penalty=penalty("g_penalty"))


@pytest.mark.parametrize("name", RULES)
def test_all_role_keys_of_a_step_differ(name):
    """In every update rule: no key serves two roles, and neither does the step's own key, of which they are split."""
    rule, consumed, key = RULES[name], {}, jax.random.key(5)
    steps = 1 if name in ("simultaneous", "extragradient", "consensus") else 2
    game = recording(replace(GAME, d_steps=steps), consumed)
    state = init_state(game, jax.random.key(0))
    consumed.clear()
    batch = Batch(BATCH.real[:steps], None)
    with jax.disable_jit():
        rule(game, state, batch, key)
    assert consumed.keys() == {"z", "augment", "penalty", "g_penalty", "deceive", "label"}
    consumed["step"] = {tuple(np.asarray(jax.random.key_data(key)).tolist())}
    for (a, a_keys), (b, b_keys) in itertools.combinations(consumed.items(), 2):
        assert not a_keys & b_keys, f"{a} and {b} share a key"
    # Every objective draws with keys of its own: d_steps of D, one of G, and three of D when it is unrolled. Real and fake
    # samples are augmented by different keys.
    objectives = steps + 1 + (3 if name == "unrolled" else 0)
    assert [len(consumed[role]) for role in ("z", "augment", "label")] == [objectives, 2 * objectives, objectives]


@pytest.mark.parametrize(("shared", "variance"), [(False, 2.0), (True, 0.0)])
def test_real_and_fake_samples_are_augmented_independently(shared, variance):
    """Noise of variance 1 (+1 or -1, so that sums are exact) on samples that are all 0, in a game whose loss is the variance of
    the gap of paired logits, at D(x) = x: 1 + 1 for independent noise, 0 if shared; of 5,000 gaps with a standard deviation of
    2 * 2^.5 / 5,000^.5 = .04. Penalties evaluate both kinds of samples under the same augmentation."""

    def gap(real_logits, fake_logits, label):
        return (real_logits - fake_logits).var(), (real_logits - fake_logits).var()

    def paired(critic, real, fake, key):
        return jnp.abs(critic(real) - critic(fake)).max(), {}

    game = replace(
        GAME,
        generator=Function(lambda z: 0 * z),
        discriminator=Function(lambda x: x[:, 0]),
        loss=gap,
        augment=lambda key, x, p: x + jax.random.rademacher(key, x.shape, x.dtype),
        augment_shared=shared,
        penalty=StatefulPenalty(paired, {}),
    )
    state = init_state(game, jax.random.key(0))
    _, metrics = update(game, state, Batch(jnp.zeros((1, 5_000, 1)), None), jax.random.key(1))
    assert [float(metrics[name]) for name in ("d/loss", "g/loss")] == pytest.approx([variance] * 2, abs=0.15)
    assert metrics["d/penalty"] == 0


def test_the_keys_of_a_run_and_of_its_first_steps_differ():
    keys = run_keys(3)
    steps = [jax.random.fold_in(keys.train, step) for step in range(20)]
    roles = [key for step in steps for key in jax.random.split(step, 2)]
    data = [tuple(np.asarray(jax.random.key_data(key)).tolist()) for key in (*keys, *steps, *roles)]
    assert len(keys) == len(RunKeys._fields) and len(set(data)) == len(data)


def test_augmentation_and_deception_are_independent():
    """Each happens to half of the rows: if independent, both happen to a quarter, and half of the replaced rows are augmented.
    The standard deviation of that fraction is 1 / sqrt(4 * 20,000 / 2), .005."""
    rows = 20_000
    real, fake = jnp.ones((rows, 8, 8, 1)), -jnp.ones((rows, 8, 8, 1))
    keys = StepKeys(*jax.random.split(jax.random.key(1), len(StepKeys._fields)))
    replaced = np.asarray(deceive.apa(keys.deceive, real, fake, jnp.float32(0.5))[0][:, 0, 0, 0] == -1)
    cut = np.asarray((augment.cutout(keys.augment, real, jnp.float32(0.5)) == 0).any(axis=(1, 2, 3)))
    assert replaced.mean() == pytest.approx(0.5, abs=0.02) and cut.mean() == pytest.approx(0.5, abs=0.02)
    assert cut[replaced].mean() == pytest.approx(cut.mean(), abs=0.025)
    assert (cut & replaced).mean() == pytest.approx(0.25, abs=0.02)


def test_a_discriminator_receives_augmented_real_samples_despite_apa():
    """With --deceive apa at p = .5, real samples that remain are augmented as often as the others."""
    rows, received = 4_000, []

    class Recorder(nn.Module):
        @nn.compact
        def __call__(self, x, label, train):
            received.append(x)
            return x.mean(axis=(1, 2, 3)) * self.param("w", nn.initializers.ones, ())

    game = replace(GAME, discriminator=Recorder(), augment=augment.cutout, deceive=deceive.apa, sample_shape=(8, 8, 1))
    batch = Batch(jnp.ones((rows, 8, 8, 1)), None)
    keys = StepKeys(*jax.random.split(jax.random.key(2), len(StepKeys._fields)))
    state = init_state(replace(game, generator=Linear()), jax.random.key(0))
    real, _ = game.deceive(keys.deceive, batch.real, -batch.real, jnp.float32(0.5))
    received.clear()
    bind_discriminator(game, state, batch, keys.augment)(state.d.params, {}, real)
    (x,) = received
    kept = np.asarray(real[:, 0, 0, 0] == 1)
    augmented = np.asarray((x == 0).any(axis=(1, 2, 3)))
    assert augmented[kept].mean() == pytest.approx(0.5, abs=0.05)  # none of them before the keys were split into roles


def test_latent_codes_and_their_parts_are_drawn_with_different_keys():
    """Classes and numbers of a code are uncorrelated."""
    code = draw_code(2, 1, jax.random.key(0), Batch(jnp.ones((20_000, 1)), None))
    assert abs(np.corrcoef(np.asarray(code[:, 0]), np.asarray(code[:, 2]))[0, 1]) < 0.03
