"""Random features: for images without classes, the same small network, never trained."""

import jax
import numpy as np

from gan_jax.checkpoint import digest
from gan_jax.data import Data
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.metrics.features.network import DIMENSION, Network, extract

_SEED = 0
_CAP = 10_000  # train samples that set the scale


def load(data: Data) -> Extractor:
    """The untrained network, centred and scaled so that train samples have mean 0 and mean variance 1: features [N, 64].

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

    name = f"random features of {data.name} ({DIMENSION} of an untrained network, seed {_SEED})"
    return Extractor(features, name, digest((params, centre, scale)), "none")
