"""DINOv2 features: a vision transformer trained without labels. The Frechet distance between them is FD-DINOv2.

Everything that could move the features follows the official model of 2023 (github.com/facebookresearch/dinov2, without
registers) as dgm-eval (github.com/layer6ai-labs/dgm-eval), the code of Stein et al., calls it.
Source: Oquab et al. 2023, arXiv:2304.07193 (the network); Stein et al. 2023, arXiv:2306.04675 (its features as a metric's).
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
from gan_jax.metrics.batched import in_blocks
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.types import Array

_PATCH = 14  # pixels a side
_GRID = 16  # patches a side
_SIDE = _PATCH * _GRID
_HEAD = 64  # width of an attention head, in all published sizes
_BLOCK = 16  # images at once
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
_SIZES = {384: ("S", 12), 768: ("B", 12), 1024: ("L", 24)}  # width -> letter, depth of the published models
_HUGGING_FACE = {  # the official names -> those of Hugging Face, which keeps query, key and value apart
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
    """DINOv2 with the weights `tensors` of the file `path`, whose sha256 is `digest`: `features(samples float32 [N, H, W, 1 or 3] in [-1, 1]) -> (float32 [N, D], None)`.

    D is 1024 for ViT-L/14, the model of FD-DINOv2; ViT-S and ViT-B (384, 768) load too and say so in `name`. The file is
    the official `dinov2_vitl14_pretrain.pth`, the `model.safetensors` of Hugging Face's facebook/dinov2-large, or the tensors
    of either in any format of `weights.load_tensors`.

    A sample is rounded to 8 bits, as in an image file, grey is repeated to three channels, and any height and width become
    224 x 224 by Pillow's antialiased bicubic (Keys' kernel with a = -0.5, its support widened when shrinking; across, then
    down, each rounded to 8 bits), to the last bit. Always across first: Pillow 13 begins with the height where that shrinks
    more, and then rounds differently from Pillow 12 and from us. Then ImageNet's mean and deviation, the transformer, and the
    class token after the last layer norm. `dgm-eval --clean_resize`, which does not round, differs.

    The 37 x 37 position embeddings are shrunk to 16 x 16 as in the official model: bicubic with a = -0.75, not antialiased,
    at the scale 37 / 16.1. (The 0.1 guarded against rounding and stayed for compatibility. Hugging Face resamples by size, at
    37 / 16: its features of the same weights differ.)

    Raises InputError for a file that is not a whole DINOv2, naming what is missing or too much; `features` raises ValueError
    for samples of another shape or not finite.
    """
    network, params = _read(path, tensors)
    params = jax.device_put(params)
    run = in_blocks(partial(_apply, network), _BLOCK, _eight_bits)
    letter, depth = _SIZES.get(network.width, ("", 0))
    size = f"ViT-{letter}/14" if depth == network.depth else f"of {network.depth} blocks of width {network.width}"

    def features(samples: np.ndarray) -> tuple[np.ndarray, None]:
        samples = np.asarray(samples, np.float32)
        if samples.ndim != 4 or samples.shape[-1] not in (1, 3) or not samples.size:
            raise ValueError(f"samples must be [N, H, W, 1 or 3] with N > 0, got {samples.shape}")
        if not np.isfinite(samples).all():
            raise ValueError(f"samples {samples.shape} must be finite")
        return run(params, samples), None

    return Extractor(features, f"DINOv2 {size}", digest, f"{_SIDE} px, bicubic as Pillow's, 8 bits")


def _eight_bits(block: np.ndarray) -> np.ndarray:
    """[-1, 1] -> uint8 0 to 255."""
    return np.clip(np.rint((block + 1) * 127.5), 0, 255).astype(np.uint8)


class _Attention(nn.Module):
    @nn.compact
    def __call__(self, x: Array) -> Array:
        batch, tokens, width = x.shape
        qkv = nn.Dense(3 * width, name="qkv")(x).reshape(batch, tokens, 3, width // _HEAD, _HEAD)
        x = jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], implementation="xla")
        return nn.Dense(width, name="proj")(x.reshape(batch, tokens, width))


class _Perceptron(nn.Module):
    hidden: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        return nn.Dense(x.shape[-1], name="fc2")(nn.gelu(nn.Dense(self.hidden, name="fc1")(x), approximate=False))


class _LayerScale(nn.Module):
    @nn.compact
    def __call__(self, x: Array) -> Array:
        return x * self.param("gamma", nn.initializers.ones, x.shape[-1:])


# The plain variance: E[x^2] - E[x]^2, Flax's default, cancels where the mean is large.
_norm = partial(nn.LayerNorm, epsilon=1e-6, use_fast_variance=False)


class _Network(nn.Module):
    """Normalised images [B, 224, 224, 3] -> features [B, width]. Parameters are named as in the official weights."""

    width: int
    depth: int
    hidden: int  # width of the perceptrons

    @nn.compact
    def __call__(self, images: Array) -> Array:
        patches = images.reshape(-1, _GRID, _PATCH, _GRID, _PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
        x = nn.Dense(self.width, name="patch_embed.proj")(patches.reshape(-1, _GRID**2, 3 * _PATCH**2))
        first = self.param("cls_token", nn.initializers.zeros, (1, 1, self.width))
        x = jnp.concatenate([jnp.broadcast_to(first, (len(x), 1, self.width)), x], axis=1)
        x = x + self.param("pos_embed", nn.initializers.zeros, (1, 1 + _GRID**2, self.width))
        for i in range(self.depth):
            block = f"blocks.{i}"
            x = x + _LayerScale(name=f"{block}.ls1")(_Attention(name=f"{block}.attn")(_norm(name=f"{block}.norm1")(x)))
            mlp = _Perceptron(self.hidden, name=f"{block}.mlp")
            x = x + _LayerScale(name=f"{block}.ls2")(mlp(_norm(name=f"{block}.norm2")(x)))
        return _norm(name="norm")(x)[:, 0]


@partial(jax.jit, static_argnums=0)
def _apply(network: _Network, params: dict, images: Array) -> Array:
    """Images uint8 [B, H, W, 1 or 3] -> features [B, width]."""
    x = _resize(jnp.broadcast_to(images, (*images.shape[:3], 3)))
    x = (x.astype(jnp.float32) / 255 - jnp.array(_MEAN)) / jnp.array(_STD)
    with jax.default_matmul_precision("highest"):  # else accelerators round the factors to 10 bits or fewer
        return network.apply({"params": params}, x)


def _resize(images: Array) -> Array:
    """Images uint8 [B, H, W, C] -> 0..255 as int32 [B, 224, 224, C]: Pillow's bicubic in its own 22-bit fixed point."""
    x = images.astype(jnp.int32)
    for axis in (2, 1):
        weights = np.rint(_pillow_weights(x.shape[axis], _SIDE) * 2**22).astype(np.int32)
        x = jnp.moveaxis(jnp.tensordot(x, weights, (axis, 1)), -1, axis)
        x = jnp.clip((x + 2**21) >> 22, 0, 255)
    return x


