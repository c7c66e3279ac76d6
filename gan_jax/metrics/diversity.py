"""Diversity of generated samples. Neither metric uses real samples: report the value for real samples next to it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import Precision
from numpy.typing import ArrayLike

from gan_jax.metrics.arrays import matrix, row_blocks
from gan_jax.metrics.batched import in_batches
from gan_jax.types import Array

_PIXELS = 2**21  # pixel values in a batch of each of the two sets of images

# Constants of MS-SSIM, for images in [0, 1]
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, from fine to coarse
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def vendi_score(features: ArrayLike) -> float:
    """Effective number of distinct samples among features [N, D]: from 1 if all are alike to min(N, D) if all are orthogonal.

    exp(-sum_i l_i log l_i) with l_i the eigenvalues of K / N, K_ij the cosine of the angle between samples i and j. They equal
    those of X^T X / N, where X has rows of unit length, so no matrix larger than min(N, D)^2 is formed. It grows with N:
    compare only equal numbers. Features with a large common component all point in one direction and score near 1; centre them
    on the mean of the real features. Raises ValueError for rows of zeros, which have no direction.

    Source: Friedman and Dieng 2023, arXiv:2210.02410.
    """
    features = matrix("features", features)
    if not features.any(axis=1).all():
        raise ValueError(
            f"features {features.shape} must not contain rows of zeros: {(~features.any(axis=1)).sum()} rows are 0"
        )
    count, dimension = features.shape
    with jax.enable_x64(True):
        if count > dimension:
            gram = jnp.zeros((dimension, dimension))
            for block, _ in row_blocks(features):  # padding with rows of zeros adds nothing
                gram = _add_products(gram, block)
        else:
            gram = _cosines(features)
        eigenvalues = np.linalg.eigvalsh(np.asarray(gram, np.float64)).clip(0)
    p = eigenvalues[eigenvalues > 0] / eigenvalues.sum()
    return float(np.exp(-(p * np.log(p)).sum()))


def ms_ssim_diversity(images: ArrayLike, pairs: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Mean MS-SSIM over random pairs of images [N, H, W, C] in [-1, 1], and its standard error. Lower is more diverse.

    No image occurs in two pairs, so that the pairs are independent and the standard error is valid; there are
    min(pairs, N // 2) pairs. Apply it to one class at a time and compare with real images of that class: over all classes it
    says little. For small images see `ms_ssim`. Raises ValueError for fewer than 4 images or 2 pairs.

    Source: Odena et al. 2017, arXiv:1610.09585 (100 pairs per class, 128 x 128 pixels).
    """
    images = np.asarray(images)
    if images.ndim != 4 or len(images) < 4 or pairs < 2:
        raise ValueError(f"ms_ssim_diversity needs 4 images [N, H, W, C] and pairs >= 2, got {images.shape}, {pairs} pairs")
    pairs = min(pairs, len(images) // 2)
    rows = np.random.default_rng(seed).permutation(len(images))
    values = ms_ssim(images[rows[:pairs]], images[rows[pairs : 2 * pairs]])
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(pairs))


