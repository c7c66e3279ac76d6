"""One seed or many: what differs between a run of one seed and one that trains many in a single compiled program.

Both have the same methods, which are all that `train.play` knows of them.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.config import Config
from gan_jax.data.batches import feed
from gan_jax.data.dataset import Data, Measure
from gan_jax.errors import RunError
from gan_jax.evaluation.monitor import Spectator, prepare
from gan_jax.evaluation.sample import sampler
from gan_jax.game.build import retuned
from gan_jax.game.game import Game
from gan_jax.game.state import TrainState, init_state
from gan_jax.game.sweep import Sweep, combinations, suffix
from gan_jax.runs.run_dir import RunDir, read_log
from gan_jax.training.compile import Plan, compile_update

Lines = list[dict[str, Any]]  # of metrics.jsonl


def keys(seed: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The keys of a run: (weights, training, samples). A step's key is folded from the second by its number."""
    init_key, train_key, sample_key = jax.random.split(jax.random.key(seed), 3)
    return init_key, train_key, sample_key


def feed_of_step(game: Game, feed_at: Callable[[int], Any], step: int) -> Any:
    """The feeds of a step's discriminator updates, [d_steps, B] row numbers or [d_steps, B, ...] samples."""
    feeds = [feed_at(step * game.d_steps + i) for i in range(game.d_steps)]
    return jax.tree.map(lambda *steps: np.stack(steps), *feeds)


def is_due(config: Config, step: int) -> bool:
    """Whether metrics.jsonl has a line for this step: it logs each such step's own values, not a mean, which would depend on
    where a run was resumed."""
    due = (config.log_every, config.eval_every, config.save_every)
    return step == config.steps or any(step % every == 0 for every in due)


def not_finite(values: dict[str, float]) -> str:
    """`d/loss is nan, ...`: what broke; empty where nothing did."""
    return ", ".join(f"{name} is {value}" for name, value in values.items() if not math.isfinite(value))


