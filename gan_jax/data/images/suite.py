"""Metrics of image sets by name, each `f(real, fake) -> {metric: value}`. Every `Metric` here is a value of `--metrics`, and so
is one in a file of your own, as `path/file.py:f`. `spec/glossary.py` explains what the values mean.

A metric that computes its own standard error returns it as NAME_error. How real images are measured for comparison is declared
in the `Metric` (see `metrics.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Literal, NamedTuple

import jax
import numpy as np

from gan_jax.data.dataset import Data
from gan_jax.errors import InputError
from gan_jax.metrics import by_class, diversity, memorisation
from gan_jax.metrics.frechet import frechet_distance, frechet_distance_infinity
from gan_jax.metrics.kernel import squared_mmd
from gan_jax.metrics.prdc import prdc as neighbourhoods
from gan_jax.metrics.sliced import sliced_wasserstein
from gan_jax.types import AnnotatedFunction

PAIRS = 5_000  # at most this many images each, for metrics that compare all pairs
NEIGHBOURS = 5  # of prdc
NO_LOGITS = "needs an extractor that classifies: classifier, resnet50, vgg16, or inception with its classifier, fc"
_SEED = 0
_QUERIES = 1_000  # samples whose nearest training image is searched for, among all of the train split
_BLOCK = 16_384  # training images decoded at once
_SSIM_PAIRS, _SSIM_MIN_SIZE = 1_000, 11


class ImageSet(NamedTuple):
    """N images, float32 [N, H, W, C] in [-1, 1], and what belongs to each."""

    samples: np.ndarray
    features: np.ndarray
    logits: np.ndarray | None  # None if the extractor does not classify
    label: np.ndarray | None  # [N] classes; for fakes, those they were generated for

    def classes(self, metric: str) -> np.ndarray:
        """The label. Raises InputError, which names the metric, unless it is a class for each image."""
        if self.label is None or self.label.ndim != 1:
            raise InputError(f"--metrics {metric} needs real images with classes, and a generator conditioned on them")
        return self.label


@dataclass(frozen=True)
class RealImages:
    """The real images that fakes are compared with: held out and from the train split, at most `Protocol.max_samples` each, or
    the same object twice, all real images in random order (`Protocol.whole`)."""

    data: Data
    held_out: ImageSet
    train: ImageSet

    @property
    def whole(self) -> bool:
        """Whether fakes are compared with all real images."""
        return self.held_out is self.train

    @cached_property
    def held_out_nearest(self) -> float:
        """Median pixel distance of held-out images to the whole train split."""
        return self.nearest(self.held_out.samples)

    def nearest(self, samples: np.ndarray) -> float:
        """Median pixel distance of the first 1,000 samples [N, H, W, C] to the nearest image of the whole train split."""
        flat, store = samples[:_QUERIES].reshape(len(samples[:_QUERIES]), -1), self.data.train.samples
        distances = np.full(len(flat), np.inf)
        for start in range(0, len(store), _BLOCK):
            block = self.data.to_float(store[start : start + _BLOCK])
            distances = np.minimum(distances, memorisation.nearest_distances(flat, block.reshape(len(block), -1))[0])
        return float(np.median(distances))


Values = dict[str, float]


@dataclass(frozen=True, eq=False)
class Metric(AnnotatedFunction):
    """A metric of fake images, and how to measure real ones for comparison. A decorator: `@partial(Metric, reference="train")`.

    `function(real: RealImages, fake: ImageSet)` returns values by NAME. For comparison, it also measures n real images in place
    of the fakes, n = min(number of fakes, size of the train split); these values are called NAME_real, or NAME_floor."""

    # The split to measure for comparison, usually the one that `function` does not compare with; None to measure none.
    reference: Literal["train", "held_out"] | None
    quick: bool = False  # takes seconds: measured by default
    max_fakes: int | None = None  # measure no more fakes than real images (n), and at most this many
    floor: bool = False  # call the values of real images NAME_floor
    # (real, n, how many disjoint sets of n the fakes make) -> the values of real images, if not `function` of n of them
    real_values: Callable[[RealImages, int, int], Values] | None = None
    # What values are called if the features are those of the original Inception network.
    inception_names: Mapping[str, str] = field(default_factory=dict)
    least: int = 2  # real images that it needs of each split
    two_splits: bool = False  # depends on which images were held out, so it does not apply to two sets of images
    compares: bool = True  # with real images: compared with all of them, values are called NAME_all
    needs_logits: bool = False  # so it needs an extractor that classifies


def _frechet_floor(real: RealImages, n: int, sets: int) -> Values:
    """Mean over sets of n train images, drawn with replacement: what a generator of the train split would get.

    Independent draws, as a generator makes them: chosen without replacement, a whole train split would have exactly its own
    class counts, and no set of independent samples could come near its distance."""
    draws = np.random.RandomState(_SEED).randint(len(real.train.features), size=(sets, n))
    return {"fd": float(np.mean([frechet_distance(real.held_out.features, real.train.features[rows]) for rows in draws]))}


@partial(
    Metric,
    reference="train",
    quick=True,
    floor=True,
    real_values=_frechet_floor,
    inception_names={"fd": "fid", "fd_train": "fid_train"},
)
def frechet(real: RealImages, fake: ImageSet) -> Values:
    """fd to the held-out split, fd_train to as many images of the train split: means over the disjoint sets of that size among
    the fakes, because the bias of a Frechet distance depends on the number of samples.
    fd_all: of all fakes to all real images."""
    if real.whole:
        return {"fd": frechet_distance(real.train.features, fake.features)}
    n = min(len(fake.features), len(real.train.features))
    sets = [fake.features[i : i + n] for i in range(0, len(fake.features) - n + 1, n)]
    return {
        "fd": float(np.mean([frechet_distance(real.held_out.features, features) for features in sets])),
        "fd_train": float(np.mean([frechet_distance(real.train.features[:n], features) for features in sets])),
    }


@partial(Metric, reference="held_out", inception_names={"fd_infinity": "fid_infinity"})
def frechet_infinity(real: RealImages, fake: ImageSet) -> Values:
    """fd_infinity: the distance to the train split, extrapolated to infinitely many fakes to remove its bias."""
    value, error = frechet_distance_infinity(real.train.features, fake.features)
    return {"fd_infinity": value, "fd_infinity_error": error}


@partial(Metric, reference="train", quick=True, max_fakes=PAIRS, floor=True, inception_names={"kd": "kid"})
def kernel(real: RealImages, fake: ImageSet) -> Values:
    """kd: kernel distance to the held-out split, unbiased, of at most 5,000 images each."""
    return {"kd": squared_mmd(real.held_out.features[:PAIRS], fake.features[:PAIRS])}


@partial(Metric, reference="train", quick=True, max_fakes=PAIRS, least=NEIGHBOURS + 1)
def prdc(real: RealImages, fake: ImageSet) -> Values:
    """precision, recall, density, coverage, of at most 5,000 images each."""
    return neighbourhoods(real.held_out.features[:PAIRS], fake.features[:PAIRS], NEIGHBOURS)


@partial(Metric, reference="held_out", least=4)
def precision_recall(real: RealImages, fake: ImageSet) -> Values:
    """precision_k3, recall_k3: as NVIDIA measures them (pr50k3_full of StyleGAN2-ADA), against the train split, with closed
    balls to the third neighbour, of all images. Their features are VGG-16's and rounded to 16 bits: name the extractor.

    Source: Kynkaanniemi et al. 2019, arXiv:1904.06991, section 2.1 and appendix A."""
    values = neighbourhoods(real.train.features, fake.features, 3, closed=True)
    return {f"{name}_k3": values[name] for name in ("precision", "recall")}


@partial(Metric, reference="held_out", quick=True, least=1, compares=False, needs_logits=True)
def inception_score(real: RealImages, fake: ImageSet) -> Values:
    """is: under the extractor's own classes."""
    from gan_jax.metrics.inception_score import inception_score

    return {"is": inception_score(_logits("inception_score", fake))}


