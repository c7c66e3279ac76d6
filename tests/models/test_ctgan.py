"""CTGAN: random choices follow their probabilities, conditions are met by construction, packs, a run on a table."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import Config
from gan_jax.errors import InputError
from gan_jax.models.ctgan import Discriminator, Generator
from gan_jax.training.train import train

SHAPE = {"values": (2,), "choices": {"b": (3,), "a": (2,), "x": (4,)}, "condition": {"b": (3,), "a": (2,)}}
# Conditions on a, then b: for the first row a = 1 in training and b = 2 in evaluation, for the second the reverse.
LABEL = jnp.array([[0, 1, 0, 0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 0, 1, 0, 0, 0]], jnp.float32)


def generate(train, **options):
    generator = Generator(SHAPE, 10, width=8, norm="none", **options)
    z = jax.random.normal(jax.random.key(0), (2, 20))
    return jax.jit(lambda z: generator.init_with_output(jax.random.key(1), z, LABEL, train=train)[0])(z)


@pytest.mark.parametrize("relaxation", ["soft", "gumbel", "straight_through"])
def test_rows_have_their_shape_and_meet_their_condition(relaxation):
    x = generate(True, relaxation=relaxation)
    assert jax.tree.map(lambda leaf: leaf.shape[1:], x) == SHAPE
    assert all(np.allclose(leaf.sum(axis=1), 1) for leaf in x["choices"].values())
    np.testing.assert_array_equal(x["choices"]["a"][0], [0, 1])  # requested in training
    np.testing.assert_array_equal(x["choices"]["b"][1], [0, 0, 1])
    np.testing.assert_array_equal(np.concatenate([x["condition"]["a"], x["condition"]["b"]], axis=1), LABEL[:, :5])
    unconditioned = np.concatenate([x["choices"]["b"][0], x["choices"]["a"][1], *x["choices"]["x"]])
    is_one_hot = np.minimum(np.abs(unconditioned), np.abs(1 - unconditioned)).max() < 1e-6
    assert is_one_hot == (relaxation == "straight_through")
    evaluated = generate(False, relaxation=relaxation)
    np.testing.assert_array_equal(evaluated["choices"]["b"][0], [0, 0, 1])  # requested in evaluation
    np.testing.assert_array_equal(evaluated["choices"]["a"][1], [0, 1])


def test_a_choice_follows_its_probabilities():
    """Gumbel noise computed from normal numbers: the largest is k with probability softmax(logits)_k, at any temperature."""
    logits = jnp.log(jnp.array([0.1, 0.6, 0.3]))
    generator = Generator({"values": (0,), "choices": {"c": (3,)}}, width=1, depth=1, norm="none", temperature=2.0)
    z = jax.random.normal(jax.random.key(2), (40_000, 4))
    variables = jax.jit(lambda z: generator.init(jax.random.key(0), z, None, train=True))(z)
    last = variables["params"]["Dense_1"]
    variables["params"]["Dense_1"] = {"kernel": jnp.zeros_like(last["kernel"]), "bias": logits}
    choices = generator.apply(variables, z, None, train=True)["choices"]["c"]
    frequencies = np.bincount(choices.argmax(axis=1), minlength=3) / 40_000
    np.testing.assert_allclose(frequencies, [0.1, 0.6, 0.3], atol=5 * np.sqrt(0.24 / 40_000))
    assert choices.max(axis=1).mean() < 0.9  # not one-hot


def test_a_hard_choice_has_the_gradient_of_the_soft_one():
    z = jax.random.normal(jax.random.key(0), (2, 20))

    @jax.jit
    def gradients(z):
        soft, hard = (Generator(SHAPE, 10, width=8, norm="none", relaxation=r) for r in ("gumbel", "straight_through"))
        params = soft.init(jax.random.key(1), z, LABEL, train=True)

        def score(params, generator):
            return (generator.apply(params, z, LABEL, train=True)["choices"]["x"] * jnp.arange(4.0)[None]).sum()

        return [jax.grad(score)(params, generator) for generator in (soft, hard)]

    soft, hard = gradients(z)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), soft, hard)
    assert max(float(jnp.abs(x).max()) for x in jax.tree.leaves(soft)) > 0


def test_the_logit_depends_on_all_of_a_pack():
    """For three concatenated rows, the gradient of the logit is nonzero for each number."""
    packed = jax.tree.map(lambda size: (3 * size[0],), SHAPE, is_leaf=lambda x: isinstance(x, tuple))
    x = jax.tree.map(lambda size: jnp.full((2, *size), 0.3), packed, is_leaf=lambda x: isinstance(x, tuple))
    discriminator = Discriminator(packed, 10, width=16)

    @jax.jit
    def outputs_and_slopes(x):
        outputs, variables = discriminator.init_with_output(jax.random.key(0), x, None, train=True)
        return outputs, jax.grad(lambda x: discriminator.apply(variables, x, None, train=True)[0].sum())(x)

    (logits, features), slopes = outputs_and_slopes(x)
    assert logits.shape == (2,) and features.shape == (2, 16)
    assert all((jnp.abs(leaf) > 0).all() for leaf in jax.tree.leaves(slopes))


@pytest.mark.parametrize(
    ("shape", "z", "options", "label", "words"),
    [
        ((2,), 20, {}, None, "rows of tables"),
        (SHAPE, 9, {}, LABEL, "gumbel noise uses 9 numbers of z: set z_dim to 137, not 9"),
        (SHAPE, 20, {"relaxation": "hard"}, LABEL, "relaxation must be one of soft, gumbel, straight_through"),
        (SHAPE, 20, {"temperature": 0.0}, LABEL, "temperature must be above 0"),
        (SHAPE, 20, {}, LABEL[:, :5], "two conditions of 5 numbers"),
    ],
)
def test_invalid_arguments(shape, z, options, label, words):
    classes = 0 if label is None else label.shape[1]
    with pytest.raises(ValueError, match=words):
        generator = Generator(shape, classes, **options)
        jax.eval_shape(lambda z: generator.init(jax.random.key(0), z, label, train=True), jnp.zeros((2, z)))


def test_a_run_learns_a_table(tmp_path):
    """With packs, WGAN-GP and conditions, the dependence of a number on a level is learnt in 400 steps."""
    random = np.random.RandomState(0)
    kind = random.choice(["few", "many"], 400, p=[0.2, 0.8])
    lines = [f"{random.randn() + (8 if k == 'many' else -8):.2f},{k}" for k in kind]
    (tmp_path / "two.csv").write_text("\n".join(["x,kind", *lines]))
    game = {"loss": "wasserstein", "penalty": "gradient_penalty", "gamma": 10.0, "pack": 5, "b1": 0.5, "b2": 0.9, "ema": 0.9}
    size = {"batch": 100, "z_dim": 40, "g_width": 32, "d_width": 32, "g_lr": 2e-3, "d_lr": 2e-3, "g_depth": 1, "d_depth": 1}
    steps = {"steps": 400, "eval_every": 1_000, "log_every": 400, "eval_samples": 320}
    config = Config(data=f'table(path="{tmp_path / "two.csv"}")', model="ctgan", **size, **game, **steps)
    train(config, tmp_path / "run")
    last = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["eval/tstr"] > 0.95 and last["eval/wasserstein"] < 0.3
    assert last["eval/jsd"] < last["eval/jsd_floor"] + 0.01  # levels are as frequent as in the training rows
    assert sorted(path.suffix for path in (tmp_path / "run" / "samples").glob("step-*")) == sorted(2 * [".csv", ".svg", ".txt"])
    with pytest.raises(InputError, match="numbers of z"):
        train(replace(config, z_dim=2), tmp_path / "other")
