"""Random features: for images without classes, the same small network, never trained."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np

from gan_jax.data import Data
from gan_jax.metrics.features.network import DIMENSION, Network, extract

_SEED = 0
_CAP = 10_000  # train samples that set the scale


class RandomFeatures(NamedTuple):
    """`features(samples float32 [N, H, W, C] in [-1, 1]) -> (float32 [N, 64], None)`, None for the logits it cannot give."""

    features: Callable[[np.ndarray], tuple[np.ndarray, None]]
    name: str


def load(data: Data) -> RandomFeatures:
    """The untrained network, centred and scaled so that train samples have mean 0 and mean variance 1.

    Distances between random features rank gross differences rightly and know nothing of content.
    Source: Naeem et al. 2020, arXiv:2002.09797, section 5 (random embeddings).
    """
    network = Network(num_classes=1)
    images = np.zeros((1, *data.sample_shape), np.float32)
    params = jax.jit(network.init)(jax.random.key(_SEED), images)["params"]
    train, _ = extract(network, params, data.to_float(data.train.samples[:_CAP]))
    centre, scale = train.mean(axis=0), np.sqrt(train.var(axis=0).mean())

    def features(samples: np.ndarray) -> tuple[np.ndarray, None]:
        return (extract(network, params, samples)[0] - centre) / max(scale, 1e-12), None

    return RandomFeatures(features, f"random features of {data.name} ({DIMENSION} of an untrained network, seed {_SEED})")
