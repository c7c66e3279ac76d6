"""Feature extractors for small images, on the digits."""

import dataclasses
import os
from pathlib import Path

import jax
import numpy as np
import pytest

from gan_jax.data.dataset import Data, Split
from gan_jax.data.images import extractors
from gan_jax.data.load import load
from gan_jax.metrics.features import classifier, network
from gan_jax.storage.cache import write_cache


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", seed=0, batch_size=32)


@pytest.fixture
def quick(monkeypatch, tmp_path) -> Path:
    """An empty cache, and a classifier of a few steps."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(classifier, "_STEPS", 20)
    return tmp_path / "cache"


@pytest.fixture
def trainings(monkeypatch) -> list:
    """A list that grows by one with each training; training is replaced by weights of ones, which takes no time."""
    calls = []

    def train(network, samples, labels, to_float):
        calls.append(samples)
        images = np.zeros((1, *samples.shape[1:]), np.float32)
        abstract = jax.eval_shape(network.init, jax.random.key(0), images)["params"]
        return jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), abstract)

    monkeypatch.setattr(classifier, "fit", train)
    return calls


def test_the_classifier_classifies_digits_and_reports_its_accuracy(digits):
    extractor = extractors.classifier(digits)
    features, logits = extractor.features(digits.to_float(digits.test.samples))
    accuracy = (logits.argmax(axis=1) == digits.test.labels).mean()
    assert accuracy >= 0.97
    assert extractor.name == f"classifier of digits (seed 0, test accuracy {accuracy:.1%})"
    assert (features.shape, logits.shape) == ((899, 64), (899, 10))
    assert features.dtype == logits.dtype == np.float32
    assert (features.std(axis=0) > 0.1).all()  # no dead unit


def test_features_do_not_depend_on_the_batch(digits):
    extractor = extractors.classifier(digits)
    samples = digits.to_float(np.concatenate([digits.train.samples, digits.test.samples]))  # 1,797: two batches
    combined, _ = extractor.features(samples)
    separate, _ = extractor.features(samples[990:1010])
    np.testing.assert_allclose(combined[990:1010], separate, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match=r"\(64,\)"):
        extractor.features(np.zeros(64))


def test_training_is_deterministic_and_equals_the_cache_bit_for_bit(digits, quick):
    samples = digits.to_float(digits.test.samples[:50])
    first = extractors.classifier(digits)
    cached = extractors.classifier(digits)
    assert not list(quick.glob(".*"))  # no temporary files
    (path,) = quick.glob("classifier-*")
    path.unlink()
    again = extractors.classifier(digits)
    for other in (cached, again):
        assert other.hash == first.hash
        for a, b in zip(first.features(samples), other.features(samples), strict=True):
            np.testing.assert_array_equal(a, b)


def test_one_training_per_data_set(digits, quick, trainings):
    for checksum in ("0" * 64, "1" * 64, "0" * 64):
        extractors.classifier(dataclasses.replace(digits, checksum=checksum))
    assert len(trainings) == len(list(quick.glob("classifier-*"))) == 2


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def renamed(path: Path) -> None:
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["other"] = arrays.popitem()[1]
    np.savez(path, **arrays)


def reshaped(path: Path) -> None:
    with np.load(path) as stored:
        arrays = {name: stored[name][..., :-1] for name in stored.files}
    np.savez(path, **arrays)


def not_finite(path: Path) -> None:
    with np.load(path) as stored:
        arrays = {name: stored[name] * np.float32(np.nan) for name in stored.files}
    np.savez(path, **arrays)


CORRUPTIONS = [
    flipped,
    renamed,
    reshaped,
    not_finite,
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(b"not a zip file"),
    lambda path: path.write_bytes(path.read_bytes()[:-1000]),
    lambda path: np.savez(path, pickled=np.array([{}], object)),
    lambda path: (path.unlink(), path.mkdir()),
]


def test_a_corrupt_cache_file_is_ignored(digits, quick, trainings):
    extractors.classifier(digits)
    (path,) = quick.glob("classifier-*")
    original = path.read_bytes()
    with np.load(path) as stored:
        params = {name: stored[name] for name in stored.files}
    abstract = extractors.unflatten_dict(params, sep="/")
    assert extractors._cached_params(path, abstract) is not None
    for corrupt in CORRUPTIONS:
        path.write_bytes(original)
        corrupt(path)
        assert extractors._cached_params(path, abstract) is None
    path.rmdir()
    path.write_bytes(original[:-1000])
    extractors.classifier(digits)
    assert len(trainings) == 2 and path.read_bytes() == original  # trained again, and cached


def test_networks_are_not_applied_again_to_describe_themselves(digits, quick, trainings, monkeypatch):
    first = [find(digits) for find in (extractors.classifier, extractors.random)]
    monkeypatch.setattr(extractors, "extract", None)  # fails if called
    for find, before in zip((extractors.classifier, extractors.random), first, strict=True):
        assert (find(digits).name, find(digits).hash) == (before.name, before.hash)
    # Another held-out split has another accuracy.
    with pytest.raises(TypeError):
        extractors.classifier(dataclasses.replace(digits, checksum=f"{digits.checksum} validation"))


def test_an_unusable_cache_directory_is_no_error(digits, quick, trainings, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "file" / "cache"))
    extractors.classifier(digits)
    assert len(trainings) == 1


def test_a_failed_write_leaves_no_file(quick, monkeypatch):
    def disk_full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", disk_full)
    write_cache(quick / "classifier.npz", {"a": np.zeros(3)})
    assert os.listdir(quick) == []


def test_the_classifier_requires_classes(digits):
    with pytest.raises(ValueError, match="digits has 0 classes"):
        extractors.classifier(dataclasses.replace(digits, num_classes=0))


@pytest.mark.parametrize("shape", [(12, 9, 1), (32, 32, 3)])
def test_training_on_other_shapes(digits, quick, monkeypatch, shape):
    monkeypatch.setattr(classifier, "_STEPS", 1)
    rng = np.random.RandomState(0)
    split = Split(rng.randint(0, 256, (150, *shape)).astype(np.uint8), rng.randint(0, 4, 150).astype(np.int32))
    data = dataclasses.replace(digits, sample_shape=shape, num_classes=4, train=split, test=split, checksum=f"{shape}")
    features, logits = extractors.classifier(data).features(np.zeros((3, *shape), np.float32))
    assert (features.shape, logits.shape) == ((3, 64), (3, 4))


@pytest.fixture(scope="module")
def unlabelled(digits) -> Data:
    splits = (Split(split.samples, None) for split in (digits.train, digits.test))
    return dataclasses.replace(digits, num_classes=0, **dict(zip(("train", "test"), splits, strict=True)))


def test_random_features_are_centred_and_scaled(unlabelled):
    extractor = extractors.random(unlabelled)
    features, logits = extractor.features(unlabelled.to_float(unlabelled.train.samples))
    assert logits is None and features.shape == (898, 64)
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-4)
    assert features.var(axis=0).mean() == pytest.approx(1, rel=1e-4)
    assert extractor.name.startswith("random features of digits")


@pytest.mark.parametrize(
    ("shape", "rows"), [((64, 64, 3), 1000), ((8, 8, 1), 1000), ((1024, 1024, 3), 3), ((5000, 5000, 3), 1)]
)
def test_batches_of_large_images_are_small(monkeypatch, shape, rows):
    sizes = []
    monkeypatch.setattr(network, "in_batches", lambda function, size: sizes.append(size) or (lambda *arguments: None))
    network.extract(None, {}, np.broadcast_to(np.float32(0), (2, *shape)))
    assert sizes == [rows]