def ms_ssim(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Multi-scale structural similarity [N] of images x and y [N, H, W, C] in [-1, 1]: 1 if they are equal, less otherwise.

    prod_j cs_j^w_j times SSIM^w of the coarsest scale; each scale halves the previous one by averaging 2 x 2 pixels. Means run
    over channels and over the positions at which the 11-pixel window fits. A negative mean counts as 0; pixels are clipped to
    the range. Five scales require at least 176 pixels per side; smaller images get as many scales as their shorter side allows
    (128: 4, 64: 3, 32 and 28: 2, below 22: 1, plain SSIM), with the remaining weights rescaled to the same sum: compare only
    images of one size. Raises ValueError for sides below 11, different shapes, and images that are not finite.

    Source: Wang, Simoncelli and Bovik 2003, Multiscale structural similarity for image quality assessment. They use grey
    images; means over channels and fewer scales are ours. torchmetrics differs at the coarsest scale, where it includes
    positions at which the window extends past the border.
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 4 or x.shape != y.shape or not x.size or min(x.shape[1:3]) < _WINDOW:
        raise ValueError(
            f"ms_ssim needs images [N, H, W, C] of one shape with sides of at least {_WINDOW}, got {x.shape} and {y.shape}"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(f"images {x.shape} must be finite")
    run = in_batches(lambda _, x, y: _ms_ssim(x, y), max(1, _PIXELS // x[0].size), np.float32)
    return run(None, x, y).astype(np.float64)


@jax.jit
def _add_products(gram, rows):
    rows = _unit(rows)
    return gram + jnp.matmul(rows.T, rows, precision=Precision.HIGHEST)


@jax.jit
def _cosines(rows):
    rows = _unit(rows)
    return jnp.matmul(rows, rows.T, precision=Precision.HIGHEST)


def _unit(rows):
    """Normalise rows to length 1; rows of zeros stay zero."""
    tiny = jnp.finfo(rows.dtype).tiny
    rows = rows / jnp.maximum(jnp.abs(rows).max(axis=1, keepdims=True), tiny)  # squares must neither overflow nor underflow
    return rows / jnp.maximum(jnp.linalg.norm(rows, axis=1, keepdims=True), tiny)


@jax.jit
def _ms_ssim(x: Array, y: Array) -> Array:
    x, y = ((image.clip(-1, 1) + 1) / 2 for image in (x, y))
    scales = sum(min(x.shape[1:3]) >= _WINDOW * 2**j for j in range(len(_WEIGHTS)))
    weights = np.asarray(_WEIGHTS[:scales]) * sum(_WEIGHTS) / sum(_WEIGHTS[:scales])
    product = jnp.ones(len(x))
    for j, weight in enumerate(weights):
        luminance, structure = _similarity(x, y)
        factor = structure if j < scales - 1 else luminance * structure
        product *= jnp.maximum(factor.mean(axis=(1, 2, 3)), 0) ** weight
        x, y = _halve(x), _halve(y)
    return product


def _similarity(x: Array, y: Array) -> tuple[Array, Array]:
    """The two factors of SSIM at each window position: luminance, and contrast times structure."""
    x_mean, y_mean = _window_mean(x), _window_mean(y)
    # Centre the range on 0 first: for pixels in [0, 1], E[x^2] - E[x]^2 loses precision to cancellation.
    a, b, a_mean, b_mean = x - 0.5, y - 0.5, x_mean - 0.5, y_mean - 0.5
    covariance = _window_mean(a * b) - a_mean * b_mean
    variances = _window_mean(a**2 + b**2) - (a_mean**2 + b_mean**2)
    product, squares = x_mean * y_mean, x_mean**2 + y_mean**2
    return (2 * product + _C1) / (squares + _C1), (2 * covariance + _C2) / (variances + _C2)


def _window_mean(x: Array) -> Array:
    """Gaussian window means by one banded matrix per axis: matrix products are fast on every device, convolutions are not."""
    rows, columns = _band(x.shape[1]), _band(x.shape[2])
    einsum = partial(jnp.einsum, precision=Precision.HIGHEST)
    return einsum("jw,biwc->bijc", columns, einsum("ih,bhwc->biwc", rows, x))


def _band(size: int) -> np.ndarray:
    """Matrix [size - 10, size] whose row i holds the window at columns i .. i + 10."""
    window = np.exp(-np.square((np.arange(_WINDOW) - _WINDOW // 2) / _SIGMA) / 2)
    positions = size - _WINDOW + 1
    band = np.zeros((positions, size), np.float32)
    for i in range(positions):
        band[i, i : i + _WINDOW] = window / window.sum()
    return band


def _halve(x: Array) -> Array:
    """Average 2 x 2 pixels; a trailing odd row or column is dropped."""
    b, h, w, c = x.shape
    return x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))
