"""Metrics of conditional generation, on samples with known errors in their classes."""

from functools import partial

import jax
import numpy as np
import pytest

from gan_jax.metrics import by_class
from gan_jax.metrics.by_class import classification_accuracy, intra_class_frechet
from gan_jax.metrics.features import classifier, resnet50_training
from gan_jax.metrics.features.resnet50 import ResNet50
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


# The ResNet-50 of the published score


def test_the_rate_of_goyal_et_al():
    """90 epochs of 100 steps: from 0 to .1 within 5, a tenth from 30, 60 and 80 on; in proportion to the batch."""
    rate = resnet50_training.learning_rate(9_000, 256)
    expected = {0: 0, 250: 0.05, 500: 0.1, 2999: 0.1, 3001: 0.01, 5999: 0.01, 6001: 0.001, 7999: 0.001, 8001: 0.0001}
    np.testing.assert_allclose([rate(step) for step in expected], list(expected.values()), rtol=1e-5)
    assert resnet50_training.learning_rate(9_000, 32)(500) == pytest.approx(0.1 / 8)


def test_weight_decay_concerns_kernels_only():
    """With zero gradients, Nesterov's first step at the rate r is -r (1 + .9) 1e-4 w."""
    params = {"conv1": {"kernel": np.full((2,), 3.0, np.float32)}, "bn1": {"scale": np.ones(2, np.float32)}}
    tx = resnet50_training.optimizer(18, 256)  # its first step warms up
    state, zero = tx.init(params), jax.tree.map(np.zeros_like, params)
    updates, state = tx.update(zero, state, params)
    np.testing.assert_array_equal(updates["conv1"]["kernel"], 0)
    updates, _ = tx.update(zero, state, params)  # velocity v = 1.9 d, step -(d + .9 v)
    np.testing.assert_allclose(updates["conv1"]["kernel"], -0.1 * (1 + 0.9 * 1.9) * 3e-4, rtol=1e-5)
    np.testing.assert_array_equal(updates["bn1"]["scale"], 0)


def test_random_crops():
    """Of a ramp: a part of 8% to 100% of the area with sides of a ratio between 3/4 and 4/3, mirrored half the time."""
    ramp = np.broadcast_to(np.arange(32.0, dtype=np.float32)[None, :, None], (32, 32, 1))
    crops = np.asarray(
        jax.jit(jax.vmap(resnet50_training.random_crop, (0, None)))(jax.random.split(jax.random.key(0), 400), ramp)
    )
    assert crops.min() >= 0 and crops.max() <= 31
    span = (crops[:, 16, -1, 0] - crops[:, 16, 0, 0]) / 31
    assert 160 < (span > 0).sum() < 240
    assert np.abs(span).min() > 0.9 * (0.08 * 3 / 4) ** 0.5 * 31 / 32 - 1 / 32 and np.abs(span).max() > 0.9
    np.testing.assert_allclose(crops, crops[:, :1].repeat(32, axis=1), atol=1e-4)  # rows are alike


def test_a_resnet50_is_trained_and_tested(monkeypatch):
    calls, train = [], resnet50_training.fit
    monkeypatch.setattr(resnet50_training, "_EPOCHS", 2)
    monkeypatch.setattr(by_class, "ResNet50", partial(ResNet50, width=2, blocks=(1, 1)))
    monkeypatch.setattr(resnet50_training, "fit", lambda *a, **options: calls.append(train(*a, **options)) or calls[-1])
    images, label = np.random.default_rng(0).uniform(-1, 1, (8, 16, 16, 1)), np.arange(8) % 3
    score, by_label = classification_accuracy(images, label, images[:6], label[:6], resnet50=True)
    network, variables = by_class.ResNet50(3), calls[0]
    logits = resnet50_training.predict(network, variables, images[:6])
    assert logits.shape == (6, 3) and np.isfinite(logits).all()
    assert score == (logits.argmax(axis=1) == label[:6]).mean() and by_label.keys() == {0, 1, 2}
    assert np.abs(variables["batch_stats"]["bn1"]["mean"]).max() > 0  # running statistics have moved
    again = train(network, images, label.astype(np.int32))
    jax.tree.map(np.testing.assert_array_equal, again, variables)
