"""Streamed data: the same batches as from memory, whatever is read ahead, and one-line errors that name damaged files."""

import json
import os
import re
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest
from made import prepare, write

from gan_jax.config import Config
from gan_jax.data import stream, tfds
from gan_jax.data.dataset import Split
from gan_jax.data.images import folder
from gan_jax.data.load import load
from gan_jax.errors import InputError, RunError
from gan_jax.training.train import train

pytest.importorskip("grain")


@pytest.fixture(scope="module", params=["tfds", "tfds of one split", "folder", "folder of splits"])
def name(request, tmp_path_factory):
    """Four data sets of images, by their names for `--data`."""
    path = tmp_path_factory.mktemp("data")
    if "tfds" in request.param:
        prepare(path / "tfds", "tiny", {"train": 60} if "one" in request.param else {"train": 60, "test": 24}, shards=3)
        os.environ["GAN_JAX_DATA"] = str(path)
        request.addfinalizer(lambda: os.environ.pop("GAN_JAX_DATA"))
        return "tfds:tiny"
    for split, count in (("train", 30), ("test", 12)) if "splits" in request.param else (("", 60),):
        for i in range(count):
            write(path / split / "ab"[i % 2] / f"{i}.png", "RGB" if i == 7 else "L")
    return str(path)


def assert_same(actual: Split, expected: Split) -> None:
    assert actual.samples.dtype == np.uint8 and actual.labels.dtype == np.int32
    np.testing.assert_array_equal(actual.samples, expected.samples)
    np.testing.assert_array_equal(actual.labels, expected.labels)


@pytest.fixture
def reads(monkeypatch):
    """The number of samples in each read."""
    counts = []
    original = {"tfds": tfds._read, "folder": folder.read_pixels}
    monkeypatch.setattr(tfds, "_read", lambda split, rows: counts.append(len(rows)) or original["tfds"](split, rows))
    monkeypatch.setattr(folder, "read_pixels", lambda *arguments: counts.append(1) or original["folder"](*arguments))
    return counts


# --- the same batches ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("validation", [0.0, 0.2])
@pytest.mark.parametrize("kind", ["", "mirrored:"])
def test_streamed_batches_equal_those_of_data_in_memory(kind, name, validation):
    name = kind + name
    memory = load(name, 3, 8, None, validation, "never")
    data = load(name, 3, 8, None, validation, "always")
    assert (data.streamed, memory.streamed, data.store, memory.store is memory.train) == (True, False, None, True)
    for field in ("sample_shape", "num_classes", "num_train"):
        assert getattr(data, field) == getattr(memory, field)
    assert memory.num_train == len(memory.train.samples)
    for split in ("train", "test", "validation")[: 3 if validation else 2]:
        assert_same(getattr(data, split), getattr(memory, split))
    # More than three epochs of consecutive steps, then jumps, repeats, a step back, and consecutive steps again.
    for step in [*range(20), 5, 5, 4, 300, 0, 1, 2, 3, 3, 4]:
        assert_same(data.feed_at(step), Split(*(x[memory.feed_at(step)] for x in memory.train)))
    batch, expected = jax.jit(data.decode)(data.store, data.feed_at(2)), memory.batch_at(2)
    assert batch.real.dtype == np.float32
    np.testing.assert_allclose(batch.real, expected.real, rtol=0, atol=2e-7)
    np.testing.assert_array_equal(batch.label, expected.label)
    np.testing.assert_array_equal(data.batch_at(2).real, expected.real)


@pytest.mark.parametrize("streamed", ["always", "never"])
def test_the_slices_of_all_processes_make_up_the_batch(name, streamed):
    whole = load(name, 1, 12, stream=streamed)
    for processes in (1, 2, 3):
        slices = [load(name, 1, 12, stream=streamed, process_slice=(i, processes)) for i in range(processes)]
        assert {data.checksum for data in slices} == {whole.checksum}
        for step in (0, 1, 2, 9):
            parts = jax.tree.map(lambda *x: np.concatenate(x), *(data.feed_at(step) for data in slices))
            jax.tree.map(np.testing.assert_array_equal, parts, whole.feed_at(step))
            assert len(jax.tree.leaves(slices[0].feed_at(step))[0]) == 12 // processes


def test_invalid_process_slices():
    with pytest.raises(InputError, match="batch 8 does not divide among 3 processes: use a multiple of 3"):
        load("digits", 0, 8, process_slice=(0, 3))
    for process_slice in ((2, 2), (-1, 2), (0, 0)):
        with pytest.raises(ValueError, match="process_slice must be"):
            load("digits", 0, 8, process_slice=process_slice)


