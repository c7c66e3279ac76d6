"""The input of feature extractors for images."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from gan_jax.types import Array


class Normalisation(NamedTuple):
    """The mean and standard deviation of each channel of RGB images in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def checked(samples: np.ndarray) -> np.ndarray:
    """Return samples as float32. Raises ValueError unless they are finite images [N, H, W, 1 or 3] with N > 0."""
    samples = np.asarray(samples, np.float32)
    if samples.ndim != 4 or samples.shape[-1] not in (1, 3) or not samples.size:
        raise ValueError(f"samples must be [N, H, W, 1 or 3] with N > 0, got {samples.shape}")
    if not np.isfinite(samples).all():
        raise ValueError(f"samples {samples.shape} must be finite")
    return samples


def to_uint8(images: np.ndarray) -> np.ndarray:
    """Map [-1, 1] to uint8, 0 to 255, as in an image file."""
    return np.clip(np.rint(127.5 * images + 127.5), 0, 255).astype(np.uint8)


def normalised(images: Array, normalisation: Normalisation) -> Array:
    """Map images [B, H, W, 1 or 3], 0 to 255, to RGB float32 [B, H, W, 3] with this mean and standard deviation removed."""
    mean, std = (jnp.array(values)[None, None, None] for values in normalisation)
    return (jnp.broadcast_to(images, (*images.shape[:3], 3)).astype(jnp.float32) / 255 - mean) / std
