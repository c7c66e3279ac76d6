"""Extractors by name: `f(data, *, options) -> Extractor`. Each public function here is a value of `--extractor`.

What the distances between features mean depends on the features: `name` of an Extractor belongs beside every number.
"""

from pathlib import Path

from gan_jax.cache import cache_path
from gan_jax.data import Data
from gan_jax.errors import InputError
from gan_jax.metrics.features.extractor import Extractor


def classifier(data: Data) -> Extractor:
    """A small network trained on the data's own classes (`features/classifier.py`)."""
    from gan_jax.metrics.features import classifier

    if data.train.labels is None or data.train.labels.ndim != 1:
        raise InputError(f"--extractor classifier needs classes, and {data.name} has none: try random, or inception")
    return classifier.load(data)


def random(data: Data) -> Extractor:
    """The same network, untrained (`features/random.py`): for smoke runs, and images without classes."""
    from gan_jax.metrics.features import random

    return random.load(data)


def inception(data: Data, *, weights: str | None = None, tap: int = 2048) -> Extractor:
    """The network of the FID (`features/inception.py`), of the weights in a file, or of those that were fetched."""
    from gan_jax.metrics.features import inception
    from gan_jax.metrics.features.weights import INCEPTION

    path = _fetched("inception", weights, INCEPTION.file)
    try:
        return inception.load(path, tap=tap)
    except ValueError as error:
        raise InputError(f"--extractor inception: {error}") from error


def dinov2(data: Data, *, weights: str | None = None) -> Extractor:
    """DINOv2 (`features/dinov2.py`), of the weights in a file, or of those that were fetched."""
    from gan_jax.metrics.features import dinov2
    from gan_jax.metrics.features.weights import DINOV2

    return dinov2.load(_fetched("dinov2", weights, DINOV2.file))


def _fetched(name: str, weights: str | None, file: str) -> Path:
    path = cache_path(file) if weights is None else Path(weights).expanduser()
    if not path.is_file():
        remedy = f"python experiments/weights.py {name} fetches them"
        if weights is None:
            raise InputError(
                f"--extractor {name}: its weights are not in {path}: {remedy}, {name}(weights='PATH') takes others"
            )
        raise InputError(f"--extractor {name}: no file {path}; {remedy}")
    return path
