"""Mode coverage, for data whose modes are known or can be recognised by a classifier."""

import math

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.metrics.arrays import matrix

_BLOCK = 2**21  # distances held in memory at once


def modes(samples: ArrayLike, centers: ArrayLike, sigma: float, mode: ArrayLike | None = None) -> dict[str, float]:
    """Coverage of K modes of width `sigma` at `centers` [K, D] by `samples` [N, D]; or K pieces of a curve, if `mode` int [M]
    assigns each of many `centers` [M, D] along it to a piece, 0 to K - 1.

    A sample is of high quality if it lies within 3 sigma of its nearest centre; only these samples enter the other numbers.
    modes: number of modes with at least one high-quality sample. high_quality: fraction of such samples (at best
    1 - exp(-4.5) = 0.98889 in 2-D; erf(3 / sqrt 2) = 0.99730 for a smooth curve). reverse_kl: KL from their histogram over
    modes to uniform, in nats; (K - 1) / 2N for a perfect sampler; log K, its largest value, if there are none. spread: their
    pooled standard deviation around the mean of each mode, over sigma; in 2-D 0.974 for a perfect sampler (due to the cut at
    3 sigma), 0 for point masses: it detects collapse within modes, which the other numbers do not. For a curve: their root mean
    square distance from it, over sigma sqrt(D - 1); in 2-D 0.987 for a perfect sampler.

    Source: Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761, section 5; Lin et al. 2018 (PacGAN), arXiv:1712.04086,
    section 4.1. `spread` and curves are ours. The reverse KL of those papers likewise includes assigned samples only.
    """
    samples, centers = matrix("samples", samples), np.asarray(centers, np.float64)
    if centers.ndim != 2 or centers.shape[1] != samples.shape[1] or not len(centers):
        raise ValueError(f"centers must be [K, D] with the D of the samples, got {centers.shape} for samples {samples.shape}")
    if not (np.isfinite(centers).all() and 0 < sigma < math.inf):
        raise ValueError(f"centers must be finite and sigma positive, got centers {centers.shape} and sigma {sigma}")
    center_mode = np.arange(len(centers)) if mode is None else np.asarray(mode)
    if center_mode.shape != centers.shape[:1] or center_mode.dtype.kind not in "iu" or center_mode.min() < 0:
        raise ValueError(
            f"mode must be int [M], 0 to K - 1, for centers {centers.shape}, got {center_mode.dtype} {center_mode.shape}"
        )
    num_modes = int(center_mode.max()) + 1
    distance, center = nearest_centers(samples, centers)
    good = distance <= 3 * sigma
    sample_mode = center_mode[center[good]]
    counts = np.bincount(sample_mode, minlength=num_modes)
    if mode is None:
        spread = _deviation(samples[good], sample_mode, counts)
    else:
        spread = np.sqrt(np.square(distance[good]).mean() / max(samples.shape[1] - 1, 1)) if good.any() else 0.0
    return {
        "modes": float((counts > 0).sum()),
        "high_quality": float(good.mean()),
        "reverse_kl": _kl_to_uniform(counts[counts > 0], num_modes),
        "spread": float(spread / sigma),
    }


def class_modes(classes: ArrayLike, num_classes: int) -> dict[str, float]:
    """Coverage of the K^C modes of samples that have C parts of K classes each, given the `classes` [N, C] int of the parts.

    modes: number of class combinations that occur. reverse_kl: KL from their histogram to uniform over all combinations, in
    nats; about (K^C - 1) / 2N if all are equally likely and N is well above K^C.

    Source: Metz et al. 2017 (unrolled GAN), arXiv:1611.02163, section 3.3.1; Srivastava et al. 2017 (VEEGAN),
    arXiv:1705.07761, section 5.2. KL to uniform, as in the code of Lin et al. 2018 (PacGAN), arXiv:1712.04086: real samples do
    not reach 0 if their classes are not equally frequent.
    """
    classes = np.asarray(classes)
    if classes.ndim != 2 or not classes.size or classes.dtype.kind not in "iu":
        raise ValueError(f"classes must be int [N, C], got {classes.dtype} {classes.shape}")
    if classes.min() < 0 or classes.max() >= num_classes:
        raise ValueError(f"classes {classes.shape} must be 0..{num_classes - 1}, got {classes.min()}..{classes.max()}")
    _, counts = np.unique(classes, axis=0, return_counts=True)
    return {"modes": float(len(counts)), "reverse_kl": _kl_to_uniform(counts, num_classes ** classes.shape[1])}


def nearest_centers(samples: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance [N] of each of samples [N, D] to the nearest of centers [M, D], and the index [N] of that centre."""
    distance, center = np.empty(len(samples)), np.empty(len(samples), np.int64)
    block = max(1, _BLOCK // len(centers))
    for start in range(0, len(samples), block):
        with np.errstate(over="ignore"):  # such a sample is infinitely far from every centre
            distances = np.linalg.norm(samples[start : start + block, None] - centers, axis=2)
        distance[start : start + block], center[start : start + block] = distances.min(axis=1), distances.argmin(axis=1)
    return distance, center


def _kl_to_uniform(counts: np.ndarray, num_bins: int) -> float:
    """KL from the histogram with positive `counts` to uniform over `num_bins` bins."""
    p = counts / max(counts.sum(), 1)
    return float((p * np.log(p * num_bins)).sum()) if len(counts) else math.log(num_bins)


def _deviation(samples: np.ndarray, mode: np.ndarray, counts: np.ndarray) -> float:
    """Pooled standard deviation, per axis, of samples [N, D] around the mean of their `mode` [N]."""
    means = np.stack([np.bincount(mode, x, len(counts)) for x in samples.T], axis=1) / np.maximum(counts, 1)[:, None]
    freedom = samples.shape[1] * int((counts[counts > 0] - 1).sum())  # estimating a mode's mean costs one sample
    return np.sqrt(np.square(samples - means[mode]).sum() / freedom) if freedom else 0.0
