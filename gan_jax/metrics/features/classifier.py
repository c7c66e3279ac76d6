"""Classifier features: a small network trained on the data's own train split, always from the same seed."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from gan_jax.cache import cache_path, read_cache, write_cache
from gan_jax.checkpoint import digest
from gan_jax.data import Data
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.metrics.features.network import Network, extract
from gan_jax.types import Array

_VERSION = 1  # of all that makes the weights: raise it when the network, its training or its units change
_SEED = 0
_STEPS = 800
_BATCH_SIZE = 128
_LEARNING_RATE = 3e-3


def load(data: Data) -> Extractor:
    """The classifier of `data`, from the cache or trained now (seconds; under a minute for 60,000 28x28 images on two cores).
    Its features are [N, 64], its logits those of the data's classes; its name tells its accuracy on the held-out split.

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
        params = fit(network, data.train.samples, labels, to_float=data.to_float)
        write_cache(path, {name: np.asarray(array) for name, array in flatten_dict(params, sep="/").items()})

    def features(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return extract(network, params, samples)

    _, logits = features(data.to_float(data.test.samples))
    accuracy = float((logits.argmax(axis=1) == data.test.labels).mean())
    name = f"classifier of {data.name} (seed {_SEED}, test accuracy {accuracy:.1%})"
    return Extractor(features, name, digest(params), "none")


def fit(
    network: Network,
    samples: np.ndarray,
    labels: np.ndarray,
    *,
    to_float: Callable[[Array], Array] = lambda images: images,
    seed: int = _SEED,
) -> dict:
    """The network's parameters after 800 steps of batch 128 on images [N, H, W, C] with classes [N] int32; `to_float` makes
    what is stored float32 in [-1, 1].

    Adam with a cosine schedule and one-pixel translations. A loop of steps: XLA:CPU is slow at convolutions in a scan."""
    store = jax.device_put((samples, labels))
    key = jax.random.key(seed)
    params, opt_state = _init(network, _STEPS, key, np.zeros((1, *samples.shape[1:]), np.float32))
    rng = np.random.default_rng(seed)
    size = len(samples)
    epochs = -(-_STEPS * _BATCH_SIZE // size)
    order = np.concatenate([rng.permutation(size) for _ in range(epochs)])[: _STEPS * _BATCH_SIZE].astype(np.int32)
    dropout_keys = jax.random.split(jax.random.fold_in(key, 1), _STEPS)
    for rows, dropout_key in zip(order.reshape(_STEPS, _BATCH_SIZE), dropout_keys, strict=True):
        shift = rng.integers(0, 3, 2, dtype=np.int32)
        params, opt_state = _step(network, to_float, _STEPS, params, opt_state, store, rows, shift, dropout_key)
    return params


@partial(jax.jit, static_argnums=(0, 1))
def _init(network: Network, steps: int, key: Array, images: Array) -> tuple[dict, optax.OptState]:
    params = network.init(key, images)["params"]
    return params, _optimizer(steps).init(params)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _step(
    network: Network,
    to_float: Callable[[Array], Array],
    steps: int,
    params: dict,
    opt_state: optax.OptState,
    store: tuple[Array, Array],
    rows: Array,
    shift: Array,
    dropout_key: Array,
) -> tuple[dict, optax.OptState]:
    images = to_float(store[0][rows])
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    images = jax.lax.dynamic_slice(padded, (0, shift[0], shift[1], 0), images.shape)

    def loss(params: dict) -> Array:
        _, logits = network.apply({"params": params}, images, train=True, rngs={"dropout": dropout_key})
        return optax.softmax_cross_entropy_with_integer_labels(logits, store[1][rows]).mean()

    updates, opt_state = _optimizer(steps).update(jax.grad(loss)(params), opt_state, params)
    return optax.apply_updates(params, updates), opt_state


def _optimizer(steps: int) -> optax.GradientTransformation:
    return optax.adam(optax.cosine_decay_schedule(_LEARNING_RATE, steps))


def _read(path: Path, abstract: dict) -> dict | None:
    """The cached parameters, or None where there are none of the names, shapes and types expected, finite and undamaged."""
    expected = flatten_dict(abstract, sep="/")
    params = read_cache(path)
    if params is None or params.keys() != expected.keys():
        return None
    for name, array in params.items():
        if (array.shape, array.dtype) != (expected[name].shape, expected[name].dtype) or not np.isfinite(array).all():
            return None
    return unflatten_dict(params, sep="/")
