"""The small convolutional network behind both extractors for small images, and its application to many images."""

import math
from functools import partial

import flax.linen as nn
import jax
import numpy as np

from gan_jax.metrics.batched import in_batches
from gan_jax.types import Array

DIMENSION = 64  # of the features
_BATCH_SIZE = 1000  # of images of up to 64 x 64 x 3; of larger ones fewer, so that a batch of any size fits in the memory
_BATCH_VALUES = _BATCH_SIZE * 64 * 64 * 3


class Network(nn.Module):
    """Images [B, H, W, C] in [-1, 1] -> (features [B, 64], logits [B, num_classes]), for image sizes from 4 to about 64.

    3x3 convolutions, alternating with space-to-depth until the size is at most 4 x 4: XLA's CPU compiler makes these several
    times faster than strided convolutions or pooling. The features are linear: no unit is ever dead, and noise or malformed
    samples move them further than they would move the output of a saturating nonlinearity.
    """

    num_classes: int
    dropout: float = 0.5

    @nn.compact
    def __call__(self, images: Array, train: bool = False) -> tuple[Array, Array]:
        x = _space_to_depth(images) if max(images.shape[1:3]) > 16 else images
        width = 16
        x = nn.relu(nn.Conv(width, (3, 3))(x))
        while max(x.shape[1:3]) > 4:
            width = min(2 * width, 64)
            x = nn.relu(nn.Conv(width, (3, 3))(_space_to_depth(x)))
        features = nn.Dense(DIMENSION)(x.reshape(len(x), -1))
        # Dropout here makes the feature distributions of training and held-out images more similar.
        return features, nn.Dense(self.num_classes)(nn.Dropout(self.dropout, deterministic=not train)(features))


def extract(network: Network, params: dict, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images float32 [N, H, W, C] -> (features [N, 64], logits [N, K]), float32 on the host, computed in batches."""
    samples = np.asarray(samples, np.float32)
    if samples.ndim != 4:
        raise ValueError(f"images must be [N, H, W, C], got {samples.shape}")
    rows = max(1, min(_BATCH_SIZE, _BATCH_VALUES // math.prod(samples.shape[1:])))
    return in_batches(partial(_apply, network), rows)(params, samples)


@partial(jax.jit, static_argnums=0)
def _apply(network: Network, params: dict, images: Array) -> tuple[Array, Array]:
    return network.apply({"params": params}, images)


def _space_to_depth(x: Array) -> Array:
    """[B, H, W, C] -> [B, H/2, W/2, 4C]; odd sizes are first padded by one row or column of zeros."""
    x = jax.numpy.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)))
    b, h, w, c = x.shape
    return x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, h // 2, w // 2, 4 * c)
