"""Training of a ResNet-50 from random weights, as for the classification accuracy score on ImageNet."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax.metrics.batched import in_batches
from gan_jax.metrics.features.images import IMAGENET, checked, normalised
from gan_jax.metrics.features.resnet50 import ResNet50
from gan_jax.types import Array

_EPOCHS = 90
_BATCH_SIZE = 256
_RATE, _MOMENTUM, _DECAY = 0.1, 0.9, 1e-4
_WARM_UP, _DROPS = 5 / 90, (30 / 90, 60 / 90, 80 / 90)  # fractions of the training
_AREA, _ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)  # ranges of crops


def fit(network: ResNet50, samples: np.ndarray, labels: np.ndarray, *, seed: int = 0) -> dict:
    """Train `network` on images [N, H, W, 1 or 3] in [-1, 1] with classes int32 [N], and return its variables.

    90 epochs of SGD with Nesterov momentum .9 and batches of 256; the rate rises linearly to .1 within 5 epochs and drops by 10
    at 30, 60 and 80; weight decay 1e-4 of kernels. Each image is a random crop of 8% to 100% of the area, resized to the
    images' own size, and mirrored half the time. Batches of fewer than 256 images have a proportional rate.

    Source: He et al. 2016, arXiv:1512.03385, section 3.4; Goyal et al. 2017, arXiv:1706.02677, sections 2.2 and 5.1.
    """
    samples = checked(samples)
    batch_size = min(_BATCH_SIZE, len(samples))
    steps = _EPOCHS * (len(samples) // batch_size)
    tx = optimizer(steps, batch_size)
    init_key, step_key = jax.random.split(jax.random.key(seed))
    variables = jax.jit(network.init)(init_key, np.zeros((1, *samples.shape[1:3], 3), np.float32))
    opt_state = tx.init(variables["params"])
    rng = np.random.default_rng(seed)
    epochs = [rng.permutation(len(samples))[: steps // _EPOCHS * batch_size] for _ in range(_EPOCHS)]
    for step, rows in enumerate(np.concatenate(epochs).reshape(steps, batch_size)):
        key = jax.random.fold_in(step_key, step)
        variables, opt_state = _step(network, steps, variables, opt_state, key, samples[rows], labels[rows])
    return variables


def predict(network: ResNet50, variables: dict, samples: np.ndarray) -> np.ndarray:
    """The logits [N, num_classes] of images [N, H, W, 1 or 3] in [-1, 1], without a crop."""
    return in_batches(partial(_logits, network), _BATCH_SIZE)(variables, checked(samples))


def optimizer(steps: int, batch_size: int) -> optax.GradientTransformation:
    """The optimiser of a training of this many steps."""
    kernels = partial(jax.tree_util.tree_map_with_path, lambda path, _: path[-1].key == "kernel")
    sgd = optax.sgd(learning_rate(steps, batch_size), _MOMENTUM, nesterov=True)
    return optax.chain(optax.add_decayed_weights(_DECAY, kernels), sgd)


def learning_rate(steps: int, batch_size: int) -> optax.Schedule:
    """The learning rate at each step of a training of this many steps."""
    rate, warm_up = _RATE * batch_size / _BATCH_SIZE, max(1, round(_WARM_UP * steps))
    drops = optax.piecewise_constant_schedule(rate, {round(at * steps) - warm_up: 0.1 for at in _DROPS})
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warm_up), drops], [warm_up])


def random_crop(key: Array, image: Array) -> Array:
    """A random crop of the image [H, W, C], resized to its size, bilinearly and antialiased, and mirrored half the time."""
    area_key, aspect_key, row_key, column_key, flip_key = jax.random.split(key, 5)
    size = jnp.array(image.shape[:2], jnp.float32)
    area = jax.random.uniform(area_key, (), minval=_AREA[0], maxval=_AREA[1])
    aspect = jnp.exp(jax.random.uniform(aspect_key, (), minval=np.log(_ASPECT[0]), maxval=np.log(_ASPECT[1])))
    crop = jnp.minimum(size * jnp.sqrt(area) * jnp.stack([jax.lax.rsqrt(aspect), jnp.sqrt(aspect)]), size)
    corner = (size - crop) * jnp.stack([jax.random.uniform(row_key), jax.random.uniform(column_key)])
    scale = size / crop
    x = jax.image.scale_and_translate(image, image.shape, (0, 1), scale, -corner * scale, "linear")
    return jnp.where(jax.random.bernoulli(flip_key), x[:, ::-1], x)


@partial(jax.jit, static_argnums=(0, 1))
def _step(
    network: ResNet50, steps: int, variables: dict, opt_state: optax.OptState, key: Array, images: Array, labels: Array
) -> tuple[dict, optax.OptState]:
    images = jax.vmap(random_crop)(jax.random.split(key, len(images)), images)

    def loss(params: dict) -> tuple[Array, dict]:
        (_, logits), after = network.apply({**variables, "params": params}, _input(images), True, mutable=["batch_stats"])
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), after

    gradients, after = jax.grad(loss, has_aux=True)(variables["params"])
    updates, opt_state = optimizer(steps, len(images)).update(gradients, opt_state, variables["params"])
    return {"params": optax.apply_updates(variables["params"], updates), **after}, opt_state


@partial(jax.jit, static_argnums=0)
def _logits(network: ResNet50, variables: dict, images: Array) -> Array:
    return network.apply(variables, _input(images))[1]


def _input(images: Array) -> Array:
    return normalised(127.5 * images + 127.5, IMAGENET)
