"""The reward: spoilt molecules, what they are worth, and a generator that follows it."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import Config
from gan_jax.data.load import load
from gan_jax.data.molecules import property_network
from gan_jax.data.molecules.g_penalties import molecular_property
from gan_jax.data.molecules.metrics import molecule_of, properties
from gan_jax.data.molecules.smiles import KNOWN
from gan_jax.errors import InputError
from gan_jax.game.build import build
from gan_jax.types import Critic, Graph, Synthesis

pytest.importorskip("rdkit.Chem", reason="needs RDKit: pip install 'gan_jax[molecules]'")
KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    monkeypatch.setattr(property_network, "STEPS", 150)
    monkeypatch.setattr(property_network, "_networks", {})


@pytest.fixture(scope="module")
def data():
    return load("molecules", 0, 8)


def elements(data):
    return data.pack(data.to_float(data.train.samples))["elements"].tolist()


def test_spoilt_molecules(data):
    graphs = data.train.samples
    spoilt = property_network.corrupt(graphs, len(elements(data)), np.random.RandomState(0))
    np.testing.assert_array_equal(spoilt.bonds, spoilt.bonds.swapaxes(1, 2))
    assert not np.diagonal(spoilt.bonds, axis1=1, axis2=2).any()
    changed = (spoilt.nodes != graphs.nodes).sum(axis=1) + (spoilt.bonds != graphs.bonds).sum(axis=(1, 2)) // 2
    assert changed.max() == property_network.EDITS and 0 < (changed == 0).mean() < 0.5  # an edit may change nothing


@pytest.mark.parametrize("goal", ["valid", "qed", "logp", "sa"])
def test_what_graphs_are_worth(data, goal):
    found, worth = property_network.examples(data.train.samples, elements(data), goal)
    assert len(worth) == 2 * data.train.count and 0 <= worth.min() and worth.max() <= 1
    for nodes, bonds, value in zip(*found, worth, strict=True):
        molecule = molecule_of(nodes, bonds, elements(data))
        if molecule is None:
            assert value == 0
        elif goal == "valid":
            assert value == 1
        elif goal == "sa":
            assert value == pytest.approx(np.clip((5 - properties(molecule)["sa"]) / 3.5, 0, 1), abs=1e-6)
        elif goal == "qed":
            assert value == pytest.approx(properties(molecule)["qed"], abs=1e-6)


def test_the_network_tells_sound_molecules_from_spoilt_ones_and_is_cached(data, tmp_path, monkeypatch):
    def short_of(samples):
        return molecular_property(Synthesis(lambda z: samples, KEY), Critic(lambda x: x), samples, KEY, data=data, goal="valid")

    real = data.to_float(data.train.samples)
    broken = Graph(real.nodes, jnp.ones_like(real.bonds).at[..., :3].set(0.0))  # nothing but triple bonds
    first = jax.jit(short_of)(real)
    assert first < 0.4 < 0.7 < jax.jit(short_of)(broken)
    assert len(list(tmp_path.glob("reward-*.npz"))) == 1
    monkeypatch.setattr(property_network, "_networks", {})
    monkeypatch.setattr(property_network, "_fit", None)  # not needed any more
    assert jax.jit(short_of)(real) == first
    gradient = jax.grad(lambda samples: short_of(samples))(real)
    assert all(np.abs(leaf).max() > 0 for leaf in gradient)


def test_it_is_a_g_penalty_that_learns_from_the_data_of_the_game(tmp_path, data):
    """Wherever these lie: a file that only `--data_dir` finds."""
    config = Config(data="molecules", model="molgan", z_dim=4, g_width=4, d_width=4, batch=8, loss="wasserstein")
    with pytest.raises(InputError, match="unknown goal of molecular_property 'q'"):
        build(replace(config, g_penalty="molecular_property(goal='q')"), data)
    (tmp_path / "mine.txt").write_text("\n".join(KNOWN[:60]))
    mine = load('molecules(path="mine.txt", atoms=8)', 0, 8, str(tmp_path))
    assert build(replace(config, g_penalty="molecular_property(goal='valid')"), mine).g_penalty is not None
    points = load("ring", 0, 8)
    with pytest.raises(InputError, match="molecular_property needs graphs, such as data molecules"):
        build(replace(config, model="mlp", g_penalty="molecular_property"), points)
