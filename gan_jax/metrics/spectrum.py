"""Average power spectra of images."""

import numpy as np
from numpy.typing import ArrayLike

_BLOCK = 100  # images transformed at once


def radial_power(images: ArrayLike) -> np.ndarray:
    """Return the power of images [N, H, W, C] at each frequency 0, 1, ..., in cycles per shorter side, up to half of its
    pixels: the mean of |FFT|^2 / (H W) over images, channels, and the frequencies that round to it. White noise of variance v
    has the power v everywhere.

    Source: Durall et al. 2020, arXiv:2003.01826, section 3.1; they integrate over each ring, here it is averaged.
    """
    images = np.asarray(images)
    if images.ndim != 4 or not len(images):
        raise ValueError(f"a power spectrum needs images [N, H, W, C], got {images.shape}")
    height, width = images.shape[1:3]
    power = np.zeros((height, width))
    for start in range(0, len(images), _BLOCK):
        transformed = np.fft.fft2(images[start : start + _BLOCK].astype(np.float64), axes=(1, 2))
        power += np.square(np.abs(transformed)).sum(axis=(0, 3))
    power /= len(images) * images.shape[3] * height * width
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :])
    ring = np.rint(radius * min(height, width)).astype(int)
    sums, counts = np.bincount(ring.ravel(), power.ravel()), np.bincount(ring.ravel())
    return (sums / counts)[: min(height, width) // 2 + 1]
