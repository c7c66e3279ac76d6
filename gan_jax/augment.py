"""Differentiable augmentations: `f(key, x [B, ...], p) -> x` of the same shape, the identity at p = 0.

Each public function is a value of `--augment`, and so is a sum of them, applied one after another:
`--augment "color + translation + cutout"`. Both players receive augmented samples, real and fake alike, so that the generator
learns the data and not the augmentation (Zhao et al. 2020, arXiv:2006.10738; Karras et al. 2020, arXiv:2006.06676). Each sample
is augmented with probability `p`, drawn independently for each sample.
"""

import jax
import jax.numpy as jnp

from gan_jax.imaging import ada as pipeline
from gan_jax.imaging import simclr as contrastive
from gan_jax.imaging.resample import translate
from gan_jax.types import Array


def translation(key: Array, x: Array, p: Array, *, reach: float = 0.125, fill: float = 0.0) -> Array:
    """With probability `p`, shift each image [B, H, W, C] along each axis by up to int(size * reach + 1/2) pixels, filling in
    with `fill`: 0 is mid-grey, -1 black. Raises ValueError for other shapes, or a reach outside (0, 1].

    Source: Zhao et al. 2020 (DiffAugment), arXiv:2006.10738, section 4.1, and the authors' code, where p = 1.
    """
    _check_images("translation", x)
    if not 0 < reach <= 1:
        raise ValueError(f"translation's reach is a fraction of the image in (0, 1], got {reach}")
    apply_key, rows_key, columns_key = jax.random.split(key, 3)
    applied = pipeline.choose(apply_key, p, x.shape[0])

    def offset(key: Array, size: int) -> Array:
        max_offset = int(size * reach + 0.5)
        return jnp.where(applied, jax.random.randint(key, applied.shape, -max_offset, max_offset + 1), 0)

    return translate(x, offset(rows_key, x.shape[1]), offset(columns_key, x.shape[2]), fill)


def color(key: Array, x: Array, p: Array, *, brightness: float = 0.5, saturation: float = 1.0, contrast: float = 0.5) -> Array:
    """With probability `p`, change the colours of each image [B, H, W, C]: add a number in +-`brightness` to the whole image,
    multiply each pixel's difference from its channel mean by a factor in 1 +- `saturation`, then each value's difference from
    the image's mean by a factor in 1 +- `contrast`. All are uniform. Saturation has no effect on images of one channel. Raises
    ValueError for other shapes, or a negative range.

    Source: Zhao et al. 2020 (DiffAugment), arXiv:2006.10738. They change every image (p = 1).
    """
    _check_images("color", x)
    if min(brightness, saturation, contrast) < 0:
        raise ValueError(f"color's ranges must not be negative, got {brightness}, {saturation} and {contrast}")
    apply_key, brightness_key, saturation_key, contrast_key = jax.random.split(key, 4)

    def uniform(key: Array, limit: float) -> Array:
        return jax.random.uniform(key, (x.shape[0], 1, 1, 1), minval=-limit, maxval=limit)

    changed = x.astype(jnp.float32) + uniform(brightness_key, brightness)
    grey = changed.mean(axis=3, keepdims=True)
    changed = grey + (changed - grey) * (1 + uniform(saturation_key, saturation))
    mean = changed.mean(axis=(1, 2, 3), keepdims=True)
    changed = mean + (changed - mean) * (1 + uniform(contrast_key, contrast))
    return pipeline.select(pipeline.choose(apply_key, p, x.shape[0]), changed.astype(x.dtype), x)


def cutout(key: Array, x: Array, p: Array, *, size: float = 0.5) -> Array:
    """With probability `p`, set a box of `size` times the height and width of each image [B, H, W, C], rounded half up, to 0,
    mid-grey. The box may be centred anywhere in the image, so part of it can lie outside. Raises ValueError for other shapes,
    or a size outside (0, 1].

    Source: Zhao et al. 2020 (DiffAugment), arXiv:2006.10738, and the authors' code, after DeVries and Taylor 2017,
    arXiv:1708.04552. They cut every image (p = 1).
    """
    _check_images("cutout", x)
    if not 0 < size <= 1:
        raise ValueError(f"cutout's size is a fraction of the image in (0, 1], got {size}")
    batch_size, height, width, _ = x.shape
    apply_key, row_key, column_key = jax.random.split(key, 3)

    def inside(key: Array, length: int) -> Array:
        """Whether each row (or column) of pixels is inside the box, [B, length]."""
        box_length = int(length * size + 0.5)
        # A box of even length is centred between two pixels, or on either edge of the image.
        start = jax.random.randint(key, (batch_size, 1), 0, length + 1 - box_length % 2) - box_length // 2
        pixel = jnp.arange(length)[None]
        return (pixel >= start) & (pixel < start + box_length)

    box = inside(row_key, height)[:, :, None, None] & inside(column_key, width)[:, None, :, None]
    return jnp.where(box & pipeline.choose(apply_key, p, batch_size)[:, None, None, None], 0, x)


def flip(key: Array, x: Array, p: Array) -> Array:
    """Mirror each image [B, H, W, C] left to right with probability `p` / 2. At p = 1 half the images are mirrored, so that the
    augmentation does not leak; a generator trained with all images mirrored would learn mirrored images. Raises ValueError for
    other shapes.

    Source: Karras et al. 2020 (ADA), arXiv:2006.06676, figure 20, "x-flip"; section 2.2 on leaking augmentations.
    """
    _check_images("flip", x)
    return pipeline.select(pipeline.choose(key, p / 2, x.shape[0]), x[:, :, ::-1], x)


