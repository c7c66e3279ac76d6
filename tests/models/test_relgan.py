"""RelGAN: samples follow the likelihood; its update rules; runs measured at several temperatures."""

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
# All possible sentences: nothing follows the end symbol.
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


def generate(network, variables, z, train=False):
    return np.asarray(jax.jit(lambda z: network.apply(variables, z, None, train=train))(z))


def test_samples_follow_the_likelihood():
    """At a temperature below 1, the probabilities of all sentences sum to 1, and samples have those frequencies."""
    network, variables = generator("relational")
    log_p, symbols = log_likelihood(network.clone(temperature=0.5), variables, jax.nn.one_hot(np.array(SENTENCES), 3))
    p, count = np.exp(np.asarray(log_p)), 5_000
    assert p.sum() == pytest.approx(1, rel=1e-5)
    assert symbols.tolist() == [min(3, sum(map(bool, s)) + 1) for s in SENTENCES]
    samples = generate(network.clone(temperature=0.5), variables, jax.random.normal(jax.random.key(1), (count, 2)))
    np.testing.assert_array_equal(np.sort(samples, axis=-1), np.broadcast_to([0, 0, 1], samples.shape))
    ids = samples.argmax(axis=-1).tolist()
    frequencies = np.array([ids.count(list(s)) for s in SENTENCES])
    assert frequencies.sum() == count
    assert (np.abs(frequencies - count * p) < 4 * np.sqrt(count * p)).all()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(weights, state, x):
    hidden, cell = state
    i, f, g, o = (
        x @ weights[f"i{n}"]["kernel"] + hidden @ weights[f"h{n}"]["kernel"] + weights[f"h{n}"]["bias"] for n in "ifgo"
    )
    cell = cell * sigmoid(f) + np.tanh(g) * sigmoid(i)
    hidden = np.tanh(cell) * sigmoid(o)
    return (hidden, cell), hidden


def relational(weights, memory, x):
    """The memory core of RelGAN's authors (utils/models/relational_memory.py): one slot, two heads."""
    width, heads = len(memory), 2

    def linear(name, y):
        return y @ weights[name]["kernel"] + weights[name].get("bias", 0)

    def norm(name, rows):
        return (rows - rows.mean()) / rows.std() * weights[name]["scale"] + weights[name]["bias"]

    x = linear("input", x)
    rows = np.stack([memory, x])
    # One linear map without bias, one layer norm over both rows, then for each head its queries, keys and values.
    qkv = norm("qkv_norm", linear("qkv", rows)).reshape(2, heads, 3, width // heads)
    attended = np.zeros((2, width))
    for head in range(heads):
        q, k, v = (qkv[:, head, part] for part in range(3))
        products = np.exp(q @ k.T / np.sqrt(3 * width // heads))
        attended[:, head * width // heads : (head + 1) * width // heads] = products / products.sum(1, keepdims=True) @ v
    rows = norm("attention_norm", rows + attended)
    rows = norm("mlp_norm", rows + linear("Dense_1", np.maximum(linear("Dense_0", rows), 0)))
    input_gate, forget_gate = np.split(linear("gate_input", x) + linear("gate_memory", np.tanh(memory)), 2)
    memory = sigmoid(input_gate) * np.tanh(rows[0]) + sigmoid(forget_gate + 1) * memory
    return memory, memory


@pytest.mark.parametrize(
    ("memory", "cell", "state"), [("lstm", lstm, (np.zeros(4), np.zeros(4))), ("relational", relational, np.eye(1, 4)[0])]
)
def test_the_memories_by_their_equations(memory, cell, state):
    """The log-likelihood of a sentence against NumPy."""
    network, variables = generator(memory)
    random = np.random.RandomState(0)
    variables = jax.tree.map(lambda x: x + random.normal(size=x.shape).astype(np.float32), variables)
    weights = jax.tree.map(lambda x: np.asarray(x, np.float64), variables["params"])
    total, sentence = 0.0, (2, 1, 0)
    for previous, word in zip((3, *sentence), sentence, strict=False):
        state, hidden = cell(weights["cell"], state, weights["embedding"][previous])
        logits = hidden @ weights["scores"]["kernel"] + weights["scores"]["bias"]
        total += logits[word] - np.log(np.exp(logits).sum())
    log_p, symbols = log_likelihood(network, variables, jax.nn.one_hot(np.array([sentence]), 3))
    assert float(log_p[0]) == pytest.approx(total, rel=1e-4) and int(symbols[0]) == 3


def test_a_sample_depends_on_its_latent_alone():
    network, variables = generator("lstm")
    z = jax.random.normal(jax.random.key(2), (6, 2))
    hard, soft = generate(network, variables, z), generate(network, variables, z, train=True)
    np.testing.assert_array_equal(generate(network, variables, z[::-1])[::-1], hard)
    np.testing.assert_allclose(soft.sum(axis=-1), 1, rtol=1e-5)
    np.testing.assert_array_equal(soft.argmax(axis=-1), hard.argmax(axis=-1))
    assert 0.01 < np.abs(soft - hard).max()
    np.testing.assert_allclose(generate(network.clone(softness=1e-4), variables, z, train=True), hard, atol=1e-6)
    cold = generate(network.clone(temperature=1e-4), variables, z)
    assert (cold == cold[:1]).all()
    with pytest.raises(ValueError, match="set z_dim to at least 2, not 1"):
        network.init(jax.random.key(0), z[:, :1], None, train=True)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Generator(SHAPE, memory="elephant"), "memory must be one of lstm, relational, got 'elephant'"),
        (Generator(SHAPE, width=5), "needs a width that 2 heads divide, got 5"),
        (Generator((8, 8, 1)), r"relgan needs sequences \(T, V\)"),
    ],
)
def test_invalid_generators(network, words):
    with pytest.raises(ValueError, match=words):
        network.init(jax.random.key(0), jnp.zeros((1, 2)), None, train=False)


def test_the_discriminator_by_its_equations():
    """Against NumPy, embedding by embedding: filters, maxima over time, a highway layer without biases, and two dense layers
    with no activation in between."""
    x = np.random.RandomState(1).dirichlet(np.ones(3), size=(2, 4)).astype(np.float32)
    network = Discriminator((4, 3), width=5, embeddings=32)
    variables = network.init(jax.random.key(0), jnp.asarray(x), None, train=True)
    w = jax.tree.map(lambda x: np.asarray(x, np.float64), variables["params"])
    expected = np.zeros((2, 32))
    for sample, embedding in itertools.product(range(2), range(32)):
        y = (x[sample] @ w["embed"]["kernel"])[:, 2 * embedding : 2 * embedding + 2]
        pooled = []
        for i, window in enumerate((2, 3, 4)):  # a window of 5 does not fit
            kernel = w[f"Conv_{i}"]["kernel"]
            outputs = [np.tensordot(y[t : t + window], kernel, 2) + w[f"Conv_{i}"]["bias"] for t in range(5 - window)]
            pooled.append(np.maximum(outputs, 0).max(axis=0))
        y = np.concatenate(pooled)
        gate = sigmoid(y @ w["gate"]["kernel"])
        y = gate * np.maximum(y @ w["highway"]["kernel"], 0) + (1 - gate) * y
        for layer in ("Dense_0", "Dense_1"):
            y = y @ w[layer]["kernel"] + w[layer]["bias"]
        expected[sample, embedding] = y[0]
    logits, features = network.apply(variables, x, None, train=True)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-6)
    assert features.shape == (2, 100)
    assert set(w["gate"]) == set(w["highway"]) == {"kernel"}