@partial(Metric, reference=None, quick=True, least=1, compares=False, needs_logits=True)
def classes(real: RealImages, fake: ImageSet) -> Values:
    """class_min, class_max: smallest and largest fraction of the fakes classified as one class; accuracy: fraction classified
    as their label, if they have labels."""
    predicted = _logits("classes", fake).argmax(axis=1)
    fractions = np.bincount(predicted, minlength=fake.logits.shape[1]) / len(predicted)
    accuracy = {} if fake.label is None else {"accuracy": float((predicted == fake.label).mean())}
    return {"class_min": float(fractions.min()), "class_max": float(fractions.max())} | accuracy


@partial(Metric, reference="train", least=1, compares=False, needs_logits=True)
def class_shares(real: RealImages, fake: ImageSet) -> Values:
    """share_0, share_1, ...: the fraction classified as each class."""
    logits = _logits("class_shares", fake)
    fractions = np.bincount(logits.argmax(axis=1), minlength=logits.shape[1]) / len(logits)
    return {f"share_{i}": float(fraction) for i, fraction in enumerate(fractions)}


@partial(Metric, reference=None, quick=True, least=1, two_splits=True)
def nearest_train(real: RealImages, fake: ImageSet) -> Values:
    """nearest_train: median pixel distance of 1,000 fakes to the whole train split, divided by that of held-out images."""
    return {"nearest_train": real.nearest(fake.samples) / max(real.held_out_nearest, 1e-12)}


