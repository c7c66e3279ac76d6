"""Perceptual distances for training, with published weights."""

from functools import cache
from pathlib import Path

import jax
import numpy as np

from gan_jax.errors import InputError
from gan_jax.metrics.features import vgg16
from gan_jax.storage.cache import cache_path
from gan_jax.storage.tensor_files import load_tensors
from gan_jax.storage.weights import LPIPS, VGG16, VGG16_TORCHVISION
from gan_jax.types import Array


def lpips(x: Array, y: Array) -> Array:
    """The distance LPIPS [B] of each pair of images x and y [B, H, W, 1 or 3] in [-1, 1], differentiable.

    Its weights are those of its authors, torchvision's VGG-16 and `lpips`, if both were downloaded, otherwise NVIDIA's:
    `gan_jax weights vgg16_torchvision` and `lpips`, or `vgg16`. Raises InputError if there are neither. Use it as
    `--model 'fastgan(perceptual="gan_jax.data.images.perceptual:lpips")'`.

    Source: Zhang et al. 2018, arXiv:1801.03924; see `metrics/features/vgg16.py`.
    """
    weights, weighting = _weights(cache_path(""))
    return vgg16.lpips(vgg16.VGG16(), weights, weighting, x, y)


@cache
def _weights(directory: Path) -> tuple[dict, list[np.ndarray]]:
    """The variables of the network and the weights of its layers, on the host, in memory until the program ends."""
    network, linear, both = (directory / weights.file for weights in (VGG16_TORCHVISION, LPIPS, VGG16))
    if not (network.is_file() and linear.is_file()) and not both.is_file():
        raise InputError(
            f"lpips: its weights are not in {directory}: gan_jax weights {VGG16.name} fetches them, "
            f"or those of its authors, {VGG16_TORCHVISION.name} and {LPIPS.name}"
        )
    authors = network.is_file() and linear.is_file()
    path = network if authors else both
    tensors, weighting = vgg16.split(vgg16.VGG16(), load_tensors(path), load_tensors(linear) if authors else None, path)
    if weighting is None:
        raise InputError(f"{path} has no weights of LPIPS")
    return jax.tree.map(np.asarray, vgg16.convolutions(vgg16.VGG16(), tensors, path)), weighting
