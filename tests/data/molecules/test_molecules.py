"""Molecules: SMILES, graphs, SELFIES and latent codes, the metrics, MolGAN's networks, and penalties on graphs."""

import json
import re
import sys
from dataclasses import replace
from types import SimpleNamespace
from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from made import prepare_rows

from gan_jax import penalties
from gan_jax.config import Config
from gan_jax.data.dataset import Protocol
from gan_jax.data.load import load
from gan_jax.data.molecules import autoencoder
from gan_jax.data.molecules.graphs import encode, most_likely, one_hot
from gan_jax.data.molecules.metrics import (
    cosine,
    fractions,
    internal_diversity,
    molecule_of,
    properties,
    scaffolds,
    smiles_of,
    wasserstein,
)
from gan_jax.data.molecules.smiles import SMALL_MOLECULES, molecules
from gan_jax.errors import InputError
from gan_jax.models.molgan import Discriminator, Generator
from gan_jax.training.train import train
from gan_jax.types import Critic, Graph

Chem = pytest.importorskip("rdkit.Chem", reason="needs RDKit: pip install 'gan_jax[molecules]'")
SHAPE = Graph((4, 3), (4, 4, 4))


def round_trip(smiles, atoms=9, charges=False):
    nodes, bonds, elements, *_ = encode(smiles, atoms, charges)
    return [smiles_of(molecule_of(*codes, elements.tolist())) for codes in zip(nodes, bonds, strict=True)]


def test_graphs_convert_back_to_the_same_molecules():
    assert round_trip(["OCC", "c1ccccc1", "CC#N", "C/C=C/C"]) == ["CCO", "c1ccccc1", "CC#N", "CC=CC"]
    assert len(set(SMALL_MOLECULES)) == len(SMALL_MOLECULES)
    assert len(round_trip(SMALL_MOLECULES)) == len(SMALL_MOLECULES)  # all are usable, and no two are the same


def test_unusable_molecules_are_dropped():
    """Charges, radicals, isotopes, several fragments, invalid SMILES, too many atoms, and duplicates."""
    assert round_trip(["[NH4+]", "[CH3]", "[13CH4]", "C.C", "no", "CCCCC", "C(C)(C)(C)(C)C", "CO", "OC"], atoms=4) == ["CO"]


def test_charges_are_kept_on_request():
    charged = ["C[N+](=O)[O-]", "C[NH3+]", "O=C([O-])c1cc[nH]c1"]
    assert round_trip([*charged, "CO"]) == ["CO"] and round_trip([*charged, "CO"], charges=True) == [*charged, "CO"]
    assert set(encode(charged, 9, True)[2].tolist()) == {"C", "N", "O", "N+1", "O-1"}


def test_codes_of_small_molecules():
    nodes, bonds, elements, *_ = encode(["C=O", "CC"], 3)
    assert elements.tolist() == ["C", "O"] and nodes.tolist() == [[1, 2, 0], [1, 1, 0]]
    assert bonds.tolist() == [[[0, 2, 0], [2, 0, 0], [0, 0, 0]], [[0, 1, 0], [1, 0, 0], [0, 0, 0]]]
    graph = jax.jit(lambda stored: one_hot(stored, 3))(Graph(nodes, bonds))
    assert graph.nodes.shape == (2, 3, 3) and graph.bonds.shape == (2, 3, 3, 4)
    np.testing.assert_array_equal(most_likely(graph).bonds, bonds)


@pytest.mark.parametrize(
    ("nodes", "edges"),
    [
        ([0, 0], []),  # no atom
        ([1, 0], [(0, 1, 1)]),  # a bond to an empty node
        ([1, 1], []),  # two fragments
        ([2, 2], [(0, 1, 3)]),  # oxygen with three bonds
    ],
)
def test_invalid_graphs(nodes, edges):
    bonds = np.zeros((2, 2), np.uint8)
    for i, j, kind in edges:
        bonds[i, j] = bonds[j, i] = kind
    assert molecule_of(np.array(nodes), bonds, ["C", "O"]) is None


