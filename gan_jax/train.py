"""The loop: batch -> step -> metrics.jsonl -> checkpoint -> evaluation -> samples, in a run directory that can always go on.

With run_dir, checkpoint, report and data this is the only code that touches files, clocks and signals.
"""

import math
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from gan_jax import parallel
from gan_jax.checkpoint import Checkpoints
from gan_jax.config import Config
from gan_jax.data import Data, load
from gan_jax.errors import RunError
from gan_jax.game import Game, build
from gan_jax.report import write_report
from gan_jax.run_dir import RunDir, check_run_dir
from gan_jax.sample import interpolation, latents, sampler
from gan_jax.state import TrainState, init_state


def train(config: Config, run_dir: Path, data_dir: str | None = None) -> Path:
    """Trains to `config.steps`, going on from the run directory's newest good checkpoint; returns the path of the report.

    Raises InputError before anything is written where the run cannot start, RunError where it broke or was stopped."""
    data = load(config.data, config.seed, config.batch, data_dir)
    game = build(config, data)
    run = RunDir(run_dir, config, data)
    try:
        with Interrupt() as interrupt, Checkpoints(run_dir) as checkpoints, Progress(config.steps) as progress:
            play(config, game, data, run, checkpoints, interrupt, progress)
        run.note(status="finished")
    except RunError as error:
        with suppress(OSError):  # a full disk must not hide what happened
            run.note(status=str(error))
            write_report(run_dir)
        raise
    finally:
        run.close()
    return write_report(run_dir)


def play(
    config: Config,
    game: Game,
    data: Data,
    run: RunDir,
    checkpoints: Checkpoints,
    interrupt: "Interrupt",
    progress: "Progress",
) -> None:
    """From the newest checkpoint, or from the start, to `config.steps`."""
    init_key, train_key, sample_key = keys(config)
    state = checkpoints.restore(jax.eval_shape(lambda: init_state(game, init_key)), progress.say)
    start = 0 if state is None else int(state.step)
    run.rewind(start)
    run.note(status=f"training, from step {start}")
    if "dispatch" not in run.environment:
        chosen = parallel.choose_dispatch(game, data) if config.dispatch == "auto" else config.dispatch
        run.note(dispatch=chosen)
    spectator = Spectator(config, game, data, run, sample_key, progress.say)
    if state is None:
        state = parallel.initialise(game, init_key)
        run.show("real", data.show(data.to_float(data.test.samples[: data.shown])))
        spectator.draw(state)
    elif start < config.steps:
        progress.say(f"going on from step {start} of {config.steps} in {run.path}")
    advance, most = parallel.compile_update(game, data, run.environment["dispatch"])
    store = jax.device_put(data.train)
    pending: deque[tuple[int, int, dict[str, Any]]] = deque()  # dispatched, not read yet: (first step, steps, metrics)
    step = start
    progress.begin(step)
    while step < config.steps:
        ahead = [every - step % every for every in (config.log_every, config.eval_every, config.save_every)]
        count = min(most, config.steps - step, *ahead)
        feeds = np.stack([feed_of_step(game, data, step + min(i, count - 1)) for i in range(most)])
        state, metrics = advance(state, store, feeds, count, train_key)
        pending.append((step, count, metrics))
        step += count
        last = step == config.steps
        evaluates = last or step % config.eval_every == 0
        stopped_by = interrupt.name  # looked at once: a signal that comes later is for the next round
        saves = last or step % config.save_every == 0 or stopped_by is not None
        if not (evaluates or saves or step % config.log_every == 0):
            continue
        # Metrics are read one interval late, so that the device never waits for the host; but before anything is kept.
        lines = read(config, pending, step if evaluates or saves else step - config.log_every)
        if evaluates:
            lines[-1] |= spectator.evaluate(state)
            spectator.draw(state, final=last)
        for line in lines:
            run.log(line)
            progress.show(line)
        if saves:
            checkpoints.save(state)
        if stopped_by is not None and not last:
            checkpoints.wait()
            raise RunError(f"stopped by {stopped_by} at step {step}, which is saved; the same command goes on from there")
    checkpoints.wait()


def dry_run(config: Config, run_dir: Path, data_dir: str | None = None) -> str:
    """What `train` would do, having checked all that it checks; nothing is written."""
    data = load(config.data, config.seed, config.batch, data_dir)
    game = build(config, data)
    check_run_dir(run_dir, config, data)
    state = jax.eval_shape(lambda: init_state(game, jax.random.key(0)))
    g, d = (sum(math.prod(x.shape) for x in jax.tree.leaves(player.params)) for player in (state.g, state.d))
    lines = [f"{field:16s} {value}" for field, value in asdict(config).items() if value is not None]
    rows = f"{len(data.train.samples):,} training samples, {len(data.test.samples):,} held out"
    lines += [f"{'samples':16s} {data.sample_shape}: {rows}", f"{'parameters':16s} generator {g:,}, discriminator {d:,}"]
    lines += [f"{'run_dir':16s} {run_dir}"]
    return "\n".join(lines)


