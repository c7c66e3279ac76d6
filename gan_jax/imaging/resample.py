"""Resampling of images [B, H, W, C] by linear maps that lose as little as can be: warps between wavelet filters, octaves of
frequency, reflection at the borders. Lines are filtered by small constant matrices, made where they are used.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

# The low-pass filters of two orthonormal wavelets, sym6 and sym2 (Daubechies 1992, Ten Lectures on Wavelets, section 6.4).
SYM6 = np.array(
    [0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466,
     0.787641141030194, 0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578,
     0.0017677118642428036, -0.007800708325034148]
)  # fmt: skip
SYM2 = np.array([1 - math.sqrt(3), 3 - math.sqrt(3), 3 + math.sqrt(3), 1 + math.sqrt(3)]) / (4 * math.sqrt(2))


def warp(x: Array, inverse: Array) -> Array:
    """Resamples x [B, H, W, C]: what comes to the point (x, y, 1), in pixels rightwards and downwards from the middle of the
    image, was at `inverse` [B, 3, 3] times that. Outside, the image is reflected.

    Bilinear in an image of twice the size, made with the sym6 low-pass filter and taken back with the same, reversed: shifts by
    whole pixels lose nothing. Figure 20 pads by as much as a batch needs; here the image is padded by the length of the filter
    and coordinates beyond that are reflected, so that shapes do not depend on what was drawn.
    """
    height, width = x.shape[1:3]
    larger = both_axes(upsampling(height), upsampling(width), x)
    rows, columns = larger.shape[1:3]
    # The filter keeps a straight line straight, and its centre of mass says where: pixel i is at 2 i + centre.
    centre = float(SYM6 @ np.arange(len(SYM6)) / SYM6.sum())
    right = (jnp.arange(columns, dtype=jnp.float32) - centre) / 2 - (width - 1) / 2
    down = (jnp.arange(rows, dtype=jnp.float32) - centre) / 2 - (height - 1) / 2
    points = jnp.stack(jnp.broadcast_arrays(right[None, :], down[:, None], jnp.ones((1, 1))), axis=-1)
    source = jnp.einsum("bpq,ijq->bijp", inverse, points, precision="highest")

    def index(middle: Array, size: int, length: int) -> Array:
        pixel = middle + (size - 1) / 2
        padded = 2 * pixel + centre
        inside = (padded > -0.01) & (padded < length - 0.99)  # rounding must not take the outermost for outside
        return jnp.where(inside, padded, 2 * reflect(pixel, size) + centre)

    sampled = bilinear(larger, index(source[..., 1], height, rows), index(source[..., 0], width, columns))
    return both_axes(downsampling(height), downsampling(width), sampled)


def bilinear(x: Array, row: Array, column: Array) -> Array:
    """x [B, H, W, C] at the real-valued indices `row` and `column` [B, I, J] within it -> [B, I, J, C]."""
    height, width = x.shape[1:3]
    top, left = (jnp.clip(jnp.floor(i), 0, size - 2) for i, size in ((row, height), (column, width)))
    below, right = (row - top)[..., None], (column - left)[..., None]
    top, left = top.astype(jnp.int32), left.astype(jnp.int32)
    pixel = jax.vmap(lambda image, i, j: image[i, j])
    upper = (1 - right) * pixel(x, top, left) + right * pixel(x, top, left + 1)
    lower = (1 - right) * pixel(x, top + 1, left) + right * pixel(x, top + 1, left + 1)
    return (1 - below) * upper + below * lower


def upsampling(size: int) -> np.ndarray:
    """[2 size + 10, size]: puts zeros between the pixels of a line, reflected at its ends, and filters with sym6."""
    taps = len(SYM6)
    pixel = np.arange(1 - taps // 2, size + taps // 2 - 1)
    return _filled((2 * size + taps - 2, size), 2 * pixel[:, None] + np.arange(taps), reflect(pixel, size)[:, None], SYM6)


def downsampling(size: int) -> np.ndarray:
    """[size, 2 size + 10]: filters with sym6 reversed and keeps every second value. It undoes `upsampling`."""
    taps, pixel = len(SYM6), np.arange(size)[:, None]
    return _filled((size, 2 * size + taps - 2), pixel, 2 * pixel + np.arange(taps), SYM6)


def bands(size: int) -> np.ndarray:
    """[4, size, size]: the part of a line, reflected at its ends, in each octave, lowest first. They add up to the line.

    With the sym2 low-pass filter H, the halves of the spectrum are L(z) = H(z) H(1/z) / 2 and 1 - L(z) = L(-z), so that
    1 = L(z) L(z^2) L(z^4) + L(z) L(z^2) L(-z^4) + L(z) L(-z^2) + L(-z).
    """
    low = np.convolve(SYM2, SYM2[::-1]) / 2
    high = -low
    high[len(low) // 2] += 1
    octaves, rest = [], np.ones(1)
    for level in range(3):
        stretched = np.zeros((2, (len(low) - 1) * 2**level + 1))
        stretched[:, :: 2**level] = low, high
        octaves.insert(0, np.convolve(rest, stretched[1]))
        rest = np.convolve(rest, stretched[0])
    octaves.insert(0, rest)
    pixel = np.arange(size)[:, None]

    def matrix(kernel: np.ndarray) -> np.ndarray:
        reach = len(kernel) // 2
        return _filled((size, size), pixel, reflect(pixel + np.arange(-reach, reach + 1), size), kernel)

    return np.stack([matrix(kernel) for kernel in octaves])


def reflect(i, size: int):
    """Indices, integers or real numbers, of an endless line folded into [0, size - 1]: ... 2 1 0 1 2 ..."""
    return size - 1 - abs(size - 1 - i % (2 * (size - 1) or 1))


def both_axes(rows: Array | np.ndarray, columns: Array | np.ndarray, x: Array) -> Array:
    """The matrices `rows` [I, H] and `columns` [J, W], or one of each for each sample, applied to x [B, H, W, C]. Products,
    because their derivatives are products too; at full precision, because TF32 would blur the image."""
    return jnp.einsum("...ij,...kl,...jlc->...ikc", rows, columns, x, precision="highest")


def _filled(shape: tuple[int, int], row: np.ndarray, column: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A float32 matrix with `values` added up at their rows and columns, those outside left out."""
    row, column, values = np.broadcast_arrays(row, column, values)
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    matrix = np.zeros(shape)
    np.add.at(matrix, (row[inside], column[inside]), values[inside])
    return matrix.astype(np.float32)
