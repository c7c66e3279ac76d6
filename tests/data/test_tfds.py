"""tensorflow-datasets: prepared data sets, written here without TensorFlow, and the errors for missing or damaged ones."""

import json
import os
import sys
import time

import numpy as np
import pytest
from made import REAL_DATA, prepare

from gan_jax.data import tfds
from gan_jax.data.load import load
from gan_jax.errors import InputError


@pytest.mark.parametrize("channels", [1, 3])
def test_tfds_reads_a_prepared_data_set(prepared, monkeypatch, channels):
    written = prepare(prepared, "tiny", {"train": 7, "test": 4}, channels=channels)
    source = tfds.tfds("tiny", str(prepared))
    np.testing.assert_array_equal(source.train.samples, written[:7])
    np.testing.assert_array_equal(source.test.samples, written[7:])
    assert (source.num_classes, source.train.labels.tolist(), source.classes) == (3, [0, 1, 2, 0, 1, 2, 0], ())
    (prepared / "tiny" / "1.0.0" / "label.labels.txt").write_text("cat\ndog\nemu\n")
    assert load("tfds:tiny", 0, 4, str(prepared)).classes == ("cat", "dog", "emu")
    checksum = load("tfds:tiny", 0, 4, str(prepared.parent)).checksum  # the parent folder works too
    monkeypatch.setenv("GAN_JAX_DATA", str(prepared.parent))
    assert load("tfds:tiny", 0, 4).checksum == checksum
    monkeypatch.delenv("GAN_JAX_DATA")
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    assert load("tfds:tiny", 0, 4).checksum == checksum


def test_tfds_reads_the_newest_version_and_holds_out_images(prepared):
    prepare(prepared, "tiny", {"train": 11})
    (prepared / "tiny" / "1.0.0").rename(prepared / "tiny" / "1.10.0")
    prepare(prepared, "tiny", {"train": 5, "validation": 3})
    (prepared / "tiny" / "1.0.0").rename(prepared / "tiny" / "1.9.0")
    source = tfds.tfds("tiny", str(prepared))
    assert (len(source.train.samples), len(source.test.samples)) == (8, 3)  # one of each class
    (prepared / "tiny" / "1.10.0" / "dataset_info.json").unlink()
    source = tfds.tfds("tiny", str(prepared))
    assert (len(source.train.samples), len(source.test.samples)) == (5, 3)


def test_tfds_decodes_a_data_set_once(prepared, tmp_path, monkeypatch):
    prepare(prepared, "tiny", {"train": 7, "test": 4})
    fresh = load("tfds:tiny", 0, 4, str(prepared))
    (cached,) = (tmp_path / "cache").iterdir()
    assert cached.name.startswith("tfds-tiny-1.0.0-")
    whole = cached.read_bytes()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tensorflow_datasets", None)
        assert load("tfds:tiny", 0, 4, str(prepared)).checksum == fresh.checksum  # from the cache alone
        cached.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError, match="needs tensorflow-datasets: pip install 'tensorflow-datasets'"):
            load("tfds:tiny", 0, 4, str(prepared))
    assert load("tfds:tiny", 0, 4, str(prepared)).checksum == fresh.checksum
    assert cached.read_bytes() == whole  # decoded again
    for record in (prepared / "tiny" / "1.0.0").glob("*.array_record*"):
        os.utime(record, ns=(1, 1))
    load("tfds:tiny", 0, 4, str(prepared))
    assert len(list((tmp_path / "cache").iterdir())) == 2  # changed files have another cache key
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "file"))
    assert load("tfds:tiny", 0, 4, str(prepared)).checksum == fresh.checksum  # nothing can be cached


