"""Networks of flax.nnx as --model: the example in the docstring of the bridge is trained, resumed and averaged."""

import textwrap
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gan_jax.config import Config
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.game.build import build
from gan_jax.game.game import play
from gan_jax.game.state import apply, init_state
from gan_jax.models import nnx_bridge
from gan_jax.runs.load import load_run
from gan_jax.storage.files import digest
from gan_jax.training.train import train
from gan_jax.types import Batch


@pytest.fixture
def model(tmp_path):
    """The example in the docstring, as a file."""
    source = nnx_bridge.__doc__.partition("For example:\n")[2].partition("\nA layer that draws")[0]
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(source))
    return path


def config(tiny: Config, model, **options) -> Config:
    unset = dict.fromkeys(("g_depth", "d_depth"))
    return replace(tiny, model=f"{model}(z_dim=2)", steps=12, loss="hinge", penalty=None, ema_start=0, **unset, **options)


def test_an_nnx_model_resumes_with_the_same_bits(tiny, model, tmp_path):
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    train(config(tiny, model, schedule_steps=12), straight)
    train(replace(config(tiny, model, schedule_steps=12), steps=6), stopped)
    train(config(tiny, model, schedule_steps=12), stopped)
    states = [load_run(run, print)[3] for run in (straight, stopped)]
    assert int(states[0].step) == 12
    assert digest(states[0]) == digest(states[1])


def test_parameters_are_trained_and_averaged_and_statistics_are_carried_along(tiny, model):
    data = load("ring", 0, 16)
    game = build(replace(config(tiny, model), ema=0.75), data)
    before = init_state(game, jax.random.key(0))
    assert {name: x.shape for name, x in before.g.params["hidden"].items()} == {"kernel": (2, 8), "bias": (8,)}
    batch = Batch(jnp.stack([data.batch_at(0).real]), None)
    after, _ = play(game, before, batch, jax.random.key(1))
    assert not np.array_equal(before.g.params["out"]["kernel"], after.g.params["out"]["kernel"])
    average = 0.75 * before.g.params["out"]["kernel"] + 0.25 * after.g.params["out"]["kernel"]
    np.testing.assert_allclose(after.ema["params"]["out"]["kernel"], average, rtol=1e-5)
    # Spectral norm: one step of the power iteration moves u. The kernel that D applies has spectral norm 1.
    moved = jax.tree.map(lambda x, y: bool((np.asarray(x) != np.asarray(y)).any()), before.d.stats, after.d.stats)
    assert any(jax.tree.leaves(moved))
    # Batch norm: running means leave 0, by a tenth of the batch's mean for each of the steps that G was applied in.
    (before_mean,), (after_mean,) = ([x.stats["batch_stats"]["norm"]["mean"]] for x in (before.g, after.g))
    assert not np.any(before_mean) and np.any(after_mean)


def test_evaluation_uses_running_statistics(tiny, model):
    """A sample does not depend on the others in its batch, and evaluation changes no statistics."""
    game = build(config(tiny, model), load("ring", 0, 16))
    variables = init_state(game, jax.random.key(0)).ema
    z = jax.random.normal(jax.random.key(1), (5, 2))
    samples, stats = apply(game.generator, variables, z, None, train=False)
    alone, _ = apply(game.generator, variables, z[:1], None, train=False)
    np.testing.assert_allclose(samples[:1], alone, rtol=1e-6)
    expected = nnx.relu(z @ variables["params"]["hidden"]["kernel"] / np.sqrt(1 + 1e-5)) @ variables["params"]["out"]["kernel"]
    np.testing.assert_allclose(samples, expected, rtol=1e-5)  # initial biases and means are 0, variances and gains 1
    assert stats["batch_stats"] is variables["batch_stats"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("num_classes, z_dim=64", "z_dim=64", "Generator must have the parameters of __init__ num_classes"),
        ("class Generator(nnx.Module)", "class Generator", "must define a flax.linen or flax.nnx module named Generator"),
        ("return self.out(x)", "return nnx.Dropout(0.5)(self.out(x), rngs=nnx.Rngs(params=0))", "fails at .*mine.py"),
        ("return self.out(x)", "return self.out(x)[:, :1]", "Generator must return samples"),
    ],
)
def test_a_mistake_is_one_line(tiny, model, old, new, message):
    text = model.read_text()
    assert old in text
    model.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as caught:
        build(config(tiny, model), load("ring", 0, 16))
    assert "\n" not in str(caught.value)


def test_an_option_that_the_model_lacks_is_refused(tiny, model):
    with pytest.raises(InputError, match=r"unknown option of .* 'g_depth'.*known: g_width, g_z_dim"):
        build(replace(config(tiny, model), g_depth=3), load("ring", 0, 16))
