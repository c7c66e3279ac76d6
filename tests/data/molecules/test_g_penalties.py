"""The property network: corrupted molecules, rewards, and the penalty on the generator."""

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
from gan_jax.data.molecules.smiles import SMALL_MOLECULES
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


def test_corrupted_molecules(data):
    graphs = data.train.samples
    corrupted = property_network.corrupt(graphs, len(elements(data)), np.random.RandomState(0))
    np.testing.assert_array_equal(corrupted.bonds, corrupted.bonds.swapaxes(1, 2))
    assert not np.diagonal(corrupted.bonds, axis1=1, axis2=2).any()
    changed = (corrupted.nodes != graphs.nodes).sum(axis=1) + (corrupted.bonds != graphs.bonds).sum(axis=(1, 2)) // 2
    assert changed.max() == property_network.MAX_EDITS and 0 < (changed == 0).mean() < 0.5  # an edit may change nothing


@pytest.mark.parametrize("goal", ["valid", "qed", "logp", "sa"])
def test_rewards_are_scaled_properties(data, goal):
    graphs, rewards = property_network.examples(data.train.samples, elements(data), goal)
    assert len(rewards) == 2 * data.train.count and 0 <= rewards.min() and rewards.max() <= 1
    for nodes, bonds, value in zip(*graphs, rewards, strict=True):
        molecule = molecule_of(nodes, bonds, elements(data))
        if molecule is None:
            assert value == 0
        elif goal == "valid":
            assert value == 1
        elif goal == "sa":
            assert value == pytest.approx(np.clip((5 - properties(molecule)["sa"]) / 3.5, 0, 1), abs=1e-6)
        elif goal == "qed":
            assert value == pytest.approx(properties(molecule)["qed"], abs=1e-6)


def test_the_network_distinguishes_valid_from_invalid_molecules_and_is_cached(data, tmp_path, monkeypatch, capsys):
    def penalty(samples):
        return molecular_property(Synthesis(lambda z: samples, KEY), Critic(lambda x: x), samples, KEY, data=data, goal="valid")

    real = data.to_float(data.train.samples)
    invalid = Graph(real.nodes, jnp.ones_like(real.bonds).at[..., :3].set(0.0))  # triple bonds only
    first = jax.jit(penalty)(real)
    assert first < 0.4 < 0.7 < jax.jit(penalty)(invalid)
    (cache,) = tmp_path.glob("reward-*.npz")
    assert f"150 steps; kept in {cache}" in capsys.readouterr().err
    monkeypatch.setattr(property_network, "_networks", {})
    monkeypatch.setattr(property_network, "_fit", None)  # must not be called again
    assert jax.jit(penalty)(real) == first and not capsys.readouterr().err
    gradient = jax.grad(penalty)(real)
    assert all(np.abs(leaf).max() > 0 for leaf in gradient)


def test_the_property_network_is_trained_on_the_data_of_the_game(tmp_path, data):
    """Including data from a file in `--data_dir`."""
    config = Config(data="molecules", model="molgan", z_dim=4, g_width=4, d_width=4, batch=8, loss="wasserstein")
    with pytest.raises(InputError, match="unknown goal of molecular_property 'q'"):
        build(replace(config, g_penalty="molecular_property(goal='q')"), data)
    (tmp_path / "mine.txt").write_text("\n".join(SMALL_MOLECULES[:60]))
    mine = load('molecules(path="mine.txt", atoms=8)', 0, 8, str(tmp_path))
    assert build(replace(config, g_penalty="molecular_property(goal='valid')"), mine).g_penalty is not None
    points = load("ring", 0, 8)
    with pytest.raises(InputError, match="molecular_property needs graphs, such as data molecules"):
        build(replace(config, model="mlp", g_penalty="molecular_property"), points)
