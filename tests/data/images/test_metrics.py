"""Metrics of image sets, on the digits."""

import dataclasses

import numpy as np
import pytest

from gan_jax.data.dataset import Data, Protocol, Split
from gan_jax.data.images import metrics, suite
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.metrics.features import classifier
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.metrics.features.inception import RESIZE
from gan_jax.metrics.features.inception_tensors import FID_NETWORK
from gan_jax.spec.lookup import public_functions


@pytest.fixture(scope="module")
def digits() -> Data:
    return load("digits", seed=0, batch_size=32)


@pytest.fixture(scope="module")
def measure(digits):
    return metrics.evaluator(digits)


def test_training_images_reach_the_floor(digits, measure):
    values = measure(digits.to_float(digits.train.samples), digits.train.labels)
    assert set(values) == {
        "fd", "fd_train", "fd_floor", "kd", "kd_floor", "is", "is_real", "precision", "recall", "density", "coverage",
        "precision_real", "recall_real", "density_real", "coverage_real", "class_min", "class_max", "accuracy", "nearest_train",
    }  # fmt: skip
    assert all(type(value) is float for value in values.values())
    assert values["kd"] == pytest.approx(values["kd_floor"], rel=1e-6)
    assert values["fd"] < values["fd_floor"]  # one copy of each image varies less than independent draws
    for name in ("precision", "recall", "density", "coverage"):
        assert values[name] == pytest.approx(values[f"{name}_real"])
        assert values[name] > 0.9
    assert values["fd_train"] < 1e-6 * values["fd"]
    assert values["nearest_train"] < 1e-3  # copies
    assert values["accuracy"] > 0.99
    assert 0.08 < values["class_min"] < 0.1 < values["class_max"] < 0.12
    assert values["is"] > 9 and values["is_real"] > 9
    held_out = measure(digits.to_float(digits.test.samples))
    assert held_out["nearest_train"] == pytest.approx(1)
    assert "accuracy" not in held_out


def drawn(digits, count=10_000):
    """Real images as drawn by a generator that has learnt the train split: independently, with replacement."""
    return digits.to_float(digits.train.samples[np.random.RandomState(1).randint(len(digits.train.samples), size=count)])


def test_a_generator_of_the_train_split_reaches_the_floor(digits, measure):
    values = measure(drawn(digits))
    assert values["fd"] == pytest.approx(values["fd_floor"], rel=0.1)  # each is a mean over 11 sets, which differ by some 10%


def test_precision_to_coverage_use_as_many_samples_as_real_images(digits, measure):
    """More samples than real images would cover all of these, and recall fewer."""
    values = measure(drawn(digits))
    for name in ("precision", "recall", "density", "coverage"):
        assert values[name] == pytest.approx(values[f"{name}_real"], abs=0.1)
    assert values["coverage"] < values["coverage_real"]  # with replacement, some are never drawn


def test_the_floor_depends_on_the_number_of_samples(digits, measure):
    small, large = measure(drawn(digits, 300)), measure(drawn(digits, 3_000))
    assert small["fd_floor"] > 1.5 * large["fd_floor"]
    assert small["fd"] > 1.5 * large["fd"]


def test_worse_images_have_worse_values(digits, measure):
    real = drawn(digits)
    rng = np.random.RandomState(0)
    floor, fd = measure(real)["fd_floor"], []
    for noise in (0.2, 0.4, 0.8):
        values = measure(real + noise * rng.normal(size=real.shape).astype(np.float32))
        fd.append(values["fd"])
    assert floor < fd[0] < fd[1] < fd[2] and fd[1] > 1.5 * floor and fd[2] > 5 * floor
    train = digits.to_float(digits.train.samples)
    without = measure(train[digits.train.labels != 3])
    assert without["fd"] > 1.5 * floor and without["class_min"] < 0.02 and without["class_max"] > 0.1
    noise_only = measure(rng.uniform(-1, 1, train.shape).astype(np.float32))
    assert noise_only["fd"] > 50 * floor and noise_only["kd"] > 0.1
    assert noise_only["coverage"] < 0.2 and noise_only["nearest_train"] > 1.5


