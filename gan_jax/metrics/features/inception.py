"""The Inception network of the FID and the Inception score: the TensorFlow graph of 2015-12-05, in Flax."""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.errors import InputError
from gan_jax.imaging.resize import pillow_bicubic_unrounded, pytorch_bilinear, tensorflow_bilinear
from gan_jax.metrics.batched import in_batches
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.metrics.features.images import checked, to_uint8
from gan_jax.metrics.features.inception_tensors import FID_NETWORK
from gan_jax.types import Array
from gan_jax.xla import compiler_options

TAPS = (64, 192, 768, 2048)  # feature widths; each identifies one layer
CLASSES = 1008
_SIZE = 299  # pixels per side
RESIZE = f"TF1 bilinear to {_SIZE}"
_BATCH_SIZE = 32
_EPSILON = 1e-3  # of the batch normalisation
_LARGEST = float(np.finfo(np.float32).max)


def extractor(
    tensors: dict[str, np.ndarray],
    path: Path,
    digest: str,
    *,
    tap: int = 2048,
    bias: bool = False,
    resize: str = "tensorflow",
) -> Extractor:
    """Build the extractor with the weights `tensors`, named as in torch-fidelity and pytorch-fid and read from `path`; `digest`
    identifies the network (`inception_tensors.network_digest`). `gan_jax weights inception` provides the published ones.

    Samples are float32 [N, H, W, 1 or 3] in [-1, 1]; they are rounded to 8 bits as in an image file, and grey ones are repeated
    to RGB. `tap` is the width of the features: 64 after the first pooling, 192 after the second, 768 before the auxiliary head
    (Mixed_6e), 2048 before the classifier; feature maps are averaged over their pixels. By default the logits omit the
    classifier's bias, as in the original code of the score (openai/improved-gan) and in torch-fidelity; `bias` adds it. Without
    the classifier, `fc`, there are no logits, and hence no Inception score; the extractor's name says so.

    `resize`: "tensorflow", bilinearly as in TensorFlow 1; "pytorch", bilinearly as in pytorch-fid and StudioGAN; "clean", by
    Pillow's antialiased bicubic filter without rounding, as in clean-fid.

    Raises InputError if the tensors are not those of the network, ValueError for an unknown tap or resize; `features` raises
    ValueError for samples of another shape.
    Source: Heusel et al. 2017, arXiv:1706.08500 (FID); Salimans et al. 2016, arXiv:1606.03498 (the score); Szegedy et al.
    2015, arXiv:1512.00567 (the network, from which the graph differs: see `Inception`).
    """
    if tap not in TAPS:
        raise ValueError(f"tap must be one of {', '.join(map(str, TAPS))}, got {tap!r}")
    if resize not in _RESIZES:
        raise ValueError(f"resize must be one of {', '.join(_RESIZES)}, got {resize!r}")
    resized, to_input = _RESIZES[resize]
    params = _params(path, tensors, bias)

    def apply(params: dict, images: np.ndarray) -> tuple[Array, Array | None]:
        taps, logits = _network()(params, to_input(images))
        return taps[tap], logits

    run = in_batches(apply, _BATCH_SIZE, to_uint8)

    def features(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        return run(params, checked(samples))

    network = "of the FID" if digest == FID_NETWORK else f"{path.name} (tensors {digest[:8]})"
    classifier = "without its classifier, hence no inception score"
    if "fc" in params:
        classifier = f"classifier {hashlib.sha256(np.asarray(params['fc']['kernel'])).hexdigest()[:8]}{bias * ' with bias'}"
    name = f"Inception {network}, tap {tap}, {resized}, {classifier}"
    return Extractor(features, name, digest, resized, rounds=True, classifies="fc" in params)


class Inception(nn.Module):
    """Images [B, 299, 299, 3] in [-1, 1] -> ({64: [B, 64], ..., 2048: [B, 2048]}, logits [B, 1008], or None if the network
    does not classify).

    Batch normalisation is folded into the convolutions. The graph differs from the paper's network and from torchvision's: the
    average pools inside the blocks exclude the padding from the mean, the last block uses max pooling, and there are 1,008
    classes. Layers are named after their PyTorch weights.
    """

    classifies: bool = True

    @nn.compact
    def __call__(self, x: Array) -> tuple[dict[int, Array], Array | None]:
        taps = {}
        x = _conv(x, "Conv2d_1a_3x3", 32, 3, 2, "VALID")
        x = _conv(x, "Conv2d_2a_3x3", 32, 3, 1, "VALID")
        x = _maximum(_conv(x, "Conv2d_2b_3x3", 64, 3))
        taps[64] = x.mean(axis=(1, 2))
        x = _conv(x, "Conv2d_3b_1x1", 80, 1)
        x = _maximum(_conv(x, "Conv2d_4a_3x3", 192, 3, 1, "VALID"))
        taps[192] = x.mean(axis=(1, 2))
        for block, pooled in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
            x = _grid_35(x, block, pooled)
        x = _concatenate(
            _chain(x, "Mixed_6a", ("branch3x3", 384, 3, 2, "VALID")),
            _chain(x, "Mixed_6a", ("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3, 2, "VALID")),
            _maximum(x),
        )
        for block, width in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
            x = _grid_17(x, block, width)
        taps[768] = x.mean(axis=(1, 2))
        long = (("branch7x7x3_1", 192, 1), ("branch7x7x3_2", 192, (1, 7)), ("branch7x7x3_3", 192, (7, 1)))
        x = _concatenate(
            _chain(x, "Mixed_7a", ("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3, 2, "VALID")),
            _chain(x, "Mixed_7a", *long, ("branch7x7x3_4", 192, 3, 2, "VALID")),
            _maximum(x),
        )
        x = _grid_8(x, "Mixed_7b", _average(x))
        x = _grid_8(x, "Mixed_7c", nn.max_pool(x, (3, 3), (1, 1), "SAME"))
        taps[2048] = x.mean(axis=(1, 2))
        classifier = nn.Dense(CLASSES, precision=jax.lax.Precision.HIGHEST, name="fc")
        return taps, classifier(taps[2048]) if self.classifies else None


def _grid_35(x: Array, block: str, pooled: int) -> Array:
    return _concatenate(
        _chain(x, block, ("branch1x1", 64, 1)),
        _chain(x, block, ("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)),
        _chain(x, block, ("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)),
        _chain(_average(x), block, ("branch_pool", pooled, 1)),
    )


def _grid_17(x: Array, block: str, width: int) -> Array:
    """7x7 convolutions factorised into a row of seven and a column of seven: one such pair, and two."""
    row, column = (1, 7), (7, 1)
    twice = [("branch7x7dbl_2", width, column), ("branch7x7dbl_3", width, row), ("branch7x7dbl_4", width, column)]
    return _concatenate(
        _chain(x, block, ("branch1x1", 192, 1)),
        _chain(x, block, ("branch7x7_1", width, 1), ("branch7x7_2", width, row), ("branch7x7_3", 192, column)),
        _chain(x, block, ("branch7x7dbl_1", width, 1), *twice, ("branch7x7dbl_5", 192, row)),
        _chain(_average(x), block, ("branch_pool", 192, 1)),
    )


def _grid_8(x: Array, block: str, pooled: Array) -> Array:
    """3x3 convolutions factorised into a row of three and a column of three, in parallel."""
    row, column = (1, 3), (3, 1)
    short = _chain(x, block, ("branch3x3_1", 384, 1))
    long = _chain(x, block, ("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3))
    return _concatenate(
        _chain(x, block, ("branch1x1", 320, 1)),
        _chain(short, block, ("branch3x3_2a", 384, row)),
        _chain(short, block, ("branch3x3_2b", 384, column)),
        _chain(long, block, ("branch3x3dbl_3a", 384, row)),
        _chain(long, block, ("branch3x3dbl_3b", 384, column)),
        _chain(pooled, block, ("branch_pool", 192, 1)),
    )


def _chain(x: Array, block: str, *layers: tuple) -> Array:
    for name, *shape in layers:
        x = _conv(x, f"{block}.{name}", *shape)
    return x


def _conv(x: Array, name: str, width: int, kernel: int | tuple[int, int], stride: int = 1, padding: str = "SAME") -> Array:
    size = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    # Highest precision: by default a GPU rounds float32 to TF32, which leaves three digits in the features.
    return nn.relu(nn.Conv(width, size, stride, padding, precision=jax.lax.Precision.HIGHEST, name=name)(x))


def _average(x: Array) -> Array:
    return nn.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)


def _maximum(x: Array) -> Array:
    return nn.max_pool(x, (3, 3), (2, 2))


def _concatenate(*branches: Array) -> Array:
    return jnp.concatenate(branches, axis=-1)


@jax.jit
def tensorflow_input(images: Array) -> Array:
    """Resize images [B, H, W, 1 or 3], 0 to 255, to [B, 299, 299, 3] in [-1, 1), bilinearly as in TensorFlow 1. The difference
    from any later resize changes the FID (Parmar et al. 2022, arXiv:2104.11222)."""
    return (_rgb(tensorflow_bilinear(images, _SIZE, _SIZE)) - 128) / 128


@jax.jit
def pytorch_input(images: Array) -> Array:
    """Resize images [B, H, W, 1 or 3], 0 to 255, to [B, 299, 299, 3] in [-1, 1], as pytorch-fid and StudioGAN do."""
    return _rgb(pytorch_bilinear(images, _SIZE, _SIZE)) / 127.5 - 1


@jax.jit
def clean_input(images: Array) -> Array:
    """Resize images [B, H, W, 1 or 3], 0 to 255, to [B, 299, 299, 3] as clean-fid does; values may leave [-1, 1)."""
    return (_rgb(pillow_bicubic_unrounded(images, _SIZE, _SIZE)) - 128) / 128


def _rgb(images: Array) -> Array:
    return jnp.broadcast_to(images, (*images.shape[:3], 3))


# By the option `resize`: its description, and the function.
_RESIZES = {
    "tensorflow": (RESIZE, tensorflow_input),
    "pytorch": (f"PyTorch bilinear to {_SIZE}", pytorch_input),
    "clean": (f"Pillow bicubic to {_SIZE}, unrounded", clean_input),
}


@functools.cache
def _network() -> Callable[[dict, Array], tuple[dict[int, Array], Array | None]]:
    """The compiled network: a function of its parameters and images."""
    return jax.jit(_apply, compiler_options=compiler_options())


def _apply(params: dict, images: Array) -> tuple[dict[int, Array], Array | None]:
    return Inception(classifies="fc" in params).apply({"params": params}, images)


def _params(path: Path, tensors: dict[str, np.ndarray], bias: bool) -> dict:
    """Parameters of the network, with each batch normalisation folded into its convolution, in float64; without "fc" if the
    tensors have no classifier."""

    def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
        array = tensors.get(name)
        if array is None or array.shape != shape:
            actual = "is missing" if array is None else f"has shape {array.shape}"
            raise InputError(f"{path} is not the Inception network of the FID: {name} must have shape {shape}, but {actual}")
        if array.dtype.kind != "f":
            raise InputError(f"{path}: {name} must be of floating-point numbers, got {array.dtype}")
        array = array.astype(np.float64)
        if not (np.abs(array) < _LARGEST).all():
            raise InputError(f"{path}: {name} is not finite in float32")
        return array

    images = jax.ShapeDtypeStruct((1, _SIZE, _SIZE, 3), jnp.float32)
    abstract = jax.eval_shape(Inception().init, jax.random.key(0), images)["params"]
    classifier = abstract.pop("fc")["kernel"].shape
    params = {}
    if "fc.bias" in tensors or "fc.weight" in tensors:
        offset = tensor("fc.bias", classifier[1:])
        params["fc"] = {"kernel": tensor("fc.weight", classifier[::-1]).T, "bias": offset if bias else np.zeros_like(offset)}
    for name, layer in abstract.items():
        height, width, inputs, outputs = layer["kernel"].shape
        kernel = tensor(f"{name}.conv.weight", (outputs, inputs, height, width))
        scale, shift, mean, variance = (
            tensor(f"{name}.bn.{part}", (outputs,)) for part in ("weight", "bias", "running_mean", "running_var")
        )
        if variance.min() < 0:
            raise InputError(f"{path}: {name}.bn.running_var has negative variances")
        scale = scale / np.sqrt(variance + _EPSILON)
        params[name] = {"kernel": kernel.transpose(2, 3, 1, 0) * scale, "bias": shift - mean * scale}
    return jax.tree.map(lambda array: jnp.asarray(array, jnp.float32), params)
