"""Adaptive discriminator augmentation: the five groups of image transformations behind `augment.ada`, and the controller of
their probability (Karras et al. 2020, arXiv:2006.06676, appendix B with figure 20, and section 3).

A group is an augmentation, `f(key, x [B, H, W, C] in float32, p) -> x`. Each transformation in it is drawn for each sample with
probability `p`; a sample for which none was drawn comes out as it went in, bit for bit. Written from the paper alone.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.imaging.resample import bands, both_axes, reflect, warp

SPECTRUM = np.array([10, 1, 1, 1], np.float32) / 13  # the power that images have in four octaves, lowest first


def blit(key: Array, x: Array, p: Array) -> Array:
    """Pixel blitting: x-flips, rotations by quarter turns (by half turns where H and W differ), and translations by up to an
    eighth in whole pixels, reflected at the border.

    Figure 20 makes these part of the one warp. Here they copy pixels: the wavelet of the warp is not quite symmetric and would
    not leave a mirrored image sharp.
    """
    batch_size, height, width, _ = x.shape
    choice_key, turn_key, move_key = jax.random.split(key, 3)
    flipped, turned, moved = choose(choice_key, [p / 2, p, p], batch_size)
    x = select(flipped, x[:, :, ::-1], x)

    turns = (0, 1, 2, 3) if height == width else (0, 2)
    turn = jnp.where(turned, jax.random.randint(turn_key, (batch_size,), 0, len(turns)), 0)
    for i, quarters in enumerate(turns[1:], start=1):
        x = select(turn == i, jnp.rot90(x, quarters, axes=(1, 2)), x)

    share = jax.random.uniform(move_key, (2, batch_size, 1), minval=-0.125, maxval=0.125)

    def pick_matrices(share: Array, size: int) -> Array:
        """[B, size, size]: which pixel comes from where."""
        source = reflect(jnp.arange(size) - jnp.round(share * size).astype(jnp.int32), size)
        return (source[..., None] == jnp.arange(size)).astype(x.dtype)

    return select(moved, both_axes(pick_matrices(share[0], height), pick_matrices(share[1], width), x), x)


def geometry(key: Array, x: Array, p: Array) -> Array:
    """Geometric transformations by one warp: isotropic scaling, rotation, anisotropic scaling, rotation, translation."""
    batch_size, height, width, _ = x.shape
    choice_key, normal_key, angle_key = jax.random.split(key, 3)
    p_rotation = 1 - jnp.sqrt(jnp.maximum(1 - p, 0))  # of each of two, so that P(either) = p
    chosen = choose(choice_key, [p, p_rotation, p, p_rotation, p], batch_size)
    scaled, turned_before, stretched, turned_after, moved = chosen
    normal = jax.random.normal(normal_key, (4, batch_size))
    angle = jax.random.uniform(angle_key, (2, batch_size), minval=-math.pi, maxval=math.pi)
    isotropic = jnp.where(scaled, jnp.exp2(0.2 * normal[0]), 1)
    anisotropic = jnp.where(stretched, jnp.exp2(0.2 * normal[1]), 1)
    right, down = jnp.where(moved, 0.125 * normal[2:], 0)
    # Undone in the reverse order, so that no matrix has to be inverted.
    inverse = scaling(1 / isotropic, 1 / isotropic)
    inverse = product(inverse, rotation(jnp.where(turned_before, -angle[0], 0)))
    inverse = product(inverse, scaling(1 / anisotropic, anisotropic))
    inverse = product(inverse, rotation(jnp.where(turned_after, -angle[1], 0)))
    inverse = product(inverse, shifting(-right * width, -down * height))
    return select(chosen.any(axis=0), warp(x, inverse), x)


def color(key: Array, x: Array, p: Array) -> Array:
    """Colour transformations by one affine map of each pixel: brightness, contrast, luma flip, hue rotation, saturation. The
    last two leave grey alone, so images of one channel have the first three."""
    batch_size, _, _, channels = x.shape
    choice_key, normal_key, angle_key = jax.random.split(key, 3)
    chosen = choose(choice_key, [p, p, p / 2, p, p], batch_size)
    brighter, sharper, flipped, turned, saturated = chosen
    normal = jax.random.normal(normal_key, (3, batch_size, 1, 1))
    angle = jax.random.uniform(angle_key, (batch_size,), minval=-math.pi, maxval=math.pi)
    brightened = select(brighter, x + 0.2 * normal[0, ..., None], x)
    contrast = select(sharper, jnp.exp2(0.5 * normal[1]), 1)
    matrix = contrast * luma_flip(flipped, channels)
    if channels == 3:
        matrix = product(hue_rotation(jnp.where(turned, angle, 0)), matrix)
        matrix = product(luma_saturation(select(saturated, jnp.exp2(normal[2]), 1)), matrix)
    changed = jnp.einsum("bdc,bijc->bijd", matrix, brightened, precision="highest")
    return select((chosen if channels == 3 else chosen[:3]).any(axis=0), changed, x)


def filtering(key: Array, x: Array, p: Array) -> Array:
    """Image-space filtering: amplifies or weakens each of four octaves of frequency, at the same expected power."""
    batch_size, height, width, _ = x.shape
    choice_key, normal_key = jax.random.split(key)
    chosen = choose(choice_key, [p] * 4, batch_size)
    gain = jnp.where(chosen, jnp.exp2(jax.random.normal(normal_key, (4, batch_size))), 1)
    # After each octave all gains are divided by the root of the power that they would give: sum_j lambda_j gain_j^2.
    gain = gain / jnp.sqrt(1 + SPECTRUM[:, None] * (jnp.square(gain) - 1)).prod(axis=0)
    rows, columns = (jnp.einsum("kb,kij->bij", gain, bands(size), precision="highest") for size in (height, width))
    return select(chosen.any(axis=0), both_axes(rows, columns, x), x)


def corruption(key: Array, x: Array, p: Array) -> Array:
    """Image-space corruptions: white noise of a half-normal strength, and a box of half the size set to 0 (mid-grey)."""
    batch_size, height, width, _ = x.shape
    choice_key, sigma_key, noise_key, box_key = jax.random.split(key, 4)
    noisy, cut = choose(choice_key, [p, p], batch_size)
    sigma = 0.1 * jax.random.normal(sigma_key, (batch_size, 1, 1, 1))  # of either sign, as the noise is
    x = select(noisy, x + sigma * jax.random.normal(noise_key, x.shape), x)
    centre = jax.random.uniform(box_key, (2, batch_size, 1))

    def inside(centre: Array, size: int) -> Array:
        pixel = jnp.arange(size, dtype=jnp.float32)
        return (pixel >= jnp.round((centre - 0.25) * size)) & (pixel < jnp.round((centre + 0.25) * size))

    box = inside(centre[0], height)[:, :, None, None] & inside(centre[1], width)[:, None, :, None]
    return select(cut, jnp.where(box, 0, x), x)


def scaling(right: Array, down: Array) -> Array:
    """[B, 3, 3], homogeneous, as the next two."""
    return _matrices([[right, 0, 0], [0, down, 0], [0, 0, 1]])


def rotation(angle: Array) -> Array:
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    return _matrices([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])


def shifting(right: Array, down: Array) -> Array:
    return _matrices([[1, 0, right], [0, 1, down], [0, 0, 1]])


def luma_flip(flipped: Array, channels: int) -> Array:
    """[B, C, C]: for those `flipped`, Householder's reflection at the plane of grey 0."""
    return jnp.eye(channels) - flipped.astype(jnp.float32)[:, None, None] * (2 / channels)