def test_subsampling_covers_classes_of_sorted_samples(digits):
    real = digits.to_float(digits.train.samples)[np.argsort(digits.train.labels, kind="stable")]
    values = metrics.evaluator(digits, Protocol(max_samples=300))(real, np.sort(digits.train.labels))
    assert values["class_min"] > 0.05 and values["accuracy"] > 0.95


def test_the_description_names_extractor_and_sizes(measure):
    for text in ("classifier of digits (seed 0, test accuracy ", "898 samples", "899 held-out"):
        assert text in measure.description


def test_invalid_samples_are_reported(digits, measure):
    with pytest.raises(InputError, match=r"\(20, 7, 8, 1\)"):
        measure(np.zeros((20, 7, 8, 1)))
    with pytest.raises(InputError, match="more than 5"):
        measure(np.zeros((5, 8, 8, 1)))
    with pytest.raises(ValueError, match="finite"):
        measure(np.full((20, 8, 8, 1), np.nan))


@pytest.mark.filterwarnings("ignore:Frechet distance of")
@pytest.mark.parametrize(
    "held_out, names", [(4, {"fd", "fd_train", "kd"}), (1, set()), (99, {"fd", "fd_train", "kd", "precision", "coverage"})]
)
def test_few_held_out_images_are_marked_and_what_needs_more_is_named(digits, held_out, names):
    data = dataclasses.replace(digits, test=Split(digits.test.samples[:held_out], None), num_classes=0)
    data = dataclasses.replace(data, train=Split(digits.train.samples[:200], None), checksum=f"few {held_out}")
    measure = metrics.evaluator(data)
    values = measure(data.to_float(digits.train.samples[:50]))
    assert names <= set(values) and values["few_real"] == held_out and "nearest_train" in values
    assert ("precision" in values) == (held_out > 5) and ("fd" in values) == (held_out > 1)
    assert (
        f"too few real images, {held_out}: with fewer than 100, no value of these metrics can be trusted" in measure.description
    )
    assert ("not measured: " in measure.description) == (held_out < 6) == ("prdc" in measure.facts.get("not measured", ()))
    if held_out < 6:
        with pytest.raises(InputError, match=f"prdc cannot be measured on digits: it needs 6 real .* and {held_out} held out"):
            metrics.evaluator(data, Protocol(metrics=("prdc",)))


@pytest.mark.filterwarnings("ignore:Frechet distance of")
def test_a_metric_that_fails_on_these_samples_is_skipped_and_named(digits, capsys):
    """The data-copying test needs 20 fakes in a cell."""
    train, test = Split(digits.train.samples[:200], None), Split(digits.test.samples[:200], None)
    data = dataclasses.replace(digits, train=train, test=test, checksum="200 of each")  # or others read what this one caches
    samples = digits.to_float(digits.train.samples[:30])
    values = metrics.evaluator(data, Protocol("random", ("all",)))(samples)
    assert "vendi" in values and "c_t" not in values
    assert "not measured: memory: none of 10 cells contains 20 samples" in capsys.readouterr().err
    with pytest.raises(InputError, match="--metrics memory: none of 10 cells"):
        metrics.evaluator(data, Protocol("random", ("memory",)))(samples)


def test_unlabelled_images_are_measured_with_random_features(digits):
    data = dataclasses.replace(
        digits, num_classes=0, train=Split(digits.train.samples, None), test=Split(digits.test.samples, None)
    )
    measure = metrics.evaluator(data)
    assert "random features of digits" in measure.description
    real = data.to_float(data.train.samples)
    values = measure(real)
    assert not {"is", "is_real", "class_min", "class_max", "accuracy"} & set(values)
    assert measure(real[:, ::-1])["fd"] > 5 * values["fd"]  # upside down
    with pytest.raises(InputError, match="inception_score needs an extractor that classifies"):
        metrics.evaluator(data, Protocol(metrics=("inception_score",)))(real)
    with pytest.raises(InputError, match="--extractor classifier needs classes: digits has 0 classes"):
        metrics.evaluator(data, Protocol("classifier"))


