"""Differentiable augmentations: `f(key, x [B, ...], p) -> x` of the same shape, identity at p = 0.

Each public function here is a value of `--augment`, and so is a sum of them, one after the other:
`--augment "color + translation + cutout"`. Both players see augmented samples, real and fake alike, so that the generator
learns the data and not the augmentation (Zhao et al. 2020, arXiv:2006.10738; Karras et al. 2020, arXiv:2006.06676). Each sample
is augmented or not by a draw of its own, with probability `p`.
"""

import jax
import jax.numpy as jnp

from gan_jax.imaging import ada as pipeline
from gan_jax.types import Array


def translation(key: Array, x: Array, p: Array, *, reach: float = 0.125) -> Array:
    """Moves each image [B, H, W, C] by up to `reach` of its height and width (a pixel at least), with probability `p`;
    what comes in from outside is -1, black. Raises ValueError for other shapes, or a reach outside (0, 1].

    Source: Zhao et al. 2020 (DiffAugment), arXiv:2006.10738, section 4.1. They always move and pad with 0; p = 1 is theirs.
    """
    _check_images("translation", x)
    if not 0 < reach <= 1:
        raise ValueError(f"translation's reach is a share of the image in (0, 1], got {reach}")
    batch_size, height, width, _ = x.shape
    apply_key, rows_key, columns_key = jax.random.split(key, 3)
    applied = pipeline.choose(apply_key, p, batch_size)

    def shift_matrices(key: Array, size: int) -> Array:
        """[B, size, size], each a shifted identity: a product is differentiable to any order and fast everywhere, where the
        derivative of a gather is a scatter."""
        furthest = max(1, int(size * reach))
        offset = jnp.where(applied, jax.random.randint(key, (batch_size,), -furthest, furthest + 1), 0)
        return jax.vmap(lambda k: jnp.eye(size, k=k, dtype=x.dtype))(offset)

    rows, columns = shift_matrices(rows_key, height), shift_matrices(columns_key, width)
    # TF32 products would blur the image.
    moved = jnp.einsum("bij,bjkc,blk->bilc", rows, x, columns, precision="highest")
    inside = jnp.einsum("bij,blk->bil", rows, columns)[..., None]
    return moved + (inside - 1)


def color(key: Array, x: Array, p: Array, *, brightness: float = 0.5, saturation: float = 1.0, contrast: float = 0.5) -> Array:
    """Changes the colours of each image [B, H, W, C] with probability `p`: adds up to `brightness` to all of it, then
    multiplies each pixel's distance from its own grey by 1 +- `saturation` at most, then each value's distance from the image's
    mean by 1 +- `contrast` at most, all uniform. Images of one channel are grey already and keep their saturation. Raises
    ValueError for other shapes, or a range below 0.

    Source: Zhao et al. 2020 (DiffAugment), arXiv:2006.10738. They always change; p = 1 is theirs.
    """
    _check_images("color", x)
    if min(brightness, saturation, contrast) < 0:
        raise ValueError(f"color's ranges must not be negative, got {brightness}, {saturation} and {contrast}")
    apply_key, *keys = jax.random.split(key, 4)

    def within(key: Array, reach: float) -> Array:
        return jax.random.uniform(key, (x.shape[0], 1, 1, 1), minval=-reach, maxval=reach)

    changed = x.astype(jnp.float32) + within(keys[0], brightness)
    grey = changed.mean(axis=3, keepdims=True)
    changed = grey + (changed - grey) * (1 + within(keys[1], saturation))
    mean = changed.mean(axis=(1, 2, 3), keepdims=True)
    changed = mean + (changed - mean) * (1 + within(keys[2], contrast))
    return pipeline.select(pipeline.choose(apply_key, p, x.shape[0]), changed.astype(x.dtype), x)


