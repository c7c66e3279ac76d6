"""description.npz: samples are decoded without the data. Real samples, as networks receive them, decode to themselves."""

import csv
import io

import numpy as np
import pytest

from gan_jax.data.dataset import Split
from gan_jax.data.description import bytes_of, describe, load_description
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.types import Graph


def described(name, tmp_path, rows=7):
    """The data, its description read from a file, and the first held-out samples as floats."""
    data = load(name, 0, 4)
    file = tmp_path / "description.npz"
    file.write_bytes(bytes_of(describe(data)))
    return data, load_description(file), data.to_float(data.test.take(slice(rows)).samples)


def test_images_are_bytes(tmp_path):
    data, description, samples = described("digits", tmp_path)
    levels = data.test.samples[:7].astype(int)  # 0 to 16
    assert np.array_equal(description.decode(samples), np.rint(levels * 255 / 16))
    assert (description.sample_shape, description.num_classes, description.label.shape) == ((8, 8, 1), 10, ())
    assert np.array_equal(description.eval_labels, data.train.labels)


def test_points_are_points(tmp_path):
    _, description, samples = described("ring", tmp_path)
    assert np.allclose(np.linalg.norm(description.decode(samples), axis=1), 1, atol=0.1)
    assert description.label is None and description.eval_labels is None
    assert description.show(samples)[".png"].startswith(b"\x89PNG")


def test_text_is_text(tmp_path):
    file = tmp_path / "lines.txt"
    lines = [f"der {word} ist schön" for word in ("Hund", "Fisch", "Vogel", "Käfer", "Bär")] * 12
    file.write_text("\n".join(lines))
    _, description, samples = described(f'text(path="{file}", length=24)', tmp_path)
    file.unlink()
    assert set(description.decode(samples)) <= set(lines)
    _, description, samples = described('text(length=24, level="word")', tmp_path)
    words = " ".join(description.decode(samples)).split()
    assert set(words) <= {
        *"the a small old red quick dog cat bird child fish horse sees finds likes follows in house by sea on hill".split()
    }


def test_tables_are_columns(tmp_path):
    file = tmp_path / "people.csv"
    random = np.random.default_rng(0)
    rows = [
        (
            f"{random.integers(18, 90)}",
            f"{random.integers(1, 28):02d}.{random.integers(1, 12):02d}.2024",
            random.choice(["a", "b"]),
        )
        for _ in range(80)
    ]
    text = io.StringIO(newline="")
    csv.writer(text).writerows([("age", "joined", "tier"), *rows])
    file.write_text(text.getvalue())
    data, description, samples = described(f'table(path="{file}")', tmp_path)
    columns = description.decode(samples)
    assert list(columns) == ["age", "joined", "tier"]
    assert columns["age"].dtype == np.float64
    assert {(f"{age:.0f}", joined, tier) for age, joined, tier in zip(*columns.values(), strict=True)} <= set(rows)
    assert description.sample_shape == data.sample_shape
    assert description.condition("tier=a").accept(samples).tolist() == [tier == "a" for tier in columns["tier"]]
    assert description.show(samples)[".csv"] == data.show(samples)[".csv"]


def test_missing_cells_are_nan_or_none(tmp_path):
    _, description, samples = described("table", tmp_path, rows=200)
    columns = description.decode(samples)
    assert 0 < np.isnan(columns["income"]).sum() < 60  # 3% to 20% are missing
    assert set(columns["home"]) == {"own", "rented"}


@pytest.mark.parametrize("form", ["graph", "selfies"])
def test_molecules_are_smiles(tmp_path, form):
    chem = pytest.importorskip("rdkit.Chem")
    if form == "selfies":
        pytest.importorskip("selfies")
    data, description, samples = described(f'molecules(atoms=5, form="{form}")', tmp_path, rows=5)
    smiles = description.decode(samples)
    assert all(0 < chem.MolFromSmiles(text).GetNumHeavyAtoms() <= 5 for text in smiles)
    assert smiles == data.pack(samples)["smiles"].tolist()
    assert isinstance(description.sample_shape, Graph if form == "graph" else tuple)
    assert description.sample_shape == data.sample_shape


def test_sounds_are_waves(tmp_path):
    data, description, samples = described('audio(form="wave", length=1024, rate=1000, fft=64, hop=32)', tmp_path)
    assert np.allclose(description.decode(samples) * 32_767, data.test.samples[:7, :, 0], atol=0.5)
    assert data.test.samples.dtype == np.int16
    _, description, samples = described("audio(length=1024, rate=1000, bands=8, fft=64, hop=32)", tmp_path, rows=2)
    assert description.decode(samples).shape == (2, 1024)
    assert np.abs(description.decode(samples)).max() == pytest.approx(1, abs=1e-6)


def test_a_damaged_description_is_one_line(tmp_path):
    file = tmp_path / "description.npz"
    content = bytes_of(describe(load("ring", 0, 4)))
    for damaged in (b"", content[:100], content.replace(b"record", b"recorb")):
        file.write_bytes(damaged)
        with pytest.raises(InputError, match=r"description.npz") as caught:
            load_description(file)
        assert "\n" not in str(caught.value)
    split = Split(np.zeros((3, 2), np.float32), None)
    np.savez(file, record=np.array('{"kind": "os:system"}'), labels=split.samples)
    with pytest.raises(InputError, match=r"description.npz"):
        load_description(file)
