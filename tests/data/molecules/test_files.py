"""How files of SMILES are read: which column, what is dropped for which reason, and that the counts survive the cache."""

import re

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import prepare_rows

from gan_jax.data.load import load
from gan_jax.data.molecules import graphs
from gan_jax.data.molecules.files import find_smiles, read_smiles
from gan_jax.data.molecules.graphs import decode_graphs, encode, read_molecule
from gan_jax.data.molecules.metrics import smiles_of
from gan_jax.data.molecules.smiles import SMALL_MOLECULES, molecules
from gan_jax.errors import InputError
from gan_jax.types import Graph

Chem = pytest.importorskip("rdkit.Chem", reason="needs RDKit: pip install 'gan_jax[molecules]'")
THREE = ["CCO", "c1ccccc1", "CC#N"]


@pytest.mark.parametrize(
    "content",
    [
        "CCO\nc1ccccc1\nCC#N\n",
        "\ufeffsmiles\r\nCCO\r\nc1ccccc1\r\nCC#N\r\n",
        '"SMILES"\n"CCO"\n"c1ccccc1"\n"CC#N"\n',
        "CCO ethanol\nc1ccccc1 benzene, a ring\nCC#N acetonitrile, a solvent\n",
        "CCO\tethanol\nc1ccccc1\tbenzene, or benzol\nCC#N\tacetonitrile\n",
        "smiles zinc_id\nCCO 1\nc1ccccc1 2\nCC#N 3\n",
        "ZINC01 CCO\nZINC02 c1ccccc1\nZINC03 CC#N\n",
        "id,canonical_smiles,logp\n1,CCO,-0.1\n2,c1ccccc1,1.7\n3,CC#N,0.5\n",
        "isosmiles;name\nCCO;C\nc1ccccc1;N\nCC#N;O\n",
        'name|Isomeric SMILES\n"a, b"|CCO\nc|c1ccccc1\nd|CC#N\n',
        "smiles,canonical_smiles\nCCO,OCC\nc1ccccc1,c1ccccc1\nCC#N,N#CC\n",  # the exact name decides
        'smiles,logP\n"CCO\n",-0.1\n"c1ccccc1\n",1.7\n"CC#N\n",0.5\n',  # ZINC250k as it is published
        "1,CCO\n2,c1ccccc1\n3,CC#N\n",
        "structure,inchi\nCCO,InChI=1S/1\nc1ccccc1,InChI=1S/2\nCC#N,InChI=1S/3\n",
    ],
)
def test_the_column_of_smiles(content):
    assert find_smiles(content.removeprefix("\ufeff"), "here", None).texts == THREE


def test_a_column_of_splits_is_named():
    """MOSES states a split, while a random tenth is held out."""
    notes = find_smiles("SMILES,SPLIT\nCCO,train\nCC#N,test\n", "here", None).notes
    assert notes == ("SMILES are in column 'SMILES'", "column 'SPLIT' does not decide which molecules are held out")
    with pytest.raises(InputError, match="several columns 'a': column="):
        find_smiles("a,a\nCCO,CCN\nCCC,CCF\n", "here", "a")


def test_the_column_can_be_chosen_and_is_named():
    content = "a,b\nCCO,CCN\nCCC,CCF\n"
    with pytest.raises(InputError, match=r'here: several columns of 2 can be read as SMILES: column="..." names, or .* a, b'):
        find_smiles(content, "here", None)
    assert find_smiles(content, "here", "b") == (["CCN", "CCF"], ("SMILES are in column 'b'",))
    assert find_smiles("CCO,CCN\nCCC,CCF\n", "here", 2) == (["CCN", "CCF"], ("SMILES are in column 2 of 2",))


@pytest.mark.parametrize(
    ("name", "content", "column", "message"),
    [
        ("a.csv", "a_smiles,b_smiles\nCCO,CCO\n", None, "several columns have SMILES.*one of a_smiles, b_smiles"),
        ("a.csv", "a,b\n1,2\n3,4\n", None, "no column of 2 can be read as SMILES.*one of a, b"),
        ("a.csv", "a,b\n1,2\n", "smiles", "no column 'smiles'.*one of a, b"),
        ("a.csv", "a,b\n1,2\n", 3, "no column 3.*one of a, b"),
        ("a.sdf", "M  END\n", None, "a.sdf: this format is not read: convert it to SMILES"),
        ("a.smi", "CCO\nC\xe9\n", None, "a.smi, line 2: byte 0xe9 is not UTF-8"),
    ],
)
def test_files_that_are_refused(tmp_path, name, content, column, message):
    (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=message):
        read_smiles(tmp_path / name, column)


def test_blank_lines_and_missing_cells_are_empty():
    assert find_smiles("CCO\n\nCC#N\n", "here", None).texts == ["CCO", "", "CC#N"]
    assert find_smiles("id,smiles\n1,CCO\n2,\n3,NaN\n4\n", "here", None).texts == ["CCO", "", "", ""]


def test_text_after_a_smiles_is_an_extension_or_an_error():
    assert read_molecule("CC N") == (None, graphs.UNREADABLE)
    assert smiles_of(read_molecule("CC[C@H](O)F |a:2,r|")[0]) == "CCC(O)F"
    content = "CCO |c:1,2| ethanol\nCC#N |lp:2:1| x\nCCC |r| y\n"
    assert find_smiles(content, "here", None).texts == ["CCO |c:1,2|", "CC#N |lp:2:1|", "CCC |r|"]


