"""The training loop: batch -> step -> metrics.jsonl -> checkpoint -> evaluation -> samples, in a run directory from which the
same command resumes."""

import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.config import Config
from gan_jax.errors import InputError, RunError
from gan_jax.evaluation.monitor import show_real
from gan_jax.game.state import TrainState, count_parameters, step_of
from gan_jax.game.sweep import Sweep
from gan_jax.reports.doctor import diagnose
from gan_jax.runs import hosts
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.fork import Fork
from gan_jax.runs.run_dir import RunDir
from gan_jax.runs.trackers import Trackers, check_trackers
from gan_jax.runs.trust import remember
from gan_jax.spec.stop import stop_reason
from gan_jax.storage.log import read_log
from gan_jax.training.experiment import prepare
from gan_jax.training.members import Lines, ManyRuns, OneRun, batches_of_steps, mean_lines
from gan_jax.training.profile import StepProfile
from gan_jax.training.progress import Interrupt, Progress, format_seconds, lossy_output


@lossy_output()
def train(
    config: Config,
    run_dir: Path,
    data_dir: str | None = None,
    seeds: Sequence[int] | None = None,
    fork_from: Path | None = None,
    sweep: Sweep | None = None,
    accept_changes: bool = False,
    log: Sequence[str] = (),
    profile: int = 0,
) -> Path:
    """Train to `config.steps`, resuming from the newest intact checkpoint in the run directory; return the path of the report.

    With `seeds`, train a run of each in one compiled program, and with a `sweep`, one of each combination of its values; the
    report then compares them. With `fork_from`, the directory of another run, a new run starts with that run's weights
    (`runs/fork.py`). With `accept_changes`, a run resumes although the user's files that it executes have changed, which is
    recorded. `log` names the trackers that follow it (`runs/trackers.py`), and `profile` is a number of steps of which a trace
    is written (`training/profile.py`).

    Raises InputError before anything is written if the run cannot start, and RunError if it diverged or was stopped."""
    check_trackers(log)
    experiment = prepare(config, run_dir, data_dir, seeds, fork_from, sweep, accept_changes)
    run = experiment.open()
    remember(config)
    forked = {} if experiment.fork is None else {"forked_from": experiment.fork.record}
    try:
        run.note(parameters=count_parameters(experiment.game), **forked)
        shown = Progress(experiment.config.steps, hosts.is_first())
        with Interrupt() as interrupt, Checkpoints(run_dir, identity=run.identity) as checkpoints, shown as progress:
            for note in experiment.data.notes:
                progress.say(f"data: {note}")
            if experiment.warning:
                progress.say(f"warning: {experiment.warning}")
            if log and hosts.is_first():
                run.trackers = Trackers(log, run_dir, experiment.config, progress.say)
            with StepProfile(profile if hosts.is_first() else 0, run_dir / "profile", progress.say) as trace:
                loop = Loop(experiment.trainer(run), run, checkpoints, interrupt, progress, trace)
                reason = run_loop(loop, experiment.fork)
        run.note(status="finished" if reason is None else f"finished: {reason}")
    except RunError as error:
        with suppress(OSError, InputError), Interrupt():  # a full disk must not hide the first error
            run.note(status=str(error))
            experiment.write_report()
        raise
    except OSError as error:
        raise RunError(f"training stopped: {error}; the same command resumes from the newest checkpoint") from error
    finally:
        run.close()
    with Interrupt():  # the page of a finished run is written whole, whatever signal arrives
        return experiment.write_report()


class Events(NamedTuple):
    """What happens after the current step."""

    last: bool
    log: bool
    evaluate: bool
    save: bool
    interrupted: bool

    @property
    def up_to_date(self) -> bool:
        """Whether the host waits for the devices, to evaluate or save their state."""
        return self.evaluate or self.save


