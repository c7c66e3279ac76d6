"""Networks written in flax.nnx, as the flax.linen modules that games are made of: `--model mine.py` takes either.

A file defines Generator and Discriminator as nnx modules, called as linen ones are, module(x, label, train). Parameters are
trained and averaged; all other variables (running statistics, spectral norm's vectors) are carried along, as collections of
linen are. Options of the command (`--g_width 64`) are parameters of `__init__`. For example:

    from flax import nnx
    import jax.numpy as jnp

    class Generator(nnx.Module):
        def __init__(self, sample_shape, num_classes, z_dim=64, width=128, *, rngs):
            self.hidden = nnx.Linear(z_dim, width, rngs=rngs)
            self.norm = nnx.BatchNorm(width, momentum=0.9, rngs=rngs)
            self.out = nnx.Linear(width, sample_shape[0], rngs=rngs)

        def __call__(self, z, label, train):
            x = nnx.relu(self.norm(self.hidden(z), use_running_average=not train))
            return self.out(x)

    class Discriminator(nnx.Module):
        def __init__(self, sample_shape, num_classes, width=128, *, rngs):
            self.hidden = nnx.SpectralNorm(nnx.Linear(sample_shape[0], width, rngs=rngs), rngs=rngs)
            self.out = nnx.Linear(width, 1, rngs=rngs)

        def __call__(self, x, label, train):
            return self.out(nnx.leaky_relu(self.hidden(x, update_stats=train)))[:, 0]

A layer that draws random numbers when it is called (dropout) fails: a game has no key for it. Class attributes are read as of
linen modules: `outputs`, `joint`, `patches`.
"""

import inspect
from typing import Any

import flax.linen as nn
from flax import nnx
from flax.core import FrozenDict


class FromNNX(nnx.bridge.ToLinen):
    """An nnx module as a linen module, whose variables are plain arrays."""

    def __getattr__(self, name: str) -> Any:
        if name in self.kwargs:
            return self.kwargs[name]
        if name.startswith("_") or name == "parent":
            raise AttributeError(name)
        value = getattr(self.nnx_class, name)  # raises AttributeError
        return value.fget(self) if isinstance(value, property) else value


def is_nnx(cls: Any) -> bool:
    """Whether `cls` is a class of nnx modules."""
    return isinstance(cls, type) and issubclass(cls, nnx.Module)


def as_linen(cls: type[nnx.Module], options: dict[str, Any]) -> nn.Module:
    """Return `cls(**options, rngs=...)` as a linen module, which creates it anew whenever it is initialised or applied."""
    return FromNNX(cls, kwargs=FrozenDict(options), metadata_fn=None)


def option_names(cls: type[nnx.Module]) -> set[str]:
    """The names of the options of an nnx module."""
    return set(inspect.signature(cls.__init__).parameters) - {"self", "rngs"}
