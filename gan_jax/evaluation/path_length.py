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
PLACES = ("end", "full")


def path_length(
    generator: LoadedGenerator, extractor: Extractor, count: int, key: Array, *, space: str | None = None, place: str = "end"
) -> float:
    """Return the mean over `count` pairs of latents of |f(G(u(t + e))) - f(G(u(t)))|^2 / e^2, e = 1e-4, without the lowest and
    the highest hundredth. f are the extractor's features. u leads from one latent to the other, along a line in w or an arc in
    z (`space`; w if the generator has one); t is 0 for `place` "end" and uniform in [0, 1] for "full".

    Where the features are those of LPIPS (an extractor of your own whose squared differences are that distance), this is the
    perceptual path length: in w at the end it is ppl2_wend of StyleGAN2-ADA, which reduces images to 256 pixels first.
    Otherwise it is comparable only with values for the same extractor. Raises InputError for an extractor that rounds samples,
    which hides the change, for samples that are not images, and for an unknown space or place.

    Source: Karras et al. 2019 (StyleGAN), arXiv:1812.04948, section 4.1; Karras et al. 2020 (StyleGAN2), arXiv:1912.04958,
    section 3; percentiles and e as in their code.
    """
    spaces = ("z", "w") if generator.has_w else ("z",)
    if space not in (None, *spaces) or place not in PLACES:
        raise InputError(f"path_length: space must be {' or '.join(spaces)} and place end or full, got {space} and {place}")
    if extractor.rounds:
        raise InputError(f"path_length: {extractor.name} rounds images to 8 bits, which hides small changes: choose another")
    shape = generator.data.sample_shape
    if type(shape) is not tuple or len(shape) != 3 or count < 2:
        raise InputError(f"path_length needs at least 2 pairs of images, got {count} pairs of samples of shape {shape}")
    pairs = _pairs(generator, space or spaces[-1], place)
    distances = []
    for number, start in enumerate(range(0, count, BATCH)):
        near, far = (extractor.features(x)[0] for x in pairs(min(BATCH, count - start), jax.random.fold_in(key, number)))
        distances.append(np.square(far.astype(np.float64) - near).sum(axis=1) / EPSILON**2)
    distance = np.concatenate(distances)
    low, high = np.percentile(distance, 1, method="lower"), np.percentile(distance, 99, method="higher")
    return float(distance[(distance >= low) & (distance <= high)].mean())


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
