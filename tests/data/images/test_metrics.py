"""What is said of a set of images, on the digits."""

import dataclasses

import numpy as np
import pytest

from gan_jax.data.dataset import Data, Protocol, Split
from gan_jax.data.images import metrics, suite
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.metrics.features import classifier
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.spec.lookup import public_functions
from gan_jax.storage.weights import INCEPTION


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", seed=0, batch_size=32)


@pytest.fixture(scope="module")
def measure(digits):
    return metrics.evaluator(digits)


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


def test_neighbourhoods_are_of_as_many_samples_as_of_real_ones(digits, measure):
    """More samples than real ones would cover all of these, and recall fewer."""
    found = measure(drawn(digits))
    for name in ("precision", "recall", "density", "coverage"):
        assert found[name] == pytest.approx(found[f"{name}_real"], abs=0.1)
    assert found["coverage"] < found["coverage_real"]  # drawn again and again, some never are


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


def test_samples_sorted_by_class_are_not_cut_by_class(digits):
    real = digits.to_float(digits.train.samples)[np.argsort(digits.train.labels, kind="stable")]
    found = metrics.evaluator(digits, Protocol(cap=300))(real, np.sort(digits.train.labels))
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
        metrics.evaluator(dataclasses.replace(digits, test=Split(digits.test.samples[:4], digits.test.labels[:4])))


def test_unlabelled_images_get_random_features(digits):
    data = dataclasses.replace(
        digits, num_classes=0, train=Split(digits.train.samples, None), test=Split(digits.test.samples, None)
    )
    measure = metrics.evaluator(data)
    assert "random features of digits" in measure.description
    real = data.to_float(data.train.samples)
    found = measure(real)
    assert not {"is", "is_real", "class_min", "class_max", "accuracy"} & set(found)
    assert measure(real[:, ::-1])["fd"] > 5 * found["fd"]  # upside down
    with pytest.raises(InputError, match="inception_score needs an extractor that classifies"):
        metrics.evaluator(data, Protocol(metrics=("inception_score",)))(real)
    with pytest.raises(InputError, match="--extractor classifier needs classes: digits has 0 classes"):
        metrics.evaluator(data, Protocol("classifier"))


