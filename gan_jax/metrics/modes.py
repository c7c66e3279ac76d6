"""Modes: where the modes of the data are known, or can be recognised, collapse can be counted."""

import math

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.metrics.arrays import matrix

_BLOCK = 2**21  # distances held at once


def modes(samples: ArrayLike, centers: ArrayLike, sigma: float, mode: ArrayLike | None = None) -> dict[str, float]:
    """What became of K modes of width `sigma` at `centers` [K, D], judged by `samples` [N, D]; or of K pieces of a curve, where
    `mode` [M] int says to which of them, 0 to K - 1, each of many `centers` [M, D] along it belongs.

    A sample is of high quality within 3 sigma of its nearest centre; the others count for nothing but their share.
    modes: those with at least one such sample. high_quality: their share (in 2-D at best 1 - exp(-4.5) = 0.98889; of a smooth
    curve erf(3 / sqrt 2) = 0.99730). reverse_kl: KL of their histogram over the modes to uniform, in nats; (K - 1) / 2N for a
    perfect sampler; log K, its largest value, where there are none. spread: their pooled standard deviation around each mode's
    own mean, over sigma; in 2-D 0.974 for a perfect sampler (the cut at 3 sigma), 0 for points: it sees the collapse inside
    modes that others miss. Of a curve: their root mean square distance to it, over sigma sqrt(D - 1); in 2-D 0.987.

    Source: Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761, section 5; Lin et al. 2018 (PacGAN), arXiv:1712.04086,
    section 4.1. `spread` and curves are ours. Those papers' reverse KL likewise runs over the assigned samples only.
    """
    samples, centers = matrix("samples", samples), np.asarray(centers, np.float64)
    if centers.ndim != 2 or centers.shape[1] != samples.shape[1] or not len(centers):
        raise ValueError(f"centers must be [K, D] of the samples' D, got {centers.shape} for samples {samples.shape}")
    if not (np.isfinite(centers).all() and 0 < sigma < math.inf):
        raise ValueError(f"centers must be finite and sigma positive, got centers {centers.shape} and sigma {sigma}")
    of_center = np.arange(len(centers)) if mode is None else np.asarray(mode)
    if of_center.shape != centers.shape[:1] or of_center.dtype.kind not in "iu" or of_center.min() < 0:
        raise ValueError(f"mode must be int [M], 0 to K - 1, for centers {centers.shape}: {of_center.dtype} {of_center.shape}")
    number = int(of_center.max()) + 1
    distance, center = nearest(samples, centers)
    good = distance <= 3 * sigma
    found = of_center[center[good]]
    counts = np.bincount(found, minlength=number)
    if mode is None:
        spread = _deviation(samples[good], found, counts)
    else:
        spread = np.sqrt(np.square(distance[good]).mean() / max(samples.shape[1] - 1, 1)) if good.any() else 0.0
    return {
        "modes": float((counts > 0).sum()),
        "high_quality": float(good.mean()),
        "reverse_kl": _to_uniform(counts[counts > 0], number),
        "spread": float(spread / sigma),
    }


def class_modes(classes: ArrayLike, num_classes: int) -> dict[str, float]:
    """What became of the K^C modes of samples in C parts of K classes each, judged by their parts' `classes` [N, C] int.

    modes: combinations of classes that occur. reverse_kl: KL of their histogram to uniform over all, in nats; about
    (K^C - 1) / 2N where all are equally likely and N is well above K^C.

    Source: Metz et al. 2017 (unrolled GAN), arXiv:1611.02163, section 3.3.1; Srivastava et al. 2017 (VEEGAN),
    arXiv:1705.07761, section 5.2. To uniform, as in the code of Lin et al. 2018 (PacGAN), arXiv:1712.04086: real samples do
    not reach 0 where their classes are not equally frequent.
    """
    classes = np.asarray(classes)
    if classes.ndim != 2 or not classes.size or classes.dtype.kind not in "iu":
        raise ValueError(f"classes must be int [N, C], got {classes.dtype} {classes.shape}")
    if classes.min() < 0 or classes.max() >= num_classes:
        raise ValueError(f"classes {classes.shape} must be 0..{num_classes - 1}, found {classes.min()}..{classes.max()}")
    _, counts = np.unique(classes, axis=0, return_counts=True)
    return {"modes": float(len(counts)), "reverse_kl": _to_uniform(counts, num_classes ** classes.shape[1])}


def nearest(samples: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance [N] of samples [N, D] to the nearest of centers [M, D], and which one it is [N]."""
    distance, center = np.empty(len(samples)), np.empty(len(samples), np.int64)
    block = max(1, _BLOCK // len(centers))
    for start in range(0, len(samples), block):
        distances = np.linalg.norm(samples[start : start + block, None] - centers, axis=2)
        distance[start : start + block], center[start : start + block] = distances.min(axis=1), distances.argmin(axis=1)
    return distance, center


def _to_uniform(counts: np.ndarray, number: int) -> float:
    """KL of the histogram with these counts, all positive, to uniform over `number` places."""
    share = counts / max(counts.sum(), 1)
    return float((share * np.log(share * number)).sum()) if len(counts) else math.log(number)


def _deviation(samples: np.ndarray, mode: np.ndarray, counts: np.ndarray) -> float:
    """Pooled standard deviation, per axis, of samples [N, D] around the mean of each one's `mode` [N]."""
    means = np.stack([np.bincount(mode, x, len(counts)) for x in samples.T], axis=1) / np.maximum(counts, 1)[:, None]
    freedom = samples.shape[1] * int((counts[counts > 0] - 1).sum())  # each mode's mean takes one sample's worth
    return np.sqrt(np.square(samples - means[mode]).sum() / freedom) if freedom else 0.0
