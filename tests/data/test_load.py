"""Loading data by name: exact epochs, reproducible batches and checksums, and one-line errors."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.dataset import Split
from gan_jax.data.images import pixels
from gan_jax.data.load import load
from gan_jax.errors import InputError


@pytest.mark.parametrize("batch_size", [1, 64, 449, 898, 1000, 2000])  # 449 and 898 divide the 898 rows; 2,000 exceeds them
def test_each_epoch_contains_every_row_exactly_once(batch_size):
    feed_at = load("digits", 3, batch_size).feed_at
    epochs = 5
    feeds = [feed_at(t) for t in range(-(-898 * epochs // batch_size))]
    assert all(feed.shape == (batch_size,) and feed.dtype == np.int32 for feed in feeds)
    rows = np.concatenate(feeds)[: 898 * epochs].reshape(epochs, 898)
    np.testing.assert_array_equal(np.sort(rows, axis=1), np.tile(np.arange(898), (epochs, 1)))
    assert len({epoch.tobytes() for epoch in rows}) == epochs  # each in a different order


def test_a_batch_is_pure_in_seed_and_step():
    first, same, other = load("digits", 1, 100), load("digits", 1, 100), load("digits", 2, 100)
    expected = [first.feed_at(t) for t in range(40)]
    for t in (39, 0, 17, 8, 9, 26):  # any order, beyond the cache of two epochs
        np.testing.assert_array_equal(same.feed_at(t), expected[t])
    assert not np.array_equal(other.feed_at(0), expected[0])
    assert first.checksum == other.checksum  # the seed only orders the data


def test_the_order_of_rows_never_changes():
    """Golden values of RandomState([seed, epoch]).permutation, a stream frozen by NEP 19. A change breaks every resumed run."""
    np.testing.assert_array_equal(load("digits", 0, 5).feed_at(0), [761, 156, 213, 83, 557])


def test_decode_is_the_same_inside_jit():
    data = load("digits", 0, 32)
    store = jax.tree.map(jnp.asarray, data.train)
    with jax.numpy_dtype_promotion("strict"):
        batch = jax.jit(data.decode)(store, data.feed_at(4))
    expected = data.batch_at(4)
    assert batch.real.dtype == jnp.float32 and batch.label.dtype == jnp.int32
    np.testing.assert_array_equal(batch.real, expected.real)
    np.testing.assert_array_equal(batch.label, expected.label)
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_allclose(jax.jit(pixels.to_float)(levels), pixels.to_float(levels), rtol=0, atol=2e-7)
    assert pixels.to_float(levels)[[0, 255]].tolist() == [-1, 1]


@pytest.mark.parametrize(
    "seed, batch_size, name", [(0, 0, "batch_size"), (0, -3, "batch_size"), (-1, 8, "seed"), (2**32, 8, "seed")]
)
def test_impossible_seed_or_size(seed, batch_size, name):
    with pytest.raises(InputError, match=f"{name} must be .* got {seed if name == 'seed' else batch_size}"):
        load("digits", seed, batch_size)


@pytest.mark.parametrize(
    "name, message",
    [
        ("digit", "unknown data 'digit': did you mean 'digits'"),
        ("two_moon(sigma=1)", "unknown data 'two_moon': did you mean 'two_moons'"),
        ("ring(sigma=)", "'ring(sigma=)' must be NAME or NAME(key=value, ...)"),
        ("ring(sigmas=1)", "unknown option of data ring 'sigmas': did you mean 'sigma'? known: sigma"),
        ("digits(sigma=1)", "unknown option of data digits 'sigma': known: none"),
        ("grid(sigma=0)", "data grid: sigma must be a number from 0.001 to 10, got 0"),
        ("spiral(sigma='a')", "data spiral: sigma must be a number from 0.001 to 10, got 'a'"),
        ("two_moons(sigma=True)", "data two_moons: sigma must be a number from 0.001 to 10, got True"),
        ("stacked:digit", "unknown data 'digit': did you mean 'digits'"),
        ("stacked:ring", "stacked:ring needs grey images [H, W, 1] with classes: ring has (2,), no labels"),
        ("", "unknown data"),
        ("nowhere/", "no such file or folder"),
        ("/nowhere/at.npz", "no such file or folder"),
        (__file__, "neither a folder, a .zip nor an .npz"),
        ("tfds:", "is called NAME"),
        ("tfds:../../etc", "is called NAME"),
    ],
)
def test_unknown_names_and_options(name, message):
    with pytest.raises(InputError, match=re.escape(message)):
        load(name, 0, 8)


def test_importing_data_imports_no_optional_packages():
    modules = ", ".join(
        f"gan_jax.data.{x}"
        for x in ("load", "toy", "tfds", "stream", "images.pixels", "images.stacked", "images.digits", "images.folder")
    )
    optional = "{'sklearn', 'matplotlib', 'tensorflow_datasets', 'PIL', 'tensorflow', 'grain'}"
    code = f"import sys, {modules}; print(sorted({optional} & set(sys.modules)))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert out.stdout.strip() == "[]"


def test_digits_are_split_into_two_similar_halves():
    from sklearn.datasets import load_digits

    data = load("digits", 0, 8)
    assert (data.sample_shape, data.num_classes) == ((8, 8, 1), 10)
    assert data.train.samples.dtype == np.uint8 and data.train.labels.dtype == np.int32
    assert (len(data.train.samples), len(data.test.samples)) == (898, 899)
    rows = [np.column_stack([s.samples.reshape(-1, 64), s.labels]) for s in (data.train, data.test)]
    pixels, label = load_digits(return_X_y=True)
    whole = np.column_stack([pixels, label]).astype(int)
    np.testing.assert_array_equal(np.unique(np.concatenate(rows), axis=0), np.unique(whole, axis=0))
    assert set(np.unique(data.train.samples)) == set(range(17))
    assert data.to_float(np.array([0, 8, 16], np.uint8)).tolist() == [-1, 0, 1]
    # For two samples of one distribution, a difference of class counts has standard deviation sqrt(180) or less, and the mean
    # grey levels of 898 images, each with a spread of about 0.9, differ by less than five standard errors.
    counts = np.array([np.bincount(s.labels, minlength=10) for s in (data.train, data.test)])
    assert np.abs(counts[0] - counts[1]).max() < 4 * np.sqrt(180)
    means = [s.samples.reshape(-1, 64).mean(axis=1) for s in (data.train, data.test)]
    assert abs(means[0].mean() - means[1].mean()) < 5 * np.sqrt(means[0].var() / 898 + means[1].var() / 899)


def test_checksums_identify_data(tmp_path):
    checksums = {name: load(name, 0, 8).checksum for name in ("digits", "ring", "grid", "ring(sigma=0.03)", "spiral")}
    digits = load("digits", 0, 8)
    for changed in ("same", "pixel", "label", "shape"):
        train, test = (Split(s.samples.copy(), s.labels.copy()) for s in (digits.train, digits.test))
        if changed == "pixel":
            test.samples[5, 5, 5] ^= 1
        if changed == "label":
            train.labels[0] = (train.labels[0] + 1) % 10
        if changed == "shape":
            train, test = (Split(s.samples.reshape(-1, 4, 16, 1), s.labels) for s in (train, test))
        keys = {"train_images": train.samples, "train_labels": train.labels}
        np.savez(tmp_path / f"{changed}.npz", **keys, test_images=test.samples, test_labels=test.labels)
        checksums[changed] = load(str(tmp_path / f"{changed}.npz"), 0, 8).checksum
    assert len(set(checksums.values())) == len(checksums)  # including "same": its bytes are read on another scale than digits'
    assert all(re.fullmatch("[0-9a-f]{64}", checksum) for checksum in checksums.values())
    os.rename(tmp_path / "same.npz", tmp_path / "moved.npz")
    assert load(str(tmp_path / "moved.npz"), 1, 9).checksum == checksums["same"]


@pytest.mark.parametrize("name", ["~no_such_user/x", "text(path='~no_such_user/x')", "mirrored:" * 3_000 + "ring"])
def test_a_name_that_cannot_be_read_is_an_error_of_one_line(name):
    with pytest.raises(InputError, match=r"data .* cannot be read: (RuntimeError: Could not determine|it is nested)"):
        load(name, 0, 4)
