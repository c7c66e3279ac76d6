"""gan_jax: research on generative adversarial networks in functional JAX. Start reading at `gan_jax/game/update.py`.

    import gan_jax

    run = gan_jax.train(gan_jax.Config(data="ring", steps=2_000))  # what the command does; the same call resumes
    run.samples(64), run.metrics()
    G = gan_jax.load(run.directory)  # needs no data
    G(0, 16), G.interpolate(0)

Losses, penalties, augmentations and metrics are plain functions for any training loop: `from gan_jax import losses, penalties`.
The names below are imported when they are first used, so that `import gan_jax` does not import JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

from gan_jax.version import VERSION

if TYPE_CHECKING:
    from gan_jax.api.generator import Generator, load
    from gan_jax.api.picture import Picture
    from gan_jax.api.run import Run, train
    from gan_jax.config import Config, load_recipe
    from gan_jax.errors import InputError, RunError
    from gan_jax.evaluation.export import export

__version__ = VERSION

# Name -> the module that defines it.
_MODULES = {
    "Config": "config",
    "Generator": "api.generator",
    "InputError": "errors",
    "Picture": "api.picture",
    "Run": "api.run",
    "RunError": "errors",
    "export": "evaluation.export",
    "load": "api.generator",
    "load_recipe": "config",
    "train": "api.run",
}
__all__ = [
    "Config",
    "Generator",
    "InputError",
    "Picture",
    "Run",
    "RunError",
    "export",
    "load",
    "load_recipe",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'gan_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(f"gan_jax.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
