"""The transformations of SimCLR for images [B, H, W, C] in [-1, 1], C 1 or 3: `f(key, x, p) -> x`, each applied to each image
with probability `p`.

Source: Chen et al. 2020, arXiv:2002.05709, appendix A; the parameters are those of ContraD's code (Jeong and Shin 2021,
arXiv:2103.09742).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.imaging.ada import choose, select
from gan_jax.imaging.resample import apply_separable, reflect

TRIALS = 10  # of a crop's size


def crop(key: Array, x: Array, p: Array, area: float = 0.2) -> Array:
    """Resize to the image's size, bilinearly, a box of whole pixels that covers between `area` and all of it and whose ratio of
    width to height lies between 3/4 and 4/3. Sizes that do not fit are drawn again; after ten trials the image is kept."""
    batch_size, height, width, _ = x.shape
    apply_key, area_key, ratio_key, row_key, column_key = jax.random.split(key, 5)
    pixels = height * width * jax.random.uniform(area_key, (batch_size, TRIALS), minval=area)
    ratio = jnp.exp(jnp.log(4 / 3) * jax.random.uniform(ratio_key, (batch_size, TRIALS), minval=-1.0))
    widths, heights = jnp.round(jnp.sqrt(pixels * ratio)), jnp.round(jnp.sqrt(pixels / ratio))
    fits = (widths > 0) & (widths <= width) & (heights > 0) & (heights <= height)
    first = fits.argmax(axis=1)[:, None]
    cropped = choose(apply_key, p, batch_size) & fits.any(axis=1)

    def resizing(key: Array, lengths: Array, size: int) -> Array:
        """Matrices [B, size, size] that stretch a part of a line, of the first length that fits, to all of it."""
        length = jnp.take_along_axis(lengths, first, axis=1)
        start = jnp.floor(jax.random.uniform(key, (batch_size, 1)) * (size - length + 1))
        position = start + (jnp.arange(size, dtype=jnp.float32)[None] + 0.5) * length / size - 0.5
        distance = jnp.clip(position, 0, size - 1)[..., None] - jnp.arange(size, dtype=jnp.float32)[None, None]
        return jnp.maximum(0, 1 - jnp.abs(distance))

    rows, columns = resizing(row_key, heights, height), resizing(column_key, widths, width)
    return select(cropped, apply_separable(rows, columns, x), x)


def jitter(key: Array, x: Array, p: Array) -> Array:
    """Contrast about each channel's mean by a factor in .6 to 1.4, and hue by up to .1 of 255 degrees, saturation and value by
    factors in .6 to 1.4, in either order; values are clipped. The gradient of the latter three is taken to be one."""
    apply_key, order_key, factor_key, hue_key = jax.random.split(key, 4)
    contrast, saturation, value = jax.random.uniform(factor_key, (3, len(x), 1, 1), minval=0.6, maxval=1.4)
    hue = jax.random.uniform(hue_key, (len(x), 1, 1), minval=-0.1, maxval=0.1) * 255 / 360

    def change_contrast(x: Array) -> Array:
        mean = x.mean(axis=(1, 2), keepdims=True)
        return jnp.clip(mean + (x - mean) * contrast[..., None], 0, 1)

    def change_colour(x: Array) -> Array:
        return x + jax.lax.stop_gradient(change_hsv(x, hue, saturation, value) - x)

    unit = (x + 1) / 2
    first = choose(order_key, 0.5, len(x))
    changed = select(first, change_colour(change_contrast(unit)), change_contrast(change_colour(unit)))
    return select(choose(apply_key, p, len(x)), 2 * changed - 1, x)


def greyscale(key: Array, x: Array, p: Array) -> Array:
    """Replace all channels by luma, .299 R + .587 G + .114 B."""
    luma = (x * jnp.array([[[[0.299, 0.587, 0.114]]]])).sum(axis=3, keepdims=True) if x.shape[3] == 3 else x
    return select(choose(key, p, len(x)), jnp.broadcast_to(luma, x.shape), x)


def blur(key: Array, x: Array, p: Array) -> Array:
    """Convolve with a Gaussian of standard deviation .1 to 2 pixels, cut off at a twentieth of the height, with reflection."""
    apply_key, sigma_key = jax.random.split(key)
    radius = x.shape[1] // 10 // 2
    offsets = np.arange(-radius, radius + 1)
    sigma = jax.random.uniform(sigma_key, (len(x), 1), minval=0.1, maxval=2.0)
    weights = jax.nn.softmax(-jnp.square(jnp.float32(offsets))[None] / (2 * jnp.square(sigma)), axis=1)

    def matrices(size: int) -> Array:
        shifts = np.eye(size, dtype=np.float32)[reflect(np.arange(size)[None] + offsets[:, None], size)]
        return jnp.einsum("bt,tij->bij", weights, shifts, precision="highest")

    blurred = apply_separable(matrices(x.shape[1]), matrices(x.shape[2]), x)
    return select(choose(apply_key, p, len(x)), blurred, x)


def change_hsv(x: Array, hue: Array, saturation: Array, value: Array) -> Array:
    """Add to the hue, a fraction of a turn, and multiply saturation and value of x [B, H, W, C] in [0, 1]; the last two are
    clipped. An image of one channel has a value only."""
    top = x.max(axis=3)
    if x.shape[3] == 1:
        return jnp.clip(top * value, 0, 1)[..., None]
    red, green, blue = jnp.moveaxis(x, 3, 0)
    span = top - x.min(axis=3)
    divisor = jnp.where(span > 0, span, 1)
    sextant = jnp.where(
        top == red, (green - blue) / divisor, jnp.where(top == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor)
    )
    saturated = jnp.clip(saturation * span / jnp.where(top > 0, top, 1), 0, 1)
    top = jnp.clip(top * value, 0, 1)
    # Each channel falls from `top` to its lowest over one sextant, stays there for two, and rises over another.
    k = (jnp.array([[[[5.0, 3.0, 1.0]]]]) + (sextant + 6 * hue)[..., None]) % 6
    return top[..., None] * (1 - saturated[..., None] * jnp.clip(jnp.minimum(k, 4 - k), 0, 1))
