"""VGG-16: features for NVIDIA's precision and recall, and LPIPS, the perceptual distance of path lengths and reconstructions.

Source: Simonyan and Zisserman 2015, arXiv:1409.1556 (the network); Kynkaanniemi et al. 2019, arXiv:1904.06991 (precision and
recall); Zhang et al. 2018, arXiv:1801.03924 (LPIPS).
"""

import re
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.errors import InputError
from gan_jax.imaging.resize import tensorflow_bilinear
from gan_jax.metrics.batched import in_batches
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.metrics.features.images import IMAGENET, checked, normalised, to_uint8
from gan_jax.metrics.features.pytorch import variables
from gan_jax.types import Array

_SIZE = 224  # pixels per side
_BATCH_SIZE = 16
_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))  # of the convolutions between pools
_CLASSES = 1000
_EPSILON = 1e-10  # added to the norm of the channels at a position


def extractor(
    tensors: dict[str, np.ndarray],
    path: Path,
    digest: str,
    *,
    linear: dict[str, np.ndarray] | None = None,
    network: "VGG16 | None" = None,
) -> Extractor:
    """Build the extractor with the weights `tensors`: those of NVIDIA's vgg16.pt, or of torchvision's vgg16-397923af.pth, which
    was trained anew, so that features differ. `path` and `digest` (sha256) identify their file. `linear` are the weights of
    LPIPS in its authors' vgg.pth, which NVIDIA's file contains; with either, the extractor has the `distance` LPIPS. `network`
    is the published one by default: narrower ones are for tests.

    Its features map samples float32 [N, H, W, 1 or 3] in [-1, 1] to ([N, 4096], logits [N, 1000]): the second hidden layer of
    the classifier after its ReLU, on which NVIDIA's precision and recall are computed (the metrics with k = 3). Samples are
    rounded to 8 bits, as in an image file, grey is repeated to RGB, and any height and width become 224 x 224 bilinearly as in
    TensorFlow 1, from which they converted the network. Then follow ImageNet's mean and standard deviation.

    `distance` is LPIPS of two sets of samples [N, H, W, 1 or 3], at their own size and without rounding: [N] of each pair.

    Raises InputError if the tensors are not those of the network; `features` raises ValueError for samples of another shape.
    """
    network = network or VGG16()
    tensors, weighting = split(network, tensors, linear, path)
    images = jax.ShapeDtypeStruct((1, _SIZE, _SIZE, 3), jnp.float32)
    weights = variables(jax.eval_shape(network.init, jax.random.key(0), images), tensors, path, "VGG-16")
    run, compare = (in_batches(partial(f, network), _BATCH_SIZE, p) for f, p in ((_apply, to_uint8), (_distance, np.float32)))

    def features(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return run(weights, checked(samples))

    def distance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return compare((weights, weighting), checked(x), checked(y))

    name, resized = f"VGG-16 {path.name} (sha256 {digest[:8]})", f"TF1 bilinear to {_SIZE}"
    return Extractor(features, name, digest, resized, rounds=True, distance=None if weighting is None else distance)


def lpips(network: "VGG16", weights: dict, weighting: list[Array], x: Array, y: Array) -> Array:
    """The distance LPIPS of each pair of images x and y [B, H, W, 1 or 3] in [-1, 1]: float32 [B].

    sum over five layers of the mean over positions of sum_c w_c (a_c - b_c)^2, where a and b are the activations of x and y
    before each pool, divided by the norm of their channels, and w >= 0 are `weighting`, [C] for each layer. `weights` are the
    variables of `network`. Images of any size from 16 pixels are compared as they are; ValueError for smaller ones.

    Source: arXiv:1801.03924, eq. 1; version 0.1 of the authors' code, whose scaling of images in [-1, 1] is ImageNet's mean and
    standard deviation.
    """
    if x.shape != y.shape or min(x.shape[1:3]) < 16:
        raise ValueError(f"lpips compares images of one size of at least 16 pixels, got {x.shape[1:]} and {y.shape[1:]}")
    x, y = (normalised(127.5 * images.astype(jnp.float32) + 127.5, IMAGENET) for images in (x, y))
    total = jnp.zeros(len(x))
    with jax.default_matmul_precision("highest"):  # by default, accelerators round the factors to 10 bits or fewer
        pairs = zip(*(network.apply(weights, images, activations=True) for images in (x, y)), weighting, strict=True)
    for a, b, w in pairs:
        a, b = (features / (_norm(features) + _EPSILON) for features in (a, b))
        total += (jnp.square(a - b) * w[None, None, None]).sum(axis=-1).mean(axis=(1, 2))
    return total


def split(
    network: "VGG16", tensors: dict[str, np.ndarray], linear: dict[str, np.ndarray] | None, path: Path
) -> tuple[dict[str, np.ndarray], list[np.ndarray] | None]:
    """Return the tensors of the network by our names, and the weights of LPIPS, float32 [C] of five layers, if there are any.
    Raises InputError if these have other names or shapes or are negative."""
    own = {name: tensor for name, tensor in tensors.items() if name.startswith("lpips")}
    named = linear if linear is not None else own
    if any(name.startswith("layers.") for name in tensors):  # the other tensors of NVIDIA's file are constants of its code
        tensors = {name: tensor for name, tensor in tensors.items() if name.startswith("layers.")}
    tensors = {_name(name): tensor for name, tensor in tensors.items() if name not in own}
    if not named:
        return tensors, None
    by_layer = {re.sub(r"^lpips(\d)$|^lin(\d)\.model\.1\.weight$", r"\1\2", name): tensor for name, tensor in named.items()}
    expected = {str(layer): widths[-1] for layer, widths in enumerate(network.widths)}
    if {name: tensor.size for name, tensor in by_layer.items()} != expected:
        names = ", ".join(f"{name} {tensor.shape}" for name, tensor in sorted(named.items())[:5])
        raise InputError(
            f"weights of LPIPS for VGG-16 are lin0.model.1.weight to lin4 with {[*expected.values()]} values: {names}"
        )
    weighting = [by_layer[layer].reshape(-1).astype(np.float32) for layer in expected]
    if not all((w >= 0).all() and np.isfinite(w).all() for w in weighting):
        raise InputError(f"{path}: weights of LPIPS must be finite and not negative")
    return tensors, weighting


def convolutions(network: "VGG16", tensors: dict[str, np.ndarray], path: Path) -> dict:
    """Return the variables of `network` that LPIPS needs: those of its convolutions."""
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    abstract = jax.eval_shape(partial(network.init, activations=True), jax.random.key(0), images)
    return variables(abstract, {name: x for name, x in tensors.items() if name.startswith("conv")}, path, "VGG-16")


class VGG16(nn.Module):
    """Normalised images [B, H, W, 3] -> (features [B, hidden], logits [B, 1000]), for 224 x 224 pixels; or, with `activations`,
    the five activations before each pool [B, h, w, C], for any size."""

    widths: tuple[tuple[int, ...], ...] = _WIDTHS
    hidden: int = 4096

    @nn.compact
    def __call__(self, x: Array, activations: bool = False) -> tuple[Array, Array] | list[Array]:
        grids, number = [], 0
        for stage, widths in enumerate(self.widths):
            x = nn.max_pool(x, (2, 2), (2, 2)) if stage else x
            for width in widths:
                number += 1
                x = nn.relu(nn.Conv(width, (3, 3), name=f"conv{number}")(x))
            grids.append(x)
        if activations:
            return grids
        x = nn.max_pool(x, (2, 2), (2, 2)).transpose(0, 3, 1, 2).reshape(len(x), -1)  # PyTorch flattens channels first
        x = nn.relu(nn.Dense(self.hidden, name="fc1")(x))
        x = nn.relu(nn.Dense(self.hidden, name="fc2")(x))
        return x, nn.Dense(_CLASSES, name="fc3")(x)


@partial(jax.jit, static_argnums=0)
def _apply(network: VGG16, weights: dict, images: Array) -> tuple[Array, Array]:
    """Images uint8 [B, H, W, 1 or 3] -> features and logits."""
    x = normalised(tensorflow_bilinear(images, _SIZE, _SIZE), IMAGENET)
    with jax.default_matmul_precision("highest"):
        return network.apply(weights, x)


@partial(jax.jit, static_argnums=0)
def _distance(network: VGG16, weights: tuple[dict, list[Array]], x: Array, y: Array) -> Array:
    return lpips(network, *weights, x, y)


def _norm(x: Array) -> Array:
    """The norm over channels, [..., 1], with gradient 0 where it is 0."""
    squares = jnp.square(x).sum(axis=-1, keepdims=True)
    return jnp.where(squares > 0, jnp.sqrt(jnp.where(squares > 0, squares, 1)), 0)


def _name(name: str) -> str:
    """The name of a layer's tensor in NVIDIA's file, without "layers.", for one in torchvision's."""
    kind, _, rest = name.partition(".")
    index, _, leaf = rest.partition(".")
    if kind == "layers":
        return rest
    if kind == "features" and index.isdigit():
        # Positions among convolutions, ReLUs and pools.
        positions, position = [], 0
        for widths in _WIDTHS:
            positions += [position + 2 * i for i in range(len(widths))]
            position += 2 * len(widths) + 1
        return f"conv{positions.index(int(index)) + 1}.{leaf}" if int(index) in positions else name
    if kind == "classifier" and index in ("0", "3", "6"):
        return f"fc{int(index) // 3 + 1}.{leaf}"
    return name
