"""Published protocols on the digits, with a made-up network: which images are compared, how many, and what is refused."""

import dataclasses

import numpy as np
import pytest

from gan_jax.config import Config
from gan_jax.data.dataset import Protocol
from gan_jax.data.images import metrics, protocols
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.evaluation.evaluate import sample_count
from gan_jax.evaluation.monitor import validate_metrics
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.metrics.features.inception_tensors import FID_NETWORK
from gan_jax.metrics.frechet import frechet_distance
from gan_jax.training.experiment import Single


@pytest.fixture(scope="module")
def digits():
    return load("digits", seed=0, batch_size=32)


@pytest.fixture
def networks(monkeypatch, tmp_path):
    """Replace the networks: their features and logits are four pixels of a middle row, and those with named weights do not
    classify. Returns the texts that were looked up."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    texts = []

    def find(text, data):
        texts.append(text)
        classifies = "weights" not in text
        return Extractor(lambda x: (pixels(x), pixels(x)), text, FID_NETWORK, "none", classifies=classifies)

    monkeypatch.setattr(metrics, "find_extractor", find)
    return texts


def pixels(images):
    return np.asarray(images)[:, 4, 2:6, 0]


def images(digits, split):
    return digits.to_float(split.samples)


def test_real_images_are_all_training_or_all_test_images(digits, networks):
    fake = images(digits, digits.train)[:800]
    measure = protocols.evaluator(digits, Protocol(metrics=("fid500_full", "fid500_test", "fid500")))
    values = measure(fake)
    chosen = pixels(fake[np.random.default_rng(0).permutation(800)[:500]])
    train, test = pixels(images(digits, digits.train)), pixels(images(digits, digits.test))
    assert values == {
        "fid500_full": pytest.approx(frechet_distance(train, chosen)),
        "fid500_test": pytest.approx(frechet_distance(test, chosen)),
        "fid500": pytest.approx(frechet_distance(train[:500], chosen)),
    }
    assert networks == ["inception"]  # one network for all three
    assert "fid500_test: 500 samples against all 899 test images" in measure.description
    assert "fid500_full: 500 samples against all 898 training images" in measure.description
    assert measure.facts["protocols"]["fid500"]["protocol"].startswith("fid500: 500 samples against 500 training images")


def test_images_set_aside_for_validation_are_training_images(digits, networks):
    data = load("digits", seed=0, batch_size=32, validation=0.2)
    measure = protocols.evaluator(data, Protocol(metrics=("fid200_full",)))
    assert "all 898 training images" in measure.description
    fake = images(digits, digits.test)[:200]
    everything = pixels(images(digits, digits.train))
    assert measure(fake)["fid200_full"] == pytest.approx(frechet_distance(everything, pixels(fake)), rel=1e-4)
    on_validation = dataclasses.replace(data, test=data.validation, checksum=f"{data.checksum} validation")
    with pytest.raises(InputError, match="fid200_test needs the test images, which --validation reserves for the end"):
        protocols.evaluator(on_validation, Protocol(metrics=("fid200_test",)))


def test_without_a_number_as_many_samples_as_test_images(digits, networks):
    assert protocols.samples_needed(digits, ("fid_test", "kernel")) == 899
    measure = protocols.evaluator(digits, Protocol(metrics=("fid_test",)))
    assert measure.description.startswith("fid_test: 899 samples against all 899 test images")
    with pytest.raises(InputError, match="fid_test needs 899 samples, got 898"):
        measure(images(digits, digits.train))


def test_in_a_comparison_of_two_sets_randomly_held_out_images_are_training_images(digits, networks):
    data = dataclasses.replace(digits, random_test=True)
    for whole, count in ((False, 898), (True, 1797)):
        measure = protocols.evaluator(data, Protocol(metrics=("fid100_full",), whole=whole))
        assert f"all {count:,} training images" in measure.description
        assert measure(images(digits, digits.test)[:100]).keys() == {"fid100_full"}
    measure = protocols.evaluator(data, Protocol(metrics=("fid100_test",)))
    assert measure.description.endswith("inception, resize: none, the test images held out at random")
    with pytest.raises(
        InputError, match="fid100_test needs test images, and digits has no split: fid100_full compares with all"
    ):
        protocols.evaluator(data, Protocol(metrics=("fid100_test",), whole=True))


def test_standard_errors_and_other_metrics_beside_protocols(digits, networks):
    values = protocols.evaluator(digits, Protocol(metrics=("kid100_full",)))(images(digits, digits.train)[:300])
    assert set(values) == {"kid100_full"}  # an error only if errors are requested
    measure = protocols.evaluator(digits, Protocol("inception", ("nearest_train", "fid100_test", "is100"), errors=True))
    values = measure(images(digits, digits.train)[:300])
    assert {"nearest_train", "fid100_test", "fid100_test_error", "is100", "is100_error"} <= set(values)
    assert measure.facts["extractor"] == "inception"  # of the others


@pytest.mark.parametrize(
    ("names", "extractor", "error"),
    [
        (("fid50k_tset",), None, "did you mean 'fid50k_test'"),
        (("fid900",), None, "fid900 needs as many training images, and digits has 898: use fid900_full"),
        (
            ("fid50_test",),
            "dinov2",
            r"fid50_test is measured by inception: leave off --extractor, or use inception\(weights='PATH'\)",
        ),
        (("clean_fid50_test",), "inception(tap=64)", "leave off --extractor"),
    ],
)
def test_what_does_not_apply_is_refused(digits, networks, names, extractor, error):
    with pytest.raises(InputError, match=error):
        protocols.evaluator(digits, Protocol(extractor, names))


def test_weights_may_be_named(digits, networks):
    weights = "inception(weights='x.npz')"
    protocols.evaluator(digits, Protocol(weights, ("clean_fid50_test", "fid50_test")))
    assert networks == ["inception(resize='clean', weights='x.npz')", weights]
    with pytest.raises(InputError, match="is50 needs a network that classifies, not inception"):
        protocols.evaluator(digits, Protocol(weights, ("is50",)))


def test_protocols_need_the_original_weights(digits, networks, monkeypatch):
    monkeypatch.setattr(protocols, "FID_NETWORK", "0" * 64)
    with pytest.raises(InputError, match="fid50_test needs the original Inception network, not inception"):
        protocols.evaluator(digits, Protocol(metrics=("fid50_test",)))


def test_how_many_samples_are_generated(digits):
    config = Config(eval_samples=300)
    for names, count in ((("fid100_test",), 100), (("kernel", "fid100_test"), 300), (("kernel", "fid_test"), 899), ((), 300)):
        assert sample_count(config, digits, Protocol(metrics=names)) == count


def test_too_few_samples_are_refused_before_they_are_drawn(digits):
    protocols.refuse_too_few(("frechet", "fid899_test", "fid_test"), digits, 899)
    with pytest.raises(InputError, match="fid_test needs 899 samples, got 898"):
        protocols.refuse_too_few(("frechet", "fid_test"), digits, 898)


def test_data_that_are_not_images_are_refused_whatever_the_number_of_samples():
    with pytest.raises(InputError, match=r"fid20k_test needs images: samples of two_moons are \(2,\)"):
        validate_metrics(Config(metrics="fid20k_test"), load("two_moons", seed=0, batch_size=8))


def test_a_stopping_rule_on_a_protocol_that_is_not_measured_is_refused(digits):
    data = dataclasses.replace(digits, validation=digits.test)
    Single(Config(metrics="frechet,fid50_full", stop="fid50_full < 3")).check(data)
    with pytest.raises(InputError, match=r"stop 'fid50_ful < 3' needs --metrics with fid50_ful, got 'fid50_full'"):
        Single(Config(metrics="fid50_full", stop="fid50_ful < 3")).check(data)


def test_a_training_that_evaluates_too_few_samples_is_refused_at_its_start(digits):
    with pytest.raises(InputError, match="metrics fid20k_test need eval_samples of at least 20000, got 10000"):
        validate_metrics(Config(metrics="fid20k_test"), digits)