def noise(key: Array, x: Array, p: Array, *, sigma: float = 0.1) -> Array:
    """Instance noise: with probability `p`, add normal noise of standard deviation `sigma` to each value of a sample, so that
    the real and generated distributions overlap and no D separates them perfectly. x may have any shape [B, ...]. Raises
    ValueError for a negative sigma.

    Source: Arjovsky and Bottou 2017, arXiv:1701.04862, section 3; Sonderby et al. 2017, arXiv:1610.04490. They add noise to all
    samples and anneal sigma; here sigma is constant and the fraction `p` of noisy samples can be annealed (`augment_p_final`).
    """
    if sigma < 0:
        raise ValueError(f"noise's sigma must not be negative, got {sigma}")
    apply_key, noise_key = jax.random.split(key)
    noisy = x + sigma * jax.random.normal(noise_key, x.shape, x.dtype)
    return pipeline.select(pipeline.choose(apply_key, p, x.shape[0]), noisy, x)


def ada(
    key: Array,
    x: Array,
    p: Array,
    *,
    blit: bool = True,
    geometry: bool = True,
    color: float = 1.0,
    filter: bool = False,
    corruption: bool = False,
) -> Array:
    """The pipeline of adaptive discriminator augmentation (ADA) for images [B, H, W, C]. Each transformation in the enabled
    groups is applied to each image with probability `p`, in this order (see figure 20 for their distributions):

        blit        x-flip, quarter turns, translation in whole pixels
        geometry    isotropic scaling, rotation, anisotropic scaling, rotation, translation
        color       brightness, contrast, luma flip, hue rotation, saturation; the first three only for images of one channel
        filter      amplification of four octaves of frequency
        corruption  white noise; a box of half the image's size set to 0

    The first three groups are enabled by default, as in the paper's results (`bgc`). `color` multiplies p for the color group;
    0 disables it. `augment_target` adapts p (`game/adaptive_augmentation.py`). Images that are not square are rotated by half
    turns only. Pixels from outside the image are its reflection, as in the paper, not -1. Raises ValueError for other shapes,
    for images that have neither one nor three channels if `color` is enabled, and for a `color` outside [0, 1].

    Source: Karras et al. 2020, arXiv:2006.06676, appendix B and figure 20. Flips, turns and whole-pixel translations copy
    pixels before the warp instead of being part of it, and the warp's padding is fixed (`imaging/resample.py`).
    """
    _check_images("ada", x)
    if not 0 <= color <= 1:
        raise ValueError(f"ada's color is a fraction of p in [0, 1], got {color}")
    if color and x.shape[3] not in (1, 3):
        raise ValueError(f"ada's color needs images [B, H, W, 1] or [B, H, W, 3], got {x.shape}")
    groups = [pipeline.blit, pipeline.geometry, pipeline.color, pipeline.filtering, pipeline.corruption]
    fractions = [float(blit), float(geometry), float(color), float(filter), float(corruption)]
    augmented = x.astype(jnp.float32)
    for i, group in enumerate(groups):
        if fractions[i]:
            augmented = group(jax.random.fold_in(key, i), augmented, p * fractions[i])
    return augmented.astype(x.dtype)


def simclr(key: Array, x: Array, p: Array, *, area: float = 0.2, blur: bool = False) -> Array:
    """SimCLR's augmentations for images [B, H, W, C] in [-1, 1], in this order, each with the probability in brackets times
    `p`: a crop of at least `area` of the image, resized to its size (1), mirroring (1/2), jitter of brightness, contrast,
    saturation and hue (.8), greyscale (.2) and, with `blur`, a Gaussian blur (.5). Raises ValueError for other shapes, for
    images that have neither one nor three channels, and for an `area` outside (0, 1].

    Source: Chen et al. 2020, arXiv:2002.05709, appendix A, with the parameters of ContraD's code, which augments D's images so
    (Jeong and Shin 2021, arXiv:2103.09742; `blur` is its "hq").
    """
    _check_images("simclr", x)
    if x.shape[3] not in (1, 3):
        raise ValueError(f"simclr needs images [B, H, W, 1] or [B, H, W, 3], got {x.shape}")
    if not 0 < area <= 1:
        raise ValueError(f"simclr's area is a fraction of the image in (0, 1], got {area}")
    crop_key, flip_key, jitter_key, grey_key, blur_key = jax.random.split(key, 5)
    y = contrastive.crop(crop_key, x.astype(jnp.float32), p, area)
    y = contrastive.jitter(jitter_key, flip(flip_key, y, p), 0.8 * p)
    y = contrastive.greyscale(grey_key, y, 0.2 * p)
    y = contrastive.blur(blur_key, y, 0.5 * p) if blur else y
    return y.astype(x.dtype)


def _check_images(name: str, x: Array) -> None:
    shape = jax.tree.map(jnp.shape, x)  # x may be a pytree of arrays
    if type(shape) is not tuple or len(shape) != 4:
        raise ValueError(f"{name} needs images [B, H, W, C], got {shape}: disable it with --augment none")
