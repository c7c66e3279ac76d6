"""w, the output of a mapping network, as the second latent space of a generator.

A generator with a mapping network has the class attribute `takes_w = True`. Called with `w=w`, [B, layers, W], it uses that in
place of the w computed from z, which it sows as "w" and whose running average is `variables["average"]["w"]`. z then sets the
noise only.
"""

from typing import Any

import flax.linen as nn

from gan_jax.types import Array, Sample


def has_mapping(generator: nn.Module) -> bool:
    """Whether the generator has a mapping network."""
    return getattr(generator, "takes_w", False)


def styles(generator: nn.Module, variables: Any, z: Array, label: Array | None, train: bool = False) -> Array:
    """w [B, layers, W] of the latents z [B, Z], not truncated; with style mixing if `train`. Call it under `jit`, which removes
    the rest of the generator."""
    _, collections = generator.apply(variables, z, label, train=train, mutable=["intermediates"])
    return collections["intermediates"]["w"][0]


def synthesize(generator: nn.Module, variables: Any, z: Array, label: Array | None, w: Array, train: bool = False) -> Sample:
    """The samples of w [B, layers, W], with the noise of z [B, Z]."""
    return generator.apply(variables, z, label, train=train, w=w)
