"""Modes: on a mixture of Gaussians whose centres are known, collapse can be counted."""

import math

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.metrics.inputs import matrix


def modes(samples: ArrayLike, centers: ArrayLike, sigma: float) -> dict[str, float]:
    """What became of K modes of width `sigma` at `centers` [K, D], judged by `samples` [N, D].

    A sample is of high quality within 3 sigma of its nearest centre; the others count for nothing but their share.
    modes: centres with at least one such sample. high_quality: their share (in 2-D at best 1 - exp(-4.5) = 0.98889).
    reverse_kl: KL of their histogram over the modes to uniform, in nats; (K - 1) / 2N for a perfect sampler; log K, its
    largest value, where there are none. spread: their pooled standard deviation around each mode's own mean, over sigma;
    in 2-D 0.974 for a perfect sampler (the cut at 3 sigma), 0 for points: it sees the collapse inside modes that others miss.

    Source: Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761, section 5; Lin et al. 2018 (PacGAN), arXiv:1712.04086,
    section 4.1. `spread` is ours. Those papers' reverse KL likewise runs over the assigned samples only.
    """
    samples, centers = matrix("samples", samples), np.asarray(centers, np.float64)
    if centers.ndim != 2 or centers.shape[1] != samples.shape[1] or not len(centers):
        raise ValueError(f"centers must be [K, D] of the samples' D, got {centers.shape} for samples {samples.shape}")
    if not (np.isfinite(centers).all() and 0 < sigma < math.inf):
        raise ValueError(f"centers must be finite and sigma positive, got centers {centers.shape} and sigma {sigma}")
    distances = np.linalg.norm(samples[:, None] - centers, axis=2)
    good = distances.min(axis=1) <= 3 * sigma
    nearest, samples = distances.argmin(axis=1)[good], samples[good]
    counts = np.bincount(nearest, minlength=len(centers))
    hit = counts[counts > 0]
    share = hit / max(hit.sum(), 1)
    means = np.stack([np.bincount(nearest, x, len(centers)) for x in samples.T], axis=1) / np.maximum(counts, 1)[:, None]
    freedom = samples.shape[1] * int((hit - 1).sum())  # each mode's mean takes one sample's worth
    variance = np.square(samples - means[nearest]).sum() / freedom if freedom else 0.0
    return {
        "modes": float(len(hit)),
        "high_quality": float(good.mean()),
        "reverse_kl": float((share * np.log(share * len(centers))).sum()) if len(hit) else math.log(len(centers)),
        "spread": float(np.sqrt(variance) / sigma),
    }
