"""Frechet distance: how far apart two sets of features are, each taken for a Gaussian."""

import warnings

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.metrics.inputs import pair


def frechet_distance(real_features: ArrayLike, fake_features: ArrayLike) -> float:
    """Squared Frechet (Wasserstein-2) distance between Gaussians fitted to features real [N, D] and fake [M, D].

    Never negative and biased upward: two samples of one Gaussian N(0, I) are about (D + D(D+1)/4)(1/N + 1/M) apart, so
    compare only values of the same N and M. Warns where N or M <= D (singular covariances, mostly bias).
    It is the FID where the features are those of the Inception network of Heusel et al., and only there.

    Source: Heusel et al. 2017, arXiv:1706.08500, eq. 6; Dowson and Landau 1982.
    """
    real, fake = pair(real_features, fake_features)
    if min(len(real), len(fake)) <= real.shape[1]:
        warnings.warn(
            f"Frechet distance of no more samples than dimensions (real {real.shape}, fake {fake.shape}) is mostly bias",
            stacklevel=2,
        )
    return gaussian_frechet_distance(*_moments(real), *_moments(fake))


def gaussian_frechet_distance(
    real_mean: ArrayLike, real_covariance: ArrayLike, fake_mean: ArrayLike, fake_covariance: ArrayLike
) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)) from means [D] and covariances [D, D]; singular ones are welcome.

    The eigenvalues of C1 C2 are the squared singular values of C1^(1/2) C2^(1/2): with symmetric roots nothing turns complex.
    """
    means = [np.asarray(mean, np.float64) for mean in (real_mean, fake_mean)]
    covariances = [np.asarray(covariance, np.float64) for covariance in (real_covariance, fake_covariance)]
    shapes = [x.shape for x in (*means, *covariances)]
    if means[0].ndim != 1 or shapes != [means[0].shape] * 2 + [means[0].shape * 2] * 2:
        raise ValueError(f"means must be [D] and covariances [D, D] of one D, got {shapes}")
    if not all(np.isfinite(x).all() for x in (*means, *covariances)):
        raise ValueError(f"means and covariances {shapes} must be finite")
    root_trace = np.linalg.svd(_root(covariances[0]) @ _root(covariances[1]), compute_uv=False).sum()
    distance = np.square(means[0] - means[1]).sum() + np.trace(covariances[0] + covariances[1]) - 2 * root_trace
    return max(float(distance), 0.0)  # rounding may leave equal Gaussians a hair below zero


def _moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean = x.mean(axis=0)
    centred = x - mean
    return mean, centred.T @ centred / (len(x) - 1)


def _root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root. An eigenvalue of 1e-16 is a zero that rounding moved; its root, 1e-8, would not be small."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    noise = max(values[-1], 0) * len(values) * np.finfo(np.float64).eps
    return (vectors * np.sqrt(np.where(values > noise, values, 0))) @ vectors.T
