"""Training of the classifier whose features are used for small images."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tqdm import tqdm

from gan_jax.metrics.features.network import Network
from gan_jax.types import Array

_SEED = 0
_STEPS = 800
_FEW_STEPS = 100
_BATCH_SIZE = 128
_LEARNING_RATE = 3e-3


def num_steps(size: int) -> int:
    """The number of training steps on `size` images: 128 epochs, at least 100 steps and at most 800."""
    return min(_STEPS, max(_FEW_STEPS, size * 128 // _BATCH_SIZE))


def fit(
    network: Network,
    samples: np.ndarray,
    labels: np.ndarray,
    *,
    to_float: Callable[[Array], Array] = lambda images: images,
    seed: int = _SEED,
) -> dict:
    """Train `network` on images [N, H, W, C] with classes int32 [N], for `num_steps(N)` steps of batch size 128, and return its
    parameters.

    `to_float` maps stored images to float32 in [-1, 1]. Adam with a cosine schedule, augmented by one-pixel translations.
    A Python loop over steps, because XLA:CPU is slow at convolutions inside a scan.
    """
    store = jax.device_put((samples, labels))
    key = jax.random.key(seed)
    size, steps = len(samples), num_steps(len(samples))
    params, opt_state = _init(network, steps, key, np.zeros((1, *samples.shape[1:]), np.float32))
    rng = np.random.default_rng(seed)
    epochs = -(-steps * _BATCH_SIZE // size)
    order = np.concatenate([rng.permutation(size) for _ in range(epochs)])[: steps * _BATCH_SIZE].astype(np.int32)
    dropout_keys = jax.random.split(jax.random.fold_in(key, 1), steps)
    batches = zip(order.reshape(steps, _BATCH_SIZE), dropout_keys, strict=True)
    for rows, dropout_key in tqdm(batches, "training the classifier", steps, leave=False, disable=None):
        shift = rng.integers(0, 3, 2, dtype=np.int32)
        params, opt_state = _step(network, to_float, steps, params, opt_state, store, rows, shift, dropout_key)
        jax.block_until_ready(opt_state)  # so that the bar is honest, and Ctrl-C ends the training
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