def test_unsuitable_and_damaged_data_sets(prepared):
    prepare(prepared, "sound", {"train": 3}, feature="spectrogram")
    with pytest.raises(InputError, match=r"tfds:sound: a feature `image` of 8-bit images is needed, it has label, spectrogram"):
        load("tfds:sound", 0, 4, str(prepared))
    prepare(prepared, "damaged", {"train": 300})
    version = prepared / "damaged" / "1.0.0"
    record = version / "damaged-train.array_record-00000-of-00001"
    record.write_bytes(record.read_bytes()[:100])
    with pytest.raises(InputError, match=r"tfds:damaged: .* is damaged .*download_and_prepare"):
        load("tfds:damaged", 0, 4, str(prepared))
    (version / "features.json").write_text("{")
    with pytest.raises(InputError, match=r"tfds:damaged: .* is damaged") as caught:
        load("tfds:damaged", 0, 4, str(prepared))
    assert "\n" not in str(caught.value)
    record.rename(version / "damaged-train.tfrecord-00000-of-00001")
    with pytest.raises(InputError, match=r"is not in the array_record format.*file_format='array_record'"):
        load("tfds:damaged", 0, 4, str(prepared))


def test_a_data_set_that_is_not_prepared_is_reported_at_once(prepared):
    (prepared / "tiny" / "1.0.0").mkdir(parents=True)
    (prepared / "tiny" / "1.0.0" / "dataset_info.json").write_text("{}")
    for data_dir, known in ((prepared, "tiny"), (prepared.parent, "tiny"), (prepared / "tiny", "nothing"), (None, "nothing")):
        start = time.perf_counter()
        with pytest.raises(InputError) as caught:
            load("tfds:cifar10", 0, 4, data_dir and str(data_dir))
        assert time.perf_counter() - start < 1
        message = str(caught.value)
        folder = os.environ["TFDS_DATA_DIR"] if data_dir is None else prepared if known == "tiny" else data_dir
        assert (
            message.startswith(f"tfds:cifar10 is not prepared in {folder} (prepared there: {known});") and "\n" not in message
        )
        assert "pip install 'gan_jax[prepare]'" in message and "--data_dir" in message and "GAN_JAX_DATA" in message
        assert f"tfds.builder('cifar10', data_dir='{folder}', file_format='array_record').download_and_prepare()" in message


def test_tfds_without_tensorflow_datasets(prepared, monkeypatch):
    (prepared / "tiny" / "1.0.0").mkdir(parents=True)
    for name in ("dataset_info.json", "tiny-train.array_record-00000-of-00001"):
        (prepared / "tiny" / "1.0.0" / name).write_text("{}")
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    start = time.perf_counter()
    with pytest.raises(InputError, match="tfds:tiny needs tensorflow-datasets: pip install 'tensorflow-datasets'"):
        load("tfds:tiny", 0, 4, str(prepared))
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    "name, mean",  # the constants commonly used for normalisation
    [("mnist", 0.1307), pytest.param("fashion_mnist", 0.2860, marks=pytest.mark.slow)],
)
def test_real_data_sets(name, mean):
    pytest.importorskip("tensorflow_datasets")
    if not list(REAL_DATA.glob(f"tfds/{name}/*/dataset_info.json")) + list(REAL_DATA.glob(f"{name}/*/dataset_info.json")):
        pytest.skip(f"no {name} prepared under {REAL_DATA}; set GAN_JAX_DATA")
    data = load(f"tfds:{name}", 0, 64, str(REAL_DATA))
    assert (data.sample_shape, data.num_classes) == ((28, 28, 1), 10)
    assert (len(data.train.samples), len(data.test.samples)) == (60_000, 10_000)
    assert abs(data.train.samples.mean() / 255 - mean) < 5e-5
    assert np.bincount(data.test.labels).min() > 850
    assert data.checksum == load(f"tfds:{name}", 1, 8, str(REAL_DATA)).checksum  # from the cache


@pytest.mark.parametrize("key", ["pythonClassName", "python_class_name", "type"])
def test_a_data_set_does_not_import_modules(key, prepared, tmp_path, monkeypatch):
    prepare(prepared, "tiny", {"train": 7})
    (tmp_path / "foreign_features.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = prepared / "tiny" / "1.0.0" / "features.json"
    description = json.loads(path.read_text())
    description["featuresDict"]["features"]["label"] = {key: "foreign_features.Label", "content": "{}"}
    path.write_text(json.dumps(description))
    for read in (tfds.tfds, tfds.texts):
        with pytest.raises(InputError, match=r"foreign_features\.Label, which is not of tensorflow_datasets"):
            read("tiny", str(prepared))
    assert not (tmp_path / "marker").exists()
