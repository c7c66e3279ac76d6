"""Load the generator of a run, without its data."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax

from gan_jax.errors import InputError, unknown
from gan_jax.evaluation.generator import LoadedGenerator
from gan_jax.game.state import step_of
from gan_jax.runs.averages import posthoc_average
from gan_jax.runs.load import load_without_data

GENERATORS = ("average", "raw")


class Choice(NamedTuple):
    """Which generator of a run directory."""

    step: int | None = None  # of a checkpoint; None for the newest
    generator: str = "average"  # or raw
    ema: float | None = None  # the relative width of another average, of a run with `posthoc_ema`
    seed: int | None = None  # of a run of several seeds
    sweep: dict[str, float] | None = None  # the values of a sweep

    @property
    def member(self) -> dict[str, float]:
        """What distinguishes one of the several runs in a directory."""
        return ({} if self.seed is None else {"seed": self.seed}) | (self.sweep or {})


def load_generator(
    path: Path, choice: Choice, say: Callable[[str], None], trusted: bool = False, data_dir: str | None = None
) -> tuple[int, LoadedGenerator]:
    """Return the step of a checkpoint and its generator. `trusted` and `data_dir` are those of `load_without_data`.

    Raises InputError if there is no such run, checkpoint, average or member."""
    if choice.generator not in GENERATORS:
        raise unknown("generator", str(choice.generator), GENERATORS)
    config, data, game, state = load_without_data(path, say, choice.step, choice.member, trusted, data_dir)
    variables = state.ema if choice.generator == "average" else {"params": state.g.params, **state.g.stats}
    if choice.ema is not None:
        if choice.member or choice.generator != "average":
            raise InputError("ema chooses an average: leave off generator, seed and sweep")
        variables = posthoc_average(path, config, state, choice.ema)
    keys = jax.random.split(jax.random.key(0))
    d_variables = {"params": state.d.params, **state.d.stats}
    return step_of(state), LoadedGenerator(config, data, game, variables, d_variables, *keys)