def _pillow_weights(size: int, new_size: int) -> np.ndarray:
    """[new_size, size]: how Pillow resamples a row of pixels. Weights beyond the border go to those within."""
    scale = size / new_size
    centres = (np.arange(new_size) + 0.5) * scale
    weights = _cubic((np.arange(size) + 0.5 - centres[:, None]) / max(scale, 1), -0.5)
    return weights / weights.sum(axis=1, keepdims=True)


def _positions(embeddings: np.ndarray) -> np.ndarray:
    """Position embeddings [1, 1 + M * M, D], the class token's first, for M x M patches -> [1, 1 + 16 * 16, D], as PyTorch's
    `interpolate(mode="bicubic", scale_factor=16.1 / M)` does. Beyond the border, the border repeats."""
    batch, tokens, width = embeddings.shape
    side = math.isqrt(tokens - 1)
    if side == _GRID:
        return embeddings
    centres = (np.arange(_GRID) + 0.5) * side / (_GRID + 0.1) - 0.5
    rows = np.arange(_GRID)
    weights = np.zeros((_GRID, side))
    for tap in range(-1, 3):
        at = np.floor(centres).astype(int) + tap
        np.add.at(weights, (rows, at.clip(0, side - 1)), _cubic(at - centres, -0.75))
    grid = embeddings[0, 1:].reshape(side, side, width)
    grid = np.einsum("ai,bj,ijd->abd", weights, weights, grid, optimize=True).reshape(batch, _GRID**2, width)
    return np.concatenate([embeddings[:, :1], grid], axis=1)


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel at distances x. Source: Keys 1981, IEEE Trans. ASSP 29(6)."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    return np.where(x < 1, near, np.where(x < 2, a * (((x - 5) * x + 8) * x - 4), 0))


