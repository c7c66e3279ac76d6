"""The loop: batch -> step -> metrics.jsonl -> checkpoint -> evaluation -> samples, in a run directory that can always go on.

With run_dir, checkpoint, spectator, report and data this is the only code that touches files, clocks and signals.
"""

import sys
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.config import Config, config_json
from gan_jax.data.dataset import Data
from gan_jax.data.load import load
from gan_jax.errors import InputError, RunError
from gan_jax.evaluation.monitor import measurable
from gan_jax.game.build import build, doubt
from gan_jax.game.game import Game
from gan_jax.game.state import TrainState, count_parameters, step_of
from gan_jax.game.sweep import Sweep, combinations
from gan_jax.reports.comparison import write_comparison
from gan_jax.reports.doctor import diagnose
from gan_jax.reports.report import write_report
from gan_jax.runs import hosts
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.fork import Fork, find_fork
from gan_jax.runs.run_dir import RunDir, check_run_dir, read_log
from gan_jax.spec.stop import Rule, parse_stop, selects, stop_reason
from gan_jax.training.compile import choose_dispatch, plan_devices
from gan_jax.training.cost import cost, in_words
from gan_jax.training.members import ManySeeds, OneSeed, mean_lines
from gan_jax.training.progress import Interrupt, Progress


def train(
    config: Config,
    run_dir: Path,
    data_dir: str | None = None,
    seeds: Sequence[int] | None = None,
    fork_from: Path | None = None,
    sweep: Sweep | None = None,
) -> Path:
    """Trains to `config.steps`, going on from the run directory's newest good checkpoint; returns the path of the report.
    Given `seeds`, trains a run of each in one compiled program, and given a `sweep`, of each of its combinations; the report
    then compares them. Given the directory `fork_from` of another run, a run that has not begun does so with that one's weights
    (gan_jax/runs/fork.py).

    Raises InputError before anything is written where the run cannot start, RunError where it broke or was stopped."""
    config, seeds, runs = _many(config, seeds, sweep, fork_from)
    data = load(config.data, config.seed, config.batch, data_dir, config.validation, config.stream, hosts.share())
    hosts.check_same("the config, or the data,", config_json(config) + data.checksum)
    if seeds is not None and data.streamed:
        raise InputError(f"{config.data} is streamed, for one seed at a time: set --stream never, or train seeds one by one")
    rules = parse_stop(config.stop) if config.stop else ()
    if type(data.sample_shape) is tuple and len(data.sample_shape) == 3 and data.validation is None and selects(rules):
        raise InputError(f"stop {config.stop!r} would choose by the held-out images: set --validation 0.1")
    game, plan, measure = build(config, data), plan_devices(config, runs), measurable(config, data)
    fork = _fork(fork_from, run_dir, config, data, game, data_dir) if seeds is None else None
    run = RunDir(run_dir, config, data, seeds, sweep)
    told = (config, game, data, run, plan, measure)
    run.note(parameters=count_parameters(game), **({} if fork is None else {"forked_from": fork.told}))
    try:
        shown = Progress(config.steps, hosts.is_first())
        with Interrupt() as interrupt, Checkpoints(run_dir) as checkpoints, shown as progress:
            if why := doubt(config, game):
                progress.say(f"warning: {why}")
            side = OneSeed(*told) if seeds is None else ManySeeds(*told, seeds, sweep)
            stopped = play(config, side, run, checkpoints, interrupt, progress, rules, fork)
        run.note(status="finished" if stopped is None else f"finished: {stopped}")
    except RunError as error:
        with suppress(OSError, InputError):  # a full disk must not hide what happened
            run.note(status=str(error))
            _report(run_dir, seeds)
        raise
    except OSError as error:
        raise RunError(f"training stopped: {error}; the same command goes on from the newest checkpoint") from error
    finally:
        run.close()
    return _report(run_dir, seeds)