@pytest.fixture(scope="module")
def everything(digits):
    """All metrics, with standard errors, of the train split in place of generated samples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "_STEPS", 60)  # of the classification accuracy score
        measure = metrics.evaluator(digits, Protocol(metrics=("all",), errors=True))
        return measure(digits.to_float(digits.train.samples), digits.train.labels)


def test_all_metrics_can_be_computed_together(everything, digits):
    """Except MS-SSIM, for which 8x8 is too small: an error if it is named explicitly."""
    names = {name for name in everything if not name.endswith(("_real", "_floor", "_error"))}
    assert names == {
        "fd", "fd_train", "fd_infinity", "fd_intra", "kd", "precision", "recall", "density", "coverage", "is", "class_min",
        "class_max", "accuracy", "nearest_train", "authenticity", "c_t", "vendi", "swd", "cas", "cas_reverse",
        "precision_k3", "recall_k3",
        *(f"share_{i}" for i in range(10)),
    }  # fmt: skip
    assert all(np.isfinite(value) for value in everything.values())
    for name in names - {"class_min", "class_max"}:
        assert everything[f"{name}_error"] >= 0
    with pytest.raises(InputError, match="ms_ssim needs images of at least 11 x 11 pixels"):
        metrics.evaluator(digits, Protocol(metrics=("ms_ssim",)))(digits.to_float(digits.test.samples))


def test_copies_of_training_images_are_detected(everything):
    """Memorisation metrics detect that every sample is a copy; metrics of quality and diversity do not."""
    assert everything["authenticity"] == 0 < 0.4 < everything["authenticity_real"]
    assert everything["c_t"] < -8 < -3 < everything["c_t_real"]
    assert everything["cas"] > 0.8 and everything["cas_reverse"] > 0.8
    assert everything["fd_intra"] < 1e-6 * everything["fd_intra_real"]
    assert everything["precision_k3"] == everything["recall_k3"] == 1  # compared with the train split
    assert everything["precision_k3_real"] < 1 and everything["recall_k3_real"] < 1


def test_standard_errors_match_the_spread_of_the_values(digits):
    """Within a factor of two, for ten independent sets of noisy digits."""
    noise = np.random.RandomState(2).normal(size=(10, 600, 8, 8, 1)).astype(np.float32)
    sets = drawn(digits, 6_000).reshape(noise.shape) + 0.5 * noise
    measure = metrics.evaluator(digits, Protocol(metrics=("frechet", "inception_score"), errors=True))
    results = [measure(samples) for samples in sets]
    for name in ("fd", "is"):
        spread = np.std([values[name] for values in results], ddof=1)
        assert 0.5 < np.mean([values[f"{name}_error"] for values in results]) / spread < 2


def test_user_defined_extractor(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    source = (
        "def flat(samples):\n    return samples.reshape(len(samples), -1)\ndef scalar(samples):\n    return samples.mean()\n"
    )
    (tmp_path / "mine.py").write_text(source)
    measure = metrics.evaluator(digits, Protocol(f"{tmp_path}/mine.py:flat", ("kernel",)))
    assert set(measure(digits.to_float(digits.train.samples))) == {"kd", "kd_floor"}
    assert measure.facts["extractor"].endswith("mine.py:flat")
    assert not (tmp_path / "cache").exists()  # because what the features depend on is unknown
    with pytest.raises(InputError, match=r"mine.py:scalar must return features \[899, D\], got \(\)"):
        metrics.evaluator(digits, Protocol(f"{tmp_path}/mine.py:scalar"))
    with pytest.raises(InputError, match="unknown extractor 'incepton': did you mean 'inception'"):
        metrics.evaluator(digits, Protocol("incepton"))
    with pytest.raises(InputError, match=r"its weights are not in .*: gan_jax weights inception fetches them"):
        metrics.evaluator(digits, Protocol("inception"))
    with pytest.raises(InputError, match="unknown metric 'kernels': did you mean 'kernel'"):
        metrics.evaluator(digits, Protocol(metrics=("kernels",)))


def extractor(calls, scale=1.0, **fields):
    def features(samples):
        calls.append(len(samples))
        return scale * samples.reshape(len(samples), -1), None

    return Extractor(features, **{"name": "flat", "hash": "a" * 64, "resize": "none"} | fields)


def test_cached_features_of_real_images_are_never_stale(digits, tmp_path, monkeypatch):
    """Recomputed for other data, another split, number, weights or resize, and if the cache file is damaged."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    calls = []
    first = metrics.image_set(digits, "test", extractor(calls), 100)
    again = metrics.image_set(digits, "test", extractor(calls, scale=2.0), 100)  # the same weights, according to the hash
    np.testing.assert_array_equal(first.features, again.features)
    assert calls == [100]
    other = dataclasses.replace(digits, checksum="0" * 64)
    for data, split, max_samples, fields in (
        (other, "test", 100, {}),
        (digits, "train", 100, {}),
        (digits, "test", 99, {}),
        (digits, "test", 100, {"hash": "b" * 64}),
        (digits, "test", 100, {"resize": "to 299"}),
    ):
        metrics.image_set(data, split, extractor(calls, **fields), max_samples)
    assert calls == [100, 100, 100, 99, 100, 100]
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-100])
    np.testing.assert_array_equal(metrics.image_set(digits, "test", extractor(calls), 100).features, first.features)
    assert len(calls) == 7


