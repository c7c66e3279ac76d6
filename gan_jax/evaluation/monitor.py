"""Spectator: watches the averaged generator of one seed, with the same latents at every step."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.config import Config
from gan_jax.data.dataset import Data, Measure, Protocol
from gan_jax.evaluation.exploitability import game_duality_gap
from gan_jax.evaluation.sample import Sampler, conditional, interpolation, interpolation_labels, labels, latents, shown_labels
from gan_jax.evaluation.vitals import vitals
from gan_jax.game.game import Game
from gan_jax.runs.run_dir import RunDir
from gan_jax.spec.stop import needs_gap, parse_stop

FEW = 100  # rows; no metric needs more than tens


class Judges(NamedTuple):
    """What evaluates a state; shared by all seeds."""

    measure: Measure
    gap: Callable[[Any], dict[str, float]] | None  # state -> `metrics.duality_gap`
    vitals: Callable[[Any], dict[str, jax.Array]] | None  # state -> `doctor.vitals`


class Spectator:
    """The same latents and labels at every step, so that what changes is the generator. What several seeds share is given:
    the compiled `sample` and the data's `measure`, made when it is first asked for."""

    def __init__(self, config: Config, game: Game, data: Data, run: RunDir, key: jax.Array, sample: Sampler, suffix: str = ""):
        self._data, self._run, self._sample, self._suffix = data, run, sample, suffix
        self._z = latents(game, key, max(config.eval_samples, 2 * data.shown))
        label_key = jax.random.fold_in(key, len(self._z))
        self._label = labels(game, data, label_key, config.eval_samples)
        self._shown_label = shown_labels(game, data, label_key, data.shown)
        self._path_label = interpolation_labels(game, data, label_key, data.shown)
        self._conditional = game.real_labelled and conditional(game)
        self._eval_samples = config.eval_samples

    def draw(self, state: Any, final: bool = False) -> None:
        """Writes samples/step-N, and at the end an interpolation too."""
        shown = self._data.shown
        samples = self._sample(state.ema, self._z[:shown], self._shown_label)
        self._run.show(f"step-{int(state.step):08d}{self._suffix}", self._data.show(samples))
        if final:
            path = self._sample(state.ema, interpolation(self._z, shown), self._path_label)
            self._run.show(f"interpolation{self._suffix}", self._data.show(path))

    def evaluate(self, state: Any, judges: Judges) -> dict[str, float]:
        """The data's own metrics of samples of the averaged generator, and how far the players are from an equilibrium, as
        `eval/NAME`; and what the doctor sees of them, as `doctor/NAME`."""
        samples = self._sample(state.ema, self._z[: self._eval_samples], self._label)
        measured = judges.measure(samples, self._label if self._conditional else None)
        if judges.gap is not None:
            measured |= judges.gap(state)
        vitals = {} if judges.vitals is None else judges.vitals(state)
        return {f"eval/{name}": float(value) for name, value in measured.items()} | {k: float(v) for k, v in vitals.items()}


def prepare(config: Config, game: Game, data: Data, run: RunDir, measure: Measure | None, say: Callable[[str], None]) -> Judges:
    """The data's metrics, ready to measure, on the validation split where there is one, if they are not in `measure` yet; and
    the duality gap, where it is asked for. What is slow happens here, once."""
    say("preparing the metrics")
    seen = _held_out(data)
    measure = measure or data.evaluator(seen, _protocol(config))
    split = "" if data.validation is None else " (here: the validation split, cut from the training samples)"
    say(f"measured on {measure.description}{split}")
    run.note(evaluation=f"{measure.description}{split}", protocol=measure.facts)
    steps = config.duality_gap or (200 if config.stop and needs_gap(parse_stop(config.stop)) else 0)
    gap = game_duality_gap(game, seen, jax.random.key(0), batch=config.batch, steps=steps) if steps else None
    return Judges(measure, gap, _vitals(game, data) if config.doctor else None)


def measurable(config: Config, data: Data) -> Measure | None:
    """The data's metrics where something may be wrong with them, so that it is found before a run has written anything: metrics
    or an extractor that the config asks for, or data of so few rows that it may be too small for any. Else None: they can wait.
    Raises InputError."""
    wanting = config.metrics or config.extractor or data.rows < FEW
    return data.evaluator(_held_out(data), _protocol(config)) if wanting else None


def _protocol(config: Config) -> Protocol:
    return Protocol(config.extractor, tuple(name.strip() for name in config.metrics.split(",") if name.strip()))


def _held_out(data: Data) -> Data:
    """The data whose test split is the validation split, where there is one."""
    if data.validation is None:
        return data
    # By another checksum: what is cached of the held-out split is not of this one.
    return replace(data, test=data.validation, checksum=f"{data.checksum} validation")


def _vitals(game: Game, data: Data) -> Callable[[Any], dict[str, jax.Array]]:
    """`doctor.vitals` on the first two batches of the run, always with the same noise: what changes is the players."""
    batches = jax.tree.map(lambda *x: np.stack(x), data.batch_at(0), data.batch_at(1))
    look = jax.jit(partial(vitals, game))
    return lambda state: look(state, batches, jax.random.key(0))
