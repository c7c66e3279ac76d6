"""Monitor: samples and evaluates the averaged generator of one seed during training, always from the same latents."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.config import Config
from gan_jax.data.dataset import Data, Measure, Protocol
from gan_jax.data.images.protocols import samples_needed
from gan_jax.errors import InputError
from gan_jax.evaluation.exploitability import game_duality_gap
from gan_jax.evaluation.sample import (
    Sampler,
    class_names,
    column_labels,
    conditional,
    interpolation,
    interpolation_labels,
    labels,
    latents,
    rows_of_classes,
)
from gan_jax.evaluation.vitals import vitals
from gan_jax.game.game import Game
from gan_jax.metrics.spectrum import radial_power
from gan_jax.runs.run_dir import RunDir
from gan_jax.spec.stop import needs_gap

SPECTRUM = 1_000  # images behind an average power spectrum, at most
FEW_ROWS = 100  # no metric needs more training samples than some tens


class Evaluators(NamedTuple):
    """Functions that evaluate a training state; all seeds share them."""

    measure: Measure
    gap: Callable[[Any], dict[str, float]] | None  # state -> `metrics.duality_gap`; optional
    vitals: Callable[[Any], dict[str, jax.Array]] | None  # state -> `evaluation.vitals`; optional


class Monitor:
    """Samples and evaluations of one seed, with the same latents and labels at every step, so that only the generator changes.

    `sample` is compiled once and shared by all seeds; `suffix` distinguishes this seed's files in the run directory."""

    def __init__(
        self,
        config: Config,
        game: Game,
        data: Data,
        run: RunDir,
        z_key: jax.Array,
        label_key: jax.Array,
        sample: Sampler,
        suffix: str = "",
    ):
        self._data, self._run, self._sample, self._suffix = data, run, sample, suffix
        self._z = latents(game, z_key, max(config.eval_samples, 2 * data.num_shown))
        self._label = labels(game, data, label_key, config.eval_samples)
        self._grid_label = column_labels(game, data, label_key, data.num_shown)
        self._path_label = interpolation_labels(game, data, label_key, data.num_shown)
        self._conditional = game.real_labelled and conditional(game)
        self._eval_samples = config.eval_samples

    def draw(self, state: Any, final: bool = False) -> None:
        """Write a grid of samples as samples/step-N, and after the last step an interpolation as well."""
        count = self._data.num_shown
        samples = self._sample(state.ema, self._z[:count], self._grid_label)
        self._run.show(f"step-{int(state.step):08d}{self._suffix}", self._data.show(samples))
        if final:
            path = self._sample(state.ema, interpolation(self._z, count), self._path_label)
            self._run.show(f"interpolation{self._suffix}", self._data.show(path))

    def evaluate(self, state: Any, evaluators: Evaluators) -> dict[str, float]:
        """Return the metrics of samples of the averaged generator and the duality gap as `eval/NAME`, and the vital signs of
        both players as `doctor/NAME`. Images also leave their average power spectrum in samples/spectrum.json."""
        samples = self._sample(state.ema, self._z[: self._eval_samples], self._label)
        if self._real_spectrum is not None:
            spectrum = {"real": self._real_spectrum, "generated": radial_power(samples[:SPECTRUM]).tolist()}
            self._run.show(f"spectrum{self._suffix}", {".json": json.dumps({"step": int(state.step)} | spectrum).encode()})
        metrics = evaluators.measure(samples, self._label if self._conditional else None)
        if evaluators.gap is not None:
            metrics |= evaluators.gap(state)
        signs = {} if evaluators.vitals is None else evaluators.vitals(state)
        values = {f"eval/{name}": value for name, value in metrics.items()} | signs
        return {name: float(value) for name, value in values.items()}

    @cached_property
    def _real_spectrum(self) -> list[float] | None:
        """The average power spectrum of held-out images; None if samples are not images."""
        shape = self._data.sample_shape
        if type(shape) is not tuple or len(shape) != 3:
            return None
        return radial_power(self._data.to_float(self._data.test.samples[:SPECTRUM])).tolist()


def show_real(game: Game, data: Data, run: RunDir) -> None:
    """Write held-out samples as samples/real. If the generator is passed classes, they have those of the grids of generated
    samples, and samples/labels.json has the classes in all of these files."""
    count, names = data.num_shown, class_names(game, data)
    held_out = data.test.take(slice(count))
    if names:
        key = jax.random.key(0)  # not used for classes
        shown = {"step": column_labels(game, data, key, count), "interpolation": interpolation_labels(game, data, key, count)}
        if game.real_labelled and (rows := rows_of_classes(data.test.labels, shown["step"])) is not None:
            held_out = data.test.take(rows)
            shown["real"] = shown["step"]
        named = {name: [names[i] for i in label] for name, label in shown.items()}
        run.show("labels", {".json": json.dumps(named).encode()})
    run.show("real", data.show(data.to_float(held_out.samples)))


def prepare_evaluators(
    config: Config, game: Game, data: Data, run: RunDir, measure: Measure | None, say: Callable[[str], None]
) -> Evaluators:
    """Prepare what evaluates a state: the data's metrics (unless `measure` already holds them), against the validation split if
    there is one, and the duality gap and the vital signs if the config requests them. The slow work happens here, once."""
    say("preparing the metrics")
    held_out = _held_out(data)
    measure = measure or data.evaluator(held_out, _protocol(config))
    split = "" if data.validation is None else " (here: the validation split, cut from the training samples)"
    say(f"measured on {measure.description}{split}")
    run.note(evaluation=f"{measure.description}{split}", protocol=measure.facts)
    steps = config.duality_gap or (200 if needs_gap(config.stop_rules) else 0)
    gap = game_duality_gap(game, held_out, jax.random.key(0), batch=config.batch, steps=steps) if steps else None
    return Evaluators(measure, gap, _vitals(game, data) if config.doctor else None)


def validate_metrics(config: Config, data: Data) -> Measure | None:
    """Prepare the data's metrics early if that may fail, so that it fails before a run has written anything: if the config
    names metrics or an extractor, or if the data may have too few rows for any metric. Otherwise return None.

    Raises InputError if the metrics cannot be computed."""
    needed = samples_needed(data, config.metric_names)
    if config.eval_samples < needed:
        raise InputError(f"metrics {config.metrics} need eval_samples of at least {needed}, got {config.eval_samples}")
    may_fail = config.metrics or config.extractor or data.num_train < FEW_ROWS
    return data.evaluator(_held_out(data), _protocol(config)) if may_fail else None


def _protocol(config: Config) -> Protocol:
    return Protocol(config.extractor, config.metric_names)


def _held_out(data: Data) -> Data:
    """The data with the validation split, if there is one, in place of the test split."""
    if data.validation is None:
        return data
    # The checksum keys caches: what is cached for the test split must not be used for the validation split.
    return replace(data, test=data.validation, checksum=f"{data.checksum} validation")


def _vitals(game: Game, data: Data) -> Callable[[Any], dict[str, jax.Array]]:
    """`evaluation.vitals` on the first two batches of the run, always with the same noise, so that only the players change."""
    batches = jax.tree.map(lambda *x: np.stack(x), data.batch_at(0), data.batch_at(1))
    compiled = jax.jit(partial(vitals, game))
    return lambda state: compiled(state, batches, jax.random.key(0))
