"""Metrics of conditional generation: do samples of a class resemble that class, and can a classifier learn it from them?"""

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.metrics.features import resnet50_training
from gan_jax.metrics.features.classifier import fit
from gan_jax.metrics.features.network import Network, extract
from gan_jax.metrics.features.resnet50 import ResNet50
from gan_jax.metrics.frechet import frechet_distance


def intra_class_frechet(
    real: ArrayLike, real_label: ArrayLike, fake: ArrayLike, fake_label: ArrayLike
) -> tuple[float, dict[int, float]]:
    """Frechet distance within each class, for real [N, D] with labels [N] and fake [M, D] with labels [M]. Returns the mean
    over classes and the distance of each class.

    It detects collapse within a class and confusion between classes, to which the distance over all classes is insensitive. A
    class has few samples and hence a large bias (`frechet_distance` warns at D samples or fewer): compare equal numbers per
    class. Raises ValueError unless every class has at least two real and two fake samples.

    Source: Miyato and Koyama 2018, arXiv:1802.05637 (intra FID, on Inception features).
    """
    real, fake = np.asarray(real), np.asarray(fake)
    real_label, fake_label = _labels("real", real, real_label), _labels("fake", fake, fake_label)
    classes = np.union1d(real_label, fake_label)
    too_small = [int(c) for c in classes if min((real_label == c).sum(), (fake_label == c).sum()) < 2]
    if too_small:
        raise ValueError(
            f"real {real.shape} and fake {fake.shape} must both have 2 samples of each class: too few of {too_small}"
        )
    distances = {int(c): frechet_distance(real[real_label == c], fake[fake_label == c]) for c in classes}
    return float(np.mean(list(distances.values()))), distances


def classification_accuracy(
    train_images: ArrayLike,
    train_label: ArrayLike,
    test_images: ArrayLike,
    test_label: ArrayLike,
    seed: int = 0,
    resnet50: bool = False,
) -> tuple[float, dict[int, float]]:
    """Train a classifier on one set of images and return its top-1 accuracy on another, overall and per class.

    Images are [N, H, W, C] in [-1, 1], labels are integers [N], 0, 1, ... Trained on fakes and tested on held-out real images,
    this is the classification accuracy score (CAS): what G omits from a class, the classifier does not learn. Trained on real
    images and tested on fakes, it measures whether samples belong to the class they were generated for. Report it next to the
    accuracy obtained by training on as many real images. `seed` is that of the training; the spread over several seeds
    indicates how reliable the score is. The classifier is the small network of `features/classifier.py`, trained for its
    fixed number of steps, so scores are comparable only with each other; or with `resnet50` a ResNet-50, as in the paper for
    ImageNet, trained by `features/resnet50_training.py`, which needs an accelerator.
    Raises ValueError if images are not [N, H, W, C] of one shape, or labels are not classes.

    Source: Ravuri and Vinyals 2019, arXiv:1905.10887.
    """
    train_images, test_images = np.asarray(train_images, np.float32), np.asarray(test_images, np.float32)
    if train_images.ndim != 4 or train_images.shape[1:] != test_images.shape[1:]:
        raise ValueError(f"images must be [N, H, W, C] of one shape: train {train_images.shape}, test {test_images.shape}")
    train_label = _labels("train", train_images, train_label)
    test_label = _labels("test", test_images, test_label)
    num_classes = int(max(train_label.max(), test_label.max())) + 1
    if resnet50:
        network = ResNet50(num_classes)
        variables = resnet50_training.fit(network, train_images, train_label, seed=seed)
        logits = resnet50_training.predict(network, variables, test_images)
    else:
        network = Network(num_classes)
        _, logits = extract(network, fit(network, train_images, train_label, seed=seed), test_images)
    correct = logits.argmax(axis=1) == test_label
    return float(correct.mean()), {int(c): float(correct[test_label == c].mean()) for c in np.unique(test_label)}


def _labels(name: str, samples: np.ndarray, label: ArrayLike) -> np.ndarray:
    label = np.asarray(label)
    if label.shape != samples.shape[:1] or not label.size or label.dtype.kind not in "iu" or label.min() < 0:
        raise ValueError(f"labels of {name} {samples.shape} must be non-negative integers [N], got {label.dtype} {label.shape}")
    return label.astype(np.int32)
