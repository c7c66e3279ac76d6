"""Stacked images: three grey images with classes become the channels of one image, so K classes make K^3 modes to find.

`stacked:tfds:mnist` is Stacked MNIST, the benchmark for mode collapse.
Source: Metz et al. 2017 (unrolled GAN), arXiv:1611.02163, section 3.3.1; the sizes: Srivastava et al. 2017 (VEEGAN),
arXiv:1705.07761, section 5.2.
"""

import numpy as np

from gan_jax.data.dataset import Data, Measure, Protocol, Source, Split
from gan_jax.data.images import pixels
from gan_jax.errors import InputError

TRAIN, TEST = 128_000, 26_000


def stacked(name: str, single: Data) -> Source:
    """Return 128,000 triples [H, W, 3] of random train images of the data `single`, called `name`, and 26,000 triples of its
    test images, held out. There are no labels: the game is unconditional. PacGAN's code draws its triples from both splits of
    MNIST together and holds nothing out.

    Raises `InputError` if `name` is not grey images with classes.
    """
    grey = len(single.sample_shape) == 3 and single.sample_shape[-1] == 1
    if not grey or single.train.labels is None or single.train.labels.ndim != 1:
        labels = "no labels" if single.train.labels is None else f"labels {single.train.labels.shape}"
        raise InputError(f"stacked:{name} needs grey images [H, W, 1] with classes: {name} has {single.sample_shape}, {labels}")
    # A fixed seed: the triples are the same whatever the run's seed. RandomState's stream never changes (NEP 19).
    random = np.random.RandomState(0)
    rows = random.randint(len(single.train.samples), size=(TRAIN, 3))
    test_rows = random.randint(len(single.test.samples), size=(TEST, 3))
    return Source(
        train=Split(_stack(single.train.samples, rows), None),
        test=Split(_stack(single.test.samples, test_rows), None),
        num_classes=0,
        to_float=single.to_float,
        show=pixels.show,
        pack=pixels.pack,
        format=pixels.FORMAT,
        evaluator=lambda data, protocol=Protocol(): _evaluator(data, protocol, single, test_rows),
    )


def _stack(samples: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Stack images [M, H, W, 1] at rows [N, 3] into [N, H, W, 3], one channel at a time to keep intermediates small."""
    stack = np.empty((len(rows), *samples.shape[1:3], 3), samples.dtype)
    for channel in range(3):
        stack[..., channel] = samples[rows[:, channel], ..., 0]
    return stack


def _evaluator(data: Data, protocol: Protocol, single: Data, test_rows: np.ndarray) -> Measure:
    """Return `measure(samples float32 [N, H, W, 3]) -> metrics`, using a classifier of single images on each channel; or, if
    the protocol names metrics or an extractor, the measure of all images, `pixels.evaluator`.

    modes, reverse_kl: `metrics.modes.class_modes` of up to 26,000 samples; confidence: the mean probability of the predicted
    class (because noise covers modes too); *_real: the same for as many held-out real triples. The `Measure` describes the
    classifier and its accuracy. Raises InputError for samples of another shape, ValueError for samples that are not finite.
    """
    if protocol.metrics or protocol.extractor:
        return pixels.evaluator(data, protocol)
    from gan_jax.data.images.extractors import classifier
    from gan_jax.metrics.jackknife import with_errors
    from gan_jax.metrics.modes import class_modes

    channel_classifier = classifier(single)

    def classify(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the predicted class of each grey image [N, H, W, 1], and its probability, [N]."""
        _, logits = channel_classifier.features(samples)
        top = logits.max(axis=1)
        return logits.argmax(axis=1), 1 / np.exp(logits - top[:, None]).sum(axis=1)

    def statistic(classes: np.ndarray, confidence: np.ndarray) -> dict[str, float]:
        return class_modes(classes, single.num_classes) | {"confidence": float(confidence.mean())}

    # Classify each test image once: many triples share it.
    real_class, real_confidence = (x[test_rows] for x in classify(single.to_float(single.test.samples)))

    def measure(samples: np.ndarray, label: np.ndarray | None = None) -> dict[str, float]:
        samples = np.asarray(samples, np.float32)[: len(test_rows)]
        if samples.shape[1:] != data.sample_shape or not len(samples):
            raise InputError(f"samples of {data.name} must be {data.sample_shape} each, got {samples.shape}")
        if not np.isfinite(samples).all():
            raise ValueError(f"samples {samples.shape} must be finite")
        channels = (classify(samples[..., c : c + 1]) for c in range(3))
        fake = tuple(np.stack(x, axis=1) for x in zip(*channels, strict=True))  # classes and confidence [N, 3]
        real = statistic(real_class[: len(samples)], real_confidence[: len(samples)])
        values = with_errors(statistic, fake) if protocol.errors else statistic(*fake)
        return values | {f"{name}_real": value for name, value in real.items()}

    description = (
        f"the {single.num_classes**3:,} combinations of classes, by a {channel_classifier.name} applied to each channel: up to "
        f"{len(test_rows):,} samples, and as many held-out real triples; reverse KL to uniform"
    )
    facts = {
        "extractor": channel_classifier.name,
        "weights": channel_classifier.hash,
        "data": data.name,
        "checksum": data.checksum,
    }
    return Measure(measure, description, facts)