def unread(pending: deque, until: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Waits for the dispatches that end at `until` or before -> (step, its metrics on the host)."""
    while pending and pending[0][0] + pending[0][1] <= until:
        first, count, metrics = pending.popleft()
        metrics = jax.device_get(metrics)
        for i in range(count):
            yield first + i + 1, {name: value[i] for name, value in metrics.items()}


def mean_lines(lines: Lines) -> Lines:
    """A line a step: the means over the seeds' lines, for the terminal."""
    by_step: dict[int, Lines] = {}
    for line in lines:
        if "broken" not in line:
            by_step.setdefault(line["step"], []).append(line)
    means = []
    for step, group in by_step.items():
        common = [name for name in group[0] if all(name in line for line in group)]
        means.append({name: sum(line[name] for line in group) / len(group) for name in common} | {"step": step})
    return means


class OneSeed:
    """A run of one seed, as `play` sees it."""

    def __init__(self, config: Config, game: Game, data: Data, run: RunDir, plan: Plan, measure: Measure | None):
        self.config, self.game, self.data, self._run, self.plan = config, game, data, run, plan
        self._init_key, self._train_key, sample_key = keys(config.seed)
        self._spectator = Spectator(config, game, data, run, sample_key, sampler(game))
        self._measure, self._judges = measure, None

    @property
    def alive(self) -> bool:
        """Whether there is anything left to train; a broken run of one seed has ended with a RunError."""
        return True

    def initial(self) -> TrainState:
        return init_state(self.game, self._init_key)

    def compile(self, dispatch: str) -> tuple[Callable[..., Any], int]:
        advance, most = compile_update(self.game, self.data, dispatch, self.plan)
        store = self.plan.replicate(self.data.store)
        return lambda state, feeds, count: advance(state, store, self.plan.deal(feeds), count, self._train_key), most

    def feed_of_step(self, step: int) -> Any:
        """The feeds of a step's discriminator updates, [d_steps, B, ...]."""
        return feed_of_step(self.game, self.data.feed_at, step)

    def read(self, pending: deque, until: int) -> Lines:
        """The lines of the steps up to `until`. Raises RunError at the first value not finite, having logged what it knows."""
        lines = []
        for step, metrics in unread(pending, until):
            values = {name: float(value) for name, value in metrics.items()}
            if broken := not_finite(values):
                for line in [*lines, {"step": step, "broken": broken}]:
                    self._run.log(line)
                raise RunError(
                    f"training broke at step {step}: {broken}. The last good checkpoint stays as it is; "
                    "lower g_lr or d_lr, or add a penalty, in a new --run_dir"
                )
            if is_due(self.config, step):
                lines.append({"step": step, **values})
        return lines

    def draw(self, state: TrainState, final: bool) -> None:
        self._spectator.draw(state, final)

    def evaluate(self, state: TrainState, lines: Lines, say: Callable[[str], None]) -> None:
        """Adds the metrics of now to the last line."""
        self._judges = self._judges or prepare(self.config, self.game, self.data, self._run, self._measure, say)
        lines[-1] |= self._spectator.evaluate(state, self._judges)


class ManySeeds:
    """A run of each of several seeds, and of each combination of values in a sweep, in one compiled program, as `play` sees
    them. A run that breaks is logged as broken and counts for nothing from there on; the others go on."""

    def __init__(
        self,
        config: Config,
        game: Game,
        data: Data,
        run: RunDir,
        plan: Plan,
        measure: Measure | None,
        seeds: Sequence[int],
        sweep: Sweep | None = None,
    ):
        self.config, self.game, self.data, self._run, self.plan = config, game, data, run, plan
        found = combinations(config, sweep or {})
        # What tells the runs apart, in the log and in the names of files.
        self._members = [{"seed": seed, **values} for values in found for seed in seeds]
        self._numbers = {field: jnp.float32([member[field] for member in self._members]) for field in sweep or ()}
        of_seed = {seed: (keys(seed), feed(seed, data.train.count, config.batch)) for seed in seeds}
        all_keys, self._feeds = zip(*(of_seed[member["seed"]] for member in self._members), strict=True)
        self._init_keys, self._train_keys, sample_keys = (jnp.stack(role) for role in zip(*all_keys, strict=True))
        sample = sampler(game)
        self._spectators = [
            Spectator(config, game, data, run, key, sample, suffix(member))
            for member, key in zip(self._members, sample_keys, strict=True)
        ]
        self._measure, self._judges = measure, None
        self._broken: set[int] = set()  # indices of members

    @property
    def alive(self) -> bool:
        """Whether a run is left that has not broken."""
        return len(self._broken) < len(self._members)

    def _tune(self, numbers: dict[str, jax.Array]) -> Game:
        return retuned(self.game, self.config, numbers)

    def initial(self) -> TrainState:
        """The states of all runs, a leading axis in each leaf."""
        return jax.vmap(lambda key, numbers: init_state(self._tune(numbers), key))(self._init_keys, self._numbers)

    def compile(self, dispatch: str) -> tuple[Callable[..., Any], int]:
        broken = [line for line in read_log(self._run.path / "metrics.jsonl") if "broken" in line]
        self._broken = {i for i, member in enumerate(self._members) if any(member.items() <= line.items() for line in broken)}
        advance, most = compile_update(self.game, self.data, dispatch, self.plan, self._tune)
        store, own = self.plan.replicate(self.data.store), (self._train_keys, self._numbers)
        return lambda state, feeds, count: advance(state, store, self.plan.deal(feeds), count, own), most

    def feed_of_step(self, step: int) -> np.ndarray:
        """[S, d_steps, B]: each run the order of the data that its seed has."""
        return np.stack([feed_of_step(self.game, feed_at, step) for feed_at in self._feeds])

    def read(self, pending: deque, until: int) -> Lines:
        """The lines of the steps up to `until`, a line a run."""
        lines = []
        for step, metrics in unread(pending, until):
            for i, member in enumerate(self._members):
                values = {name: float(value[i]) for name, value in metrics.items()}
                if i in self._broken:
                    continue
                if broken := not_finite(values):
                    self._broken.add(i)
                    lines.append({"step": step, **member, "broken": broken})
                elif is_due(self.config, step):
                    lines.append({"step": step, **member, **values})
        return lines

    def _living(self, state: TrainState) -> Iterator[tuple[dict[str, Any], Spectator, TrainState]]:
        for i, member in enumerate(self._members):
            if i not in self._broken:
                yield member, self._spectators[i], jax.tree.map(lambda x, i=i: x[i], state)

    def draw(self, state: TrainState, final: bool) -> None:
        for _, spectator, own in self._living(state):
            spectator.draw(own, final)

    def evaluate(self, state: TrainState, lines: Lines, say: Callable[[str], None]) -> None:
        """Adds the metrics of now to each living run's last line."""
        self._judges = self._judges or prepare(self.config, self.game, self.data, self._run, self._measure, say)
        for member, spectator, own in self._living(state):
            last = [line for line in lines if member.items() <= line.items()][-1]
            last |= spectator.evaluate(own, self._judges)