def test_initial_weights_are_the_authors():
    """Truncated normals of standard deviation 1 / sqrt(inputs) before truncation at twice that; filters sqrt(2 / inputs)."""
    shapes = Discriminator((4, 300), width=300, embeddings=64)
    params = jax.jit(shapes.init, static_argnames="train")(jax.random.key(0), jnp.zeros((1, 4, 300)), None, train=True)[
        "params"
    ]
    for layer, deviation in (("embed", 300**-0.5), ("gate", 900**-0.5), ("Conv_1", (2 / 3) ** 0.5)):
        kernel = np.abs(params[layer]["kernel"])
        assert 1.9 * deviation < kernel.max() <= 2 * deviation  # the largest of at least 900
        assert np.sqrt(np.square(kernel).mean()) == pytest.approx(0.8796 * deviation, rel=0.05)


def test_embeddings_of_the_discriminator():
    x = jax.ShapeDtypeStruct((6, *SHAPE), jnp.float32)
    for embeddings, shape in ((1, (6,)), (4, (6, 4))):
        init = Discriminator(SHAPE, width=4, embeddings=embeddings).init_with_output
        (logits, features), _ = jax.eval_shape(lambda x, init=init: init(jax.random.key(0), x, None, train=True), x)
        assert logits.shape == shape and features.shape == (6, 100)
    with pytest.raises(ValueError, match="embeddings must divide 64, got 5"):
        Discriminator(SHAPE, embeddings=5).init(jax.random.key(0), jnp.ones((6, *SHAPE)), None, train=True)


def test_maximum_likelihood_steps_along_the_gradient():
    data = load(MLE.data, 0, 8)
    game = build(MLE, data)
    batch = jax.tree.map(lambda x: x[None], data.batch_at(0))

    @jax.jit
    def step(key):
        state = init_state(game, key)
        after, metrics = maximum_likelihood(game, state, batch, key)

        def loss(params):
            log_p, symbols = log_likelihood(game.generator, {"params": params}, batch.real[0])
            return -log_p.sum() / symbols.sum().astype(jnp.float32)

        return state, after, metrics, *jax.value_and_grad(loss)(state.g.params)

    state, after, metrics, loss, gradient = step(jax.random.key(0))
    assert float(metrics["g/loss"]) == pytest.approx(float(loss), rel=1e-6)
    assert 2 < loss < 4  # an untrained softmax over some 20 words has log 20
    jax.tree.map(
        lambda new, old, slope: np.testing.assert_allclose(new, old - 0.1 * slope, rtol=1e-4, atol=1e-6),
        after.g.params,
        state.g.params,
        gradient,
    )
    jax.tree.map(np.testing.assert_array_equal, after.d, state.d)
    assert int(after.step) == 1


def test_softness_is_annealed(monkeypatch):
    game, state = SimpleNamespace(generator=Generator(SHAPE)), SimpleNamespace(step=jnp.int32(0))
    monkeypatch.setattr(update_rules, "replace", lambda game, generator: generator)
    monkeypatch.setattr(update_rules, "update", lambda generator, state, batch, key: (state, {"used": generator.softness}))
    for step, expected in ((0, 1), (2, 0.1), (4, 0.01), (9, 0.01)):
        state.step = jnp.int32(step)
        _, metrics = update_rules.annealed(game, state, None, None, steps=4, softness=0.01)
        assert float(metrics["used"]) == float(metrics["g/softness"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("update", "words"),
    [
        ("maximum_likelihood", "needs an autoregressive generator"),
        ("annealed", "annealed needs a generator with a softness"),
    ],
)
def test_update_rules_need_such_a_generator(update, words):
    config = Config(data="ring", update=update, g_width=4, d_width=4, z_dim=2, batch=4)
    with pytest.raises(InputError, match=words):
        build(config, load("ring", 0, 4))


@pytest.mark.slow
def test_table_of_a_likelihood_run_and_its_fork(tmp_path):
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