def test_only_the_samples_needed_are_read(name, reads, monkeypatch):
    monkeypatch.setattr(stream, "KEPT_ROWS", 5)
    memory = load(name, 0, 2, stream="never")
    del reads[:]
    data = load(name, 0, 2, stream="always")
    assert sum(reads) <= 2 * 5 + 1 and data.num_train == memory.num_train > 20  # one to check that it can be read
    for split in ("train", "test"):
        assert_same(getattr(data, split), Split(*(x[:5] for x in getattr(memory, split))))
    monkeypatch.setattr(stream, "AHEAD_BYTES", 3 * 2 * 90 + 1)  # three batches of two images of up to 6 x 5 x 3 bytes
    data = load(name, 0, 2, stream="always")
    del reads[:]
    max_ahead = 3 if data.sample_shape[-1] == 3 else 9
    for step in range(4):
        data.feed_at(step)
        assert sum(reads) <= 2 * (step + 1 + max_ahead)
    data.feed_at(300)  # not the next step: read alone
    assert sum(reads) <= 2 * (4 + max_ahead + 1)


# --- when data is streamed, and its checksum -----------------------------------------------------------------------------


def test_data_larger_than_a_quarter_of_memory_is_streamed(name, monkeypatch):
    read_paths = []
    monkeypatch.setattr(stream.os, "sysconf", lambda name: {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 10**9}[name])
    monkeypatch.setattr(stream.Path, "read_text", lambda path: read_paths.append(path) or "max\n")
    assert not stream.should_stream(25 * 10**7) and stream.should_stream(25 * 10**7 + 1)
    monkeypatch.setattr(stream.Path, "read_text", lambda path: "4000\n")  # the limit of a container
    assert not stream.should_stream(1000) and stream.should_stream(1001)
    assert stream.should_stream(0, "always") and not stream.should_stream(10**12, "never")
    assert [str(path) for path in read_paths] == ["/sys/fs/cgroup/memory.max"] * 2
    monkeypatch.undo()
    sizes = []
    for module in (tfds, folder):
        monkeypatch.setattr(module, "should_stream", lambda size, stream: sizes.append(size) or size > 100)
    data = load(name, 0, 4)
    assert data.streamed and len(sizes) == 1
    channels = 1  # as in the first file
    assert sizes[0] == (data.num_train + len(data.test.samples)) * 30 * channels


def test_the_checksum_depends_on_the_files(prepared, tmp_path, monkeypatch):
    for i in range(6):
        write(tmp_path / "data" / f"{i}.png")
    (tmp_path / "data" / "notes.txt").write_text("no image")
    checksums = [load(str(tmp_path / "data"), 0, 2, stream="always").checksum]
    hashed = []
    original = stream._sha256
    monkeypatch.setattr(stream, "_sha256", lambda file: hashed.append(file.name) or original(file))
    (tmp_path / "data" / "notes.txt").write_text("other notes")
    assert load(str(tmp_path / "data"), 1, 3, stream="always").checksum == checksums[0] and not hashed  # from the cache
    os.utime(tmp_path / "data" / "3.png", ns=(1, 1))
    assert load(str(tmp_path / "data"), 0, 2, stream="always").checksum == checksums[0] and len(hashed) == 6
    checksums.append(load(str(tmp_path / "data"), 0, 2, stream="never").checksum)
    checksums.append(load(str(tmp_path / "data"), 0, 2, validation=0.5, stream="always").checksum)
    write(tmp_path / "data" / "3.png")
    checksums.append(load(str(tmp_path / "data"), 0, 2, stream="always").checksum)
    (tmp_path / "data" / "3.png").rename(tmp_path / "data" / "33.png")
    checksums.append(load(str(tmp_path / "data"), 0, 2, stream="always").checksum)
    assert len(set(checksums)) == 5 and all(re.fullmatch("[0-9a-f]{64}", checksum) for checksum in checksums)
    (tmp_path / "data").rename(tmp_path / "moved")
    assert load(str(tmp_path / "moved"), 0, 2, stream="always").checksum == checksums[-1]


# --- errors --------------------------------------------------------------------------------------------------------------


def test_data_that_cannot_be_streamed(tmp_path):
    np.savez(tmp_path / "images.npz", images=np.zeros((9, 6, 5), np.uint8))
    for data in ("digits", "ring(sigma=0.1)", "stacked:digits", str(tmp_path / "images.npz")):
        with pytest.raises(InputError, match=re.escape(f"data {data!r} cannot be streamed, only tfds:NAME and folders")):
            load(data, 0, 4, stream="always")
        assert not load(data, 0, 4).streamed


