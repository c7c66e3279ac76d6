"""Stacked images: the images in each triple, and how modes are counted."""

import math
import re
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from made import COLOUR, GREY, HOT, LABELS, RANDOM, png

from gan_jax.data.dataset import Protocol, Split
from gan_jax.data.images import extractors, stacked
from gan_jax.data.load import load
from gan_jax.errors import InputError


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(stacked, "TRAIN", 2_000)
    monkeypatch.setattr(stacked, "TEST", 500)


def labelled(split: Split) -> dict[bytes, int]:
    return {image.tobytes(): int(label) for image, label in zip(split.samples, split.labels, strict=True)}


def triples(samples: np.ndarray, class_of_image: dict[bytes, int]) -> np.ndarray:
    """The classes [N, 3] of the channels of stacked images."""
    return np.array([[class_of_image[image[..., c].tobytes()] for c in range(3)] for image in samples])


def test_stacked_digits_are_three_random_digits_each(small):
    data, digits = load("stacked:digits", 0, 8), load("digits", 0, 8)
    assert (data.name, data.sample_shape, data.num_classes, data.num_shown) == ("stacked:digits", (8, 8, 3), 0, 100)
    assert (data.train.labels, data.test.labels) == (None, None)
    assert (data.train.samples.shape, data.train.samples.dtype) == ((2_000, 8, 8, 3), np.uint8)
    classes = triples(data.train.samples, labelled(digits.train))  # a KeyError would mean an image from outside this split
    triples(data.test.samples, labelled(digits.test))
    fractions = np.array([np.bincount(channel, minlength=10) for channel in classes.T]) / 2_000
    expected = np.bincount(digits.train.labels, minlength=10) / len(digits.train.labels)
    assert np.abs(fractions - expected).max() < 5 * math.sqrt(0.1 * 0.9 / 2_000)
    # Channels are independent: different classes in a triple are as frequent as for three throws of a ten-sided die.
    different = np.bincount([len(set(triple)) for triple in classes], minlength=4)[1:] / 2_000
    assert np.abs(different - [0.01, 0.27, 0.72]).max() < 5 * math.sqrt(0.25 / 2_000)
    assert load("stacked:digits", 5, 8).checksum == data.checksum
    assert data.to_float(np.uint8([0, 8, 16])).tolist() == [-1, 0, 1]
    drawn = png(data.to_float(data.test.samples[:4]), data.show)
    assert drawn.ndim == 3 and (drawn[..., 0] != drawn[..., 1]).any()


def test_modes_are_counted_by_classifying_each_channel(small, monkeypatch):
    digits = load("digits", 0, 8)
    class_of_image = labelled(digits.train) | labelled(digits.test)
    classified_data = []

    def features(samples):
        """Confident logits for known images, uniform ones for all others."""
        assert samples.shape[1:] == (8, 8, 1) and samples.dtype == np.float32
        stored = np.rint((samples + 1) * 8).astype(np.uint8)
        classes = np.array([class_of_image.get(image.tobytes(), -1) for image in stored])
        return None, 30 * (classes[:, None] == np.arange(10)).astype(np.float32)

    def oracle(data):
        classified_data.append((data.name, data.checksum))
        return SimpleNamespace(features=features, hash="a" * 64, name="classifier of digits (test accuracy 100.0%)")

    monkeypatch.setattr(extractors, "classifier", oracle)
    data = load("stacked:digits", 0, 8)
    measure = data.evaluator(data)
    assert classified_data == [("digits", digits.checksum)]  # the classifier that also measures digits, hence cached
    for text in ("1,000 combinations", "test accuracy 100.0%", "500 samples", "to uniform"):
        assert text in measure.description

    counts = np.array(list(Counter(map(tuple, triples(data.test.samples, labelled(digits.test)))).values()))
    kl = float((counts / 500 * np.log(counts / 500 * 1000)).sum())
    real = {"modes_real": len(counts), "reverse_kl_real": kl, "confidence_real": 1}
    held_out = data.to_float(data.test.samples)
    values = measure(held_out, None)
    assert values == pytest.approx({"modes": len(counts), "reverse_kl": kl, "confidence": 1} | real)
    assert all(type(value) is float for value in values.values())
    assert measure(np.concatenate([held_out, held_out[:100]])) == values  # no more samples than real triples
    collapsed = measure(np.repeat(held_out[:1], 500, axis=0))
    assert collapsed == pytest.approx({"modes": 1, "reverse_kl": math.log(1000), "confidence": 1} | real)
    noise = measure(RANDOM.uniform(-1, 1, (40, 8, 8, 3)))
    assert noise["confidence"] == pytest.approx(0.1) and noise["modes_real"] <= 40

    with pytest.raises(InputError, match=re.escape("stacked:digits must be (8, 8, 3) each, got (5, 8, 8, 1)")):
        measure(np.zeros((5, 8, 8, 1)))
    with pytest.raises(InputError, match=re.escape("(0, 8, 8, 3)")):
        measure(np.zeros((0, 8, 8, 3)))
    with pytest.raises(ValueError, match="finite"):
        measure(np.full((5, 8, 8, 3), np.nan))


def test_metrics_of_images_can_be_requested(small):
    data = load("stacked:digits", 0, 8)
    measure = data.evaluator(data, Protocol(metrics=("frechet",), extractor="random"))
    values = measure(data.to_float(data.test.samples), None)
    assert values["fd"] == pytest.approx(0, abs=1e-4) and "modes" not in values  # the distance of a set to itself
    with pytest.raises(InputError, match="fid1k_test is measured by inception"):
        data.evaluator(data, Protocol(metrics=("fid1k_test",), extractor="random"))


def test_data_that_cannot_be_stacked(tmp_path):
    for arrays, message in (
        ({"images": COLOUR, "labels": LABELS}, "has (6, 5, 3), labels (27,)"),
        ({"images": GREY}, "has (6, 5, 1), no labels"),
        ({"images": GREY, "labels": HOT}, "has (6, 5, 1), labels (27, 4)"),
    ):
        np.savez(tmp_path / "other.npz", **arrays)
        with pytest.raises(InputError, match=re.escape(f"other.npz {message}")) as caught:
            load(f"stacked:{tmp_path}/other.npz", 0, 8)
        assert "\n" not in str(caught.value)
