"""The feature extractors and the image metrics, on the digits."""

import dataclasses
import os
from pathlib import Path

import jax
import numpy as np
import pytest

from gan_jax.cache import write_cache
from gan_jax.data import Data, Split, load
from gan_jax.errors import InputError
from gan_jax.metrics import images
from gan_jax.metrics.features import classifier, random


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", seed=0, batch_size=32)


@pytest.fixture(scope="module")
def measure(digits):
    return images.evaluator(digits)


@pytest.fixture
def quick(monkeypatch, tmp_path) -> Path:
    """An empty cache, and a classifier of a few steps."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(classifier, "_STEPS", 20)
    return tmp_path / "cache"


@pytest.fixture
def trainings(monkeypatch) -> list:
    """Grows by one with each training, which costs no time: all weights are one."""
    seen = []

    def train(network, data):
        seen.append(data)
        images = np.zeros((1, *data.sample_shape), np.float32)
        abstract = jax.eval_shape(network.init, jax.random.key(0), images)["params"]
        return jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), abstract)

    monkeypatch.setattr(classifier, "_train", train)
    return seen


def test_the_classifier_knows_digits_and_says_what_it_is(digits):
    found = classifier.load(digits)
    features, logits = found.features(digits.to_float(digits.test.samples))
    assert found.accuracy >= 0.97
    assert found.accuracy == pytest.approx((logits.argmax(axis=1) == digits.test.labels).mean())
    assert found.name == f"classifier of digits (seed 0, test accuracy {found.accuracy:.1%})"
    assert (features.shape, logits.shape) == ((899, 64), (899, 10))
    assert features.dtype == logits.dtype == np.float32
    assert (features.std(axis=0) > 0.1).all()  # no dead unit


def test_blocks_do_not_show(digits):
    found = classifier.load(digits)
    samples = digits.to_float(np.concatenate([digits.train.samples, digits.test.samples]))  # 1,797: two blocks
    together, _ = found.features(samples)
    apart, _ = found.features(samples[990:1010])
    np.testing.assert_allclose(together[990:1010], apart, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match=r"\(64,\)"):
        found.features(np.zeros(64))


def test_training_is_deterministic_and_the_cache_gives_the_same_bits(digits, quick):
    samples = digits.to_float(digits.test.samples[:50])
    first = classifier.load(digits)
    cached = classifier.load(digits)
    (path,) = quick.iterdir()  # nothing but the whole file
    path.unlink()
    again = classifier.load(digits)
    for other in (cached, again):
        assert other.accuracy == first.accuracy
        for a, b in zip(first.features(samples), other.features(samples), strict=True):
            np.testing.assert_array_equal(a, b)


def test_each_data_is_trained_on_once(digits, quick, trainings):
    for checksum in ("0" * 64, "1" * 64, "0" * 64):
        classifier.load(dataclasses.replace(digits, checksum=checksum))
    assert len(trainings) == len(list(quick.iterdir())) == 2


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


def test_a_corrupt_cache_is_not_believed(digits, quick, trainings):
    classifier.load(digits)
    (path,) = quick.iterdir()
    whole = path.read_bytes()
    with np.load(path) as stored:
        params = {name: stored[name] for name in stored.files}
    abstract = classifier.unflatten_dict(params, sep="/")
    assert classifier._read(path, abstract) is not None
    for corrupt in CORRUPTIONS:
        path.write_bytes(whole)
        corrupt(path)
        assert classifier._read(path, abstract) is None
    path.rmdir()
    path.write_bytes(whole[:-1000])
    classifier.load(digits)
    assert len(trainings) == 2 and path.read_bytes() == whole  # trained anew, and kept


def test_no_cache_directory_means_only_no_cache(digits, quick, trainings, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "file" / "cache"))
    classifier.load(digits)
    assert len(trainings) == 1


def test_a_failed_write_leaves_nothing(quick, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    write_cache(quick / "classifier.npz", {"a": np.zeros(3)})
    assert os.listdir(quick) == []


def test_what_the_classifier_cannot_be_of(digits):
    with pytest.raises(ValueError, match="digits has 0 classes"):
        classifier.load(dataclasses.replace(digits, num_classes=0))


@pytest.mark.parametrize("shape", [(12, 9, 1), (32, 32, 3)])
def test_other_shapes_train_too(digits, quick, monkeypatch, shape):
    monkeypatch.setattr(classifier, "_STEPS", 1)
    rng = np.random.RandomState(0)
    split = Split(rng.randint(0, 256, (150, *shape)).astype(np.uint8), rng.randint(0, 4, 150).astype(np.int32))
    data = dataclasses.replace(digits, sample_shape=shape, num_classes=4, train=split, test=split)
    features, logits = classifier.load(data).features(np.zeros((3, *shape), np.float32))
    assert (features.shape, logits.shape) == ((3, 64), (3, 4))


def test_real_images_measure_as_the_floor(digits, measure):
    found = measure(digits.to_float(digits.train.samples), digits.train.labels)
    assert set(found) == {
        "fd", "fd_train", "fd_floor", "kd", "kd_floor", "is", "is_real", "precision", "recall", "density", "coverage",
        "precision_real", "recall_real", "density_real", "coverage_real", "class_min", "class_max", "accuracy", "nearest_train",
    }  # fmt: skip
    assert all(type(value) is float for value in found.values())
    assert found["kd"] == pytest.approx(found["kd_floor"], rel=1e-6)
    assert found["fd"] < found["fd_floor"]  # one copy of each is more even than independent draws can be
    for name in ("precision", "recall", "density", "coverage"):
        assert found[name] == pytest.approx(found[f"{name}_real"])
        assert found[name] > 0.9
    assert found["fd_train"] < 1e-6 * found["fd"]
    assert found["nearest_train"] < 1e-3  # copies
    assert found["accuracy"] > 0.99
    assert 0.08 < found["class_min"] < 0.1 < found["class_max"] < 0.12
    assert found["is"] > 9 and found["is_real"] > 9
    held_out = measure(digits.to_float(digits.test.samples))
    assert held_out["nearest_train"] == pytest.approx(1)
    assert "accuracy" not in held_out


def drawn(digits, count=10_000):
    """Real images as a generator draws them that has learnt the train split: independently, again and again."""
    return digits.to_float(digits.train.samples[np.random.RandomState(1).randint(len(digits.train.samples), size=count)])


def test_a_generator_of_the_train_split_measures_as_the_floor(digits, measure):
    found = measure(drawn(digits))
    assert found["fd"] == pytest.approx(found["fd_floor"], rel=0.1)  # each a mean over 11 sets, some 10% apart


def test_the_floor_follows_the_number_of_samples(digits, measure):
    few, many = measure(drawn(digits, 300)), measure(drawn(digits, 3_000))
    assert few["fd_floor"] > 1.5 * many["fd_floor"]
    assert few["fd"] > 1.5 * many["fd"]


def test_worse_images_measure_worse(digits, measure):
    real = drawn(digits)
    rng = np.random.RandomState(0)
    floor, fd = measure(real)["fd_floor"], []
    for noise in (0.2, 0.4, 0.8):
        found = measure(real + noise * rng.normal(size=real.shape).astype(np.float32))
        fd.append(found["fd"])
    assert floor < fd[0] < fd[1] < fd[2] and fd[1] > 1.5 * floor and fd[2] > 5 * floor
    train = digits.to_float(digits.train.samples)
    without = measure(train[digits.train.labels != 3])
    assert without["fd"] > 1.5 * floor and without["class_min"] < 0.02 and without["class_max"] > 0.1
    junk = measure(rng.uniform(-1, 1, train.shape).astype(np.float32))
    assert junk["fd"] > 50 * floor and junk["kd"] > 0.1 and junk["coverage"] < 0.2 and junk["nearest_train"] > 1.5


def test_samples_sorted_by_class_are_not_cut_by_class(digits, measure, monkeypatch):
    real = digits.to_float(digits.train.samples)[np.argsort(digits.train.labels, kind="stable")]
    monkeypatch.setattr(images, "_CAP", 300)
    found = measure(real, np.sort(digits.train.labels))
    assert found["class_min"] > 0.05 and found["accuracy"] > 0.95


def test_the_description_names_extractor_and_sizes(measure):
    for text in ("classifier of digits (seed 0, test accuracy ", "898 samples", "899 held-out"):
        assert text in measure.description


def test_bad_samples_are_named(digits, measure):
    with pytest.raises(InputError, match=r"\(20, 7, 8, 1\)"):
        measure(np.zeros((20, 7, 8, 1)))
    with pytest.raises(InputError, match="more than 5"):
        measure(np.zeros((5, 8, 8, 1)))
    with pytest.raises(ValueError, match="finite"):
        measure(np.full((20, 8, 8, 1), np.nan))
    with pytest.raises(InputError, match="too small"):
        images.evaluator(dataclasses.replace(digits, test=Split(digits.test.samples[:4], digits.test.labels[:4])))


def test_unlabelled_images_get_random_features(digits):
    data = dataclasses.replace(
        digits, num_classes=0, train=Split(digits.train.samples, None), test=Split(digits.test.samples, None)
    )
    features, logits = random.load(data).features(data.to_float(data.train.samples))
    assert logits is None and features.shape == (898, 64)
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-4)
    assert features.var(axis=0).mean() == pytest.approx(1, rel=1e-4)
    measure = images.evaluator(data)
    assert "random features of digits" in measure.description
    real = data.to_float(data.train.samples)
    found = measure(real)
    assert not {"is", "is_real", "class_min", "class_max", "accuracy"} & set(found)
    assert measure(real[:, ::-1])["fd"] > 5 * found["fd"]  # upside down
