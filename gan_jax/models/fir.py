"""Resampling of feature maps with the filter [1, 3, 3, 1], alone or fused with a convolution."""

import jax
import jax.numpy as jnp

from gan_jax.models import conv
from gan_jax.types import Array


def double(x: Array) -> Array:
    """Upsample [B, H, W, C] -> [B, 2 H, 2 W, C] with the filter [1, 3, 3, 1] / 4 along each axis and zeros beyond the border.

    Computed separately at even and odd pixels, as sums of shifts: their derivatives are sums of shifts again."""
    for axis in (1, 2):
        before, after = shift(x, axis, -1), shift(x, axis, 1)
        pairs = jnp.stack([0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after], axis=axis + 1)
        x = pairs.reshape(*x.shape[:axis], 2 * x.shape[axis], *x.shape[axis + 1 :])
    return x


def halve(x: Array) -> Array:
    """Downsample [B, 2 H, 2 W, C] -> [B, H, W, C] with the filter [1, 3, 3, 1] / 8 along each axis and zeros beyond the
    border."""
    for axis in (1, 2):
        pairs = x.reshape(*x.shape[:axis], -1, 2, *x.shape[axis + 1 :])
        even, odd = (jax.lax.index_in_dim(pairs, i, axis + 1, keepdims=False) for i in range(2))
        x = 0.125 * shift(odd, axis, -1) + 0.375 * even + 0.375 * odd + 0.125 * shift(even, axis, 1)
    return x


def convolve(x: Array, kernel: Array, doubling: bool = False, halving: bool = False) -> Array:
    """Convolve x with `kernel`, and resample. With `doubling`: a transposed convolution of stride 2, then a blur, which is
    `double` and a convolution at a quarter of the cost. With `halving`: a blur, then a convolution of stride 2."""
    if doubling:
        y = conv.convolve_transpose(x, kernel, strides=2, padding=0)  # [B, 2 H + 1, 2 W + 1, C], centred on the first pixel
        return _blur(y, before=1, after=1, gain=2.0)
    if halving and kernel.shape[0] == 1:
        return conv.convolve(halve(x), kernel)
    if halving:
        return conv.convolve(_blur(x, before=2, after=2, gain=1.0), kernel, strides=2, padding=0)
    return conv.convolve(x, kernel)


def _blur(x: Array, before: int, after: int, gain: float) -> Array:
    """Filter x [B, H, W, C] with gain * [1, 3, 3, 1] / 8 along each axis, padded with `before` and `after` zeros."""
    for axis in (1, 2):
        pad = [(0, 0)] * x.ndim
        pad[axis] = (before, after)
        padded = jnp.pad(x, pad)
        size = padded.shape[axis] - 3
        taps = [jax.lax.slice_in_dim(padded, i, i + size, axis=axis) for i in range(4)]
        x = gain / 8 * (taps[0] + 3 * taps[1] + 3 * taps[2] + taps[3])
    return x


def shift(x: Array, axis: int, by: int) -> Array:
    """Return x[i + by] along `axis`, with zeros beyond the border."""
    pad = [(0, 0)] * x.ndim
    pad[axis] = (max(0, -by), max(0, by))
    start = max(0, by)
    return jax.lax.slice_in_dim(jnp.pad(x, pad), start, start + x.shape[axis], axis=axis)
