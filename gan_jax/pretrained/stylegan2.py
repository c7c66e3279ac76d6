"""Convert StyleGAN2 from tensors with the names of the authors' PyTorch repositories, stylegan2-ada-pytorch and stylegan3.

Both store kernels without the factors of the equalised learning rate, as we do. One difference remains: some of their
activations are clamped at 256, and ours are not.
"""

import re
from typing import Any

import numpy as np

from gan_jax.errors import InputError
from gan_jax.pretrained.tensors import Tensors, Transform, count_consecutive

FIR = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64  # the resampling filter


def stylegan2(tensors: Tensors) -> dict[str, Any]:
    """Fill G's variables, and D's if the file has them; return the fields of a Config of such networks. If the file has both
    networks, names start with "G_ema." and "D.". Raises InputError unless it is a StyleGAN2 of the skip architecture."""
    for name in tensors.names("", "resample_filter"):
        kernel = tensors.take(name)
        if kernel.shape != FIR.shape or not np.allclose(kernel, FIR, atol=1e-6):
            raise InputError(f"resamples with {name} {list(kernel.shape)}, which is not the filter [1, 3, 3, 1]")
    prefix = "G_ema." if tensors.names("G_ema.") else ""
    matches = (re.match(re.escape(prefix) + r"synthesis\.b(\d+)\.", name) for name in tensors.unused)
    sizes = sorted({int(match[1]) for match in matches if match})
    if sizes != [4 << i for i in range(len(sizes))] or not sizes:
        raise InputError("does not have one block for each of the sizes 4, 8, 16, ...: it is not a StyleGAN2")
    image_channels, last_width = tensors.shape(f"{prefix}synthesis.b{sizes[-1]}.torgb.weight")[:2]
    width = tensors.shape(f"{prefix}synthesis.b4.const")[0]
    embedding = f"{prefix}mapping.embed.weight"
    embedding_size, classes = tensors.shape(embedding) if embedding in tensors.unused else (0, 0)
    z_dim = tensors.shape(f"{prefix}mapping.fc0.weight")[1] - embedding_size
    options = f'base={last_width * sizes[-1]}, mapping={_fill_generator(tensors, prefix, sizes)}, noise="constant"'
    if tensors.names("D."):
        residual, depth = _fill_discriminator(tensors, sizes)
        options += ("" if residual else ", residual=False") + (f", label_mapping={depth}" if depth else "")
    return {
        "model": f"stylegan2({options})",
        "data": f"blank(side={sizes[-1]}, planes={image_channels}, classes={classes})",
        "z_dim": z_dim,
        "g_width": width,
        "d_width": width,
        "g_condition": "norm" if classes else None,
        "d_condition": "projection" if classes else None,
    }


def _fill_generator(tensors: Tensors, prefix: str, sizes: list[int]) -> int:
    """Fill G's variables; return the number of layers of its mapping network."""
    synthesis, index = f"{prefix}synthesis", 0
    tensors.fill("g/params/start", f"{synthesis}.b4.const", lambda x: x.transpose(1, 2, 0))
    tensors.fill("g/average/w", f"{prefix}mapping.w_avg")
    for size in sizes:
        for layer in ("conv1", "torgb") if size == 4 else ("conv0", "conv1", "torgb"):
            name, path = f"{synthesis}.b{size}.{layer}", f"g/params/Styled_{index}"
            _fill_conv(tensors, path, name)
            _fill_dense(tensors, f"{path}/style", f"{name}.affine")
            if layer != "torgb":
                tensors.fill(f"{path}/noise", f"{name}.noise_strength", lambda x: x.reshape(()))
                tensors.fill(f"g/noise/Styled_{index}/constant", f"{name}.noise_const")
            index += 1
    return _fill_mapping(tensors, "g", f"{prefix}mapping")


def _fill_discriminator(tensors: Tensors, sizes: list[int]) -> tuple[bool, int]:
    """Fill D's variables; return whether it has residual blocks, and the number of layers of its mapping network."""
    residual, index = bool(tensors.names("D.", "skip.weight")), 1
    _fill_conv(tensors, "d/params/Equal_0", f"D.b{sizes[-1]}.fromrgb")
    for size in sizes[:0:-1]:
        # In the order in which our modules are created, which determines their numbers.
        for layer in ("conv1", "conv0", "skip") if residual else ("conv1", "conv0"):
            _fill_conv(tensors, f"d/params/Equal_{index}", f"D.b{size}.{layer}", bias=layer != "skip")
            index += 1
    _fill_conv(tensors, f"d/params/Equal_{index}", "D.b4.conv")
    # Our flattened features are [position, channel], theirs are [channel, position].
    _fill_dense(
        tensors, "d/params/EqualDense_0", "D.b4.fc", lambda x: x.reshape(len(x), -1, 16).swapaxes(1, 2).reshape(len(x), -1)
    )
    _fill_dense(tensors, "d/params/EqualDense_1", "D.b4.out")
    return residual, _fill_mapping(tensors, "d", "D.mapping") if tensors.names("D.mapping.") else 0


def _fill_mapping(tensors: Tensors, player: str, name: str) -> int:
    """Fill the variables of a player's mapping network; return its number of layers."""
    path = f"{player}/params/Mapping_0"
    if f"{name}.embed.weight" in tensors.unused:
        _fill_dense(tensors, f"{path}/label", f"{name}.embed")
    depth = count_consecutive(tensors.unused, f"{name}.fc", ".weight")
    for layer in range(depth):
        _fill_dense(tensors, f"{path}/layer{layer}", f"{name}.fc{layer}")
    return depth


def _fill_dense(tensors: Tensors, path: str, name: str, transform: Transform = lambda x: x) -> None:
    tensors.fill(f"{path}/kernel", f"{name}.weight", lambda x: transform(x).T)
    tensors.fill(f"{path}/bias", f"{name}.bias")


def _fill_conv(tensors: Tensors, path: str, name: str, bias: bool = True) -> None:
    tensors.fill(f"{path}/kernel", f"{name}.weight", lambda x: x.transpose(2, 3, 1, 0))
    if bias:
        tensors.fill(f"{path}/bias", f"{name}.bias")
