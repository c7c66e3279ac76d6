"""Path length: how much samples change with their latents."""

from collections.abc import Callable

import jax
import numpy as np

from gan_jax.errors import InputError
from gan_jax.evaluation.generator import LoadedGenerator
from gan_jax.evaluation.latents import slerp
from gan_jax.evaluation.sample import latents
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.types import Array

EPSILON = 1e-4
BATCH = 250  # pairs of samples whose features are in memory at once
LARGEST = 256  # pixels per side of images that are compared by a perceptual distance
PLACES = ("end", "full")


def path_length(
    generator: LoadedGenerator, extractor: Extractor, count: int, key: Array, *, space: str | None = None, place: str = "end"
) -> float:
    """Return the mean over `count` pairs of latents of d(G(u(t)), G(u(t + e))) / e^2, e = 1e-4, without the lowest and the
    highest hundredth. d is the extractor's `distance` of images reduced to 256 pixels by averaging, if it has one, otherwise
    the squared difference of its features. u leads from one latent to the other, along a line in w or an arc in z (`space`; w
    if the generator has one); t is 0 for `place` "end" and uniform in [0, 1] for "full".

    With LPIPS (`--extractor vgg16`) this is the perceptual path length: in w at the end, without a crop, it is ppl2_wend of
    StyleGAN2-ADA. Otherwise it is comparable only with values for the same extractor. Raises InputError for an extractor
    without a distance that rounds samples, which hides the change, for samples that are not images, and for an unknown space or
    place.

    Source: Karras et al. 2019 (StyleGAN), arXiv:1812.04948, section 4.1; Karras et al. 2020 (StyleGAN2), arXiv:1912.04958,
    section 3; percentiles and e as in their code.
    """
    spaces = ("z", "w") if generator.has_w else ("z",)
    if space not in (None, *spaces) or place not in PLACES:
        raise InputError(f"path_length: space must be {' or '.join(spaces)} and place end or full, got {space} and {place}")
    if extractor.rounds and extractor.distance is None:
        raise InputError(f"path_length: {extractor.name} rounds images to 8 bits, which hides small changes: choose another")
    shape = generator.data.sample_shape
    if type(shape) is not tuple or len(shape) != 3 or count < 2:
        raise InputError(f"path_length needs at least 2 pairs of images, got {count} pairs of samples of shape {shape}")
    pairs = _pairs(generator, space or spaces[-1], place)
    distances = []
    for number, start in enumerate(range(0, count, BATCH)):
        images = pairs(min(BATCH, count - start), jax.random.fold_in(key, number))
        distances.append(_distance(extractor, *images).astype(np.float64))
    distance = np.concatenate(distances) / EPSILON**2
    low, high = np.percentile(distance, 1, method="lower"), np.percentile(distance, 99, method="higher")
    return float(distance[(distance >= low) & (distance <= high)].mean())


def _distance(extractor: Extractor, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The distances [N] of images x and y [N, H, W, C]."""
    if extractor.distance is not None:
        try:
            return extractor.distance(*(_reduced(images) for images in (x, y)))
        except ValueError as error:
            raise InputError(f"path_length: {error}") from error
    x, y = (extractor.features(images)[0] for images in (x, y))
    return np.square(y.astype(np.float64) - x).sum(axis=1)


def _reduced(images: np.ndarray) -> np.ndarray:
    """Reduce images [N, H, W, C] of more than 256 rows by a whole number, to 256 if possible, averaging pixels."""
    count, height, width, channels = images.shape
    factor = max(1, height // LARGEST)
    if height % factor or width % factor:
        raise InputError(f"path_length: images of {height} x {width} pixels cannot be reduced by {factor}")
    blocks = images.reshape(count, height // factor, factor, width // factor, factor, channels)
    return blocks.mean(axis=(2, 4))


def _pairs(generator: LoadedGenerator, space: str, place: str) -> Callable[[int, Array], tuple[np.ndarray, np.ndarray]]:
    """Return the function (number of pairs, key) -> the samples at t and at t + EPSILON."""

    def draw(count: int, key: Array) -> tuple[np.ndarray, np.ndarray]:
        z_key, t_key = jax.random.split(key)
        first, last = latents(generator.game, z_key, 2 * count).reshape(2, count, -1)
        t = np.asarray(jax.random.uniform(t_key, (count, 1))) * (place == "full")
        label = generator.labels(count)
        if space == "z":
            return tuple(generator.sample(np.asarray(slerp(first, last, t + e)), label) for e in (0.0, EPSILON))
        start, end = generator.styles(first, label), generator.styles(last, label)
        return tuple(
            # The noise is that of the first latent for both.
            generator.synthesize(first, label, (start + (t[..., None] + e) * (end - start)).astype(np.float32))
            for e in (0.0, EPSILON)
        )

    return draw
