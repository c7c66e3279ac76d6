"""The metrics of conditional generation, on classes of which it is known what G got wrong."""

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


def test_it_sees_classes_taken_for_each_other():
    real, label = np.random.RandomState(1).normal(size=(60, 2)), np.repeat([0, 1], 30)
    real[30:] += 4
    squared = np.square(real[:30].mean(axis=0) - real[30:].mean(axis=0)).sum()
    assert frechet_distance(real, real) < 1e-5
    assert intra_class_frechet(real, label, real, 1 - label)[0] > squared


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ([0, 0, 0, 0, 0, 1], r"not of \[1\]"),
        ([0, 0, 0, 2, 2, 2], r"not of \[1, 2\]"),
        ([0, 0, 0, 1, 1], r"fake \(6, 1\)"),
        ([0.0, 0.0, 0.0, 1.0, 1.0, 1.0], "float64"),
        ([0, 0, 0, -1, -1, -1], "0 or more"),
    ],
)
def test_a_class_without_samples_and_labels_that_are_none_are_errors(label, message):
    samples = np.arange(6.0)[:, None]
    with pytest.raises(ValueError, match=message):
        intra_class_frechet(samples, [0, 0, 0, 1, 1, 1], samples, label)


def stripes(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three kinds of image: rows, columns, and both; with noise."""
    rng = np.random.RandomState(seed)
    label = rng.randint(3, size=n)
    rows = np.tile([[1.0], [-1.0]], (4, 8))
    kinds = np.stack([rows, rows.T, rows * rows.T])
    return (0.7 * kinds[label] + 0.3 * rng.normal(size=(n, 8, 8)))[..., None].clip(-1, 1), label.astype(np.int32)


def test_a_classifier_trained_on_fakes_knows_only_what_they_show(monkeypatch):
    monkeypatch.setattr(classifier, "_STEPS", 60)
    real, label = stripes(120, 0)
    test, test_label = stripes(90, 1)
    asked = np.array([0, 2, -1])[label]  # asked for class 2, G gives class 1, and never class 2
    accuracy, of_class = classification_accuracy(real[asked >= 0], asked[asked >= 0], test, test_label)
    assert of_class == {0: 1, 1: 0, 2: 0}
    assert accuracy == (test_label == 0).mean()


def test_the_seed_is_the_trainings(monkeypatch):
    def untrained(network, images, label, seed):
        return network.init(jax.random.key(seed), images[:1])["params"]

    monkeypatch.setattr(by_class, "fit", untrained)
    found = [classification_accuracy(*stripes(120, 0), *stripes(90, 1), seed=seed)[1] for seed in (0, 0, 1)]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [((4, 9, 8, 1), 4, "one shape"), ((4, 8, 8), 4, "one shape"), ((4, 8, 8, 1), 3, "labels of test")],
)
def test_images_of_other_shapes_are_errors(shape, labels, message):
    with pytest.raises(ValueError, match=message):
        classification_accuracy(*stripes(4, 0), np.zeros(shape), np.zeros(labels, int))