@dataclass
class Loop:
    """A training in progress."""

    trainer: OneRun | ManyRuns
    run: RunDir
    checkpoints: Checkpoints
    interrupt: Interrupt
    progress: Progress
    trace: StepProfile
    step: int = 0
    state: TrainState | None = None  # on the devices
    history: Lines = field(default_factory=list)  # of metrics.jsonl
    initial: Any = None  # the initial state, on the host, until its samples are drawn
    pending: deque[tuple[int, int, dict[str, Any]]] = field(default_factory=deque)  # dispatched: (first step, steps, metrics)
    diagnosed: set[str] = field(default_factory=set)  # alarms already announced
    compiled: bool = False  # whether the first steps have been dispatched
    reason: str | None = None  # the stopping rule that is met

    @property
    def config(self) -> Config:
        return self.trainer.config

    @property
    def active(self) -> bool:
        return self.step < self.config.steps and self.trainer.alive and self.reason is None


def run_loop(loop: Loop, fork: Fork | None = None) -> str | None:
    """Train from the newest checkpoint, or from the start, until all steps are done, a stopping rule is met or no run is left;
    return which rule was met."""
    resume(loop, fork)
    if loop.active:
        with loop.progress.pause("preparing the metrics"), loop.interrupt.released():
            loop.trainer.prepare(loop.progress.say)
    advance, steps_per_call = loop.trainer.compile(loop.run.environment["dispatch"])
    while loop.active:
        dispatch_steps(loop, advance, steps_per_call)
        draw_initial(loop)
        events = upcoming_events(loop)
        if not any(events):
            continue
        lines = read_metrics(loop, events)
        host_state = loop.trainer.plan.gather(loop.state) if events.evaluate or events.save or not loop.trainer.alive else None
        if events.evaluate:
            evaluate(loop, host_state, lines)
        loop.history += lines
        if events.evaluate:
            draw(loop, host_state, events)
        log_lines(loop, lines, events)
        if events.save or loop.reason is not None or not loop.trainer.alive:
            save(loop, host_state)
        stop_if_interrupted(loop, events)
    loop.checkpoints.wait()
    if loop.reason is not None:
        loop.progress.say(f"stopped at step {loop.step}: {loop.reason}")
    return loop.reason


def resume(loop: Loop, fork: Fork | None) -> None:
    """Restore the newest checkpoint, or begin."""
    trainer, run, config = loop.trainer, loop.run, loop.config
    restored = loop.checkpoints.restore(jax.eval_shape(trainer.initial, trainer.init_inputs), loop.progress.say)
    loop.step = 0 if restored is None else step_of(restored)
    for message in run.rewind(loop.step):
        loop.progress.say(message)
    run.note(status=f"training, from step {loop.step}")
    if "dispatch" not in run.environment:
        run.note(dispatch=trainer.dispatch)
    if restored is None:
        begin(loop, fork)
    else:
        if loop.step < config.steps:
            loop.progress.say(f"resuming from step {loop.step} of {config.steps} in {run.path}")
        loop.state = trainer.plan.place(restored)
    loop.history = read_log(run.path / "metrics.jsonl").lines
    loop.reason = stop_reason(config.stop_rules, loop.history)
    loop.progress.begin(loop.step)


def begin(loop: Loop, fork: Fork | None) -> None:
    """Initialise the state, or take a fork's weights; write real samples and, for a fork, a checkpoint."""
    trainer, run = loop.trainer, loop.run
    loop.state = trainer.plan.initial(trainer.initial, trainer.init_inputs)
    if fork is not None:
        loop.state = trainer.plan.place(fork.begin(trainer.game, trainer.plan.gather(loop.state)))
        loop.progress.say(f"starts with the weights of {fork.record['run_dir']} at step {fork.record['step']}")
    show_real(trainer.game, trainer.data, run)
    host_state = trainer.plan.gather(loop.state)
    # A copy, because the first step overwrites the buffers of the state.
    loop.initial = jax.tree.map(np.array, host_state.replace(g=None, d=None, posthoc=()))
    if fork is not None:  # from here on, the other run is no longer needed
        loop.checkpoints.save(host_state, loop.state)
        loop.checkpoints.wait()