def keys(config: Config) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The keys of a run: (weights, training, samples). A step's key is folded from the second by its number."""
    init_key, train_key, sample_key = jax.random.split(jax.random.key(config.seed), 3)
    return init_key, train_key, sample_key


def feed_of_step(game: Game, data: Data, step: int) -> np.ndarray:
    """Row numbers of the batches of a step's discriminator updates, [d_steps, B]."""
    return np.stack([data.feed_at(step * game.d_steps + i) for i in range(game.d_steps)])


def read(config: Config, pending: deque, until: int) -> list[dict[str, Any]]:
    """Waits for the dispatches that end at `until` or before, and returns their lines for the log: each logged step's own
    values, not a mean, which would depend on where a run was resumed. Raises RunError at the first value not finite."""
    lines = []
    while pending and pending[0][0] + pending[0][1] <= until:
        first, count, metrics = pending.popleft()
        metrics = jax.device_get(metrics)
        for i in range(count):
            step = first + i + 1
            values = {name: float(value[i]) for name, value in metrics.items()}
            broken = [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]
            if broken:
                raise RunError(
                    f"training broke at step {step}: {', '.join(broken)}. The last good checkpoint stays as it is; "
                    "lower g_lr or d_lr, or add a penalty, in a new --run_dir"
                )
            due = (config.log_every, config.eval_every, config.save_every)
            if step == config.steps or any(step % every == 0 for every in due):
                lines.append({"step": step, **values})
    return lines


class Spectator:
    """Watches the averaged generator: the same latents at every step, so that what changes is the generator."""

    def __init__(self, config: Config, game: Game, data: Data, run: RunDir, key: jax.Array, say: Callable[[str], None]):
        self._data, self._run, self._say = data, run, say
        self._sample = sampler(game)
        self._z = latents(game, key, max(config.eval_samples, 2 * data.shown))
        self._eval_samples = config.eval_samples
        self._measure = None

    def draw(self, state: TrainState, final: bool = False) -> None:
        """Writes samples/step-N, and at the end an interpolation too."""
        shown = self._data.shown
        self._run.show(f"step-{int(state.step):08d}", self._data.show(self._sample(state.ema, self._z[:shown])))
        if final:
            path = interpolation(self._z, shown)
            self._run.show("interpolation", self._data.show(self._sample(state.ema, path)))

    def evaluate(self, state: TrainState) -> dict[str, float]:
        """The data's own metrics of samples of the averaged generator, as `eval/NAME`."""
        if self._measure is None:
            self._say("preparing the metrics")
            self._measure = self._data.evaluator(self._data)
            self._say(f"measured on {self._measure.description}")
            self._run.note(evaluation=self._measure.description)
        samples = self._sample(state.ema, self._z[: self._eval_samples])
        return {f"eval/{name}": float(value) for name, value in self._measure(samples, None).items()}


class Interrupt:
    """While it lasts, SIGTERM and Ctrl-C are noted in `name` instead of killing; a second one kills."""

    def __init__(self) -> None:
        self.name: str | None = None

    def __enter__(self) -> "Interrupt":
        self._before = {number: signal.signal(number, self._note) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: Any) -> None:
        self.name = signal.Signals(number).name
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)


class Progress:
    """A live bar on a terminal; plain lines, some twenty in all, where the output is piped."""

    def __init__(self, steps: int):
        self._steps = steps
        self._bar: tqdm | None = None
        self._live = sys.stderr.isatty()
        self._printed = 0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.close()

    def say(self, text: str) -> None:
        """A message that must not tear the bar apart."""
        tqdm.write(text, file=sys.stderr)

    def begin(self, step: int) -> None:
        self._first, self._began, self._printed = step, time.monotonic(), step
        if self._live:
            self._bar = tqdm(total=self._steps, initial=step, unit="step", dynamic_ncols=True)

    def show(self, line: dict[str, Any]) -> None:
        """A line of the log."""
        step = line["step"]
        values = {name: f"{line[name]:.3f}" for name in ("d/loss", "g/loss", "eval/fd", "eval/modes") if name in line}
        if "eval/fd_floor" in line:
            values["eval/fd"] += f" (real {line['eval/fd_floor']:.3f})"
        if self._bar is not None:
            self._bar.set_postfix(values, refresh=False)
            self._bar.update(step - self._bar.n)
        elif step == self._steps or "eval/fd" in line or step - self._printed >= self._steps / 20:
            self._printed = step
            rate = (step - self._first) / max(time.monotonic() - self._began, 1e-9)
            left = (self._steps - step) / max(rate, 1e-9)
            words = "  ".join(f"{name} {value}" for name, value in values.items())
            self.say(f"step {step}/{self._steps}  {words}  {rate:.1f} steps/s  {left:.0f} s left")
