"""w, the output of a mapping network, as the second latent space of a generator.

A generator with a mapping network has the class attribute `takes_w = True`. When it is called with `w=w`, [B, layers, W], it
uses that in place of the w computed from z, and z sets only the noise. It sows the w computed from z as "w" and keeps their
running average in `variables["average"]["w"]`. Its method `affine_weights(params)` returns the linear maps that read w, side by
side, [W, ...].
"""

from typing import Any

import flax.linen as nn

from gan_jax.types import Array, Sample


def has_mapping(generator: nn.Module) -> bool:
    """Return whether the generator has a mapping network."""
    return getattr(generator, "takes_w", False)


def styles(generator: nn.Module, variables: Any, z: Array, label: Array | None, train: bool = False) -> Array:
    """Map latents z [B, Z] to w [B, layers, W], not truncated; with style mixing if `train`. Call it under `jit`, which removes
    the rest of the generator."""
    _, collections = generator.apply(variables, z, label, train=train, mutable=["intermediates"])
    return collections["intermediates"]["w"][0]


def synthesize(generator: nn.Module, variables: Any, z: Array, label: Array | None, w: Array, train: bool = False) -> Sample:
    """Generate samples from w [B, layers, W], with the noise of z [B, Z]."""
    return generator.apply(variables, z, label, train=train, w=w)