def hue_rotation(angle: Array) -> Array:
    """[B, 3, 3]: Rodrigues' rotation about the axis of grey, (1, 1, 1) / sqrt(3)."""
    cosine, sine = jnp.cos(angle), jnp.sin(angle) / math.sqrt(3)
    same, last, following = (1 + 2 * cosine) / 3, (1 - cosine) / 3 - sine, (1 - cosine) / 3 + sine
    return _matrices([[same, last, following], [following, same, last], [last, following, same]])


def luma_saturation(factor: Array) -> Array:
    """[B, 3, 3] of a factor [B, 1, 1]: keeps grey and stretches what is across it."""
    return 1 / 3 + factor * (jnp.eye(3) - 1 / 3)


def product(a: Array, b: Array) -> Array:
    """Of matrices [B, N, N]."""
    return jnp.matmul(a, b, precision="highest")


def choose(key: Array, p: Array | list[Array], batch_size: int) -> Array:
    """Bool [B], each true with probability `p`; [N, B] for a list of N probabilities."""
    p = jnp.stack([jnp.asarray(each, jnp.float32) for each in p])[:, None] if isinstance(p, list) else p
    return jax.random.bernoulli(key, p, (*jnp.shape(p)[:1], batch_size))


def select(chosen: Array, a: Array, b: Array | float) -> Array:
    """a [B, ...] where `chosen` [B], else b."""
    return jnp.where(chosen.reshape(-1, *(1,) * (a.ndim - 1)), a, b)


def _matrices(rows: list[list[Array | float]]) -> Array:
    """[B, N, N] of entries [B] or numbers."""
    size = len(rows)
    entries = jnp.broadcast_arrays(*(jnp.asarray(entry, jnp.float32) for row in rows for entry in row))
    return jnp.stack(entries, axis=-1).reshape(-1, size, size)