@pytest.fixture(scope="module")
def everything(digits):
    """All metrics of the train split as if it were generated, with labels and errors."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "_STEPS", 60)  # of the classification accuracy score
        measure = metrics.evaluator(digits, Protocol(metrics=("all",), errors=True))
        return measure(digits.to_float(digits.train.samples), digits.train.labels)


def test_every_metric_can_be_had_at_once(everything, digits):
    """All but MS-SSIM, for which 8x8 is too small: asked for by name it says so."""
    names = {name for name in everything if not name.endswith(("_real", "_floor", "_error"))}
    assert names == {
        "fd", "fd_train", "fd_infinity", "fd_intra", "kd", "precision", "recall", "density", "coverage", "is", "class_min",
        "class_max", "accuracy", "nearest_train", "authenticity", "c_t", "vendi", "swd", "cas", "cas_reverse",
        *(f"share_{i}" for i in range(10)),
    }  # fmt: skip
    assert all(np.isfinite(value) for value in everything.values())
    for name in names - {"class_min", "class_max"}:
        assert everything[f"{name}_error"] >= 0
    with pytest.raises(InputError, match="ms_ssim needs images of 11 pixels a side"):
        metrics.evaluator(digits, Protocol(metrics=("ms_ssim",)))(digits.to_float(digits.test.samples))


def test_copies_are_seen_through(everything):
    """The train split itself: every sample a copy, and all that asks for variety and quality content with it."""
    assert everything["authenticity"] == 0 < 0.4 < everything["authenticity_real"]
    assert everything["c_t"] < -8 < -3 < everything["c_t_real"]
    assert everything["cas"] > 0.8 and everything["cas_reverse"] > 0.8
    assert everything["fd_intra"] < 1e-6 * everything["fd_intra_real"]


def test_errors_are_of_the_size_of_what_they_tell(digits):
    """Ten sets of samples of one law, noisy digits: the values vary by what the errors say, to a factor of two."""
    noise = np.random.RandomState(2).normal(size=(10, 600, 8, 8, 1)).astype(np.float32)
    sets = drawn(digits, 6_000).reshape(noise.shape) + 0.5 * noise
    measure = metrics.evaluator(digits, Protocol(metrics=("frechet", "inception_score"), errors=True))
    found = [measure(samples) for samples in sets]
    for name in ("fd", "is"):
        spread = np.std([each[name] for each in found], ddof=1)
        assert 0.5 < np.mean([each[f"{name}_error"] for each in found]) / spread < 2


def test_an_extractor_of_ones_own(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    source = "def flat(samples):\n    return samples.reshape(len(samples), -1)\ndef one(samples):\n    return samples.mean()\n"
    (tmp_path / "mine.py").write_text(source)
    found = metrics.evaluator(digits, Protocol(f"{tmp_path}/mine.py:flat", ("kernel",)))
    assert set(found(digits.to_float(digits.train.samples))) == {"kd", "kd_floor"}
    assert found.facts["extractor"].endswith("mine.py:flat")
    assert not (tmp_path / "cache").exists()  # nobody knows what it depends on
    with pytest.raises(InputError, match=r"mine.py:one must return features \[899, D\], got \(\)"):
        metrics.evaluator(digits, Protocol(f"{tmp_path}/mine.py:one"))
    with pytest.raises(InputError, match="unknown extractor 'incepton': did you mean 'inception'"):
        metrics.evaluator(digits, Protocol("incepton"))
    with pytest.raises(InputError, match=r"its weights are not in .*: python experiments/weights.py inception fetches them"):
        metrics.evaluator(digits, Protocol("inception"))
    with pytest.raises(InputError, match="unknown metric 'kernels': did you mean 'kernel'"):
        metrics.evaluator(digits, Protocol(metrics=("kernels",)))


def extractor(calls, scale=1.0, **told):
    def features(samples):
        calls.append(len(samples))
        return scale * samples.reshape(len(samples), -1), None

    return Extractor(features, **{"name": "flat", "hash": "a" * 64, "resize": "none"} | told)


def test_features_of_real_images_are_kept_and_never_stale(digits, tmp_path, monkeypatch):
    """Computed anew for other data, another split, other weights, another resize, another number, and after damage."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    calls = []
    first = metrics.side_of(digits, "test", extractor(calls), 100)
    again = metrics.side_of(digits, "test", extractor(calls, scale=2.0), 100)  # as the hash says, the same weights
    np.testing.assert_array_equal(first.features, again.features)
    assert calls == [100]
    other = dataclasses.replace(digits, checksum="0" * 64)
    for data, split, cap, told in (
        (other, "test", 100, {}),
        (digits, "train", 100, {}),
        (digits, "test", 99, {}),
        (digits, "test", 100, {"hash": "b" * 64}),
        (digits, "test", 100, {"resize": "to 299"}),
    ):
        metrics.side_of(data, split, extractor(calls, **told), cap)
    assert calls == [100, 100, 100, 99, 100, 100]
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    np.testing.assert_array_equal(metrics.side_of(digits, "test", extractor(calls), 100).features, first.features)
    assert len(calls) == 7


def test_fid_is_a_name_for_the_original_weights_alone(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))

    def wide(told):
        rows = np.random.default_rng(0).normal(size=(64, 2048)).astype(np.float32)
        return Extractor(lambda x: (x.reshape(len(x), -1) @ rows, None), name="wide", resize="none", hash=told)

    monkeypatch.setattr(metrics, "extractor_of", lambda data, text: wide(text))
    real = digits.to_float(digits.train.samples[:50])
    for told, names in ((INCEPTION.sha256, {"kid", "kid_floor"}), ("c" * 64, {"kd", "kd_floor"})):
        assert set(metrics.evaluator(digits, Protocol(told, ("kernel",)))(real)) == names


def test_every_metric_of_the_suite_says_what_it_gives():
    for name, function in public_functions(suite).items():
        assert function.__doc__, name
