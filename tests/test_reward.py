"""The reward: spoilt molecules, what they are worth, and a generator that follows it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import reward
from gan_jax.config import Config
from gan_jax.data import load
from gan_jax.data.molecules import Graph, molecules
from gan_jax.errors import InputError
from gan_jax.game import build
from gan_jax.metrics.molecules import molecule_of, properties
from gan_jax.types import Critic, Synthesis

pytest.importorskip("rdkit.Chem", reason="needs RDKit: pip install 'gan_jax[molecules]'")
KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    monkeypatch.setattr(reward, "STEPS", 150)
    reward._network.cache_clear()
    yield
    reward._network.cache_clear()


def stored():
    source = molecules()
    return source.train.samples, source.pack(source.to_float(source.train.samples))["elements"].tolist()


def test_spoilt_molecules():
    graphs, elements = stored()
    spoilt = reward.spoilt(graphs, len(elements), np.random.RandomState(0))
    np.testing.assert_array_equal(spoilt.bonds, spoilt.bonds.swapaxes(1, 2))
    assert not np.diagonal(spoilt.bonds, axis1=1, axis2=2).any()
    changed = (spoilt.nodes != graphs.nodes).sum(axis=1) + (spoilt.bonds != graphs.bonds).sum(axis=(1, 2)) // 2
    assert changed.max() == reward.EDITS and 0 < (changed == 0).mean() < 0.5  # an edit may change nothing


@pytest.mark.parametrize("goal", ["valid", "qed", "logp", "sa"])
def test_what_graphs_are_worth(goal):
    graphs, elements = stored()
    found, worth = reward.examples(graphs, elements, goal)
    assert len(worth) == 2 * len(graphs.nodes) and 0 <= worth.min() and worth.max() <= 1
    for nodes, bonds, value in zip(*found, worth, strict=True):
        molecule = molecule_of(nodes, bonds, elements)
        if molecule is None:
            assert value == 0
        elif goal == "valid":
            assert value == 1
        elif goal == "sa":
            assert value == pytest.approx(np.clip((5 - properties(molecule)["sa"]) / 3.5, 0, 1), abs=1e-6)
        elif goal == "qed":
            assert value == pytest.approx(properties(molecule)["qed"], abs=1e-6)


def test_the_network_tells_sound_molecules_from_spoilt_ones_and_is_cached(tmp_path, monkeypatch):
    source, (graphs, _) = molecules(), stored()

    def short_of(samples):
        return reward.desired(Synthesis(lambda z: samples, KEY), Critic(lambda x: x), samples, KEY, goal="valid")

    real = source.to_float(graphs)
    broken = Graph(real.nodes, jnp.ones_like(real.bonds).at[..., :3].set(0.0))  # nothing but triple bonds
    first = jax.jit(short_of)(real)
    assert first < 0.4 < 0.7 < jax.jit(short_of)(broken)
    assert len(list(tmp_path.glob("reward-*.npz"))) == 1
    reward._network.cache_clear()
    monkeypatch.setattr(reward, "_fit", None)  # not needed any more
    assert jax.jit(short_of)(real) == first
    gradient = jax.grad(lambda samples: short_of(samples))(real)
    assert all(np.abs(leaf).max() > 0 for leaf in gradient)


def test_it_is_a_g_penalty():
    config = Config(data="molecules", model="molgan", z_dim=4, g_width=4, d_width=4, batch=8, loss="wasserstein")
    data = load("molecules", 0, 8)
    for text, words in (("goal='q'", "unknown goal of desired 'q'"), ("atoms=8", "desired learnt from graphs")):
        with pytest.raises(InputError, match=words):
            build(Config(**vars(config) | {"g_penalty": f"gan_jax.reward:desired({text})"}), data)
    game = build(Config(**vars(config) | {"g_penalty": "gan_jax.reward:desired(goal='valid')"}), data)
    assert game.g_penalty is not None
