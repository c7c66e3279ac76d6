"""Suite: the metrics of a set of images by name, each `f(real, fake) -> {metric: value}`. Each public function here is a value
of `--metrics`. What a value means, `glossary.py` says.

Where a metric knows its standard error, that is NAME_error. The same function of real images in the fake ones' place gives
the value to compare with (`images.py`).
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import jax
import numpy as np

from gan_jax.data.dataset import Data
from gan_jax.errors import InputError
from gan_jax.metrics import by_class, diversity, memorisation
from gan_jax.metrics.frechet import frechet_distance, frechet_distance_infinity
from gan_jax.metrics.kernel import squared_mmd
from gan_jax.metrics.prdc import prdc as neighbourhoods
from gan_jax.metrics.sliced import sliced_wasserstein

PAIRS = 5_000  # samples of each side of metrics that look at all pairs
NEIGHBOURS = 5  # of prdc
_QUERIES = 1_000  # samples whose nearest train image is sought, in all of the train split
_BLOCK = 16_384  # train images decoded at once
_SSIM_PAIRS, _SSIM_SIDE = 1_000, 11


class Side(NamedTuple):
    """A set of N images: float32 [N, H, W, C] in [-1, 1], and what is known of each."""

    samples: np.ndarray
    features: np.ndarray
    logits: np.ndarray | None  # where the extractor classifies
    label: np.ndarray | None  # [N] classes; of fakes, those that they were asked to be


@dataclass(frozen=True)
class Real:
    """What fakes are compared with: held-out images, and those of the train split, each as many as are looked at."""

    data: Data
    held: Side
    train: Side

    @cached_property
    def held_nearest(self) -> float:
        """Median pixel distance of held-out images to the whole train split."""
        return self.nearest(self.held.samples)

    def nearest(self, samples: np.ndarray) -> float:
        """Median pixel distance of the first 1,000 samples [N, H, W, C] to the nearest image of the whole train split."""
        flat, store = samples[:_QUERIES].reshape(len(samples[:_QUERIES]), -1), self.data.train.samples
        found = np.full(len(flat), np.inf)
        for start in range(0, len(store), _BLOCK):
            block = self.data.to_float(store[start : start + _BLOCK])
            found = np.minimum(found, memorisation.nearest_distances(flat, block.reshape(len(block), -1))[0])
        return float(np.median(found))


def frechet(real: Real, fake: Side) -> dict[str, float]:
    """fd to the held split, fd_train to as many of the train split: means over the disjoint sets of that size among the fakes,
    for a Frechet distance is biased by the number of samples."""
    n = min(len(fake.features), len(real.train.features))
    sets = [fake.features[i : i + n] for i in range(0, len(fake.features) - n + 1, n)]
    return {
        "fd": float(np.mean([frechet_distance(real.held.features, part) for part in sets])),
        "fd_train": float(np.mean([frechet_distance(real.train.features[:n], part) for part in sets])),
    }


def frechet_infinity(real: Real, fake: Side) -> dict[str, float]:
    """fd_infinity: the distance to the train split with its bias extrapolated away, in the number of fakes."""
    value, error = frechet_distance_infinity(real.train.features, fake.features)
    return {"fd_infinity": value, "fd_infinity_error": error}


def kernel(real: Real, fake: Side) -> dict[str, float]:
    """kd: unbiased, of at most 5,000 on each side."""
    return {"kd": squared_mmd(real.held.features[:PAIRS], fake.features[:PAIRS])}


def prdc(real: Real, fake: Side) -> dict[str, float]:
    """precision, recall, density, coverage, of at most 5,000 on each side."""
    return neighbourhoods(real.held.features[:PAIRS], fake.features[:PAIRS], NEIGHBOURS)


def inception_score(real: Real, fake: Side) -> dict[str, float]:
    """is: under the extractor's own classes."""
    from gan_jax.metrics.inception_score import inception_score

    return {"is": inception_score(_logits("inception_score", fake))}