def cutout(key: Array, x: Array, p: Array, *, size: float = 0.5) -> Array:
    """Sets a box of `size` times the height and width of each image [B, H, W, C] to 0, mid-grey as in the paper, with
    probability `p`. Its middle is anywhere in the image, so that a part of it may lie outside. Raises ValueError for other
    shapes, or a size outside (0, 1].

    Source: Zhao et al. 2020 (DiffAugment), arXiv:2006.10738, after DeVries and Taylor 2017, arXiv:1708.04552.
    They always cut; p = 1 is theirs.
    """
    _check_images("cutout", x)
    if not 0 < size <= 1:
        raise ValueError(f"cutout's size is a share of the image in (0, 1], got {size}")
    batch_size, height, width, _ = x.shape
    apply_key, row_key, column_key = jax.random.split(key, 3)

    def inside(key: Array, length: int) -> Array:
        box = max(1, round(length * size))
        # The middle of an even box is between pixels, or at either end.
        start = jax.random.randint(key, (batch_size, 1), 0, length + 1 - box % 2) - box // 2
        pixel = jnp.arange(length)
        return (pixel >= start) & (pixel < start + box)

    box = inside(row_key, height)[:, :, None, None] & inside(column_key, width)[:, None, :, None]
    return jnp.where(box & pipeline.choose(apply_key, p, batch_size)[:, None, None, None], 0, x)


def flip(key: Array, x: Array, p: Array) -> Array:
    """Mirrors each image [B, H, W, C] left to right with probability `p` / 2: at p = 1 a fair coin, which the generator cannot
    learn anything from; always mirroring would teach it mirrored images. Raises ValueError for other shapes.

    Source: Karras et al. 2020 (ADA), arXiv:2006.06676, figure 20, "x-flip"; section 2.2 on what leaks.
    """
    _check_images("flip", x)
    return pipeline.select(pipeline.choose(key, p / 2, x.shape[0]), x[:, :, ::-1], x)


def noise(key: Array, x: Array, p: Array, *, sigma: float = 0.1) -> Array:
    """Instance noise: adds a normal variable of standard deviation `sigma` to each value of a sample x [B, ...], with
    probability `p`, so that real and generated distributions overlap and D has no perfect answer. Raises ValueError for a
    sigma below 0.

    Source: Arjovsky and Bottou 2017, arXiv:1701.04862, section 3; Sonderby et al. 2017, arXiv:1610.04490. They
    add it to all samples and let sigma fall; here sigma stays and the share `p` of noisy samples may fall (`augment_p_final`).
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
    """The pipeline of adaptive discriminator augmentation for images [B, H, W, C]: each transformation of the groups that are
    on is drawn for each image with probability `p`, in this order (figure 20 has their distributions).

        blit        x-flip, quarter turns, translation in whole pixels
        geometry    isotropic scaling, rotation, anisotropic scaling, rotation, translation
        color       brightness, contrast, luma flip, hue rotation, saturation; of images with one channel the first three
        filter      amplification of four octaves of frequency
        corruption  white noise; a box of half the size set to 0

    The first three are on, the paper's choice for its results (`bgc`); `color` is the share of p that color's have, 0 for none.
    `augment_target` adapts p (`gan_jax/imaging/ada.py`). Images that are not square make half turns only. What comes in from outside
    is the image reflected, as in the paper, not -1. Raises ValueError for other shapes, in `color` for other than one or three
    channels, and for a share outside [0, 1].

    Source: Karras et al. 2020, arXiv:2006.06676, appendix B and figure 20. Flips, turns and whole-pixel translations copy
    pixels before the warp instead of being part of it, and the warp's padding is fixed (`gan_jax/imaging/resample.py`).
    """
    _check_images("ada", x)
    if not 0 <= color <= 1:
        raise ValueError(f"ada's color is a share of p in [0, 1], got {color}")
    if color and x.shape[3] not in (1, 3):
        raise ValueError(f"ada's color needs images [B, H, W, 1] or [B, H, W, 3], got {x.shape}")
    groups = [pipeline.blit, pipeline.geometry, pipeline.color, pipeline.filtering, pipeline.corruption]
    shares = [float(blit), float(geometry), float(color), float(filter), float(corruption)]
    augmented = x.astype(jnp.float32)
    for i, group in enumerate(groups):
        if shares[i]:
            augmented = group(jax.random.fold_in(key, i), augmented, p * shares[i])
    return augmented.astype(x.dtype)


def _check_images(name: str, x: Array) -> None:
    shape = jax.tree.map(jnp.shape, x)  # samples of some data are dictionaries of arrays
    if type(shape) is not tuple or len(shape) != 4:
        raise ValueError(f"{name} needs images [B, H, W, C], got {shape}: --augment none leaves it out")
