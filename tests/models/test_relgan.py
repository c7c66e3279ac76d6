"""RelGAN: a law over sentences that its samples follow, its pages, and its runs at several temperatures."""

import itertools
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import Config
from gan_jax.data.dataset import Protocol
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.evaluation.temperatures import measure_runs, table
from gan_jax.game import update_rules
from gan_jax.game.build import build
from gan_jax.game.state import init_state
from gan_jax.game.update_rules import maximum_likelihood
from gan_jax.models.relgan import Discriminator, Generator, log_likelihood
from gan_jax.training.train import train

SHAPE = (3, 3)
# All that can be said: nothing follows the end.
SENTENCES = [s for s in itertools.product(range(3), repeat=3) if not any(a == 0 < b for a, b in itertools.pairwise(s))]
TINY = Config(
    data='text(level="word", length=6)', model='relgan(memory="lstm", embedding=4, embeddings=2)', z_dim=2, g_width=4, d_width=4
)
TINY = replace(TINY, batch=8, steps=2, eval_samples=100, loss="relativistic", g_lr=0.1, log_every=1)
MLE = replace(TINY, update="maximum_likelihood", g_optimizer="sgd")


@cache
def generator(memory):
    network = Generator(SHAPE, width=4, embedding=2, memory=memory)
    return network, jax.jit(network.init, static_argnames="train")(jax.random.key(0), jnp.zeros((1, 2)), None, train=False)


def play(network, variables, z, train=False):
    return np.asarray(jax.jit(lambda z: network.apply(variables, z, None, train=train))(z))


def test_samples_follow_the_likelihood():
    """The probabilities of all sentences sum to 1, also when cooled, and samples have those frequencies."""
    network, variables = generator("relational")
    log_p, symbols = log_likelihood(network.clone(temperature=0.5), variables, jax.nn.one_hot(np.array(SENTENCES), 3))
    p, count = np.exp(np.asarray(log_p)), 5_000
    assert p.sum() == pytest.approx(1, rel=1e-5)
    assert symbols.tolist() == [min(3, sum(map(bool, s)) + 1) for s in SENTENCES]
    samples = play(network.clone(temperature=0.5), variables, jax.random.normal(jax.random.key(1), (count, 2)))
    np.testing.assert_array_equal(np.sort(samples, axis=-1), np.broadcast_to([0, 0, 1], samples.shape))
    ids = samples.argmax(axis=-1).tolist()
    drawn = np.array([ids.count(list(s)) for s in SENTENCES])
    assert drawn.sum() == count
    assert (np.abs(drawn - count * p) < 4 * np.sqrt(count * p)).all()


def test_the_lstm_by_its_equations():
    """log p of a sentence, step by step in NumPy."""
    network, variables = generator("lstm")
    weights = jax.tree.map(np.asarray, variables["params"])
    (hidden, cell), total = np.zeros((2, 4)), 0.0
    sentence = (2, 1, 0)
    for previous, word in zip((3, *sentence), sentence, strict=False):
        x = weights["embedding"][previous]
        i, f, g, o = (
            x @ weights["cell"][f"i{n}"]["kernel"]
            + hidden @ weights["cell"][f"h{n}"]["kernel"]
            + weights["cell"][f"h{n}"]["bias"]
            for n in "ifgo"
        )
        cell = cell / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        hidden = np.tanh(cell) / (1 + np.exp(-o))
        logits = hidden @ weights["scores"]["kernel"] + weights["scores"]["bias"]
        total += logits[word] - np.log(np.exp(logits).sum())
    log_p, symbols = log_likelihood(network, variables, jax.nn.one_hot(np.array([sentence]), 3))
    assert float(log_p[0]) == pytest.approx(total, rel=1e-5) and int(symbols[0]) == 3


