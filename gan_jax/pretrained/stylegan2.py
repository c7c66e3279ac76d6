"""StyleGAN2's variables from tensors as the authors' PyTorch repositories name them, stylegan2-ada-pytorch and stylegan3.

The kernels there are as drawn, before the factors that make learning rates equal; so are ours. What differs: activations that
some of theirs clamp at 256 are not clamped here.
"""

import re
from typing import Any

import numpy as np

from gan_jax.errors import InputError
from gan_jax.pretrained.tensors import Tensors, count_consecutive

FIR = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64  # what is resampled with


def stylegan2(tensors: Tensors) -> dict[str, Any]:
    """Fills G's variables, and D's where they are there; returns the fields of a Config of such networks. With D, names begin
    with "G_ema." and "D.". Raises InputError for what is not StyleGAN2 in its skip form."""
    for name in tensors.names("", "resample_filter"):
        found = tensors.take(name)
        if found.shape != FIR.shape or not np.allclose(found, FIR, atol=1e-6):
            raise InputError(f"resamples by {name} {list(found.shape)}, which is not [1, 3, 3, 1]")
    prefix = "G_ema." if tensors.names("G_ema.") else ""
    matches = (re.match(re.escape(prefix) + r"synthesis\.b(\d+)\.", name) for name in tensors.left)
    sides = sorted({int(match[1]) for match in matches if match})
    if sides != [4 << i for i in range(len(sides))] or not sides:
        raise InputError("has no blocks for 4, 8, 16, ... pixels: it is another StyleGAN than 2")
    planes, at_end = tensors.shape(f"{prefix}synthesis.b{sides[-1]}.torgb.weight")[:2]
    width = tensors.shape(f"{prefix}synthesis.b4.const")[0]
    embed = f"{prefix}mapping.embed.weight"
    embedded, classes = tensors.shape(embed) if embed in tensors.left else (0, 0)
    z_dim = tensors.shape(f"{prefix}mapping.fc0.weight")[1] - embedded
    options = f'base={at_end * sides[-1]}, mapping={_generator(tensors, prefix, sides)}, noise="constant"'
    if tensors.names("D.") and not _discriminator(tensors, sides):
        options += ", residual=False"
    return {
        "model": f"stylegan2({options})",
        "data": f"blank(side={sides[-1]}, planes={planes}, classes={classes})",
        "z_dim": z_dim,
        "g_width": width,
        "d_width": width,
        "g_condition": "norm" if classes else None,
        "d_condition": "projection" if classes else None,
    }


def _generator(tensors: Tensors, prefix: str, sides: list[int]) -> int:
    """-> how many layers map z"""
    synthesis, number = f"{prefix}synthesis", 0
    tensors.fill("g/params/start", f"{synthesis}.b4.const", lambda x: x.transpose(1, 2, 0))
    tensors.fill("g/average/w", f"{prefix}mapping.w_avg")
    for side in sides:
        for layer in ("conv1", "torgb") if side == 4 else ("conv0", "conv1", "torgb"):
            name, path = f"{synthesis}.b{side}.{layer}", f"g/params/Styled_{number}"
            _conv(tensors, path, name)
            _dense(tensors, f"{path}/style", f"{name}.affine")
            if layer != "torgb":
                tensors.fill(f"{path}/noise", f"{name}.noise_strength", lambda x: x.reshape(()))
                tensors.fill(f"g/noise/Styled_{number}/constant", f"{name}.noise_const")
            number += 1
    return _mapping(tensors, "g", f"{prefix}mapping")


def _discriminator(tensors: Tensors, sides: list[int]) -> bool:
    """-> whether it has residual blocks"""
    residual, number = bool(tensors.names("D.", "skip.weight")), 1
    _conv(tensors, "d/params/Equal_0", f"D.b{sides[-1]}.fromrgb")
    for side in sides[:0:-1]:
        # In the order in which ours are made.
        for layer in ("conv1", "conv0", "skip") if residual else ("conv1", "conv0"):
            _conv(tensors, f"d/params/Equal_{number}", f"D.b{side}.{layer}", bias=layer != "skip")
            number += 1
    _conv(tensors, f"d/params/Equal_{number}", "D.b4.conv")
    # Positions are before channels in ours.
    _dense(tensors, "d/params/EqualDense_0", "D.b4.fc", lambda x: x.reshape(len(x), -1, 16).swapaxes(1, 2).reshape(len(x), -1))
    _dense(tensors, "d/params/EqualDense_1", "D.b4.out")
    if tensors.names("D.mapping."):
        _mapping(tensors, "d", "D.mapping")
    return residual


def _mapping(tensors: Tensors, player: str, name: str) -> int:
    path = f"{player}/params/Mapping_0"
    if f"{name}.embed.weight" in tensors.left:
        _dense(tensors, f"{path}/label", f"{name}.embed")
    depth = count_consecutive(tensors.left, f"{name}.fc", ".weight")
    for layer in range(depth):
        _dense(tensors, f"{path}/layer{layer}", f"{name}.fc{layer}")
    return depth


def _dense(tensors: Tensors, path: str, name: str, change=lambda x: x) -> None:
    tensors.fill(f"{path}/kernel", f"{name}.weight", lambda x: change(x).T)
    tensors.fill(f"{path}/bias", f"{name}.bias")


def _conv(tensors: Tensors, path: str, name: str, bias: bool = True) -> None:
    tensors.fill(f"{path}/kernel", f"{name}.weight", lambda x: x.transpose(2, 3, 1, 0))
    if bias:
        tensors.fill(f"{path}/bias", f"{name}.bias")
