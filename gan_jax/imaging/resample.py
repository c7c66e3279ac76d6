"""Resampling of images [B, H, W, C] by linear maps with minimal loss: warps between wavelet filters, octave bands, reflection
at the borders. Rows and columns are filtered by small constant matrices, constructed where they are used.
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
    """Resample x [B, H, W, C]: the value at the point (x, y, 1), in pixels to the right of and below the centre of the image,
    is taken from `inverse` [B, 3, 3] times that point. Beyond its borders, the image is reflected.

    Bilinear sampling of the image upsampled by 2 with the sym6 low-pass filter and downsampled with the same filter, reversed:
    shifts by whole pixels are lossless. In figure 20 the padding depends on the transformations drawn for the batch; here the
    image is padded by the length of the filter and coordinates beyond that are reflected, so that shapes are static.
    """
    height, width = x.shape[1:3]
    upsampled = apply_separable(upsampling(height), upsampling(width), x)
    rows, columns = upsampled.shape[1:3]
    # The filter preserves linear functions up to a shift by its centre of mass, 5.10: pixel i is at 2 i + 5.10. As in the
    # authors' code it is taken to be at 2 i + 5, so that a map A also moves the image by A - I times .05 pixels on either axis.
    mass = float(SYM6 @ np.arange(len(SYM6)) / SYM6.sum())
    right = (jnp.arange(columns, dtype=jnp.float32) - 5) / 2 - (width - 1) / 2
    down = (jnp.arange(rows, dtype=jnp.float32) - 5) / 2 - (height - 1) / 2
    points = jnp.stack(jnp.broadcast_arrays(right[None, :], down[:, None], jnp.ones((1, 1))), axis=-1)
    source = jnp.einsum("bpq,ijq->bijp", inverse, points, precision="highest")

    def index(coordinate: Array, size: int, length: int) -> Array:
        """Index into an axis of `upsampled` of a coordinate relative to the centre of the image."""
        pixel = coordinate + (size - 1) / 2 - (mass - 5) / 2
        padded = 2 * pixel + mass
        inside = (padded > -0.01) & (padded < length - 0.99)  # tolerance: rounding must not push border pixels outside
        return jnp.where(inside, padded, 2 * reflect(pixel, size) + mass)

    sampled = bilinear(upsampled, index(source[..., 1], height, rows), index(source[..., 0], width, columns))
    return apply_separable(downsampling(height), downsampling(width), sampled)


def translate(x: Array, rows: Array, columns: Array, fill: float | None = None) -> Array:
    """Shift x [B, H, W, C] by whole pixels: pixel (i, j) becomes pixel (i + rows, j + columns) of the image, with int [B] each.
    Those from outside are `fill` or, if that is None, from the image's reflection."""

    def sources(offset: Array, size: int) -> Array:
        """One-hot matrices [B, size, size] that select the source of each pixel; the rows of pixels to be filled are zero."""
        source = jnp.arange(size)[None] + offset[:, None]
        source = reflect(source, size) if fill is None else source
        return (source[..., None] == jnp.arange(size)[None, None]).astype(x.dtype)

    row_matrix, column_matrix = sources(rows, x.shape[1]), sources(columns, x.shape[2])
    shifted = apply_separable(row_matrix, column_matrix, x)
    if not fill:
        return shifted
    inside = row_matrix.sum(axis=2)[:, :, None] * column_matrix.sum(axis=2)[:, None, :]
    return shifted + fill * (1 - inside[..., None])


def bilinear(x: Array, row: Array, column: Array) -> Array:
    """Sample x [B, H, W, C] bilinearly at the real-valued indices `row` and `column` [B, I, J] within it: [B, I, J, C]."""
    height, width = x.shape[1:3]
    top, left = (jnp.clip(jnp.floor(i), 0, size - 2) for i, size in ((row, height), (column, width)))
    row_weight, column_weight = (row - top)[..., None], (column - left)[..., None]
    top, left = top.astype(jnp.int32), left.astype(jnp.int32)
    pixel = jax.vmap(lambda image, i, j: image[i, j])
    upper = (1 - column_weight) * pixel(x, top, left) + column_weight * pixel(x, top, left + 1)
    lower = (1 - column_weight) * pixel(x, top + 1, left) + column_weight * pixel(x, top + 1, left + 1)
    return (1 - row_weight) * upper + row_weight * lower


def upsampling(size: int) -> np.ndarray:
    """Matrix [2 size + 10, size]: insert zeros between the pixels of a line, reflected at its ends, and filter with sym6."""
    taps = len(SYM6)
    pixel = np.arange(1 - taps // 2, size + taps // 2 - 1)
    return _scatter((2 * size + taps - 2, size), 2 * pixel[:, None] + np.arange(taps), reflect(pixel, size)[:, None], SYM6)


def downsampling(size: int) -> np.ndarray:
    """Matrix [size, 2 size + 10]: filter with sym6 reversed and keep every second value. It inverts `upsampling`."""
    taps, pixel = len(SYM6), np.arange(size)[:, None]
    return _scatter((size, 2 * size + taps - 2), pixel, 2 * pixel + np.arange(taps), SYM6)


def bands(size: int) -> np.ndarray:
    """Filter matrices [4, size, size] that split a line, reflected at its ends, into four octave bands, lowest first. They sum
    to the identity.

    With the sym2 low-pass filter H, the halves of the spectrum are L(z) = H(z) H(1/z) / 2 and 1 - L(z) = L(-z), so that
    1 = L(z) L(z^2) L(z^4) + L(z) L(z^2) L(-z^4) + L(z) L(-z^2) + L(-z).
    """
    low = np.convolve(SYM2, SYM2[::-1]) / 2
    high = -low
    high[len(low) // 2] += 1
    octaves, lowest = [], np.ones(1)
    for level in range(3):
        dilated = np.zeros((2, (len(low) - 1) * 2**level + 1))
        dilated[:, :: 2**level] = low, high
        octaves.insert(0, np.convolve(lowest, dilated[1]))
        lowest = np.convolve(lowest, dilated[0])
    octaves.insert(0, lowest)
    pixel = np.arange(size)[:, None]

    def matrix(kernel: np.ndarray) -> np.ndarray:
        radius = len(kernel) // 2
        return _scatter((size, size), pixel, reflect(pixel + np.arange(-radius, radius + 1), size), kernel)

    return np.stack([matrix(kernel) for kernel in octaves])


def reflect(i, size: int):
    """Fold integer or real indices of an infinite line into [0, size - 1]: ... 2 1 0 1 2 ..."""
    return size - 1 - abs(size - 1 - i % (2 * (size - 1) or 1))


def apply_separable(rows: Array | np.ndarray, columns: Array | np.ndarray, x: Array) -> Array:
    """Apply matrices `rows` [I, H] and `columns` [J, W], shared or one per sample, to x [B, H, W, C]. Matrix products, because
    their derivatives are products too; at full precision, because TF32 would blur the image."""
    return jnp.einsum("...ij,...kl,...jlc->...ikc", rows, columns, x, precision="highest")


def _scatter(shape: tuple[int, int], row: np.ndarray, column: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Scatter-add `values` into a float32 matrix at the given rows and columns; entries outside it are dropped."""
    row, column, values = np.broadcast_arrays(row, column, values)
    inside = (row >= 0) & (row < shape[0]) & (column >= 0) & (column < shape[1])
    matrix = np.zeros(shape)
    np.add.at(matrix, (row[inside], column[inside]), values[inside])
    return matrix.astype(np.float32)
