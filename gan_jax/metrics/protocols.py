"""Published protocols by the names that papers use: METRIC, number of samples, real images.

    fid50k_full     50,000 samples against all training images
    fid10k_test     10,000 samples against all test images
    fid_test        as many samples as there are test images, against all of them
    fid50k          50,000 samples against as many training images
    is50k           50,000 samples; no real images

A number with a k is in thousands. Every metric can be measured with fewer samples than in the papers, under a name that states
their number; values with different names are not comparable. Samples and real images are rounded to 8 bits first, as in image
files, and grey ones are converted to RGB. `FAMILIES` lists the metrics, each with its network, its resize and its source.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gan_jax.errors import InputError, unknown
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.metrics.frechet import frechet_distance
from gan_jax.metrics.inception_score import inception_score
from gan_jax.metrics.kernel import kernel_distance
from gan_jax.metrics.prdc import prdc

REAL = {"full": "all {} training images", "test": "all {} test images", "": "{} training images"}


class Family(NamedTuple):
    """A metric of the papers, which the part of the name before the number of samples identifies."""

    # (features of real images [N, D], of samples [M, D], neighbours) -> values by the suffixes of their names; for a score,
    # (logits [M, K]) -> values. The suffix of a standard error is _error.
    function: Callable[..., dict[str, float]]
    extractor: str  # of `data/images/extractors.py`; it determines the resize
    example: str  # the name in the papers
    source: str  # and where we differ
    compares: bool = True  # with real images
    least: int = 2  # samples with which it can be computed


class PublishedProtocol(NamedTuple):
    """A parsed name."""

    name: str
    family: Family
    samples: int | None  # None: as many as there are real images
    real: str  # a key of REAL
    neighbours: int  # 0 unless the name states them

    def measure(self, real: np.ndarray | None, fake: np.ndarray) -> dict[str, float]:
        """Values by name, of features [N, D] of real images and [M, D] of samples, or of logits [M, K] of samples."""
        arguments = (real, fake) if self.family.compares else (fake,)
        values = self.family.function(*arguments, *([self.neighbours] if self.neighbours else []))
        return {f"{self.name}{end}": value for end, value in values.items()}

    def describe(self, samples: int, real: int, extractor: Extractor) -> str:
        """The protocol in words: how many samples, against which real images, in which features."""
        against = f" against {REAL[self.real].format(f'{real:,}')}" if self.family.compares else ""
        resize = "" if extractor.resize in extractor.name else f", resize: {extractor.resize}"
        return f"{self.name}: {samples:,} samples{against}, in 8 bits, {extractor.name}{resize}"


def _frechet(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    return {"": frechet_distance(real, fake)}


def _kernel(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    value, error = kernel_distance(real, fake)
    return {"": value, "_error": error}


def _precision_recall(real: np.ndarray, fake: np.ndarray, neighbours: int) -> dict[str, float]:
    real, fake = (x.astype(np.float16).astype(np.float32) for x in (real, fake))
    values = prdc(real, fake, neighbours, closed=True)
    return {f"_{name}": values[name] for name in ("precision", "recall")}


def _score_of_ten(logits: np.ndarray) -> dict[str, float]:
    return {"": inception_score(logits, splits=10)}


def _score_of_one(logits: np.ndarray) -> dict[str, float]:
    return {"": inception_score(logits)}


FAMILIES = {
    "fid": Family(
        _frechet,
        "inception",
        "fid50k_full",
        "Heusel et al. 2017, arXiv:1706.08500, with the numbers of images of StyleGAN2-ADA's metrics (NVIDIA). In their legacy "
        "fid50k, real images may be mirrored; here they never are.",
    ),
    "kid": Family(
        _kernel,
        "inception",
        "kid50k_full",
        "Binkowski et al. 2018, arXiv:1801.01401, with 100 subsets of 1,000 as in StyleGAN2-ADA's metrics. With fewer than "
        "2,000 samples or real images, our subsets are half as large as the smaller set, theirs all of it or 1,000.",
        least=4,
    ),
    "pr": Family(
        _precision_recall,
        "vgg16",
        "pr50k3_full",
        "Kynkaanniemi et al. 2019, arXiv:1904.06991, as in StyleGAN2-ADA's metrics: closed balls to the k-th neighbour (the "
        "number after the k), features rounded to 16 bits. Their distances are rounded too, ours are not.",
    ),
    "is": Family(
        _score_of_ten,
        "inception",
        "is50k",
        "Salimans et al. 2016, arXiv:1606.03498: mean over ten splits, logits without the classifier's bias, as in the "
        "original code and in StyleGAN2-ADA's metrics.",
        compares=False,
        least=10,
    ),
    "studiogan_fid": Family(
        _frechet,
        "inception(resize='pytorch')",
        "studiogan_fid50k_full",
        "Kang et al. 2022, arXiv:2206.09479 (PyTorch-StudioGAN), with its default --post_resizer legacy: PyTorch's bilinear "
        "resize, as also in pytorch-fid.",
    ),
    "studiogan_is": Family(
        _score_of_one,
        "inception(bias=True, resize='pytorch')",
        "studiogan_is50k",
        "Kang et al. 2022, arXiv:2206.09479 (PyTorch-StudioGAN): one split, logits with the bias, resized as for its FID.",
        compares=False,
    ),
    "clean_fid": Family(
        _frechet,
        "inception(resize='clean')",
        "clean_fid50k_full",
        "Parmar et al. 2022, arXiv:2104.11222 (clean-fid): resized by Pillow's antialiased bicubic filter, without rounding.",
    ),
    "clean_kid": Family(
        _kernel, "inception(resize='clean')", "clean_kid50k_full", "clean-fid, with the subsets of kid50k_full.", least=4
    ),
    "fd_dinov2": Family(
        _frechet,
        "dinov2",
        "fd_dinov2_50k_full",
        "Stein et al. 2023, arXiv:2306.04675 (dgm-eval): DINOv2 ViT-L/14, resized as they do without --clean_resize.",
    ),
}
_METRICS = "|".join(sorted(FAMILIES, key=len, reverse=True))


def parse_protocol(name: str) -> PublishedProtocol | None:
    """Parse a name; return None if it is neither a metric of FAMILIES nor begins with one and a number, "full" or "test".

    Raises InputError, with the nearest names, for a name that is not a protocol, and for fewer samples than the metric
    needs."""
    begin = re.match(rf"({_METRICS})_?(\d+k?|full|test|$)", name.lower())
    if begin is None:
        return None
    protocol = _read(name)
    if protocol is None:
        family, count = begin.groups()
        neighbours = "3" if FAMILIES[family].function is _precision_recall else ""
        similar = [
            _spell(family, size, neighbours if size else "", real)
            for size in (count, "50k", "")
            for real in ("full", "test", "")
        ]
        raise unknown("metric", name, {text for text in similar if _read(text)})
    least = max(protocol.family.least, protocol.neighbours + 1)
    if protocol.samples is not None and protocol.samples < least:
        raise InputError(f"{name} needs at least {least} samples, got {protocol.samples}")
    return protocol


def _read(name: str) -> PublishedProtocol | None:
    match = re.fullmatch(rf"({_METRICS})_?(?:([1-9]\d{{0,6}}k?)([1-9]\d?)?)?(?:_(full|test))?", name)
    if match is None:
        return None
    family, (count, neighbours, real) = match[1], (part or "" for part in match.groups()[1:])
    if name != _spell(family, count, neighbours, real):
        return None
    metric = FAMILIES[family]
    needs_neighbours = metric.function is _precision_recall
    allowed = (bool(count) or bool(real)) if metric.compares and not needs_neighbours else bool(count)
    if not allowed or bool(neighbours) != needs_neighbours or (real and not metric.compares):
        return None
    samples = int(count.removesuffix("k")) * (1_000 if count.endswith("k") else 1) if count else None
    if samples and samples % 1_000 == 0 and not count.endswith("k"):
        return None
    return PublishedProtocol(name, metric, samples, real, int(neighbours or 0))


def min_samples(names: tuple[str, ...], real_counts: dict[str, int]) -> int:
    """The number of samples that the protocols among `names` need; 0 if there are none. `real_counts` are the numbers of real
    images, by the keys of REAL."""
    protocols = filter(None, map(parse_protocol, names))
    return max((p.samples or real_counts[p.real] for p in protocols), default=0)


def _spell(family: str, count: str, neighbours: str, real: str) -> str:
    separator = "_" if count and family[-1].isdigit() else ""
    return f"{family}{separator}{count}{neighbours}{f'_{real}' if real else ''}"


def too_few_samples(protocol: PublishedProtocol, needed: int, count: int) -> InputError:
    """The error about too few samples."""
    return InputError(
        f"{protocol.name} needs {needed:,} samples, got {count:,}: provide more, or name the metric with fewer, as in "
        f"{protocol.family.example.replace('50k', '10k')}"
    )
