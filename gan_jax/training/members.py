"""One run, or many in one compiled program: `OneRun` and `ManyRuns` have the same methods, which are all that the training loop
uses."""

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.config import Config
from gan_jax.data.batches import batch_rows
from gan_jax.data.dataset import Data, Measure
from gan_jax.errors import RunError
from gan_jax.evaluation.first_batch import explain_first_step
from gan_jax.evaluation.monitor import Monitor, prepare_evaluators
from gan_jax.evaluation.sample import sampler
from gan_jax.game.build import with_tuned_values
from gan_jax.game.game import Game
from gan_jax.game.state import TrainState, init_state
from gan_jax.game.sweep import Sweep, combinations, suffix
from gan_jax.runs.run_dir import RunDir
from gan_jax.storage.log import read_log
from gan_jax.training.compile import Plan, choose_dispatch, compile_update

Lines = list[dict[str, Any]]  # of metrics.jsonl
Advance = Callable[[TrainState, Any, int], tuple[TrainState, dict[str, Any]]]  # (state, batches, count) -> (state, metrics)


class RunKeys(NamedTuple):
    """The keys of a run, one for each role. The key of a step is folded from `train` by its number."""

    init: jax.Array
    train: jax.Array
    z: jax.Array  # latents of evaluations and pictures
    label: jax.Array  # their labels or codes


def run_keys(seed: int) -> RunKeys:
    return RunKeys(*jax.random.split(jax.random.key(seed), len(RunKeys._fields)))


def batches_of_step(game: Game, feed_at: Callable[[int], Any], step: int) -> Any:
    """The N = `game.batches` batches of real samples that a step uses: row numbers [N, B] or samples [N, B, ...]."""
    batches = [feed_at(step * game.batches + i) for i in range(game.batches)]
    return jax.tree.map(lambda *steps: np.stack(steps), *batches)


def batches_of_steps(trainer: "OneRun | ManyRuns", step: int, count: int, steps_per_call: int) -> Any:
    """The batches of `count` steps from `step` on, [K, ...], padded to those of K = `steps_per_call` steps."""
    batches = [trainer.batches_of_step(step + i) for i in range(count)]
    padding = itertools.repeat(batches[-1], steps_per_call - count)
    return jax.tree.map(lambda *steps: np.stack(steps), *batches, *padding)


def dispatch_of(config: Config, game: Game, data: Data) -> str:
    """How the steps of a run are sent to the device: `scan` or `loop`."""
    if config.dispatch != "auto":
        return config.dispatch
    if data.streamed:  # the samples of many steps at once could exceed the device's memory
        return "loop"
    return choose_dispatch(game, data)


def is_logged(config: Config, step: int) -> bool:
    """Whether metrics.jsonl has a line for this step. A line holds the values of its own step, not a mean, which would depend
    on where a run was resumed."""
    intervals = (config.log_every, config.eval_every, config.save_every)
    return step == config.steps or any(step % every == 0 for every in intervals)


def not_finite(values: dict[str, float]) -> str:
    """The values that are not finite, as `d/loss is nan, ...`; empty if all are finite."""
    return ", ".join(f"{name} is {value}" for name, value in values.items() if not math.isfinite(value))


