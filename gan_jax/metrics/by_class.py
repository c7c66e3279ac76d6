"""Metrics of conditional generation: is what G gives for a class like that class, and can one learn the class from it?"""

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.metrics.features.classifier import fit
from gan_jax.metrics.features.network import Network, extract
from gan_jax.metrics.frechet import frechet_distance


def intra_class_frechet(
    real: ArrayLike, real_label: ArrayLike, fake: ArrayLike, fake_label: ArrayLike
) -> tuple[float, dict[int, float]]:
    """Frechet distance within each class, the mean over classes first: real [N, D] with labels [N], fake [M, D] with [M].

    It sees the collapse inside a class, and classes taken for each other, which the distance over all classes forgives. A
    class has few samples and so a large bias (`frechet_distance` warns of no more than D): compare equal numbers of each.
    Raises ValueError unless every class has two samples or more on both sides.

    Source: Miyato and Koyama 2018, arXiv:1802.05637 (intra FID, in Inception features).
    """
    real, fake = np.asarray(real), np.asarray(fake)
    real_label, fake_label = _labels("real", real, real_label), _labels("fake", fake, fake_label)
    classes = np.union1d(real_label, fake_label)
    few = [int(c) for c in classes if min((real_label == c).sum(), (fake_label == c).sum()) < 2]
    if few:
        raise ValueError(f"real {real.shape} and fake {fake.shape} must both have 2 samples of each class: not of {few}")
    distances = {int(c): frechet_distance(real[real_label == c], fake[fake_label == c]) for c in classes}
    return float(np.mean(list(distances.values()))), distances


def classification_accuracy(
    train_images: ArrayLike, train_label: ArrayLike, test_images: ArrayLike, test_label: ArrayLike, seed: int = 0
) -> tuple[float, dict[int, float]]:
    """Train a classifier on some images, test it on others: the share of right answers, and that share for each class.

    Images are [N, H, W, C] in [-1, 1], labels [N] 0, 1, ... Trained on fakes and tested on held-out real images it is the
    classification accuracy score: what G lacks of a class, the classifier does not learn. Trained on real and tested on fakes:
    whether samples are of the class they were asked for. Beside them belongs the score of training on as many real images.
    `seed` is the training's; several of them tell how far the score is to be trusted. Top-1, and the small network of
    `features/classifier.py` at its fixed number of steps, where the paper trains a ResNet-50 on ImageNet: only scores of
    ours compare. Raises ValueError for images that are not [N, H, W, C] of one shape, or labels that are no classes.

    Source: Ravuri and Vinyals 2019, arXiv:1905.10887.
    """
    train_images, test_images = np.asarray(train_images, np.float32), np.asarray(test_images, np.float32)
    if train_images.ndim != 4 or train_images.shape[1:] != test_images.shape[1:]:
        raise ValueError(f"images must be [N, H, W, C] of one shape: train {train_images.shape}, test {test_images.shape}")
    train_label = _labels("train", train_images, train_label)
    test_label = _labels("test", test_images, test_label)
    network = Network(int(max(train_label.max(), test_label.max())) + 1)
    params = fit(network, train_images, train_label, seed=seed)
    _, logits = extract(network, params, test_images)
    right = logits.argmax(axis=1) == test_label
    return float(right.mean()), {int(c): float(right[test_label == c].mean()) for c in np.unique(test_label)}


def _labels(what: str, samples: np.ndarray, label: ArrayLike) -> np.ndarray:
    label = np.asarray(label)
    if label.shape != samples.shape[:1] or not label.size or label.dtype.kind not in "iu" or label.min() < 0:
        raise ValueError(f"labels of {what} {samples.shape} must be int [N], 0 or more, got {label.dtype} {label.shape}")
    return label.astype(np.int32)