def classes(real: Real, fake: Side) -> dict[str, float]:
    """class_min, class_max: shares of classes as classified; accuracy: share that is of its label, where it has one."""
    predicted = _logits("classes", fake).argmax(axis=1)
    shares = np.bincount(predicted, minlength=fake.logits.shape[1]) / len(predicted)
    accuracy = {} if fake.label is None else {"accuracy": float((predicted == fake.label).mean())}
    return {"class_min": float(shares.min()), "class_max": float(shares.max())} | accuracy


def class_shares(real: Real, fake: Side) -> dict[str, float]:
    """share_0, share_1, ...: the share of each class, as classified."""
    logits = _logits("class_shares", fake)
    shares = np.bincount(logits.argmax(axis=1), minlength=logits.shape[1]) / len(logits)
    return {f"share_{i}": float(share) for i, share in enumerate(shares)}


def nearest_train(real: Real, fake: Side) -> dict[str, float]:
    """nearest_train: pixel distance of 1,000 fakes to the whole train split, over that of held-out images."""
    return {"nearest_train": real.nearest(fake.samples) / max(real.held_nearest, 1e-12)}


def memory(real: Real, fake: Side) -> dict[str, float]:
    """authenticity, and the data-copying test's c_t: in the extractor's features."""
    return {
        "authenticity": memorisation.authenticity(real.train.features, fake.features),
        "c_t": memorisation.c_t(real.train.features, real.held.features, fake.features),
    }


def vendi(real: Real, fake: Side) -> dict[str, float]:
    """vendi: how many different samples there are, in the extractor's features."""
    return {"vendi": diversity.vendi_score(fake.features)}


def ms_ssim(real: Real, fake: Side) -> dict[str, float]:
    """ms_ssim: mean similarity of 1,000 random pairs."""
    if min(fake.samples.shape[1:3]) < _SSIM_SIDE:
        raise InputError(f"--metrics ms_ssim needs images of {_SSIM_SIDE} pixels a side, not {fake.samples.shape[1:3]}")
    value, error = diversity.ms_ssim_diversity(fake.samples, _SSIM_PAIRS)
    return {"ms_ssim": value, "ms_ssim_error": error}


def sliced(real: Real, fake: Side) -> dict[str, float]:
    """swd: sliced Wasserstein distance of features to the held split."""
    return {"swd": sliced_wasserstein(real.held.features, fake.features)[0]}  # its own error is the directions' alone


def intra_class(real: Real, fake: Side) -> dict[str, float]:
    """fd_intra: Frechet distance within each class to the train split, of as many fakes, the mean over classes."""
    fake = jax.tree.map(lambda x: x[: len(real.train.samples)], fake)
    fakes, reals = _label("intra_class", fake), _label("intra_class", real.train)
    return {"fd_intra": by_class.intra_class_frechet(real.train.features, reals, fake.features, fakes)[0]}


def learnability(real: Real, fake: Side) -> dict[str, float]:
    """cas: a classifier trained on as many fakes as there are train images, tested on the held split; cas_reverse: trained on
    the train split, tested on fakes. Means over three trainings."""
    fake = jax.tree.map(lambda x: x[: len(real.train.samples)], fake)
    fakes, held, train = (_label("learnability", side) for side in (fake, real.held, real.train))
    scores: dict[str, list[float]] = {"cas": [], "cas_reverse": []}
    for seed in range(3):
        score, _ = by_class.classification_accuracy(fake.samples, fakes, real.held.samples, held, seed)
        scores["cas"].append(score)
        score, _ = by_class.classification_accuracy(real.train.samples, train, fake.samples, fakes, seed)
        scores["cas_reverse"].append(score)
    result = {}
    for name, values in scores.items():
        result |= {name: float(np.mean(values)), f"{name}_error": float(np.std(values, ddof=1) / np.sqrt(len(values)))}
    return result


def _logits(metric: str, side: Side) -> np.ndarray:
    if side.logits is None:
        raise InputError(f"--metrics {metric} needs an extractor that classifies: classifier, or inception")
    return side.logits


def _label(metric: str, side: Side) -> np.ndarray:
    if side.label is None or side.label.ndim != 1:
        raise InputError(f"--metrics {metric} needs classes of the real images, and a generator that is told them")
    return side.label