def test_a_sample_is_its_own_latents():
    network, variables = generator("lstm")
    z = jax.random.normal(jax.random.key(2), (6, 2))
    hard, soft = play(network, variables, z), play(network, variables, z, train=True)
    np.testing.assert_array_equal(play(network, variables, z[::-1])[::-1], hard)
    np.testing.assert_allclose(soft.sum(axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(soft.argmax(axis=-1), hard.argmax(axis=-1))
    assert 0.01 < np.abs(soft - hard).max()
    np.testing.assert_allclose(play(network.clone(softness=1e-4), variables, z, train=True), hard, atol=1e-6)
    cold = play(network.clone(temperature=1e-4), variables, z)
    assert (cold == cold[:1]).all()
    with pytest.raises(ValueError, match="set z_dim to 2 at least, not 1"):
        network.init(jax.random.key(0), z[:, :1], None, train=True)


def test_every_parameter_learns():
    network, variables = generator("relational")
    judge = Discriminator(SHAPE, width=4, embeddings=4)
    z = jax.random.normal(jax.random.key(3), (6, 2))

    @jax.jit
    def gradients(variables):
        d = judge.init(jax.random.key(1), jnp.ones((6, *SHAPE)), None, train=True)

        def score(g, d):
            logits, features = judge.apply(d, network.apply(g, z, None, train=True), None, train=True)
            return (logits**2).sum(), (logits, features)

        return jax.grad(score, argnums=(0, 1), has_aux=True)(variables, d)

    found, (logits, features) = gradients(variables)
    assert logits.shape == (6,) and features.shape == (6, 100)
    for path, leaf in jax.tree_util.tree_leaves_with_path(found):
        assert np.isfinite(leaf).all() and np.abs(leaf).max() > 0, path


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Generator(SHAPE, memory="elephant"), "memory must be one of lstm, relational, got 'elephant'"),
        (Generator((8, 8, 1)), r"relgan needs sequences \(T, V\)"),
    ],
)
def test_what_a_generator_refuses(network, words):
    with pytest.raises(ValueError, match=words):
        network.init(jax.random.key(0), jnp.zeros((1, 2)), None, train=False)


def test_embeddings_share_their_numbers():
    with pytest.raises(ValueError, match="embeddings must divide 64, got 5"):
        Discriminator(SHAPE, embeddings=5).init(jax.random.key(0), jnp.ones((1, *SHAPE)), None, train=True)


def test_maximum_likelihood_climbs_the_gradient():
    data = load(MLE.data, 0, 8)
    game = build(MLE, data)
    batch = jax.tree.map(lambda x: x[None], data.batch_at(0))

    @jax.jit
    def both(key):
        state = init_state(game, key)
        after, metrics = maximum_likelihood(game, state, batch, key)

        def loss(params):
            log_p, symbols = log_likelihood(game.generator, {"params": params}, batch.real[0])
            return -log_p.sum() / symbols.sum()

        return state, after, metrics, *jax.value_and_grad(loss)(state.g.params)

    state, after, metrics, loss, gradient = both(jax.random.key(0))
    assert float(metrics["g/loss"]) == pytest.approx(float(loss), rel=1e-6)
    assert 2 < loss < 4  # a softmax that knows nothing of some 20 words says log 20
    jax.tree.map(
        lambda new, old, by: np.testing.assert_allclose(new, old - 0.1 * by, rtol=1e-4, atol=1e-6),
        after.g.params,
        state.g.params,
        gradient,
    )
    jax.tree.map(np.testing.assert_array_equal, after.d, state.d)
    assert int(after.step) == 1


def test_samples_harden_with_the_steps(monkeypatch):
    game, state = SimpleNamespace(generator=Generator(SHAPE)), SimpleNamespace(step=jnp.int32(0))
    monkeypatch.setattr(update_rules, "replace", lambda game, generator: generator)
    monkeypatch.setattr(update_rules, "update", lambda generator, state, batch, key: (state, {"played": generator.softness}))
    for step, expected in ((0, 1), (2, 0.1), (4, 0.01), (9, 0.01)):
        state.step = jnp.int32(step)
        _, metrics = update_rules.annealed(game, state, None, None, steps=4, softness=0.01)
        assert float(metrics["played"]) == float(metrics["g/softness"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ("maximum_likelihood", "needs a generator that writes symbol after symbol"),
        ("annealed", "annealed needs a generator with a softness"),
    ],
)
def test_pages_need_such_a_generator(update, words):
    config = Config(data="ring", update=update, g_width=4, d_width=4, z_dim=2, batch=4)
    with pytest.raises(InputError, match=words):
        build(config, load("ring", 0, 4))


@pytest.mark.slow
def test_likelihood_then_the_game_in_one_table(tmp_path):
    train(MLE, tmp_path / "mle")
    train(replace(TINY, update="annealed(steps=2)"), tmp_path / "gan", fork_from=tmp_path / "mle")
    rows = measure_runs([tmp_path / "mle", tmp_path / "gan"], [1.0, 0.5], Protocol(), 50)
    assert [(row["run"], row["temperature"]) for row in rows] == [("mle", 1.0), ("mle", 0.5), ("gan", 1.0), ("gan", 0.5)]
    assert all(1 < row["nll"] < 10 and 0 < row["jsd2_floor"] < row["jsd2"] for row in rows)
    assert rows[0]["nll"] != rows[1]["nll"] and rows[0]["distinct2"] > rows[1]["distinct2"]
    lines = table(rows).splitlines()
    assert lines[0].split()[:4] == ["run", "T", "nll", "↓"] and lines[5].startswith("training samples")
    with pytest.raises(InputError, match="temperatures must be above 0"):
        measure_runs([tmp_path / "mle"], [0.0], Protocol(), 50)
