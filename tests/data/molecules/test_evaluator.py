"""Files of SMILES measured against real molecules, as they are."""

import numpy as np
import pytest

from gan_jax.data.dataset import Protocol
from gan_jax.data.load import load
from gan_jax.data.molecules.smiles import SMALL_MOLECULES
from gan_jax.errors import InputError
from gan_jax.evaluation.evaluate import evaluate_samples

Chem = pytest.importorskip("rdkit.Chem", reason="needs RDKit: pip install 'gan_jax[molecules]'")
W1 = ("qed_w1", "logp_w1", "sa_w1")


@pytest.fixture(scope="module")
def measure():
    data = load("molecules", 0, 8)
    return data.evaluator(data, Protocol(whole=True)).measure_file


@pytest.fixture
def metrics(measure, tmp_path):
    """A function from lines of SMILES to (number of samples, metrics, notes)."""

    def metrics(lines):
        (tmp_path / "fake.smi").write_text("\n".join(lines) + "\n")
        return measure(tmp_path / "fake.smi")

    return metrics


def test_the_real_molecules_are_at_distance_0_from_themselves(metrics):
    """However they are written: Kekulé structures, stereochemistry, another order of atoms."""
    kekule = [Chem.MolToSmiles(Chem.MolFromSmiles(text), kekuleSmiles=True, canonical=False) for text in SMALL_MOLECULES]
    rewritten = [text.replace("CC(N)C(=O)O", "N[C@@H](C)C(O)=O").replace("CC=CC", "C/C=C/C") for text in kekule]
    count, values, _ = metrics(rewritten)
    assert count == 100 and [values[name] for name in W1] == pytest.approx([0, 0, 0], abs=1e-12)
    assert [values[name] for name in ("valid", "unique", "novel", "vun")] == [1, 1, 0, 0]
    assert not any(name.endswith("_floor") for name in values)


def test_scaffolds_are_the_same_however_the_real_molecules_are_stored(tmp_path):
    """A charged ring: its hydrogens are stated in SMILES and not in graphs."""
    rings = ["C[NH+]1CCC2CCCCC2C1", "c1ccc2[nH]ccc2c1", "c1ccc2ccccc2c1"] + [f"{'C' * i}c1ccc2ccccc2c1" for i in range(1, 60)]
    (tmp_path / "rings.smi").write_text("\n".join(rings))
    data = load(f"molecules(path='{tmp_path / 'rings.smi'}', atoms=80, charges=True)", 0, 8)
    values = data.evaluator(data, Protocol(whole=True)).measure_file(tmp_path / "rings.smi").metrics
    assert values["scaffold"] == pytest.approx(1) and values["novel"] == 0


def test_elements_are_not_exchanged(metrics):
    """Each O becomes N: the values are those of RDKit for these molecules."""
    from rdkit.Chem import QED, Crippen

    nitrogen = [Chem.MolToSmiles(Chem.MolFromSmiles(t.replace("O", "N").replace("o", "[nH]"))) for t in SMALL_MOLECULES]
    _, values, _ = metrics(nitrogen)
    fakes, reals = ([Chem.MolFromSmiles(text) for text in texts] for texts in (nitrogen, SMALL_MOLECULES))
    assert values["qed"] == pytest.approx(np.mean([QED.qed(m) for m in fakes]))
    logp = [np.sort([Crippen.MolLogP(m) for m in group]) for group in (fakes, reals)]
    assert values["logp_w1"] == pytest.approx(np.abs(logp[0] - logp[1]).mean()) and values["logp_w1"] > 0.05
    novel = set(nitrogen) - {Chem.CanonSmiles(text) for text in SMALL_MOLECULES}
    assert values["novel"] == len(novel) / len(set(nitrogen)) > 0.3
    assert values["unique"] == len(set(nitrogen)) / 100


def test_molecules_are_neither_cut_nor_limited_to_the_elements_of_the_data(metrics):
    _, values, _ = metrics(["CCCCCCCCCCCCCCBr", "C[Si](C)(C)Cl", "C[N+](C)(C)CCO"])
    assert [values[name] for name in ("valid", "unique", "novel")] == [1, 1, 1]


def test_invalid_lines_count(metrics):
    lines = ["CCO", "CCO", "", "CC(", "CO.CO", "*CC", "CC>>CO", "CCN", "C N"]
    count, values, notes = metrics(lines)
    assert count == 9 and values["valid"] == pytest.approx(3 / 9) and values["unique"] == pytest.approx(2 / 3)
    reasons = "2 that RDKit cannot read, 1 missing, 1 of several fragments, 1 reactions, 1 with wildcards (*)"
    assert notes == (f"6 of 9 samples are invalid: {reasons}",)
    count, values, _ = metrics(["", "", "x"])
    assert count == 3 and (values["valid"], values["vun"]) == (0, 0)


def test_the_archive_of_samples_and_the_command(tmp_path):
    np.savez(tmp_path / "fake.npz", smiles=np.array([*SMALL_MOLECULES[:50], "", "CCCCCCCCCCO"]), nodes=np.zeros(3))
    result = evaluate_samples(str(tmp_path / "fake.npz"), "molecules", Protocol(errors=True))
    assert result["facts"]["count"] == 52 and result["facts"]["reference"] == 100
    assert result["metrics"]["valid"] == pytest.approx(51 / 52) and result["metrics"]["novel"] == pytest.approx(1 / 51)
    assert result["metrics"]["valid_error"] > 0
    (tmp_path / "fake.csv").write_text("id,smiles\n1,CCO\n2,CCF\n")
    assert evaluate_samples(str(tmp_path / "fake.csv"), "molecules", Protocol())["metrics"]["valid"] == 1
    (tmp_path / "one.smi").write_text("CCO\n")
    with pytest.raises(InputError, match=r"one.smi: 1 molecules, at least 2 are needed"):
        evaluate_samples(str(tmp_path / "one.smi"), "molecules", Protocol())


def test_the_order_of_a_file_does_not_matter_to_diversity(measure, tmp_path, monkeypatch):
    """Diversity is that of some of the molecules, and those at the top of a sorted file would not represent it."""
    monkeypatch.setattr("gan_jax.data.molecules.metrics.MAX_COMPARED", 50)
    (tmp_path / "sorted.smi").write_text("\n".join(["C"] * 50 + [text for text in SMALL_MOLECULES if len(text) > 5][:50]))
    assert measure(tmp_path / "sorted.smi").metrics["intdiv"] > 0.3  # 0 for the first 50, methane


def test_a_file_can_be_measured_against_held_out_molecules(tmp_path):
    (tmp_path / "fake.smi").write_text("\n".join(SMALL_MOLECULES))
    data = load("molecules", 0, 8)
    values = data.evaluator(data, Protocol()).measure_file(tmp_path / "fake.smi").metrics
    assert values["novel"] == data.test.count / 100 and "qed_w1_floor" in values