def test_only_the_original_inception_weights_give_fid(digits, tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    rows = np.random.default_rng(0).normal(size=(64, 2048)).astype(np.float32)

    def wide(weights_hash, resize):
        return Extractor(lambda x: (x.reshape(len(x), -1) @ rows, None), name="wide", resize=resize, hash=weights_hash)

    real = digits.to_float(digits.train.samples[:50])
    for weights_hash, resize, name in (
        (FID_NETWORK, RESIZE, "kid"),
        ("c" * 64, RESIZE, "kd"),
        (FID_NETWORK, "bicubic", "kd"),
    ):
        chosen = wide(weights_hash, resize)
        monkeypatch.setattr(metrics, "choose_extractor", lambda *_, chosen=chosen: chosen)
        assert set(metrics.evaluator(digits, Protocol(metrics=("kernel",)))(real)) == {name, f"{name}_floor"}


def test_the_inception_score_without_a_classifier_is_refused_before_features_are_extracted(digits, monkeypatch):
    headless = Extractor(None, name="headless", resize="none", hash="", classifies=False)
    monkeypatch.setattr(metrics, "choose_extractor", lambda *_: headless)
    with pytest.raises(
        InputError, match=r"--metrics inception_score needs an extractor that classifies: .* with its classifier"
    ):
        metrics.evaluator(digits, Protocol(metrics=("inception_score",)))


def test_every_metric_declares_itself_and_is_documented():
    for name, metric in public_functions(suite).items():
        assert isinstance(metric, suite.Metric) and metric.function.__doc__, name
    assert metrics.QUICK == ("frechet", "kernel", "prdc", "inception_score", "classes", "nearest_train")


def test_user_defined_metric(digits, tmp_path):
    (tmp_path / "mine.py").write_text(
        """
from functools import partial

from gan_jax.data.images.suite import Metric


@partial(Metric, reference="held_out", floor=True, max_fakes=50)
def count(real, fake):
    return {"count": float(len(fake.samples))}


def plain(real, fake):
    return {"plain": 0.0}
"""
    )
    samples = digits.to_float(digits.train.samples[:80])
    measure = metrics.evaluator(digits, Protocol("random", (f"{tmp_path}/mine.py:count", "kernel")))
    values = measure(samples)
    assert list(values) == ["count", "kd", "count_floor", "kd_floor"]
    assert (values["count"], values["count_floor"]) == (50, 80)
    with pytest.raises(
        InputError, match=r"mine.py:plain is not a Metric: decorate it with @functools.partial\(Metric, "
    ) as caught:
        metrics.evaluator(digits, Protocol("random", (f"{tmp_path}/mine.py:plain",)))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"unknown metric in .*mine.py 'cont': did you mean 'count'"):
        metrics.evaluator(digits, Protocol("random", (f"{tmp_path}/mine.py:cont",)))