def _many(
    config: Config, seeds: Sequence[int] | None, sweep: Sweep | None, fork_from: Path | None
) -> tuple[Config, Sequence[int] | None, int | None]:
    """-> (the config of the first run, seeds, how many runs), the latter None where it is one run. Raises InputError."""
    if seeds is None and not sweep:
        return config, None, None
    seeds = [config.seed] if seeds is None else seeds
    if not seeds or len(set(seeds)) < len(seeds) or not all(0 <= seed < 2**32 for seed in seeds):
        raise InputError(f"seeds must be different whole numbers from 0 to 2**32 - 1, got {list(seeds)}")
    if fork_from is not None:
        raise InputError("--fork_from is for one seed: leave it off, or train seeds one by one")
    for field in ("posthoc_ema", "stop"):
        if getattr(config, field):
            raise InputError(f"{field} is for one seed: leave it off, or train seeds one by one")
    if sweep and config.duality_gap:
        raise InputError("duality_gap is for one game: leave it off, or --sweep")
    values = combinations(config, sweep or {})
    return replace(config, **values[0]), seeds, len(values) * len(seeds)


def _report(run_dir: Path, seeds: Sequence[int] | None) -> Path:
    if not hosts.is_first():
        return run_dir / "report.html"
    return write_report(run_dir) if seeds is None else write_comparison([run_dir], run_dir)


def play(
    config: Config,
    side: OneSeed | ManySeeds,
    run: RunDir,
    checkpoints: Checkpoints,
    interrupt: Interrupt,
    progress: Progress,
    rules: Sequence[Rule],
    fork: Fork | None = None,
) -> str | None:
    """From the newest checkpoint, or from the start, to `config.steps`, or until one of the rules is met: says by which."""
    state = _enter(side, run, checkpoints, progress, fork)
    plan, step, history = side.plan, step_of(state), read_log(run.path / "metrics.jsonl")
    advance, most = side.compile(run.environment["dispatch"])
    pending: deque[tuple[int, int, dict[str, Any]]] = deque()  # dispatched, not read yet: (first step, steps, metrics)
    met, told = stop_reason(rules, history), set()
    progress.begin(step)
    while step < config.steps and side.alive and met is None:
        ahead = [every - step % every for every in (config.log_every, config.eval_every, config.save_every)]
        count = min(most, config.steps - step, *ahead)
        feeds = [side.feed_of_step(step + i) for i in range(count)]
        feeds = jax.tree.map(lambda *steps: np.stack(steps), *feeds, *feeds[-1:] * (most - count))
        state, metrics = advance(state, feeds, count)
        pending.append((step, count, metrics))
        step += count
        last = step == config.steps
        evaluates = last or step % config.eval_every == 0
        due = evaluates or step % config.save_every == 0 or step % config.log_every == 0
        # Looked at once: a later signal is for the next round. Several hosts ask each other, where they wait anyway.
        stopped = (due or hosts.alone()) and hosts.any_of(interrupt.name is not None)
        saves = last or step % config.save_every == 0 or stopped
        if not (due or saves):
            continue
        # Metrics are read one interval late, so that the device never waits for the host; but before anything is kept.
        lines = side.read(pending, step if evaluates or saves else step - config.log_every)
        seen = plan.gather(state) if evaluates or saves or not side.alive else None
        if evaluates:
            side.evaluate(seen, lines, progress.say)
        history += lines
        if evaluates:
            met = stop_reason(rules, history)
            side.draw(seen, final=last or met is not None)
            _consult(history, told, progress.say)
        for line in lines:
            run.log(line)
        for line in mean_lines(lines):
            progress.show(line)
        if saves or met is not None or not side.alive:
            run.keep_averages(seen)
            checkpoints.save(seen, state)
        if stopped and not last:
            checkpoints.wait()
            by = interrupt.name or "another process"
            raise RunError(f"stopped by {by} at step {step}, which is saved; the same command goes on from there")
    checkpoints.wait()
    if met is not None:
        progress.say(f"stopped at step {step}: {met}")
    return met