def draw_initial(loop: Loop) -> None:
    """Draw the samples of the initial generator, while the devices compute the first steps."""
    if loop.initial is not None:
        with loop.progress.pause("drawing the first samples"):
            loop.trainer.draw(loop.initial, final=False)
        loop.initial = None
        loop.progress.restart(loop.step)


def dispatch_steps(loop: Loop, advance: Any, steps_per_call: int) -> None:
    """Send the steps up to the next event to the devices, at most `steps_per_call`, without waiting for them."""
    config = loop.config
    until_event = [every - loop.step % every for every in (config.log_every, config.eval_every, config.save_every)]
    count = min(steps_per_call, config.steps - loop.step, loop.trace.limit(loop.step), *until_event)
    batches = batches_of_steps(loop.trainer, loop.step, count, steps_per_call)
    if loop.compiled:
        loop.trace.begin(loop.step, loop.state)
        loop.state, metrics = advance(loop.state, batches, count)
    else:
        loop.progress.say("compiling the training step, or reading it from the cache ...")
        began = time.monotonic()
        with loop.progress.pause("compiling"):
            loop.state, metrics = advance(loop.state, batches, count)
        loop.progress.say(f"compiled in {format_seconds(time.monotonic() - began)}")
        loop.compiled = True
    loop.pending.append((loop.step, count, metrics))
    loop.step += count
    loop.trace.end(loop.step, loop.state)


def upcoming_events(loop: Loop) -> Events:
    """What is due after this step. The interrupt is read once: a later signal counts at the next step. Several hosts exchange
    it only at steps at which they wait for each other anyway."""
    config, step = loop.config, loop.step
    last = step == config.steps
    log, evaluate, save = (step % every == 0 for every in (config.log_every, config.eval_every, config.save_every))
    due = last or log or evaluate or save
    interrupted = (due or hosts.single_process()) and hosts.any_process(loop.interrupt.name is not None)
    return Events(last, log, last or evaluate, last or save or interrupted, interrupted)


def read_metrics(loop: Loop, events: Events) -> Lines:
    """The lines of metrics.jsonl that are complete: those of one interval ago, so that the devices never wait for the host, but
    all of them before an evaluation or a checkpoint."""
    return loop.trainer.read(loop.pending, loop.step if events.up_to_date else loop.step - loop.config.log_every)


def evaluate(loop: Loop, host_state: TrainState, lines: Lines) -> None:
    """Add the metrics of the state to the last of `lines`."""
    with loop.progress.pause("evaluating"):
        loop.trainer.evaluate(host_state, lines, loop.progress.say)


def draw(loop: Loop, host_state: TrainState, events: Events) -> None:
    """After an evaluation: apply the stopping rules, draw samples and print alarms."""
    loop.reason = stop_reason(loop.config.stop_rules, loop.history)
    with loop.progress.pause("drawing"):
        loop.trainer.draw(host_state, final=events.last or loop.reason is not None)
    announce_alarms(loop)


def announce_alarms(loop: Loop) -> None:
    """Print each of the doctor's alarms once, if a single seed is trained. For several seeds none are printed."""
    for diagnosis in diagnose(loop.history) if "seed" not in loop.history[-1] else ():
        if diagnosis.name not in loop.diagnosed:
            loop.progress.say(f"doctor: {diagnosis}")
            loop.diagnosed.add(diagnosis.name)


def log_lines(loop: Loop, lines: Lines, events: Events) -> None:
    for line in lines:
        loop.run.log(line)
    loop.progress.show(mean_lines(lines), queued=not events.up_to_date)


def save(loop: Loop, host_state: TrainState) -> None:
    """Save a checkpoint and the power-function averages."""
    loop.run.save_averages(host_state)
    loop.checkpoints.save(host_state, loop.state)


def stop_if_interrupted(loop: Loop, events: Events) -> None:
    """Raise RunError if a signal arrived, after the checkpoint is complete."""
    if events.interrupted and not events.last:
        loop.checkpoints.wait()
        signal = loop.interrupt.name or "another process"
        raise RunError(f"stopped by {signal} at step {loop.step}, which is saved; the same command resumes from there")