def test_grain_is_not_installed(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    with pytest.raises(InputError, match=r"needs grain: pip install 'gan_jax\[stream\]', or --stream never") as caught:
        load(name, 0, 4, stream="always")
    assert "\n" not in str(caught.value)
    load(name, 0, 4)


def test_a_damaged_image_is_named(prepared, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "KEPT_ROWS", 2)
    for i in range(20):
        write(tmp_path / "data" / f"{i:02d}.png", size=(40, 40))
    held_out = np.random.RandomState(0).permutation(20)[:2]
    order = np.delete(np.arange(20), held_out)[np.random.RandomState(0).permutation(18)]
    file = tmp_path / "data" / f"{order[9]:02d}.png"  # not among the rows kept in memory
    whole = file.read_bytes()

    def assert_error(text):
        data = load(str(tmp_path / "data"), 0, 6, stream="always")
        with pytest.raises(RunError, match=re.escape(text)) as caught:
            for step in range(3):
                data.feed_at(step)
        assert "\n" not in str(caught.value)
        return data

    file.write_bytes(whole[: len(whole) // 2])  # its header is intact
    data = assert_error(f"{file}: not a readable image")
    with pytest.raises(RunError, match=re.escape(str(file))):  # again: reading does not continue past it
        for step in range(3):
            data.feed_at(step)
    file.write_bytes(whole)
    assert [data.feed_at(step).samples.shape for step in range(3)] == [(6, 40, 40, 1)] * 3
    write(file, size=(41, 40))
    with pytest.raises(RunError, match=re.escape(f"{file} has changed")):
        [data.feed_at(step) for step in range(3)]
    with pytest.raises(InputError, match=re.escape(f"{file} is 41x40 pixels")):
        load(str(tmp_path / "data"), 0, 6, stream="always")
    kept = tmp_path / "data" / f"{order[0]:02d}.png"
    write(file, size=(40, 40))
    kept.write_bytes(kept.read_bytes()[:200])
    with pytest.raises(InputError, match=re.escape(f"{kept}: not a readable image")):
        load(str(tmp_path / "data"), 0, 6, stream="always")


def test_a_damaged_record_file_is_named(prepared, monkeypatch):
    monkeypatch.setattr(stream, "KEPT_ROWS", 1)
    prepare(prepared, "tiny", {"train": 600, "test": 30}, shards=3)
    version = prepared / "tiny" / "1.0.0"
    file = version / "tiny-train.array_record-00001-of-00003"
    kept = np.random.RandomState(0).permutation(600)[0]
    assert not 200 <= kept < 400
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] + bytes(500) + whole[len(whole) // 2 + 500 :])
    data = load("tfds:tiny", 0, 20, str(prepared), stream="always")
    with pytest.raises(RunError, match=re.escape(f"tfds:tiny: {file} is damaged")) as caught:
        for step in range(30):
            data.feed_at(step)
    assert "\n" not in str(caught.value)


def test_labels_out_of_range_are_reported(prepared):
    prepare(prepared, "tiny", {"train": 30, "test": 30})
    path = prepared / "tiny" / "1.0.0" / "features.json"
    features = json.loads(path.read_text())
    features["featuresDict"]["features"]["label"]["classLabel"]["numClasses"] = "2"
    path.write_text(json.dumps(features))
    with pytest.raises(InputError, match=re.escape("tfds:tiny: labels must be 0..1, found 0..2")):
        load("tfds:tiny", 0, 4, str(prepared), stream="always")


# --- training ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    path = tmp_path_factory.mktemp("images")
    for i in range(60):
        write(path / f"{i:02d}.png")
    return str(path)


@pytest.fixture
def config(images) -> Config:
    return Config(
        name="tiny", data=images, stream="always", z_dim=2, g_width=8, g_depth=1, d_width=8, d_depth=1, batch=8, steps=12,
        d_steps=2, log_every=1, eval_every=12, save_every=4, eval_samples=50, g_lr=1e-3, d_lr=1e-3, metrics="nearest_train",
    )  # fmt: skip


def log_of(run_dir):
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def test_a_resumed_run_on_streamed_data_equals_one_on_data_in_memory(config, tmp_path, monkeypatch):
    train(replace(config, stream="never", dispatch="loop"), tmp_path / "memory")
    calls = []

    def failing(file, shape, form, pixels=folder.read_pixels):
        calls.append(file)
        if len(calls) > 60 + 8 * 14:  # the rows kept in memory, then seven steps of two batches
            raise InputError(f"{file.place}: gone")
        return pixels(file, shape, form)

    monkeypatch.setattr(stream, "AHEAD_BYTES", 1)
    with monkeypatch.context() as patch:
        patch.setattr(folder, "read_pixels", failing)
        with pytest.raises(RunError, match="gone"):
            train(config, tmp_path / "streamed")
    environment = json.loads((tmp_path / "streamed" / "environment.json").read_text())
    assert environment["dispatch"] == "loop" and environment["status"].endswith("gone")
    assert 4 <= log_of(tmp_path / "streamed")[-1]["step"] < 8
    train(config, tmp_path / "streamed")
    streamed, memory = log_of(tmp_path / "streamed"), log_of(tmp_path / "memory")
    assert [line["step"] for line in streamed] == list(range(1, 13))
    # The compiled programs differ, because streaming gathers no rows on the device; the batches are bit-identical.
    assert streamed == [pytest.approx(line, rel=0, abs=1e-6) for line in memory]


def test_several_seeds_are_rejected(config, tmp_path):
    with pytest.raises(InputError, match=r"is streamed, which works with one seed only: set --stream never"):
        train(config, tmp_path / "seeds", seeds=[0, 1])
    assert not (tmp_path / "seeds").exists()
