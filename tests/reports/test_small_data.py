"""Which metrics mean little: by the rank of a covariance and the standard error of a fraction."""

import math

import pytest

from gan_jax.reports.small_data import cautions


def about(names, samples, **facts):
    return cautions(names, {"eval_samples": samples}, {"protocol": facts})


def test_a_distance_needs_more_samples_than_features():
    """n samples have a covariance of rank n - 1 at most."""
    assert "do not determine the covariance of 64 features" in about(["fd", "fd_train"], 1_000, held_out=64, features=64)[0]
    assert about(["fd"], 1_000, held_out=65, features=64) == []
    assert about(["fd"], 10) == []  # the number of features is unknown
    assert "2,048 features" in about(["fid"], 2_048)[0]
    assert "below 10,000 samples, here 2,049" in about(["fid"], 2_049)[0]
    assert about(["fid"], 10_000, held_out=10_000, train=50_000) == []


@pytest.mark.parametrize("count", [25, 100, 399])
def test_a_fraction_is_uncertain_by_two_standard_errors(count):
    """At most 2 sqrt(0.5 * 0.5 / n). Fractions of generated samples do not depend on the number of real ones."""
    half_width = 2 * math.sqrt(0.25 / count)
    assert f"±{half_width:.2f}" in about(["precision", "valid"], 5_000, held_out=count)[0]
    assert about(["valid"], 5_000, held_out=count) == []
    assert about(["precision"], 400) == []


def test_few_real_samples_spoil_everything():
    assert about(["fd", "precision", "few_real"], 5_000, held_out=20, train=30) == [
        "Everything in this table: 20 real samples are too few for any of these metrics."
    ]


def test_the_number_of_samples_matters_for_long_n_grams():
    assert "jsd3, jsd4: 500 samples" in about(["jsd1", "jsd3", "jsd4"], 500)[0]
    assert about(["jsd1"], 500) == [] and about(["jsd4"], 10_000) == []


def test_an_unusual_record_is_ignored():
    assert cautions(["fd"], {}, {}) == cautions(["fd"], {"eval_samples": "many"}, {"protocol": "none"}) == []
