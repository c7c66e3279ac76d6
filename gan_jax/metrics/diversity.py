"""Diversity: how different generated samples are from each other. Neither metric looks at real ones: show theirs beside."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import Precision
from numpy.typing import ArrayLike

from gan_jax.metrics.arrays import blocks, matrix
from gan_jax.metrics.batched import in_blocks
from gan_jax.types import Array

_PIXELS = 2**21  # of the images compared at once

# MS-SSIM's constants, of images in [0, 1]
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, from fine to coarse
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def vendi_score(features: ArrayLike) -> float:
    """The effective number of different samples among features [N, D]: 1 where all are alike, min(N, D) where none are.

    exp(-sum_i l_i log l_i) with l_i the eigenvalues of K / N, K_ij the cosine of the angle between samples i and j. They are
    those of X^T X / N, X having rows of length 1: no matrix larger than min(N, D)^2 is made. Grows with N: compare only equal
    numbers. Features with a large common part all point one way, and score near 1; centre them on the mean of real ones.
    Raises ValueError for rows that are all 0, which have no direction.

    Source: Friedman and Dieng 2023, arXiv:2210.02410.
    """
    features = matrix("features", features)
    if not features.any(axis=1).all():
        raise ValueError(f"features {features.shape} must have a direction: {(~features.any(axis=1)).sum()} rows are 0")
    count, dimension = features.shape
    with jax.enable_x64(True):
        if count > dimension:
            gram = jnp.zeros((dimension, dimension))
            for block, _ in blocks(features):  # the rows of zeros that fill the last one add nothing
                gram = _add_products(gram, block)
        else:
            gram = _cosines(features)
        share = np.linalg.eigvalsh(np.asarray(gram, np.float64)).clip(0)
    share = share[share > 0] / share.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def ms_ssim_diversity(images: ArrayLike, pairs: int = 1000, seed: int = 0) -> tuple[float, float]:
    """Mean MS-SSIM over random pairs among images [N, H, W, C] in [-1, 1], and its standard error: lower is more diverse.

    No image is in two pairs, so that the pairs are independent and the error is exact; there are min(pairs, N // 2) of them.
    For the images of one class at a time, beside the same of real ones: over all classes it says little. `ms_ssim` tells
    what it does with small images. Raises ValueError for fewer than 4 images.

    Source: Odena et al. 2017, arXiv:1610.09585 (100 pairs of a class, 128 x 128 pixels).
    """
    images = np.asarray(images)
    if images.ndim != 4 or len(images) < 4 or pairs < 2:
        raise ValueError(f"ms_ssim_diversity needs 4 images [N, H, W, C] and pairs >= 2, got {images.shape}, {pairs} pairs")
    pairs = min(pairs, len(images) // 2)
    rows = np.random.default_rng(seed).permutation(len(images))
    values = ms_ssim(images[rows[:pairs]], images[rows[pairs : 2 * pairs]])
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(pairs))


def ms_ssim(x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Multi-scale structural similarity [N] of images x and y [N, H, W, C] in [-1, 1]: 1 where they are equal, else below.

    prod_j cs_j^w_j times SSIM^w of the coarsest scale; each scale halves the last by means of 2 x 2 pixels. Means run over
    channels and over the places where the window of 11 pixels fits. A mean below 0 counts as 0; pixels are clipped to the
    range. Five scales need sides of 176; smaller images get as many as their smaller side allows (128: 4, 64: 3, 32 and 28: 2,
    less than 22: 1, plain SSIM), the weights of those left scaled to the same sum: compare only images of one size.
    Raises ValueError for sides below 11, shapes that differ, and images that are not finite.

    Source: Wang, Simoncelli and Bovik 2003, Multiscale structural similarity for image quality assessment. They work on grey
    images; means over channels and fewer scales are ours. torchmetrics differs at the coarsest scale: there it counts places
    where the window hangs over the border, too.
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 4 or x.shape != y.shape or not x.size or min(x.shape[1:3]) < _WINDOW:
        raise ValueError(
            f"ms_ssim needs images [N, H, W, C] of one shape and sides of {_WINDOW} at least: {x.shape}, {y.shape}"
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(f"images {x.shape} must be finite")
    run = in_blocks(lambda _, x, y: _ms_ssim(x, y), max(1, _PIXELS // x[0].size), np.float32)
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
    """Rows of length 1, of whatever length they were; zeros stay zeros."""
    tiny = jnp.finfo(rows.dtype).tiny
    rows = rows / jnp.maximum(jnp.abs(rows).max(axis=1, keepdims=True), tiny)  # their squares neither overflow nor vanish
    return rows / jnp.maximum(jnp.linalg.norm(rows, axis=1, keepdims=True), tiny)


@jax.jit
def _ms_ssim(x: Array, y: Array) -> Array:
    x, y = ((image.clip(-1, 1) + 1) / 2 for image in (x, y))
    scales = sum(min(x.shape[1:3]) >= _WINDOW * 2**j for j in range(len(_WEIGHTS)))
    weights = np.asarray(_WEIGHTS[:scales]) * sum(_WEIGHTS) / sum(_WEIGHTS[:scales])
    product = jnp.ones(len(x))
    for j, weight in enumerate(weights):
        luminance, structure = _similarity(x, y)
        part = structure if j < scales - 1 else luminance * structure
        product *= jnp.maximum(part.mean(axis=(1, 2, 3)), 0) ** weight
        x, y = _halve(x), _halve(y)
    return product


def _similarity(x: Array, y: Array) -> tuple[Array, Array]:
    """SSIM's two factors at each place of the window: of luminance, and of contrast and structure together."""
    x_mean, y_mean = _window_mean(x), _window_mean(y)
    # Of pixels about the middle of the range: mean squares of pixels from 0 to 1 would cancel with squared means.
    a, b, a_mean, b_mean = x - 0.5, y - 0.5, x_mean - 0.5, y_mean - 0.5
    covariance = _window_mean(a * b) - a_mean * b_mean
    variances = _window_mean(a**2 + b**2) - (a_mean**2 + b_mean**2)
    product, squares = x_mean * y_mean, x_mean**2 + y_mean**2
    return (2 * product + _C1) / (squares + _C1), (2 * covariance + _C2) / (variances + _C2)


def _window_mean(x: Array) -> Array:
    """Gaussian means, as one banded matrix for each axis: products are fast on every device, convolutions are not."""
    rows, columns = _band(x.shape[1]), _band(x.shape[2])
    einsum = partial(jnp.einsum, precision=Precision.HIGHEST)
    return einsum("jw,biwc->bijc", columns, einsum("ih,bhwc->biwc", rows, x))


def _band(side: int) -> np.ndarray:
    """[side - 10, side]: row i holds the window at i .. i + 10."""
    window = np.exp(-np.square((np.arange(_WINDOW) - _WINDOW // 2) / _SIGMA) / 2)
    places = side - _WINDOW + 1
    band = np.zeros((places, side), np.float32)
    for i in range(places):
        band[i, i : i + _WINDOW] = window / window.sum()
    return band


def _halve(x: Array) -> Array:
    """Means of 2 x 2 pixels; a last odd row or column is dropped."""
    b, h, w, c = x.shape
    return x[:, : h // 2 * 2, : w // 2 * 2].reshape(b, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))
