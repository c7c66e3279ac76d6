"""LoadedGenerator: a trained generator, as `views.py` and the Python API use it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np

from gan_jax.config import Config
from gan_jax.errors import InputError
from gan_jax.evaluation.latents import slerp
from gan_jax.evaluation.sample import (
    Described,
    Sampler,
    chosen_label,
    column_labels,
    compile_batched,
    grid_labels,
    latents,
    sampler,
)
from gan_jax.game.game import Game
from gan_jax.models.mapping import has_mapping, styles, synthesize
from gan_jax.types import Sample


@dataclass(frozen=True)
class LoadedGenerator:
    """A trained generator with its game and its data, or a description of that. Grids of its samples have `grid_size` rows
    and columns."""

    config: Config
    data: Described
    game: Game
    variables: Any  # of the generator
    d_variables: Any  # of the discriminator; None for an exported generator
    z_key: jax.Array
    label_key: jax.Array
    label: str | None = None  # the --label that all samples share; optional

    @property
    def grid_size(self) -> int:
        return math.isqrt(self.data.num_shown)

    @property
    def has_w(self) -> bool:
        """Whether the generator has a mapping network, and thus a w."""
        return has_mapping(self.game.generator)

    def z(self, count: int) -> np.ndarray:
        """Return the latents [count, Z] of the first samples, in the order in which grids show them."""
        return latents(self.game, self.z_key, count)

    def labels(self, count: int) -> np.ndarray | None:
        """Return the chosen label `count` times, or the labels of a grid, in which classes alternate."""
        if self.label is not None:
            return chosen_label(self.game, self.data, self.label, count)
        return grid_labels(self.game, self.data, self.label_key, count)

    def column_labels(self) -> np.ndarray | None:
        """Return the chosen label for each sample of a grid, or labels with one class per column if they fit."""
        if self.label is not None:
            return self.labels(self.data.num_shown)
        return column_labels(self.game, self.data, self.label_key, self.data.num_shown)

    @cached_property
    def sample(self) -> Callable[[np.ndarray, np.ndarray | None], Sample]:
        """(z [N, Z], labels) -> samples"""
        sample: Sampler = sampler(self.game)
        return lambda z, label: sample(self.variables, z, label)

    @cached_property
    def styles(self) -> Callable[[np.ndarray, np.ndarray | None], np.ndarray]:
        """(z [N, Z], labels) -> w [N, layers, W]. Raises InputError if the generator has no w."""
        if not self.has_w:
            raise InputError(f"model {self.config.model} has no w: views in w need a mapping network, as in stylegan2")
        compiled = compile_batched(self.game, lambda variables, *latent: styles(self.game.generator, variables, *latent))
        return lambda z, label: compiled(self.variables, z, label)

    @cached_property
    def synthesize(self) -> Callable[[np.ndarray, np.ndarray | None, np.ndarray], Sample]:
        """(z [N, Z] for the noise, labels, w [N, layers, W]) -> samples"""
        compiled = compile_batched(self.game, lambda variables, *latent: synthesize(self.game.generator, variables, *latent))
        return lambda *latent: compiled(self.variables, *latent)

    def latent_space(self, space: str | None = None) -> str:
        """Return the latent space that `space` chooses: "z", or "w" if the generator has one, which is the default then."""
        spaces = ("z", "w") if self.has_w else ("z",)
        if space not in (None, *spaces):
            raise InputError(f"space must be {' or '.join(spaces)} for {self.config.model}, got {space}")
        return space or spaces[-1]

    def interpolate(self, z: np.ndarray, label: np.ndarray | None, steps: int, space: str | None = None) -> Sample:
        """Return samples [N * steps, ...] in equal steps from each even row of z [2 N, Z] to the next row: along a line in w
        or along an arc in z, see `latent_space`. All samples of a path have its label, one of [N, ...]."""
        fraction = np.linspace(0, 1, steps, dtype=np.float32)
        labels = None if label is None else np.repeat(label, steps, axis=0)
        if self.latent_space(space) == "z":
            path = np.asarray(slerp(z[::2, None], z[1::2, None], fraction[None, :, None]))
            return self.sample(path.reshape(-1, z.shape[-1]), labels)
        start, end = (self.styles(z[i::2], label)[:, None] for i in range(2))
        path = start + fraction[None, :, None, None] * (end - start)
        return self.synthesize(np.repeat(z[::2], steps, axis=0), labels, path.reshape(-1, *path.shape[2:]))