def _read(path: Path, tensors: dict[str, np.ndarray]) -> tuple[_Network, dict]:
    """The network that `tensors` are the weights of, its sizes read from theirs, and its parameters."""
    hugging_face = any(name.startswith("encoder.") for name in tensors)
    (first,), (hidden,) = (_sources(name, hugging_face) for name in ("cls_token", "blocks.0.mlp.fc1.bias"))
    _refuse(path, "missing", {first, hidden} - tensors.keys())
    width = tensors[first].size
    if not width or width % _HEAD:
        raise InputError(f"{path} is not DINOv2: its width must be a multiple of {_HEAD}, {first} is {tensors[first].shape}")
    depth = len(set(re.findall(r"^(?:blocks|encoder\.layer)\.(\d+)\.", "\n".join(tensors), re.MULTILINE)))
    if width in _SIZES:
        depth = max(depth, _SIZES[width][1])  # so that a file that ends early is told from a shallow network
    network = _Network(width, depth, tensors[hidden].size)
    images = jax.ShapeDtypeStruct((1, _SIDE, _SIDE, 3), jnp.float32)
    abstract = flatten_dict(jax.eval_shape(network.init, jax.random.key(0), images)["params"])
    # What Flax calls kernel or scale is PyTorch's weight.
    names = {key: re.sub("(kernel|scale)$", "weight", ".".join(key)) for key in abstract}
    sources = {key: _sources(name, hugging_face) for key, name in names.items()}
    known = {source for several in sources.values() for source in several}
    _refuse(path, "missing", known - tensors.keys())
    _refuse(path, "unknown", tensors.keys() - known - {"mask_token", "embeddings.mask_token"})
    params = {}
    for key, leaf in abstract.items():
        parts = [tensors[source] for source in sources[key]]
        try:
            params[key] = _convert(names[key], np.concatenate(parts).astype(np.float32))
        except (ValueError, IndexError):  # of another rank, or sides that do not fit
            params[key] = None
        if params[key] is None or params[key].shape != leaf.shape or not np.isfinite(params[key]).all():
            shapes = ", ".join(f"{source} {part.shape}" for source, part in zip(sources[key], parts, strict=True))
            raise InputError(f"{path} is not DINOv2 of width {width}: of a wrong shape or not finite: {shapes}")
    return network, unflatten_dict(params)


def _refuse(path: Path, what: str, names: set[str]) -> None:
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise InputError(f"{path} is not DINOv2 (without registers), {what}: {', '.join(sorted(names)[:3])}{more}")


def _sources(name: str, hugging_face: bool) -> list[str]:
    """The names in the file of the tensors that, one after the other, are the official tensor `name`."""
    if not hugging_face:
        return [name]
    for official, theirs in _HUGGING_FACE.items():
        name = name.replace(official, theirs)
    return [name.replace(".qkv.", f".{part}.") for part in ("query", "key", "value")] if ".qkv." in name else [name]


def _convert(name: str, tensor: np.ndarray) -> np.ndarray:
    """PyTorch's tensor as the network has it. Raises ValueError where its rank does not allow that."""
    if name == "pos_embed":
        return _positions(tensor)
    if name == "patch_embed.proj.weight":  # [D, 3, 14, 14]: a convolution, here one product for each patch
        return tensor.transpose(2, 3, 1, 0).reshape(-1, len(tensor))
    return tensor.T if tensor.ndim == 2 else tensor
