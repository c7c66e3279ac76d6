"""Image metrics: all that is said of a set of generated images, each number beside its value for real ones."""

from functools import lru_cache

import numpy as np

from gan_jax.data import Data, Measure
from gan_jax.errors import InputError
from gan_jax.metrics.features import classifier, random
from gan_jax.metrics.frechet import frechet_distance
from gan_jax.metrics.inception import inception_score
from gan_jax.metrics.kernel import squared_mmd
from gan_jax.metrics.prdc import prdc, squared_distances

_CAP = 10_000  # samples of each side
_PAIRS_CAP = 5_000  # samples of each side of kd and prdc, which look at all pairs
_NEIGHBOURS = 5  # of prdc
_QUERIES = 1_000  # samples whose nearest train image is sought, in all of the train split
_SEED = 0


def evaluator(data: Data) -> Measure:
    """`measure(samples float32 [N, H, W, C] in [-1, 1], label [N] or None) -> metrics`; what is slow is done here, once.

    Features are the classifier's (`features/classifier.py`), or random ones where labels are no classes: then `is`, `is_real`,
    `class_*` and `accuracy` are absent. n = min(N, 10,000, train split) samples are compared with up to 10,000 held-out
    ones; kd and precision to coverage, which look at all pairs, with at most 5,000 of each.

    fd, kd: Frechet and kernel distance to the held-out split; fd_train: to n train samples (below fd: memorising); fd and
    fd_train are means over the disjoint sets of n among the samples;
    fd_floor: the same of sets of n drawn with replacement from the train split, which is what a generator would get that
    had the train split to draw from; kd_floor: of n train samples to the held-out split.
    is, is_real: inception score under this classifier, of the samples and of the held-out split.
    precision, recall, density, coverage: against the held-out split; *_real: of n train samples.
    class_min, class_max: smallest and largest share of a class among up to 10,000 of the samples, as classified;
    accuracy: share classified as their `label`, where given.
    nearest_train: median pixel distance of samples to their nearest train image over that of held-out images: below 1,
    they lie nearer to the train split than images it does not contain (copies: 0).
    `measure.description` names the extractor and the sizes. Raises InputError for a split too small, for samples of another
    shape or too few, and ValueError for samples that are not finite.
    """
    if min(len(data.train.samples), len(data.test.samples)) <= _NEIGHBOURS:
        raise InputError(f"{data.name} is too small to measure: a split has no more than {_NEIGHBOURS} images")
    classes = data.train.labels is not None and data.train.labels.ndim == 1
    extractor = classifier.load(data) if classes else random.load(data)
    held_features, held_logits = extractor.features(data.to_float(data.test.samples[:_CAP]))  # `Data` comes shuffled
    train_features, _ = extractor.features(data.to_float(data.train.samples[:_CAP]))
    held_nearest = _nearest_train(data, data.to_float(data.test.samples[:_QUERIES]))

    @lru_cache(maxsize=8)
    def floor(n: int, sets: int) -> dict[str, float]:
        # Drawn one by one as a generator draws them: chosen without replacement, a whole train split would have exactly its
        # own class counts, and no set of independent samples could come near its distance.
        draws = np.random.RandomState(_SEED).randint(len(train_features), size=(sets, n))
        real = _compare(held_features, train_features[:n])
        return {
            "fd_floor": float(np.mean([frechet_distance(held_features, train_features[rows]) for rows in draws])),
            "kd_floor": real["kd"],
            **{f"{name}_real": real[name] for name in ("precision", "recall", "density", "coverage")},
        }

    def measure(samples: np.ndarray, label: np.ndarray | None = None) -> dict[str, float]:
        samples = np.asarray(samples, np.float32)
        if samples.shape[1:] != data.sample_shape or len(samples) <= _NEIGHBOURS:
            raise InputError(
                f"samples of {data.name} must be {data.sample_shape} each and more than {_NEIGHBOURS}: {samples.shape}"
            )
        if not np.isfinite(samples).all():
            raise ValueError(f"samples {samples.shape} must be finite")
        samples = _choose(samples, _CAP)
        features, logits = extractor.features(samples)
        n = min(len(samples), len(train_features))
        # A Frechet distance is biased by the number of samples: sets of one size, and the mean over several for its noise.
        sets = [features[i : i + n] for i in range(0, len(features) - n + 1, n)]
        result = _compare(held_features, features[:n]) | floor(n, len(sets))
        result["fd"] = float(np.mean([frechet_distance(held_features, part) for part in sets]))
        result["fd_train"] = float(np.mean([frechet_distance(train_features[:n], part) for part in sets]))
        result["nearest_train"] = _nearest_train(data, samples[:_QUERIES]) / max(held_nearest, 1e-12)
        if logits is not None:
            result |= {"is": inception_score(logits[:n]), "is_real": inception_score(held_logits)}
            result |= _classes(logits, None if label is None else _choose(np.asarray(label), _CAP))
        return result

    n = len(train_features)
    measure.description = (
        f"{extractor.name}: sets of up to {n:,} samples against {len(held_features):,} held-out images (kd and precision to "
        f"coverage: {min(n, _PAIRS_CAP):,} of each), fd the mean over all such sets; beside them as many train images, for "
        f"fd drawn with replacement; nearest_train: {_QUERIES:,} samples against {len(data.train.samples):,} train images"
    )
    return measure


def _compare(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    fd = frechet_distance(real, fake)
    real, fake = real[:_PAIRS_CAP], fake[:_PAIRS_CAP]
    return {"fd": fd, "kd": squared_mmd(real, fake)} | prdc(real, fake, _NEIGHBOURS)


def _classes(logits: np.ndarray, label: np.ndarray | None) -> dict[str, float]:
    predicted = logits.argmax(axis=1)
    shares = np.bincount(predicted, minlength=logits.shape[1]) / len(predicted)
    accuracy = {} if label is None else {"accuracy": float((predicted == label).mean())}
    return {"class_min": float(shares.min()), "class_max": float(shares.max())} | accuracy


def _choose(x: np.ndarray, n: int) -> np.ndarray:
    """At most `n` rows, at random but always the same: samples may come sorted by class."""
    return x[np.random.default_rng(_SEED).permutation(len(x))[:n]]


def _nearest_train(data: Data, samples: np.ndarray) -> float:
    """Median over samples [N, H, W, C] of the pixel distance to the nearest image of the whole train split."""
    flat = samples.reshape(len(samples), -1)
    nearest = np.full(len(flat), np.inf, np.float32)
    for start in range(0, len(data.train.samples), 4096):
        block = data.to_float(data.train.samples[start : start + 4096])
        nearest = np.minimum(nearest, squared_distances(flat, block.reshape(len(block), -1)).min(axis=1))
    return float(np.sqrt(np.median(nearest)))