def _enter(
    side: OneSeed | ManySeeds, run: RunDir, checkpoints: Checkpoints, progress: Progress, fork: Fork | None
) -> TrainState:
    """The state to go on from, on the devices: that of the newest checkpoint, or the one before the first step."""
    config = side.config
    state = checkpoints.restore(jax.eval_shape(side.initial), progress.say)
    start = 0 if state is None else step_of(state)
    run.rewind(start)
    run.note(status=f"training, from step {start}")
    if "dispatch" not in run.environment:
        chosen = config.dispatch
        if chosen == "auto":  # of data that are streamed, many steps' samples at once could fill the device
            chosen = "loop" if side.data.streamed else choose_dispatch(side.game, side.data)
        run.note(dispatch=chosen)
    if state is None:
        return _begin(side, run, checkpoints, progress, fork)
    if start < config.steps:
        progress.say(f"going on from step {start} of {config.steps} in {run.path}")
    return side.plan.place(state)


def _begin(
    side: OneSeed | ManySeeds, run: RunDir, checkpoints: Checkpoints, progress: Progress, fork: Fork | None
) -> TrainState:
    """The state before the first step, of which pictures are kept; of a fork a checkpoint too."""
    plan = side.plan
    state = plan.initial(side.initial)
    if fork is not None:
        state = plan.place(fork.begin(side.game, plan.gather(state)))
        progress.say(f"begins with the weights of {fork.told['run_dir']} at step {fork.told['step']}")
    run.show("real", side.data.show(side.data.to_float(side.data.test.take(slice(side.data.shown)).samples)))
    seen = plan.gather(state)
    side.draw(seen, final=False)
    if fork is not None:  # from here on it needs the other run no more
        checkpoints.save(seen, state)
        checkpoints.wait()
    return state


def _consult(history: list[dict[str, Any]], told: set[str], say: Callable[[str], None]) -> None:
    """Says which of the doctor's alarms ring now, each once; those of several seeds are for `compare.py` to tell apart."""
    for found in diagnose(history) if "seed" not in history[-1] else ():
        if found.name not in told:
            say(f"doctor: {found}")
            told.add(found.name)


def _fork(asked: Path | None, run_dir: Path, config: Config, data: Data, game: Game, data_dir: str | None) -> Fork | None:
    environment = check_run_dir(run_dir, config, data)
    return find_fork(asked, run_dir, environment, game, lambda text: print(text, file=sys.stderr), data_dir)


def dry_run(
    config: Config,
    run_dir: Path,
    data_dir: str | None = None,
    seeds: Sequence[int] | None = None,
    fork_from: Path | None = None,
    sweep: Sweep | None = None,
) -> str:
    """What `train` would do, having checked all that it checks; nothing is written."""
    config, seeds, runs = _many(config, seeds, sweep, fork_from)
    data = load(config.data, config.seed, config.batch, data_dir, config.validation, config.stream)
    game = build(config, data)
    measurable(config, data)
    check_run_dir(run_dir, config, data, seeds, sweep)
    fork = _fork(fork_from, run_dir, config, data, game, data_dir) if seeds is None else None
    parameters = count_parameters(game)
    lines = [f"{field:16s} {value}" for field, value in asdict(config).items() if value is not None]
    rows = f"{data.rows:,} training samples, {'streamed' if data.streamed else f'{data.test.count:,} held out'}"
    lines += [f"{'samples':16s} {data.sample_shape}: {rows}"]
    lines += [f"{'parameters':16s} generator {parameters['g']:,}, discriminator {parameters['d']:,}"]
    plan = plan_devices(config, runs)
    if seeds is not None:
        lines += [f"{field:16s} {', '.join(map(str, values))}" for field, values in (sweep or {}).items()]
        lines += [f"{'seeds':16s} {', '.join(map(str, seeds))}, on {plan.devices} of the devices"]
    elif plan.form == "jit":  # what a replica of pmap costs the compiler does not tell
        lines += in_words(cost(game, data, plan), plan)
    if why := doubt(config, game):
        lines += [f"{'warning':16s} {why}"]
    if fork is not None:
        lines += [f"{'forked from':16s} {fork.told['run_dir']}, step {fork.told['step']}"]
    lines += [f"{'run_dir':16s} {run_dir}"]
    return "\n".join(lines)