@partial(Metric, reference="held_out", two_splits=True)
def memory(real: RealImages, fake: ImageSet) -> Values:
    """authenticity, and c_t of the data-copying test, in the extractor's features."""
    return {
        "authenticity": memorisation.authenticity(real.train.features, fake.features),
        "c_t": memorisation.c_t(real.train.features, real.held_out.features, fake.features),
    }


@partial(Metric, reference="held_out", compares=False)
def vendi(real: RealImages, fake: ImageSet) -> Values:
    """vendi: the effective number of different samples, in the extractor's features."""
    return {"vendi": diversity.vendi_score(fake.features)}


@partial(Metric, reference="held_out", least=4, compares=False)
def ms_ssim(real: RealImages, fake: ImageSet) -> Values:
    """ms_ssim: mean similarity of 1,000 random pairs."""
    if min(fake.samples.shape[1:3]) < _SSIM_MIN_SIZE:
        least = f"{_SSIM_MIN_SIZE} x {_SSIM_MIN_SIZE}"
        raise InputError(f"--metrics ms_ssim needs images of at least {least} pixels, got {fake.samples.shape[1:3]}")
    value, error = diversity.ms_ssim_diversity(fake.samples, _SSIM_PAIRS)
    return {"ms_ssim": value, "ms_ssim_error": error}


@partial(Metric, reference="train")
def sliced(real: RealImages, fake: ImageSet) -> Values:
    """swd: sliced Wasserstein distance of features to the held-out split."""
    # The standard error it returns covers only the random directions, not the samples.
    return {"swd": sliced_wasserstein(real.held_out.features, fake.features)[0]}


@partial(Metric, reference="held_out", inception_names={"fd_intra": "fid_intra"})
def intra_class(real: RealImages, fake: ImageSet) -> Values:
    """fd_intra: mean over classes of the Frechet distance within a class to the train split, of at most as many fakes."""
    if not real.whole:
        fake = jax.tree.map(lambda x: x[: len(real.train.samples)], fake)
    fake_label, real_label = fake.classes("intra_class"), real.train.classes("intra_class")
    return {"fd_intra": by_class.intra_class_frechet(real.train.features, real_label, fake.features, fake_label)[0]}


@partial(Metric, reference="train", two_splits=True)
def learnability(real: RealImages, fake: ImageSet) -> Values:
    """cas: accuracy on the held-out split of a classifier trained on at most as many fakes as there are training images;
    cas_reverse: trained on the train split, tested on the fakes. Means over three trainings."""
    fake = jax.tree.map(lambda x: x[: len(real.train.samples)], fake)
    fake_label, test_label, train_label = (images.classes("learnability") for images in (fake, real.held_out, real.train))
    scores: dict[str, list[float]] = {"cas": [], "cas_reverse": []}
    for seed in range(3):
        score, _ = by_class.classification_accuracy(fake.samples, fake_label, real.held_out.samples, test_label, seed)
        scores["cas"].append(score)
        score, _ = by_class.classification_accuracy(real.train.samples, train_label, fake.samples, fake_label, seed)
        scores["cas_reverse"].append(score)
    result = {}
    for name, values in scores.items():
        result |= {name: float(np.mean(values)), f"{name}_error": float(np.std(values, ddof=1) / np.sqrt(len(values)))}
    return result


def _logits(metric: str, images: ImageSet) -> np.ndarray:
    if images.logits is None:
        raise InputError(f"--metrics {metric} {NO_LOGITS}")
    return images.logits
