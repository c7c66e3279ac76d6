"""CLIP's image tower, ViT-B/32: a vision transformer trained to match images with their captions.

Source: Radford et al. 2021, arXiv:2103.00020 (the network); Kynkaanniemi et al. 2023, arXiv:2203.06026 (its features for the
Frechet distance, FD-CLIP, which class labels of ImageNet affect less than the FID).
"""

import re
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.imaging.resize import pillow_bicubic
from gan_jax.metrics.batched import in_batches
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.metrics.features.images import Normalisation, checked, normalised, to_uint8
from gan_jax.metrics.features.pytorch import variables
from gan_jax.types import Array

_SIZE, _PATCH = 224, 32  # pixels per side of an image and of a patch
_HEAD_WIDTH = 64  # of an attention head
_BATCH_SIZE = 32
_NORMALISATION = Normalisation((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
_HUGGING_FACE = {  # Hugging Face's names -> official names, apart from query, key and value, which it stores separately
    "embeddings.class_embedding": "class_embedding",
    "embeddings.patch_embedding.": "conv1.",
    "embeddings.position_embedding.weight": "positional_embedding",
    "pre_layrnorm.": "ln_pre.",
    "post_layernorm.": "ln_post.",
    "encoder.layers.": "transformer.resblocks.",
    "self_attn.out_proj.": "attn.out_proj.",
    "layer_norm1.": "ln_1.",
    "layer_norm2.": "ln_2.",
    "mlp.fc1.": "mlp.c_fc.",
    "mlp.fc2.": "mlp.c_proj.",
}


def extractor(tensors: dict[str, np.ndarray], path: Path, digest: str, *, network: "ImageTower | None" = None) -> Extractor:
    """Build the extractor with the weights `tensors`: those of OpenAI's ViT-B-32.pt, or of openai/clip-vit-base-patch32 by
    Hugging Face; those of the text tower are ignored. `path` and `digest` (sha256) identify their file. `network` is
    ViT-B/32 by default: smaller ones are for tests.

    Its features map samples float32 [N, H, W, 1 or 3] in [-1, 1] to ([N, 512], None): the class token after the last norm,
    projected to the space shared with captions (`encode_image`), not normalised. Samples are rounded to 8 bits, as in an image
    file, and grey is repeated to RGB. As in the official code, Pillow's bicubic filter makes the shorter side 224 pixels, and
    the centre of the longer one is kept. Then follow CLIP's own mean and standard deviation.

    Raises InputError if the tensors are not those of the network; `features` raises ValueError for samples of another shape.
    """
    network = network or ImageTower()
    images = jax.ShapeDtypeStruct((1, _SIZE, _SIZE, 3), jnp.float32)
    weights = variables(jax.eval_shape(network.init, jax.random.key(0), images), _official(tensors), path, "CLIP ViT-B/32")
    run = in_batches(partial(_apply, network), _BATCH_SIZE, to_uint8)

    def features(samples: np.ndarray) -> tuple[np.ndarray, None]:
        return run(weights, checked(samples)), None

    resized = f"{_SIZE} px, bicubic as Pillow's, 8 bits"
    return Extractor(features, f"CLIP ViT-B/32 {path.name} (sha256 {digest[:8]})", digest, resized, rounds=True)


class _Attention(nn.Module):
    @nn.compact
    def __call__(self, x: Array) -> Array:
        batch, tokens, width = x.shape
        weight = self.param("in_proj_weight", nn.initializers.normal(width**-0.5), (3 * width, width))
        bias = self.param("in_proj_bias", nn.initializers.zeros, (3 * width,))
        qkv = (x @ weight.T + bias[None, None]).reshape(batch, tokens, 3, width // _HEAD_WIDTH, _HEAD_WIDTH)
        x = jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2], implementation="xla")
        return nn.Dense(width, name="out_proj")(x.reshape(batch, tokens, width))


# Two-pass variance: Flax's default, E[x^2] - E[x]^2, loses precision if the mean is large.
_norm = partial(nn.LayerNorm, epsilon=1e-5, use_fast_variance=False)


class ImageTower(nn.Module):
    """Normalised images [B, 224, 224, 3] -> features [B, outputs]. Parameters are named as in the official weights."""

    width: int = 768
    depth: int = 12
    outputs: int = 512

    @nn.compact
    def __call__(self, images: Array) -> Array:
        x = nn.Conv(self.width, (_PATCH, _PATCH), _PATCH, "VALID", use_bias=False, name="conv1")(images)
        x = x.reshape(len(x), -1, self.width)
        normal = nn.initializers.normal(self.width**-0.5)
        class_token = self.param("class_embedding", normal, (self.width,))
        x = jnp.concatenate([jnp.broadcast_to(class_token, (len(x), 1, self.width)), x], axis=1)
        x = x + self.param("positional_embedding", normal, x.shape[1:])[None]
        x = _norm(name="ln_pre")(x)
        for i in range(self.depth):
            block = f"transformer.resblocks.{i}"
            x = x + _Attention(name=f"{block}.attn")(_norm(name=f"{block}.ln_1")(x))
            y = nn.Dense(4 * self.width, name=f"{block}.mlp.c_fc")(_norm(name=f"{block}.ln_2")(x))
            x = x + nn.Dense(self.width, name=f"{block}.mlp.c_proj")(y * nn.sigmoid(1.702 * y))  # an approximate GELU
        return _norm(name="ln_post")(x[:, 0]) @ self.param("proj", normal, (self.width, self.outputs))


@partial(jax.jit, static_argnums=0)
def _apply(network: ImageTower, weights: dict, images: Array) -> Array:
    """Images uint8 [B, H, W, 1 or 3] -> features [B, 512]."""
    height, width = images.shape[1:3]
    shorter = min(height, width)
    height, width = _SIZE * height // shorter, _SIZE * width // shorter
    top, left = round((height - _SIZE) / 2), round((width - _SIZE) / 2)
    x = pillow_bicubic(images, height, width)[:, top : top + _SIZE, left : left + _SIZE]
    with jax.default_matmul_precision("highest"):  # by default, accelerators round the factors to 10 bits or fewer
        return network.apply(weights, normalised(x, _NORMALISATION))


def _official(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors of the image tower by their official names; those of the text tower are dropped."""
    if not any(name.startswith("vision_model.") for name in tensors):
        return {name.removeprefix("visual."): x for name, x in tensors.items() if name.startswith("visual.")}
    official = {}
    for name, tensor in tensors.items():
        if name.startswith("vision_model.") and not name.endswith("position_ids"):
            name = name.removeprefix("vision_model.")
            for theirs, ours in _HUGGING_FACE.items():
                name = name.replace(theirs, ours)
            official[name] = tensor
    if "visual_projection.weight" in tensors:
        official["proj"] = tensors["visual_projection.weight"].T
    for name in [name for name in official if "self_attn.q_proj." in name]:
        parts = [name.replace("q_proj", f"{part}_proj") for part in "qkv"]
        if all(part in official for part in parts):
            kind = name.rsplit(".", 1)[1]
            joined = np.concatenate([official.pop(part) for part in parts])
            official[re.sub(r"self_attn\.q_proj\..*", f"attn.in_proj_{kind}", name)] = joined
    return official
