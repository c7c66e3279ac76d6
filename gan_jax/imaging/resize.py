"""Resizing of images [B, H, W, C] as other libraries do it: the features of a network depend on how its input was resized."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array


def pillow_bicubic(images: Array, height: int, width: int) -> Array:
    """Resize images uint8 [B, H, W, C] to int32 [B, height, width, C], 0 to 255, bit for bit as Pillow's antialiased bicubic
    filter does in its 22-bit fixed point: Keys' kernel with a = -0.5, its support widened when shrinking.

    First horizontally, then vertically, each rounded to 8 bits. The order is fixed, whereas Pillow 13 starts vertically if the
    height shrinks more, and then rounds differently from Pillow 12 and from us."""
    x = images.astype(jnp.int32)
    for axis, size in ((2, width), (1, height)):
        weights = np.rint(_pillow_weights(x.shape[axis], size, lambda x: cubic(x, -0.5)) * 2**22).astype(np.int32)
        x = jnp.moveaxis(jnp.tensordot(x, weights, (axis, 1)), -1, axis)
        x = jnp.clip((x + 2**21) >> 22, 0, 255)
    return x


def pillow_bilinear(images: Array, height: int, width: int) -> Array:
    """Resize images [B, H, W, C] to float32 [B, height, width, C] by Pillow's antialiased bilinear filter for floating-point
    images: a triangle, widened when shrinking, without rounding."""
    return _pillow_floats(images, height, width, lambda x: np.maximum(1 - np.abs(x), 0))


def pillow_bicubic_unrounded(images: Array, height: int, width: int) -> Array:
    """Resize images [B, H, W, C] to float32 [B, height, width, C] by Pillow's antialiased bicubic filter for floating-point
    images: `pillow_bicubic` without rounding or clipping."""
    return _pillow_floats(images, height, width, lambda x: cubic(x, -0.5))


def tensorflow_bilinear(images: Array, height: int, width: int) -> Array:
    """Resize images [B, H, W, C] to float32 [B, height, width, C], bilinearly as TensorFlow 1 does by default.

    Output pixel i is sampled at i H / height: corners are not aligned, there are no half-pixel centres, and shrinking is not
    antialiased."""
    return _bilinear(images, height, width, half_pixels=False)


def pytorch_bilinear(images: Array, height: int, width: int) -> Array:
    """Resize images [B, H, W, C] to float32 [B, height, width, C], bilinearly as PyTorch's `interpolate` does by default.

    Output pixel i is sampled at (i + 1/2) H / height - 1/2, within the image: corners are not aligned, and shrinking is not
    antialiased."""
    return _bilinear(images, height, width, half_pixels=True)


def cubic(x: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel at distances x. Source: Keys 1981, IEEE Trans. ASSP 29(6)."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    return np.where(x < 1, near, np.where(x < 2, a * (((x - 5) * x + 8) * x - 4), 0))


def _bilinear(images: Array, height: int, width: int, *, half_pixels: bool) -> Array:
    x = images.astype(jnp.float32)
    for axis, new_size in ((2, width), (1, height)):
        size, shift = x.shape[axis], np.float32(half_pixels / 2)
        position = (np.arange(new_size, dtype=np.float32) + shift) * np.float32(size / new_size) - shift
        position = np.maximum(position, 0)
        low = position.astype(np.int32)
        fraction = (position - low).astype(np.float32).reshape([-1 if other == axis else 1 for other in range(4)])
        first, second = jnp.take(x, low, axis), jnp.take(x, np.minimum(low + 1, size - 1), axis)
        x = first + (second - first) * fraction
    return x


def _pillow_floats(images: Array, height: int, width: int, kernel: Callable[[np.ndarray], np.ndarray]) -> Array:
    x = images.astype(jnp.float32)
    for axis, size in ((2, width), (1, height)):
        weights = _pillow_weights(x.shape[axis], size, kernel).astype(np.float32)
        x = jnp.moveaxis(jnp.tensordot(x, weights, (axis, 1), precision="highest"), -1, axis)
    return x


def _pillow_weights(size: int, new_size: int, kernel: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Matrix [new_size, size] by which Pillow resamples a row of pixels. Weights are normalised within the border."""
    scale = size / new_size
    centres = (np.arange(new_size) + 0.5) * scale
    weights = kernel((np.arange(size) + 0.5 - centres[:, None]) / max(scale, 1))
    return weights / weights.sum(axis=1, keepdims=True)
