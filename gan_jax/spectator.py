"""Spectator: watches the averaged generator of one seed, with the same latents at every step."""

from collections.abc import Callable
from typing import Any

import jax

from gan_jax.config import Config
from gan_jax.data import Data, Measure
from gan_jax.game import Game
from gan_jax.run_dir import RunDir
from gan_jax.sample import Sampler, conditional, interpolation, interpolation_labels, labels, latents, shown_labels


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

    def evaluate(self, state: Any, measure: Measure) -> dict[str, float]:
        """The data's own metrics of samples of the averaged generator, as `eval/NAME`."""
        samples = self._sample(state.ema, self._z[: self._eval_samples], self._label)
        measured = measure(samples, self._label if self._conditional else None)
        return {f"eval/{name}": float(value) for name, value in measured.items()}


def prepare(data: Data, run: RunDir, say: Callable[[str], None]) -> Measure:
    """The data's metrics, ready to measure: what is slow about them happens here, once."""
    say("preparing the metrics")
    measure = data.evaluator(data)
    say(f"measured on {measure.description}")
    run.note(evaluation=measure.description)
    return measure
