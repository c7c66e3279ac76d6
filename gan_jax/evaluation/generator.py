"""Seen: a run's averaged generator as `views.py` looks at it."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np

from gan_jax.config import Config
from gan_jax.data.dataset import Data
from gan_jax.errors import InputError
from gan_jax.evaluation.sample import Sampler, chosen_label, in_batches, latents, sampler, shown_labels
from gan_jax.game.game import Game
from gan_jax.models.mapping import has_mapping, styles, synthesize
from gan_jax.types import Sample


@dataclass(frozen=True)
class Seen:
    """A generator, its game and its data. A picture has `side` rows and columns."""

    config: Config
    data: Data
    game: Game
    variables: Any  # of the generator
    d_variables: Any
    key: jax.Array
    label: str | None = None  # the one to be shown, where one was asked for

    @property
    def side(self) -> int:
        return math.isqrt(self.data.shown)

    @property
    def mapped(self) -> bool:
        """Whether the generator has a w."""
        return has_mapping(self.game.generator)

    def z(self, count: int) -> np.ndarray:
        """The latents [count, Z] that a grid of this seed shows."""
        return latents(self.game, self.key, count)

    def labels(self, count: int) -> np.ndarray | None:
        """`count` times the chosen label, or labels as in a grid: the classes in turn."""
        if self.label is not None:
            return chosen_label(self.game, self.data, self.label, count)
        return shown_labels(self.game, self.data, jax.random.fold_in(self.key, 1), count)

    @cached_property
    def sample(self) -> Callable[[np.ndarray, np.ndarray | None], Sample]:
        """(z [N, Z], labels) -> samples"""
        sample: Sampler = sampler(self.game)
        return lambda z, label: sample(self.variables, z, label)

    @cached_property
    def styles(self) -> Callable[[np.ndarray, np.ndarray | None], np.ndarray]:
        """(z [N, Z], labels) -> w [N, layers, W]. Raises InputError where there is none."""
        if not self.mapped:
            raise InputError(f"model {self.config.model} has no w: only a generator with a mapping network has, as stylegan2")
        of = in_batches(self.game, lambda variables, *latent: styles(self.game.generator, variables, *latent))
        return lambda z, label: of(self.variables, z, label)

    @cached_property
    def synthesize(self) -> Callable[[np.ndarray, np.ndarray | None, np.ndarray], Sample]:
        """(z [N, Z] for the noise, labels, w [N, layers, W]) -> samples"""
        of = in_batches(self.game, lambda variables, *latent: synthesize(self.game.generator, variables, *latent))
        return lambda *latent: of(self.variables, *latent)
