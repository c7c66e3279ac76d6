"""DINOv2 features: a vision transformer trained without labels. The Frechet distance between them is FD-DINOv2.

Everything that affects the features follows the official model of 2023 (github.com/facebookresearch/dinov2, without
registers) as used by dgm-eval (github.com/layer6ai-labs/dgm-eval), the code of Stein et al.
Source: Oquab et al. 2023, arXiv:2304.07193 (the network); Stein et al. 2023, arXiv:2306.04675 (its features for metrics).
"""

import math
import re
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from gan_jax.errors import InputError
from gan_jax.metrics.batched import in_batches
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.types import Array

_PATCH = 14  # pixels per side of a patch
_GRID = 16  # patches per side of an image
_IMAGE_SIZE = _PATCH * _GRID
_HEAD_WIDTH = 64  # of an attention head, in all published models
_BATCH_SIZE = 16
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
_PUBLISHED = {384: ("S", 12), 768: ("B", 12), 1024: ("L", 24)}  # width -> (letter, depth) of the published models
_HUGGING_FACE = {  # official names -> Hugging Face names; Hugging Face stores query, key and value separately
    "blocks.": "encoder.layer.",
    "attn.qkv.": "attention.attention.qkv.",
    "attn.proj.": "attention.output.dense.",
    "ls1.gamma": "layer_scale1.lambda1",
    "ls2.gamma": "layer_scale2.lambda1",
    "patch_embed.proj.": "embeddings.patch_embeddings.projection.",
    "cls_token": "embeddings.cls_token",
    "pos_embed": "embeddings.position_embeddings",
    "norm.": "layernorm.",
}


def extractor(tensors: dict[str, np.ndarray], path: Path, digest: str) -> Extractor:
    """Build the DINOv2 extractor with the weights `tensors`, read from the file `path` whose sha256 is `digest`.

    Its features map samples float32 [N, H, W, 1 or 3] in [-1, 1] to (float32 [N, D], None). D is 1024 for ViT-L/14, the model
    of FD-DINOv2; ViT-S and ViT-B (384, 768) are supported too and identified by `name`. `tensors` are those of the official
    `dinov2_vitl14_pretrain.pth` or of `model.safetensors` in Hugging Face's facebook/dinov2-large, stored in any format of
    `storage/tensor_files.py: load_tensors`.

    A sample is rounded to 8 bits, as in an image file, grey is repeated to three channels, and any height and width become
    224 x 224 by Pillow's antialiased bicubic filter (Keys' kernel with a = -0.5, its support widened when shrinking; first
    horizontally, then vertically, each rounded to 8 bits), bit for bit. The order is fixed, whereas Pillow 13 starts vertically
    if the height shrinks more, and then rounds differently from Pillow 12 and from us. Then follow ImageNet's mean and standard
    deviation, the transformer, and the class token after the last layer norm. `dgm-eval --clean_resize`, which does not round,
    gives different features.

    The 37 x 37 position embeddings are shrunk to 16 x 16 as in the official model: bicubic with a = -0.75, not antialiased,
    at the scale 37 / 16.1. (The 0.1 guarded against rounding and was kept for compatibility. Hugging Face resamples by size, at
    37 / 16: its features for the same weights differ.)

    Raises InputError if the tensors are not exactly those of a DINOv2, naming what is missing or unknown; `features` raises
    ValueError for samples of another shape or with values that are not finite.
    """
    network, params = _network_and_params(path, tensors)
    params = jax.device_put(params)
    run = in_batches(partial(_apply, network), _BATCH_SIZE, _to_uint8)
    letter, depth = _PUBLISHED.get(network.width, ("", 0))
    architecture = f"ViT-{letter}/14" if depth == network.depth else f"of {network.depth} blocks of width {network.width}"

    def features(samples: np.ndarray) -> tuple[np.ndarray, None]:
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 4 or samples.shape[-1] not in (1, 3) or not samples.size:
            raise ValueError(f"samples must be [N, H, W, 1 or 3] with N > 0, got {samples.shape}")
        if not np.isfinite(samples).all():
            raise ValueError(f"samples {samples.shape} must be finite")
        return run(params, samples), None

    resized = f"{_IMAGE_SIZE} px, bicubic as Pillow's, 8 bits"
    return Extractor(features, f"DINOv2 {architecture}", digest, resized, rounds=True)


def _to_uint8(images: np.ndarray) -> np.ndarray:
    """Map [-1, 1] to uint8, 0 to 255."""
    return np.clip(np.rint((images + 1) * 127.5), 0, 255).astype(np.uint8)


