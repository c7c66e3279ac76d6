"""Every recipe's update lowers for GPUs and TPUs, on a machine that has neither: traced and lowered, not compiled."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from recipes import RECIPES, offline, parameters

from gan_jax.data.load import load
from gan_jax.game.build import build
from gan_jax.game.state import init_state
from gan_jax.training.compile import compile_update

PLATFORMS = ("cuda", "tpu")
# Lowered in every test run: linear layers, convolutions in two dimensions and in one.
QUICK = {"ring", "mnist_dcgan", "spoken_digits"}


def abstract(tree):
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x), x.dtype), tree)


def lowered(config):
    """The StableHLO of the loop of steps that a run on an accelerator compiles, with a branch for each platform."""
    data = load(config.data, config.seed, config.batch)
    game = build(config, data)
    advance, steps = compile_update(game, data, "scan")
    state, key = jax.eval_shape(lambda: (init_state(game, jax.random.key(0)), jax.random.key(0)))
    feed = jax.tree.map(lambda x: jax.ShapeDtypeStruct((steps, game.batches, *x.shape), x.dtype), abstract(data.feed_at(0)))
    count = jax.ShapeDtypeStruct((), jnp.int32)
    return jax.export.export(advance, platforms=PLATFORMS)(state, abstract(data.store), feed, count, key).mlir_module()


@pytest.fixture(autouse=True)
def no_preflight(monkeypatch):
    """Trace each game once: the preflight of recipes, which traces it again, is tested where they train."""
    for check in ("check_functions", "check_step"):
        monkeypatch.setattr(f"gan_jax.game.build.{check}", lambda config, game: None)


@pytest.mark.parametrize("compute", ["float32", "bfloat16"])
@pytest.mark.parametrize("path", parameters(QUICK))
def test_a_recipe_lowers_for_accelerators(path, compute, tmp_path):
    config = offline(path, tmp_path, compute=compute)
    text = lowered(config)
    products = re.findall(r"stablehlo\.(?:convolution|dot_general).*-> tensor<[\dx]*x(\w+)>", text)
    narrow = compute == "bfloat16" and config.update != "maximum_likelihood"  # maximum likelihood computes in float32
    assert ("bf16" in products) == (narrow or "bfloat16" in config.model) and "f64" not in products
    # A callback to Python would make the devices wait for the host at each step.
    assert not [target for target in re.findall(r"stablehlo\.custom_call @(\w+)", text) if "callback" in target]


@pytest.mark.slow
def test_the_groups_of_r3gan_are_an_attribute_on_accelerators(tmp_path):
    """Cardinality 1 at smoke width, so here with groups of 2: eight channels in four groups, not four convolutions."""
    (path,) = (path for path in RECIPES if path.stem == "cifar10_r3gan")
    text = lowered(offline(path, tmp_path, model="r3gan(group=2)"))
    convolutions = re.findall(r"stablehlo\.convolution\(.*batch_group_count = (\d+) .*feature_group_count = (\d+)", text)
    assert set(convolutions) == {("1", "1"), ("1", "4"), ("4", "1")}
