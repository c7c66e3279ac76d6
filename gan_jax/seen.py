"""Seen: a run's averaged generator as `views.py` looks at it."""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.config import Config
from gan_jax.data import Data
from gan_jax.errors import InputError
from gan_jax.game import Game
from gan_jax.latents import has_styles, paint, styles
from gan_jax.run_dir import load_run, posthoc_average
from gan_jax.sample import Sampler, chosen_label, in_batches, latents, sampler, shown_labels, write_files
from gan_jax.types import Sample
from gan_jax.variants import find


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
        return has_styles(self.game.generator)

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
    def paint(self) -> Callable[[np.ndarray, np.ndarray | None, np.ndarray], Sample]:
        """(z [N, Z] for the noise, labels, w [N, layers, W]) -> samples"""
        of = in_batches(self.game, lambda variables, *latent: paint(self.game.generator, variables, *latent))
        return lambda *latent: of(self.variables, *latent)


def view_run(
    run: Path, view: str, seed: int, out: Path, data_dir: str | None = None, label: str | None = None, ema: float | None = None
) -> list[Path]:
    """Writes a view of `views.py`, `NAME` or `NAME(key=value)`, of a run's averaged generator into the directory `out`; returns
    the files' paths. `seed`, `label` and `ema` as in `sample_run`.

    Raises InputError where there is no such run or view, or it cannot be had of this one."""
    from gan_jax import views  # whose functions take what is defined here

    function = find("view", view, views)
    config, data, game, state = load_run(run, lambda text: print(text, file=sys.stderr), data_dir)
    variables = state.ema if ema is None else posthoc_average(run, state, ema)
    seen = Seen(config, data, game, variables, {"params": state.d.params, **state.d.stats}, jax.random.key(seed), label)
    stem = f"{view.partition('(')[0].rpartition(':')[2].strip()}-seed{seed}"
    stem += ("" if label is None else f"-label{label}") + ("" if ema is None else f"-ema{ema:g}")
    return write_files(out, {f"{stem}{suffix}": content for suffix, content in function(seen).items()})