class _Attention(nn.Module):
    @nn.compact
    def __call__(self, x: Array) -> Array:
        batch, tokens, width = x.shape
        qkv = nn.Dense(3 * width, name="qkv")(x).reshape(batch, tokens, 3, width // _HEAD_WIDTH, _HEAD_WIDTH)
        x = jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], implementation="xla")
        return nn.Dense(width, name="proj")(x.reshape(batch, tokens, width))


class _MLP(nn.Module):
    hidden: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return nn.Dense(x.shape[-1], name="fc2")(nn.gelu(nn.Dense(self.hidden, name="fc1")(x), approximate=False))


class _LayerScale(nn.Module):
    @nn.compact
    def __call__(self, x: Array) -> Array:
        return x * self.param("gamma", nn.initializers.ones, x.shape[-1:])[None, None]


# Two-pass variance: Flax's default, E[x^2] - E[x]^2, loses precision if the mean is large.
_norm = partial(nn.LayerNorm, epsilon=1e-6, use_fast_variance=False)


class _Network(nn.Module):
    """Normalised images [B, 224, 224, 3] -> features [B, width]. Parameters are named as in the official weights."""

    width: int
    depth: int
    hidden: int  # width of the hidden layers of the MLPs

    @nn.compact
    def __call__(self, images: Array) -> Array:
        patches = images.reshape(-1, _GRID, _PATCH, _GRID, _PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
        x = nn.Dense(self.width, name="patch_embed.proj")(patches.reshape(-1, _GRID**2, 3 * _PATCH**2))
        class_token = self.param("cls_token", nn.initializers.zeros, (1, 1, self.width))
        x = jnp.concatenate([jnp.broadcast_to(class_token, (len(x), 1, self.width)), x], axis=1)
        x = x + self.param("pos_embed", nn.initializers.zeros, (1, 1 + _GRID**2, self.width))
        for i in range(self.depth):
            block = f"blocks.{i}"
            x = x + _LayerScale(name=f"{block}.ls1")(_Attention(name=f"{block}.attn")(_norm(name=f"{block}.norm1")(x)))
            mlp = _MLP(self.hidden, name=f"{block}.mlp")
            x = x + _LayerScale(name=f"{block}.ls2")(mlp(_norm(name=f"{block}.norm2")(x)))
        return _norm(name="norm")(x)[:, 0]


@partial(jax.jit, static_argnums=0)
def _apply(network: _Network, params: dict, images: Array) -> Array:
    """Images uint8 [B, H, W, 1 or 3] -> features [B, width]."""
    x = _resize(jnp.broadcast_to(images, (*images.shape[:3], 3)))
    x = (x.astype(jnp.float32) / 255 - jnp.array([[[_MEAN]]])) / jnp.array([[[_STD]]])
    with jax.default_matmul_precision("highest"):  # by default, accelerators round the factors to 10 bits or fewer
        return network.apply({"params": params}, x)


def _resize(images: Array) -> Array:
    """Resize images uint8 [B, H, W, C] to int32 [B, 224, 224, C], 0 to 255: Pillow's bicubic in its 22-bit fixed point."""
    x = images.astype(jnp.int32)
    for axis in (2, 1):
        weights = np.rint(_pillow_weights(x.shape[axis], _IMAGE_SIZE) * 2**22).astype(np.int32)
        x = jnp.moveaxis(jnp.tensordot(x, weights, (axis, 1)), -1, axis)
        x = jnp.clip((x + 2**21) >> 22, 0, 255)
    return x


def _pillow_weights(size: int, new_size: int) -> np.ndarray:
    """Matrix [new_size, size] by which Pillow resamples a row of pixels. Weights are normalised within the border."""
    scale = size / new_size
    centres = (np.arange(new_size) + 0.5) * scale
    weights = _cubic((np.arange(size) + 0.5 - centres[:, None]) / max(scale, 1), -0.5)
    return weights / weights.sum(axis=1, keepdims=True)


def _positions(embeddings: np.ndarray) -> np.ndarray:
    """Resize position embeddings [1, 1 + M * M, D], the class token's first, from M x M patches to [1, 1 + 16 * 16, D], as
    PyTorch's `interpolate(mode="bicubic", scale_factor=16.1 / M)` does. Values beyond the border repeat the border."""
    batch, tokens, width = embeddings.shape
    size = math.isqrt(tokens - 1)
    if size == _GRID:
        return embeddings
    centres = (np.arange(_GRID) + 0.5) * size / (_GRID + 0.1) - 0.5
    rows = np.arange(_GRID)
    weights = np.zeros((_GRID, size))
    for tap in range(-1, 3):
        columns = np.floor(centres).astype(int) + tap
        np.add.at(weights, (rows, columns.clip(0, size - 1)), _cubic(columns - centres, -0.75))
    grid = embeddings[0, 1:].reshape(size, size, width)
    grid = np.einsum("ai,bj,ijd->abd", weights, weights, grid, optimize=True).reshape(batch, _GRID**2, width)
    return np.concatenate([embeddings[:, :1], grid], axis=1)


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel at distances x. Source: Keys 1981, IEEE Trans. ASSP 29(6)."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    return np.where(x < 1, near, np.where(x < 2, a * (((x - 5) * x + 8) * x - 4), 0))


def _network_and_params(path: Path, tensors: dict[str, np.ndarray]) -> tuple[_Network, dict]:
    """Infer the network from the shapes of `tensors`. Returns it and its parameters."""
    hugging_face = any(name.startswith("encoder.") for name in tensors)
    (class_token,), (hidden,) = (_source_names(name, hugging_face) for name in ("cls_token", "blocks.0.mlp.fc1.bias"))
    _check_names(path, "missing", {class_token, hidden} - tensors.keys())
    width = tensors[class_token].size
    if not width or width % _HEAD_WIDTH:
        shape = tensors[class_token].shape
        raise InputError(f"{path} is not DINOv2: its width must be a multiple of {_HEAD_WIDTH}, {class_token} is {shape}")
    depth = len(set(re.findall(r"^(?:blocks|encoder\.layer)\.(\d+)\.", "\n".join(tensors), re.MULTILINE)))
    if width in _PUBLISHED:
        depth = max(depth, _PUBLISHED[width][1])  # a truncated file is not a shallower network
    network = _Network(width, depth, tensors[hidden].size)
    images = jax.ShapeDtypeStruct((1, _IMAGE_SIZE, _IMAGE_SIZE, 3), jnp.float32)
    abstract = flatten_dict(jax.eval_shape(network.init, jax.random.key(0), images)["params"])
    # PyTorch names both kernels and scales "weight".
    names = {key: re.sub("(kernel|scale)$", "weight", ".".join(key)) for key in abstract}
    sources = {key: _source_names(name, hugging_face) for key, name in names.items()}
    expected = {source for names_of_key in sources.values() for source in names_of_key}
    _check_names(path, "missing", expected - tensors.keys())
    _check_names(path, "unknown", tensors.keys() - expected - {"mask_token", "embeddings.mask_token"})
    params = {}
    for key, leaf in abstract.items():
        parts = [tensors[source] for source in sources[key]]
        try:
            params[key] = _convert(names[key], np.concatenate(parts).astype(np.float32))
        except (ValueError, IndexError):  # wrong rank, or parts that cannot be concatenated
            params[key] = None
        if params[key] is None or params[key].shape != leaf.shape or not np.isfinite(params[key]).all():
            shapes = ", ".join(f"{source} {part.shape}" for source, part in zip(sources[key], parts, strict=True))
            raise InputError(f"{path} is not DINOv2 of width {width}: wrong shape or not finite: {shapes}")
    return network, unflatten_dict(params)


def _check_names(path: Path, problem: str, names: set[str]) -> None:
    """Raise InputError if there are any `names` with the `problem` ("missing" or "unknown")."""
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise InputError(f"{path} is not DINOv2 (without registers), {problem}: {', '.join(sorted(names)[:3])}{more}")


def _source_names(name: str, hugging_face: bool) -> list[str]:
    """Names in the file of the tensors whose concatenation is the official tensor `name`."""
    if not hugging_face:
        return [name]
    for official, renamed in _HUGGING_FACE.items():
        name = name.replace(official, renamed)
    return [name.replace(".qkv.", f".{part}.") for part in ("query", "key", "value")] if ".qkv." in name else [name]


def _convert(name: str, tensor: np.ndarray) -> np.ndarray:
    """Convert a PyTorch tensor to the layout of the network. Raises ValueError if its rank does not allow that."""
    if name == "pos_embed":
        return _positions(tensor)
    if name == "patch_embed.proj.weight":  # [D, 3, 14, 14], a convolution; here one product per patch
        return tensor.transpose(2, 3, 1, 0).reshape(-1, len(tensor))
    return tensor.T if tensor.ndim == 2 else tensor
