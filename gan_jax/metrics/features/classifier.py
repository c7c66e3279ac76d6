"""Classifier features: a small network trained on the data's own train split, always from the same seed."""

import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from gan_jax.cache import cache_path, write_cache
from gan_jax.data import Data
from gan_jax.metrics.features.network import Network, extract
from gan_jax.types import Array

_VERSION = 1  # of all that makes the weights: raise it when the network, its training or its units change
_SEED = 0
_STEPS = 800
_BATCH_SIZE = 128
_LEARNING_RATE = 3e-3


class Classifier(NamedTuple):
    """`features(samples float32 [N, H, W, C] in [-1, 1]) -> (features [N, 64], logits [N, K])`, float32.

    `accuracy` is its share of right answers on the held-out split; `name` says what it is, to be shown beside its numbers.
    """

    features: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    accuracy: float
    name: str


def load(data: Data) -> Classifier:
    """The classifier of `data`, from the cache or trained now (seconds; under a minute for 60,000 28x28 images on two cores).

    Cached in $GAN_JAX_CACHE (~/.cache/gan_jax) under the data's checksum, which covers how it is split. A cache file that
    does not verify is trained anew; a directory that cannot be written to means only that the next run trains again.
    Raises ValueError where the data's labels are not classes, or it is not images.
    """
    labels = data.train.labels
    if not data.num_classes or labels is None or labels.ndim != 1 or len(data.sample_shape) != 3:
        found = "" if labels is None else f" (labels {labels.shape})"
        raise ValueError(
            f"a classifier needs images with classes: {data.name} has {data.num_classes} classes{found}, {data.sample_shape}"
        )
    network = Network(data.num_classes)
    path = cache_path(f"classifier-v{_VERSION}-{data.checksum[:32]}.npz")
    images = jax.ShapeDtypeStruct((1, *data.sample_shape), jnp.float32)
    abstract = jax.eval_shape(network.init, jax.random.key(_SEED), images)["params"]
    params = _read(path, abstract)
    if params is None:
        params = _train(network, data)
        write_cache(path, {name: np.asarray(array) for name, array in flatten_dict(params, sep="/").items()})

    def features(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return extract(network, params, samples)

    _, logits = features(data.to_float(data.test.samples))
    accuracy = float((logits.argmax(axis=1) == data.test.labels).mean())
    return Classifier(features, accuracy, f"classifier of {data.name} (seed {_SEED}, test accuracy {accuracy:.1%})")


def _train(network: Network, data: Data) -> dict:
    """Adam with a cosine schedule and one-pixel translations. A loop of steps: XLA:CPU is slow at convolutions in a scan."""
    optimizer = optax.adam(optax.cosine_decay_schedule(_LEARNING_RATE, _STEPS))
    store = jax.device_put((data.train.samples, data.train.labels))
    key = jax.random.key(_SEED)

    @jax.jit
    def init(images: Array) -> tuple[dict, optax.OptState]:
        params = network.init(key, images)["params"]
        return params, optimizer.init(params)

    @jax.jit
    def step(params: dict, opt_state: optax.OptState, store: tuple, rows: Array, shift: Array, dropout_key: Array) -> tuple:
        images = data.to_float(store[0][rows])
        padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        images = jax.lax.dynamic_slice(padded, (0, shift[0], shift[1], 0), images.shape)

        def loss(params: dict) -> Array:
            _, logits = network.apply({"params": params}, images, train=True, rngs={"dropout": dropout_key})
            return optax.softmax_cross_entropy_with_integer_labels(logits, store[1][rows]).mean()

        updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    params, opt_state = init(np.zeros((1, *data.sample_shape), np.float32))
    rng = np.random.default_rng(_SEED)
    size = len(data.train.samples)
    epochs = -(-_STEPS * _BATCH_SIZE // size)
    order = np.concatenate([rng.permutation(size) for _ in range(epochs)])[: _STEPS * _BATCH_SIZE].astype(np.int32)
    dropout_keys = jax.random.split(jax.random.fold_in(key, 1), _STEPS)
    for rows, dropout_key in zip(order.reshape(_STEPS, _BATCH_SIZE), dropout_keys, strict=True):
        shift = rng.integers(0, 3, 2, dtype=np.int32)
        params, opt_state = step(params, opt_state, store, rows, shift, dropout_key)
    return params


def _read(path: Path, abstract: dict) -> dict | None:
    """The cached parameters, or None where there are none of the names, shapes and types expected, finite and undamaged."""
    expected = flatten_dict(abstract, sep="/")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            params = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        return None
    if params.keys() != expected.keys():
        return None
    for name, array in params.items():
        if (array.shape, array.dtype) != (expected[name].shape, expected[name].dtype) or not np.isfinite(array).all():
            return None
    return unflatten_dict(params, sep="/")