def test_a_file_of_smiles(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    smiles = [text for text in SMALL_MOLECULES if len(text) > 2]
    (tmp_path / "a.csv").write_text("name,SMILES\n" + "".join(f"{i},{text}\n" for i, text in enumerate(smiles)))
    (tmp_path / "a.txt").write_text("".join(f"{text} {i}\n" for i, text in enumerate(smiles)))
    from_csv, from_text = (molecules(str(tmp_path), path=name) for name in ("a.csv", "a.txt"))
    jax.tree.map(np.testing.assert_array_equal, from_csv.train, from_text.train)
    from_cache = molecules(str(tmp_path), path="a.csv")
    jax.tree.map(np.testing.assert_array_equal, from_csv.test, from_cache.test)
    (tmp_path / "few.txt").write_text("C\nCC\n")
    with pytest.raises(InputError, match="has too few usable molecules of at most 9 atoms: 2"):
        molecules(path=str(tmp_path / "few.txt"))
    with pytest.raises(InputError, match="atoms must be a whole number from 2 to 100, got 1"):
        molecules(atoms=1)
    with pytest.raises(InputError, match="leave off --extractor, and --metrics other than fcd"):
        data = load("molecules", 0, 8)
        data.evaluator(data, Protocol(metrics=("prdc",)))


def test_molecules_as_selfies():
    """Molecules and splits are those of the graphs, and every non-empty sequence of symbols is a valid molecule."""
    pytest.importorskip("selfies", reason="needs selfies: pip install 'gan_jax[molecules]'")
    graphs, data = load("molecules", 0, 8), load('molecules(form="selfies")', 0, 8)
    packs = [source.pack(source.to_float(source.train.samples)) for source in (graphs, data)]
    assert packs[0]["smiles"].tolist() == packs[1]["smiles"].tolist()
    length, size = data.sample_shape
    assert size == len(packs[1]["symbols"]) + 1 and length == (data.train.samples > 0).sum(axis=1).max()
    noise = np.random.RandomState(0).rand(200, length, size).astype(np.float32)
    noise[0, :, 0] = 2.0  # an empty sequence
    metrics = data.evaluator(data, Protocol())(noise, None)
    assert metrics["valid"] == 199 / 200 and 0.3 < metrics["novel"]
    assert data.show(noise[:5])[".smi"].startswith(b"\n")
    with pytest.raises(InputError, match="form must be one of graph, selfies, latent, got 'x'"):
        molecules(form="x")


def test_a_prepared_data_set_of_smiles(prepared):
    tfds = pytest.importorskip("tensorflow_datasets")
    features = {"SMILES": tfds.features.Text(), "charges": tfds.features.Tensor(shape=(2,), dtype=np.int64)}
    rows = [{"SMILES": text.encode(), "charges": [0, 0]} for text in SMALL_MOLECULES]
    prepare_rows(prepared, "qm9/original", features, rows)
    source = molecules(str(prepared), path="tfds:qm9/original")
    jax.tree.map(np.testing.assert_array_equal, source.train, molecules().train)


@pytest.fixture
def load_latents(tmp_path, monkeypatch):
    """A function from options of the autoencoder to the data set of the latent codes of 17 molecules."""
    pytest.importorskip("selfies", reason="needs selfies: pip install 'gan_jax[molecules]'")
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    monkeypatch.setattr("gan_jax.data.molecules.smiles.MIN_TRAIN", 4)
    monkeypatch.setattr(autoencoder, "BATCH", 16)
    monkeypatch.setattr(autoencoder, "RATE", 0.02)
    path = tmp_path / "few.txt"
    path.write_text("\n".join(text for text in SMALL_MOLECULES if len(text) < 4))
    return lambda options: load(f"molecules(path='{path}', form='latent({options})')", 0, 8)


def test_molecules_as_latent_codes(load_latents, monkeypatch):
    load_latents("size=3, width=4, epochs=1")
    monkeypatch.setattr(autoencoder, "_fit", None)  # must not be called again
    data = load_latents("size=3, width=4, epochs=1")
    vectors = data.to_float(data.train.samples)
    assert vectors.dtype == np.float32 and data.sample_shape == (3,)
    np.testing.assert_allclose(vectors.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(vectors.std(axis=0), 1, atol=1e-3)
    packed = data.pack(vectors)
    assert packed["latent"] is vectors and len(packed["smiles"]) == len(vectors)
    for form, message in (
        ("latent(siz=3)", "unknown option of data molecules latent 'siz': did you mean 'size'"),
        ("latent(size=1)", "size of latent must be a whole number of at least 2, got 1"),
        ("graph(size=3)", "unknown option of data molecules graph 'size'"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            molecules(form=form)


@pytest.mark.slow
def test_a_trained_autoencoder_reconstructs_the_molecules(load_latents):
    data = load_latents("size=8, width=32, layers=2, epochs=300")
    vectors = data.to_float(data.train.samples)
    metrics = data.evaluator(data, Protocol())(vectors)
    assert (metrics["valid"], metrics["unique"], metrics["novel"]) == (1, 1, 0) and metrics["valid_real"] == 1


def test_smiles_of_training_molecules_are_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    first = load("molecules", 0, 8)
    graphs = first.to_float(first.train.samples)
    metrics = first.evaluator(first, Protocol())(graphs)
    (cached,) = tmp_path.glob("smiles-*.npz")
    np.savez(cached, smiles=np.array(["C"]))
    again = load("molecules", 0, 8)
    assert metrics["novel"] == 0 and again.evaluator(again, Protocol())(graphs)["novel"] == pytest.approx(1, abs=0.02)


def test_fractions_of_valid_unique_and_novel_samples():
    assert fractions(["a", "a", "b", "c"], 8, {"b"}) == {"valid": 0.5, "unique": 0.75, "novel": 2 / 3, "vun": 0.25}
    assert fractions([], 4, set()) == {"valid": 0.0, "unique": 0.0, "novel": 0.0, "vun": 0.0}


def test_properties_agree_with_published_values():
    """Aspirin: QED .55 and logP 1.31 in RDKit's documentation of these descriptors; its synthesis is easy."""
    values = properties(Chem.MolFromSmiles("CC(=O)Oc1ccccc1C(=O)O"))
    assert values["qed"] == pytest.approx(0.55, abs=0.005)
    assert values["logp"] == pytest.approx(1.31, abs=0.005)
    assert 1 < values["sa"] < 2


def test_diversity_and_scaffolds_of_small_sets():
    same = [Chem.MolFromSmiles("CCO")] * 3
    assert internal_diversity(same) == pytest.approx(0, abs=1e-6)
    other = [Chem.MolFromSmiles("CCO"), Chem.MolFromSmiles("FC(F)(F)F")]
    # The two molecules have nothing in common, but half of the pairs consist of a molecule and itself.
    assert internal_diversity(other) == pytest.approx(0.5)
    rings = scaffolds([None, *same, Chem.MolFromSmiles("Cc1ccc2ccccc2c1"), Chem.MolFromSmiles("c1ccc2ccccc2c1")])
    assert rings == {"c1ccc2ccccc2c1": 2}
    assert cosine(rings, rings) == pytest.approx(1) and cosine(rings, scaffolds([])) == 0
    assert wasserstein([0.0, 1.0], [2.0, 3.0]) == 2.0


def test_metrics_agree_with_moses():
    """Molecules and values are from MOSES's tests (tests/test_metrics.py), without SA, which depends on RDKit's version."""
    texts = ["CNC", "Oc1ccccc1-c1cccc2cnccc12", "INVALID", "CCCP", "Cc1noc(C)c1CN(C)C(=O)Nc1cc(F)cc(F)c1"]
    texts += ["Cc1nc(NCc2ccccc2)no1-c1ccccc1"]
    held_out = [Chem.MolFromSmiles(text) for text in ("Oc1ccccc1-c1cccc2cnccc12", "COc1cccc(NC(=O)Cc2coc3ccc(OC)cc23)c1")]
    generated = [molecule for molecule in map(Chem.MolFromSmiles, texts) if molecule is not None]
    assert fractions([smiles_of(molecule) for molecule in generated], 6, set())["valid"] == pytest.approx(2 / 3)
    assert internal_diversity(generated) == pytest.approx(0.7189187309761661, abs=1e-6)
    assert cosine(scaffolds(generated), scaffolds(held_out)) == pytest.approx(0.5)
    for name, value in (("logp", 1.63229), ("qed", 0.20370891752648637)):
        assert wasserstein(*([properties(m)[name] for m in group] for group in (generated, held_out))) == pytest.approx(
            value, abs=1e-6
        )


def test_the_chemnet_distance_is_computed_by_its_package(monkeypatch):
    data = load("molecules", 0, 8)
    evaluate = data.evaluator(data, Protocol(metrics=("fcd",)))
    with pytest.raises(InputError, match="pip install 'fcd'"):
        monkeypatch.setitem(sys.modules, "fcd", None)
        evaluate(data.to_float(data.train.take(slice(20)).samples), None)
    package = SimpleNamespace(get_fcd=lambda smiles, reference, device: len(smiles) + 100 * len(reference))
    monkeypatch.setitem(sys.modules, "fcd", package)
    metrics = evaluate(data.to_float(data.train.take(slice(20)).samples), None)
    assert metrics["fcd"] == metrics["fcd_floor"] == 20 + 100 * data.test.count


def test_the_evaluator():
    data = load("molecules", 0, 8)
    measure = data.evaluator(data, Protocol(errors=True))
    metrics = measure(data.to_float(data.train.samples), None)
    assert (metrics["valid"], metrics["unique"], metrics["novel"]) == (1.0, 1.0, 0.0)
    assert metrics["qed"] == metrics["qed_real"] and metrics["qed_w1"] == metrics["qed_w1_floor"]
    assert metrics["valid_error"] == 0.0
    noise = jax.tree.map(lambda shape: np.random.RandomState(0).rand(50, *shape), data.sample_shape, is_leaf=_is_shape)
    noise = Graph(noise.nodes, noise.bonds + noise.bonds.swapaxes(1, 2))
    assert measure(noise, None)["valid"] < 0.1


def _is_shape(x):
    return type(x) is tuple


@pytest.mark.parametrize("relaxation", ["soft", "gumbel", "straight_through"])
def test_the_generator(relaxation):
    z = jax.random.normal(jax.random.key(0), (5, 2 + 4 * 3 + 6 * 4))
    generator = Generator(SHAPE, width=4, relaxation=relaxation)

    @jax.jit
    def samples_and_gradients(z):
        variables = generator.init(jax.random.key(1), z, None, train=True)
        return generator.apply(variables, z, None, train=True), jax.grad(
            lambda v: sum((leaf**3).sum() for leaf in jax.tree.leaves(generator.apply(v, z, None, train=True)))
        )(variables)

    graph, gradients = samples_and_gradients(z)
    assert graph.nodes.shape == (5, 4, 3) and graph.bonds.shape == (5, 4, 4, 4)
    for leaf in graph:
        np.testing.assert_allclose(leaf.sum(axis=-1), 1.0, rtol=1e-5)
        assert relaxation != "straight_through" or np.allclose(leaf.max(axis=-1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(graph.bonds, graph.bonds.swapaxes(1, 2))
    np.testing.assert_array_equal(graph.bonds[:, np.arange(4), np.arange(4), 0], 1.0)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradients["params"]))
    with pytest.raises(ValueError, match="noise uses 36 numbers of z: set z_dim above that, not 36"):
        Generator(SHAPE, relaxation="gumbel").init(jax.random.key(0), z[:, :36], None, train=True)


def test_the_noise_of_the_generator_is_finite_in_bfloat16():
    """Near its bounds too: 1 - 1e-6 rounds to 1 in bfloat16."""
    z = 30 * jax.random.normal(jax.random.key(0), (5, 2 + 4 * 3 + 6 * 4), jnp.bfloat16)
    generator = Generator(SHAPE, width=4, relaxation="gumbel")
    graph, _ = jax.jit(lambda z: generator.init_with_output(jax.random.key(1), z, None, train=True))(z)
    assert all(leaf.dtype == jnp.bfloat16 and np.isfinite(leaf.astype(jnp.float32)).all() for leaf in graph)


def test_the_discriminator_does_not_depend_on_the_order_of_atoms():
    discriminator = Discriminator(SHAPE, width=4, minibatch="none")
    graph = Generator(SHAPE, width=4).init_with_output(jax.random.key(0), jnp.ones((2, 3)), None, train=True)[0]
    graph = jax.tree.map(lambda x: x + 0.1 * jax.random.normal(jax.random.key(x.ndim), x.shape), graph)
    variables = discriminator.init(jax.random.key(2), graph, None, train=True)
    order = jnp.array([2, 0, 3, 1])
    shuffled = Graph(graph.nodes[:, order], graph.bonds[:, order][:, :, order])
    logits, _ = discriminator.apply(variables, graph, None, train=True)
    assert np.abs(logits).max() > 0
    np.testing.assert_allclose(discriminator.apply(variables, shuffled, None, train=True)[0], logits, rtol=1e-4, atol=1e-6)


def test_a_penalty_takes_the_norm_of_a_sample_over_both_leaves():
    """For a linear critic <a, nodes> + <b, bonds>, the norm is sqrt(|a|^2 + |b|^2), not that of single atoms or bonds."""
    a, b = np.random.RandomState(0).randn(4, 3), np.random.RandomState(1).randn(4, 4, 4)
    critic = Critic(lambda x: (x.nodes * a[None]).sum(axis=(1, 2)) + (x.bonds * b[None]).sum(axis=(1, 2, 3)))
    real = Graph(jnp.ones((5, 4, 3)), jnp.ones((5, 4, 4, 4)))
    fake = jax.tree.map(jnp.zeros_like, real)
    norm = np.sqrt((a**2).sum() + (b**2).sum())
    key = jax.random.key(0)
    np.testing.assert_allclose(penalties.gradient_penalty(critic, real, fake, key), (norm - 1) ** 2, rtol=1e-5)
    np.testing.assert_allclose(penalties.r1(critic, real, fake, key), norm**2 / 2, rtol=1e-5)


def test_a_report_contains_structures(tmp_path):
    config = Config(data="molecules", model="molgan", z_dim=4, g_width=4, d_width=4, batch=8, steps=2, eval_samples=50)
    config = replace(config, loss="wasserstein", penalty="gradient_penalty", d_steps=2)
    report = train(config, tmp_path / "run").read_text()
    assert "vun" in report and (tmp_path / "run" / "samples" / "real.svg").read_bytes().count(b"<svg") == 1
    assert "C" in (tmp_path / "run" / "samples" / "real.smi").read_text()
    logged = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0 <= logged["eval/valid"] <= 1 and logged["eval/valid_real"] == 1


def test_drawings_name_the_molecules_and_count_the_others():
    from rdkit import Chem

    from gan_jax.data.molecules.drawing import picture

    drawing = ElementTree.fromstring(picture([Chem.MolFromSmiles("CCO"), None, Chem.MolFromSmiles("c1ccncc1")]))
    texts = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert texts[0] == "2 of 3 samples are molecules"
    assert {"CCO", "C2H6O", "c1ccncc1", "C5H5N"} <= set(texts)
    assert sum(text.startswith("drug-likeness 0.") for text in texts) == 2


def test_a_model_for_graphs_rejects_other_samples():
    with pytest.raises(ValueError, match="molgan needs graphs, such as --data molecules"):
        Generator((8, 8, 1)).init(jax.random.key(0), jnp.ones((2, 3)), None, train=True)