def completed(pending: deque, last_step: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Wait for the dispatches that end at `last_step` or earlier, and yield (step, its metrics on the host)."""
    while pending and pending[0][0] + pending[0][1] <= last_step:
        first, count, metrics = pending.popleft()
        metrics = jax.device_get(metrics)
        for i in range(count):
            yield first + i + 1, {name: value[i] for name, value in metrics.items()}


def mean_lines(lines: Lines) -> Lines:
    """One line per step, for the terminal: the means of the lines of all runs."""
    by_step: dict[int, Lines] = {}
    for line in lines:
        if "broken" not in line:
            by_step.setdefault(line["step"], []).append(line)
    means = []
    for step, group in by_step.items():
        common = [name for name in group[0] if all(name in line for line in group)]
        means.append({name: sum(line[name] for line in group) / len(group) for name in common} | {"step": step})
    return means


class OneRun:
    """One run."""

    def __init__(self, config: Config, game: Game, data: Data, run: RunDir, plan: Plan, measure: Measure | None):
        self.config, self.game, self.data, self._run, self.plan = config, game, data, run, plan
        self._keys = run_keys(config.seed)
        self._monitor = Monitor(config, game, data, run, self._keys.z, self._keys.label, sampler(game))
        # Slow: prepared once.
        self._evaluators = cache(partial(prepare_evaluators, config, game, data, run, measure))

    @property
    def alive(self) -> bool:
        """Whether anything is left to train: always, since a single run that diverges ends with a RunError."""
        return True

    @property
    def init_inputs(self) -> jax.Array:
        """The argument of `initial`, not a constant, so that all seeds share one compiled program."""
        return self._keys.init

    def initial(self, init_key: jax.Array) -> TrainState:
        """The state before the first step."""
        return init_state(self.game, init_key)

    @property
    def dispatch(self) -> str:
        return dispatch_of(self.config, self.game, self.data)

    def prepare(self, say: Callable[[str], None]) -> None:
        """Prepare the metrics, which may take minutes."""
        self._evaluators(say)

    def compile(self, dispatch: str) -> tuple[Advance, int]:
        """-> (advance, the number of steps per call)"""
        advance, steps_per_call = compile_update(self.game, self.data, dispatch, self.plan)
        store = self.plan.replicate(self.data.store)

        def call(state: TrainState, batches: Any, count: int) -> tuple[TrainState, dict[str, Any]]:
            return advance(state, store, self.plan.shard_batches(batches), count, self._keys.train)

        return call, steps_per_call

    def batches_of_step(self, step: int) -> Any:
        """The batches of real samples that a step uses, [N, B, ...]."""
        return batches_of_step(self.game, self.data.feed_at, step)

    def read(self, pending: deque, last_step: int) -> Lines:
        """The lines of the steps up to `last_step`. Raises RunError at the first value that is not finite, after logging the
        lines before it."""
        lines = []
        for step, metrics in completed(pending, last_step):
            values = {name: float(value) for name, value in metrics.items()}
            if broken := not_finite(values):
                for line in [*lines, {"step": step, "broken": broken}]:
                    self._run.log(line)
                raise RunError(f"training broke at step {step}: {broken}{self._advice(step)}")
            if is_logged(self.config, step):
                lines.append({"step": step, **values})
        return lines

    def _advice(self, step: int) -> str:
        """What to do about a run that broke at this step."""
        if step > 1:
            return ". The last good checkpoint is kept; lower g_lr or d_lr, or add a penalty, in a new --run_dir"
        state = jax.jit(self.initial)(self.init_inputs)
        batch = self.data.decode(self.data.store, self.data.feed_at(0))
        key = jax.random.split(jax.random.fold_in(self._keys.train, 0), self.game.d_steps + 1)[0]
        return f"; {explain_first_step(self.game, state, batch, key)}"

    def draw(self, state: TrainState, final: bool) -> None:
        """Write pictures of samples."""
        self._monitor.draw(state, final)

    def evaluate(self, state: TrainState, lines: Lines, say: Callable[[str], None]) -> None:
        """Add the current metrics to the last line."""
        lines[-1] |= self._monitor.evaluate(state, self._evaluators(say))


class ManyRuns:
    """A run of each of several seeds with each combination of values in a sweep, in one compiled program. A run that diverges
    is logged as broken and ignored from then on; the others continue."""

    def __init__(
        self,
        config: Config,
        game: Game,
        data: Data,
        run: RunDir,
        plan: Plan,
        measure: Measure | None,
        seeds: Sequence[int],
        sweep: Sweep,
    ):
        self.config, self.game, self.data, self._run, self.plan = config, game, data, run, plan
        # What distinguishes the runs, in the log and in file names.
        self._members = [{"seed": seed, **values} for values in combinations(config, sweep) for seed in seeds]
        self._numbers = {name: jnp.float32([member[name] for member in self._members]) for name in sweep}
        feeds = {seed: batch_rows(seed, data.train.count, config.batch) for seed in seeds}
        self._feeds = [feeds[member["seed"]] for member in self._members]
        keys = [run_keys(member["seed"]) for member in self._members]
        self._init_keys, self._train_keys = jnp.stack([k.init for k in keys]), jnp.stack([k.train for k in keys])
        sample = sampler(game)
        self._monitors = [
            Monitor(config, game, data, run, k.z, k.label, sample, suffix(member))
            for member, k in zip(self._members, keys, strict=True)
        ]
        # Slow: prepared once.
        self._evaluators = cache(partial(prepare_evaluators, config, game, data, run, measure))
        self._broken: set[int] = set()  # indices of members

    @property
    def alive(self) -> bool:
        """Whether a run is left that has not diverged."""
        return len(self._broken) < len(self._members)

    def _tuned(self, numbers: dict[str, jax.Array]) -> Game:
        return with_tuned_values(self.game, self.config, numbers)

    @property
    def init_inputs(self) -> tuple[jax.Array, dict[str, jax.Array]]:
        """The argument of `initial`."""
        return self._init_keys, self._numbers

    def initial(self, init_inputs: tuple[jax.Array, dict[str, jax.Array]]) -> TrainState:
        """The states of all runs before the first step, stacked along a leading axis."""
        return jax.vmap(lambda key, numbers: init_state(self._tuned(numbers), key))(*init_inputs)

    @property
    def dispatch(self) -> str:
        return dispatch_of(self.config, self.game, self.data)

    def prepare(self, say: Callable[[str], None]) -> None:
        """Prepare the metrics, which may take minutes."""
        self._evaluators(say)

    def compile(self, dispatch: str) -> tuple[Advance, int]:
        """-> (advance, the number of steps per call)"""
        broken = [line for line in read_log(self._run.path / "metrics.jsonl").lines if "broken" in line]
        self._broken = {i for i, member in enumerate(self._members) if any(member.items() <= line.items() for line in broken)}
        advance, steps_per_call = compile_update(self.game, self.data, dispatch, self.plan, self._tuned)
        store, per_run = self.plan.replicate(self.data.store), self.plan.pad((self._train_keys, self._numbers))

        def call(state: TrainState, batches: Any, count: int) -> tuple[TrainState, dict[str, Any]]:
            return advance(state, store, self.plan.shard_batches(batches), count, per_run)

        return call, steps_per_call

    def batches_of_step(self, step: int) -> np.ndarray:
        """[S, N, B]: each run reads the data in the order of its seed."""
        return np.stack([batches_of_step(self.game, feed_at, step) for feed_at in self._feeds])

    def read(self, pending: deque, last_step: int) -> Lines:
        """The lines of the steps up to `last_step`, one per run."""
        lines = []
        for step, metrics in completed(pending, last_step):
            for i, member in enumerate(self._members):
                values = {name: float(value[i]) for name, value in metrics.items()}
                if i in self._broken:
                    continue
                if broken := not_finite(values):
                    self._broken.add(i)
                    lines.append({"step": step, **member, "broken": broken})
                elif is_logged(self.config, step):
                    lines.append({"step": step, **member, **values})
        return lines

    def _intact(self, state: TrainState) -> Iterator[tuple[dict[str, Any], Monitor, TrainState]]:
        for i, member in enumerate(self._members):
            if i not in self._broken:
                yield member, self._monitors[i], jax.tree.map(lambda x, i=i: x[i], state)

    def draw(self, state: TrainState, final: bool) -> None:
        """Write pictures of samples of each intact run."""
        for _, monitor, member_state in self._intact(state):
            monitor.draw(member_state, final)

    def evaluate(self, state: TrainState, lines: Lines, say: Callable[[str], None]) -> None:
        """Add the current metrics to the last line of each intact run."""
        evaluators = self._evaluators(say)
        for member, monitor, member_state in self._intact(state):
            last = [line for line in lines if member.items() <= line.items()][-1]
            last |= monitor.evaluate(member_state, evaluators)