def drops(smiles, **options):
    result = encode(smiles, 9, **options)
    return len(result.nodes), dict(zip(result.reasons.tolist(), result.counts.tolist(), strict=True))


def test_what_is_dropped_is_counted_by_its_first_reason():
    texts = ["CO", "OC", "", "CC>>CO", "CC>O>CN", "no", "C(", "*C", "[R]C", "C.C", "CC(=O)[O-].[Na+]", "C[NH3+]", "[CH3]"]
    texts += ["[13CH4]", "CCCCCCCCCC", "CCCCCCCCCCC", "O=[IH2]C", "C$C", "N->[Fe]"]
    assert drops(texts) == (
        1,
        {
            graphs.DUPLICATE: 1,
            graphs.MISSING: 1,
            graphs.REACTION: 2,
            graphs.UNREADABLE: 3,
            graphs.WILDCARD: 1,
            graphs.FRAGMENTS: 2,
            graphs.CHARGED: 1,
            graphs.RADICAL: 1,
            graphs.ISOTOPE: 1,
            "with more than 9 atoms": 2,
            graphs.VALENCE: 1,
            graphs.BOND: 2,
        },
    )


def test_the_largest_fragment_is_kept_on_request():
    texts = ["CCN.Cl", "O.CCO", "CC(=O)[O-].[Na+]", "CCO"]
    assert drops(texts, largest_fragment=True) == (2, {graphs.DUPLICATE: 1, graphs.CHARGED: 1})
    result = encode(texts, 9, charges=True, largest_fragment=True)
    decoded = decode_graphs(result.elements.tolist(), Graph(result.nodes, result.bonds))
    assert [smiles_of(molecule) for molecule in decoded] == ["CCN", "CCO", "CC(=O)[O-]"]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from(SMALL_MOLECULES), min_size=1, max_size=8, unique=True), st.sampled_from([",", "\t", ";", " "]))
def test_molecules_are_read_back_from_what_was_written(smiles, mark):
    content = f"number{mark}smiles\n" + "".join(f"{i}{mark}{text}\n" for i, text in enumerate(smiles))
    result = encode(find_smiles(content, "here", None).texts, 9)
    decoded = decode_graphs(result.elements.tolist(), Graph(result.nodes, result.bonds))
    assert [smiles_of(molecule) for molecule in decoded] == [Chem.CanonSmiles(text) for text in smiles]


def test_the_notes_are_the_same_from_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    extra = ["C[NH3+]", "CC(=O)O.Cl", "C" * 12, "C" * 12, "C[C@H](N)C(=O)O", "bad", "CCO |r|", ""]
    (tmp_path / "a.smi").write_text("\n".join([*SMALL_MOLECULES, *extra]) + "\n")
    name = f"molecules(path='{tmp_path / 'a.smi'}')"
    data = load(name, 0, 8)
    count = len(SMALL_MOLECULES)
    assert data.notes == (
        f"{count} of {count + 8} molecules are used; dropped: 2 with more than 9 atoms, 2 duplicates, "
        "1 with charged atoms (charges=True keeps them), 1 of several fragments (largest_fragment=True keeps the largest), "
        "1 that RDKit cannot read, 1 missing",
        "of otherwise usable molecules, atoms=12 admits 99%",
        "1 SMILES have stereochemistry, which is ignored",
        "1 SMILES have a CXSMILES extension, which is ignored",
    )
    monkeypatch.setattr("gan_jax.data.molecules.smiles.encode", None)  # must not be called again
    again = load(name, 0, 8)
    assert again.notes == data.notes and again.checksum == data.checksum
    with pytest.raises(InputError, match="TypeError"):
        load(f"molecules(path='{tmp_path / 'a.smi'}', largest_fragment=True)", 0, 8)


def test_too_few_molecules_are_explained(tmp_path):
    (tmp_path / "a.csv").write_text("id,smiles\n" + "".join(f"{i},{'C' * (12 + i)}\n" for i in range(20)))
    with pytest.raises(InputError, match=re.escape("0 of 20 molecules are used; dropped: 20 with more than 9 atoms")) as caught:
        molecules(path=str(tmp_path / "a.csv"))
    assert "atoms=21 admits 50%, atoms=29 admits 90%, atoms=31 admits 99%" in str(caught.value)


def test_a_feature_of_a_prepared_data_set(prepared):
    tfds = pytest.importorskip("tensorflow_datasets")
    features = {"canonical": tfds.features.Text(), "smiles": tfds.features.Text()}
    rows = [{"canonical": text.encode(), "smiles": b"C"} for text in SMALL_MOLECULES]
    prepare_rows(prepared, "drugs", features, rows)
    source = molecules(str(prepared), path="tfds:drugs", column="canonical")
    jax.tree.map(np.testing.assert_array_equal, source.train, molecules().train)
    with pytest.raises(InputError, match="1 of 100 molecules are used; dropped: 99 duplicates"):
        molecules(str(prepared), path="tfds:drugs")
    with pytest.raises(InputError, match="a feature `inchi` is needed, it has canonical, smiles"):
        molecules(str(prepared), path="tfds:drugs", column="inchi")
