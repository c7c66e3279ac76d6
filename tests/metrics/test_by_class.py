"""Metrics of conditional generation, on samples with known errors in their classes."""

import jax
import numpy as np
import pytest

from gan_jax.metrics import by_class
from gan_jax.metrics.by_class import classification_accuracy, intra_class_frechet
from gan_jax.metrics.features import classifier
from gan_jax.metrics.frechet import frechet_distance


def test_intra_class_frechet_of_shifted_classes_is_their_squared_shift():
    rng = np.random.RandomState(0)
    real, label = rng.normal(size=(90, 3)), np.repeat([0, 1, 5], 30)
    shift = {0: [0, 0, 0], 1: [1, 0, 2], 5: [0, 3, 0]}
    order = rng.permutation(90)
    fake = (real + [shift[c] for c in label])[order]
    mean, distances = intra_class_frechet(real, label, fake, label[order])
    assert distances == {0: pytest.approx(0, abs=1e-5), 1: pytest.approx(5, rel=1e-5), 5: pytest.approx(9, rel=1e-5)}
    assert mean == pytest.approx(14 / 3, rel=1e-5)


def test_intra_class_frechet_detects_swapped_classes():
    real, label = np.random.RandomState(1).normal(size=(60, 2)), np.repeat([0, 1], 30)
    real[30:] += 4
    squared = np.square(real[:30].mean(axis=0) - real[30:].mean(axis=0)).sum()
    assert frechet_distance(real, real) < 1e-5
    assert intra_class_frechet(real, label, real, 1 - label)[0] > squared


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ([0, 0, 0, 0, 0, 1], r"too few of \[1\]"),
        ([0, 0, 0, 2, 2, 2], r"too few of \[1, 2\]"),
        ([0, 0, 0, 1, 1], r"fake \(6, 1\)"),
        ([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], "float64"),
        ([0, 0, 0, -1, -1, -1], "non-negative"),
    ],
)
def test_classes_with_too_few_samples_and_bad_labels_are_errors(label, message):
    samples = np.arange(6.0)[:, None]
    with pytest.raises(ValueError, match=message):
        intra_class_frechet(samples, [0, 0, 0, 1, 1, 1], samples, label)


def stripes(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three classes of images: rows, columns, and both; with noise."""
    rng = np.random.RandomState(seed)
    label = rng.randint(3, size=n)
    rows = np.tile([[1.0], [-1.0]], (4, 8))
    classes = np.stack([rows, rows.T, rows * rows.T])
    return (0.7 * classes[label] + 0.3 * rng.normal(size=(n, 8, 8)))[..., None].clip(-1, 1), label.astype(np.int32)


def test_a_classifier_trained_on_fakes_learns_only_what_they_contain(monkeypatch):
    monkeypatch.setattr(classifier, "_STEPS", 60)
    real, label = stripes(120, 0)
    test, test_label = stripes(90, 1)
    fake_label = np.array([0, 2, -1])[label]  # for class 2, G generates class 1, and never class 2
    used = fake_label >= 0
    accuracy, class_accuracy = classification_accuracy(real[used], fake_label[used], test, test_label)
    assert class_accuracy == {0: 1, 1: 0, 2: 0}
    assert accuracy == (test_label == 0).mean()


def test_the_seed_is_that_of_the_training(monkeypatch):
    def untrained(network, images, label, seed):
        return network.init(jax.random.key(seed), images[:1])["params"]

    monkeypatch.setattr(by_class, "fit", untrained)
    accuracies = [classification_accuracy(*stripes(120, 0), *stripes(90, 1), seed=seed)[1] for seed in (0, 0, 1)]
    assert accuracies[0] == accuracies[1] != accuracies[2]


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [((4, 9, 8, 1), 4, "one shape"), ((4, 8, 8), 4, "one shape"), ((4, 8, 8, 1), 3, "labels of test")],
)
def test_images_of_other_shapes_are_errors(shape, labels, message):
    with pytest.raises(ValueError, match=message):
        classification_accuracy(*stripes(4, 0), np.zeros(shape), np.zeros(labels, int))
