"""Generated samples as files in the usual format of their domain, read back by that format's own library."""

import csv
import io
import wave

import numpy as np
import pytest
from PIL import Image

from gan_jax.data.images.pixels import png_files
from gan_jax.data.load import load


def exported(data, rows: int) -> dict[str, bytes]:
    return data.export(data.to_float(data.train.take(slice(rows)).samples))


def test_rows_are_a_csv_in_the_columns_order():
    data = load("table(name='iris')", 0, 1)
    rows = list(csv.reader(io.StringIO(exported(data, 60)[".csv"].decode(), newline="")))
    assert rows[0] == ["sepal length", "sepal width", "petal length", "petal width", "species"]
    assert len(rows) == 61 and {row[4] for row in rows[1:]} == {"setosa", "versicolor", "virginica"}
    assert all(4.3 <= float(row[0]) <= 7.9 for row in rows[1:])  # the range of Fisher's data


def test_text_is_a_sentence_a_line(tmp_path):
    (tmp_path / "text").write_text("".join(f"line {i:03d}\n" for i in range(100)))
    data = load(f"text(path='{tmp_path / 'text'}', length=8)", 0, 1)
    lines = exported(data, 90)[".txt"].decode().splitlines()
    assert len(lines) == 90 and set(lines) <= {f"line {i:03d}" for i in range(100)}


def test_text_of_windows_with_line_ends_has_no_lines(tmp_path):
    (tmp_path / "text").write_text("ab\ncd\n" * 100)
    assert load(f"text(path='{tmp_path / 'text'}', length=5, windows=True)", 0, 1).export is None


def test_molecules_are_a_smiles_a_line():
    Chem = pytest.importorskip("rdkit.Chem")
    data = load("molecules", 0, 1)
    lines = exported(data, 20)[".smi"].decode().splitlines()
    assert len(lines) == 20 and all(Chem.MolFromSmiles(line).GetNumAtoms() for line in lines)


@pytest.mark.parametrize("form", ["wave", "mel"])
def test_recordings_are_wav_files(form):
    data = load(f"audio(form='{form}', length=2048)", 0, 1)
    files = exported(data, 3)
    assert list(files) == ["/00000.wav", "/00001.wav", "/00002.wav"]
    with wave.open(io.BytesIO(files["/00001.wav"])) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8_000, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    if form == "wave":
        assert np.abs(samples - data.train.samples[1, :, 0].astype(np.int32)).max() <= 1


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_png_files(channels):
    images = np.random.default_rng(0).integers(0, 256, (2, 4, 5, channels), np.uint8)
    files = png_files(images)
    assert list(files) == ["/00000.png", "/00001.png"]
    with Image.open(io.BytesIO(files["/00001.png"])) as image:
        assert image.mode == ("L" if channels == 1 else "RGB")
        assert np.array_equal(np.asarray(image).reshape(4, 5, channels), images[1])
