"""The five groups of image transformations of adaptive discriminator augmentation, which `augment.ada` composes (Karras et al.
2020, arXiv:2006.06676, appendix B with figure 20). The controller of their probability is `game/adaptive_augmentation.py`.

A group is an augmentation, `f(key, x float32 [B, H, W, C], p) -> x`. Each of its transformations is applied to each sample with
probability `p`; a sample to which none is applied is returned unchanged, bit for bit. Written from the paper alone.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from gan_jax.imaging.resample import apply_separable, bands, translate, warp

SPECTRUM = np.array([10, 1, 1, 1], np.float32) / 13  # power spectrum of images over four octaves, lowest first


def blit(key: Array, x: Array, p: Array) -> Array:
    """Pixel blitting: horizontal flips, rotations by quarter turns (half turns if H != W), and translations by up to an eighth
    of the size in whole pixels, reflected at the border.

    Figure 20 makes these part of a single warp. Here they copy pixels: the wavelet of the warp is not exactly symmetric and
    would blur a mirrored image.
    """
    batch_size, height, width, _ = x.shape
    choice_key, turn_key, shift_key = jax.random.split(key, 3)
    flipped, turned, shifted = choose(choice_key, [p / 2, p, p], batch_size)
    x = select(flipped, x[:, :, ::-1], x)

    turns = (0, 1, 2, 3) if height == width else (0, 2)
    turn = jnp.where(turned, jax.random.randint(turn_key, (batch_size,), 0, len(turns)), 0)
    for i, quarters in enumerate(turns[1:], start=1):
        x = select(turn == i, jnp.rot90(x, quarters, axes=(1, 2)), x)

    fraction = jax.random.uniform(shift_key, (2, batch_size, 1), minval=-0.125, maxval=0.125)[..., 0]
    down, right = (jnp.round(part * size).astype(jnp.int32) for part, size in zip(fraction, (height, width), strict=True))
    return select(shifted, translate(x, -down, -right), x)


def geometry(key: Array, x: Array, p: Array) -> Array:
    """Geometric transformations in one warp: isotropic scaling, rotation, anisotropic scaling, rotation, translation."""
    batch_size, height, width, _ = x.shape
    choice_key, normal_key, angle_key = jax.random.split(key, 3)
    p_rotation = 1 - jnp.sqrt(jnp.maximum(1 - p, 0))  # of each of the two, so that P(either) = p
    chosen = choose(choice_key, [p, p_rotation, p, p_rotation, p], batch_size)
    scaled, rotated_before, stretched, rotated_after, shifted = chosen
    normal = jax.random.normal(normal_key, (4, batch_size))
    angle = jax.random.uniform(angle_key, (2, batch_size), minval=-math.pi, maxval=math.pi)
    isotropic = jnp.where(scaled, jnp.exp2(0.2 * normal[0]), 1)
    anisotropic = jnp.where(stretched, jnp.exp2(0.2 * normal[1]), 1)
    right, down = jnp.where(shifted, 0.125 * normal[2:], 0)
    # Compose the inverse transformations in reverse order, so that no matrix has to be inverted.
    inverse = scaling(1 / isotropic, 1 / isotropic)
    inverse = matmul(inverse, rotation(jnp.where(rotated_before, -angle[0], 0)))
    inverse = matmul(inverse, scaling(1 / anisotropic, anisotropic))
    inverse = matmul(inverse, rotation(jnp.where(rotated_after, -angle[1], 0)))
    inverse = matmul(inverse, translation(-right * width, -down * height))
    return select(chosen.any(axis=0), warp(x, inverse), x)


def color(key: Array, x: Array, p: Array) -> Array:
    """Colour transformations by one affine map of each pixel: brightness, contrast, luma flip, hue rotation, saturation. The
    last two leave grey unchanged, so for single-channel images only the first three are used."""
    batch_size, _, _, channels = x.shape
    choice_key, normal_key, angle_key = jax.random.split(key, 3)
    chosen = choose(choice_key, [p, p, p / 2, p, p], batch_size)
    brightened, contrasted, flipped, rotated, saturated = chosen
    normal = jax.random.normal(normal_key, (3, batch_size, 1, 1))
    angle = jax.random.uniform(angle_key, (batch_size,), minval=-math.pi, maxval=math.pi)
    x_brightened = select(brightened, x + 0.2 * normal[0, ..., None], x)
    contrast = select(contrasted, jnp.exp2(0.5 * normal[1]), 1)
    matrix = contrast * luma_flip(flipped, channels)
    if channels == 3:
        matrix = matmul(hue_rotation(jnp.where(rotated, angle, 0)), matrix)
        matrix = matmul(luma_saturation(select(saturated, jnp.exp2(normal[2]), 1)), matrix)
    transformed = jnp.einsum("bdc,bijc->bijd", matrix, x_brightened, precision="highest")
    return select((chosen if channels == 3 else chosen[:3]).any(axis=0), transformed, x)


def filtering(key: Array, x: Array, p: Array) -> Array:
    """Image-space filtering: amplify or attenuate each of four octave bands at constant expected power."""
    batch_size, height, width, _ = x.shape
    choice_key, normal_key = jax.random.split(key)
    chosen = choose(choice_key, [p] * 4, batch_size)
    gain = jnp.where(chosen, jnp.exp2(jax.random.normal(normal_key, (4, batch_size))), 1)
    # After each octave, all gains are divided by the square root of the resulting power: sum_j lambda_j gain_j^2.
    gain = gain / jnp.sqrt(1 + SPECTRUM[:, None] * (jnp.square(gain) - 1)).prod(axis=0)[None]
    rows, columns = (jnp.einsum("kb,kij->bij", gain, bands(size), precision="highest") for size in (height, width))
    return select(chosen.any(axis=0), apply_separable(rows, columns, x), x)


def corruption(key: Array, x: Array, p: Array) -> Array:
    """Image-space corruptions: white noise of half-normal strength, and cutout of a box of half the size (0, mid-grey)."""
    batch_size, height, width, _ = x.shape
    choice_key, sigma_key, noise_key, box_key = jax.random.split(key, 4)
    noisy, cut = choose(choice_key, [p, p], batch_size)
    sigma = 0.1 * jax.random.normal(sigma_key, (batch_size, 1, 1, 1))  # the sign is irrelevant, as the noise is symmetric
    x = select(noisy, x + sigma * jax.random.normal(noise_key, x.shape), x)
    centre = jax.random.uniform(box_key, (2, batch_size, 1))

    def inside(centre: Array, size: int) -> Array:
        pixel = jnp.arange(size, dtype=jnp.float32)[None]
        return (pixel >= jnp.round((centre - 0.25) * size)) & (pixel < jnp.round((centre + 0.25) * size))

    box = inside(centre[0], height)[:, :, None, None] & inside(centre[1], width)[:, None, :, None]
    return select(cut, jnp.where(box, 0, x), x)


def scaling(right: Array, down: Array) -> Array:
    """Homogeneous matrices [B, 3, 3]; the next two functions likewise."""
    return _matrices([[right, 0, 0], [0, down, 0], [0, 0, 1]])


def rotation(angle: Array) -> Array:
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    return _matrices([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])


def translation(right: Array, down: Array) -> Array:
    return _matrices([[1, 0, right], [0, 1, down], [0, 0, 1]])


def luma_flip(flipped: Array, channels: int) -> Array:
    """Matrices [B, C, C]: for those `flipped`, the Householder reflection at the plane orthogonal to the grey axis."""
    return jnp.eye(channels)[None] - flipped.astype(jnp.float32)[:, None, None] * (2 / channels)


def hue_rotation(angle: Array) -> Array:
    """Matrices [B, 3, 3]: Rodrigues rotation about the grey axis, (1, 1, 1) / sqrt(3)."""
    cosine, sine = jnp.cos(angle), jnp.sin(angle) / math.sqrt(3)
    c0, c1, c2 = (1 + 2 * cosine) / 3, (1 - cosine) / 3 - sine, (1 - cosine) / 3 + sine
    return _matrices([[c0, c1, c2], [c2, c0, c1], [c1, c2, c0]])  # circulant


def luma_saturation(factor: Array) -> Array:
    """Matrices [B, 3, 3] for a factor [B, 1, 1]: keep the grey component and scale the orthogonal one."""
    return 1 / 3 + factor * (jnp.eye(3) - 1 / 3)[None]


def matmul(a: Array, b: Array) -> Array:
    """Product of matrices [B, N, N] at full precision."""
    return jnp.matmul(a, b, precision="highest")


def choose(key: Array, p: Array | list[Array], batch_size: int) -> Array:
    """Bool [B], each True with probability `p`; [N, B] for a list of N probabilities."""
    p = jnp.stack([jnp.asarray(q, jnp.float32) for q in p])[:, None] if isinstance(p, list) else p
    return jax.random.bernoulli(key, p, (*jnp.shape(p)[:1], batch_size))


def select(chosen: Array, a: Array, b: Array | float) -> Array:
    """Return a [B, ...] for samples that are `chosen` [B], else b."""
    return jnp.where(chosen.reshape(-1, *(1,) * (a.ndim - 1)), a, b)


def _matrices(rows: list[list[Array | float]]) -> Array:
    """Stack `rows` of entries, each [B] or a number, into matrices [B, N, N]."""
    size = len(rows)
    entries = jnp.broadcast_arrays(*(jnp.asarray(entry, jnp.float32) for row in rows for entry in row))
    return jnp.stack(entries, axis=-1).reshape(-1, size, size)
