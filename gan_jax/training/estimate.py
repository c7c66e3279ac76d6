"""The time that a run would take on this machine, by some of its steps, before anything is written."""

import time
from types import SimpleNamespace

import jax

from gan_jax.training.experiment import Experiment
from gan_jax.training.members import ManyRuns, OneRun, batches_of_steps
from gan_jax.training.progress import format_seconds

SECONDS = 3.0  # of measurement, at least a step


def estimate(experiment: Experiment) -> str:
    """The line of a dry run about the time of training, and how it was measured."""
    trainer = experiment.trainer(SimpleNamespace(path=experiment.run_dir))  # nothing is written
    compilation, steps, seconds = time_steps(trainer)
    per_step, config = seconds / steps, experiment.config
    evaluations = -(-config.steps // config.eval_every)
    return (
        f"{'time':16s} about {format_seconds(config.steps * per_step)} of training on this machine: {config.steps:,} steps of "
        f"{per_step * 1e3:.3g} ms, measured now over {steps:,} steps, after compiling for {format_seconds(compilation)}. "
        f"Not included: preparing the metrics, {evaluations:,} evaluation{'s' * (evaluations > 1)} with pictures, checkpoints"
    )


def time_steps(trainer: OneRun | ManyRuns) -> tuple[float, int, float]:
    """Train for some seconds from the initial state -> (the seconds of compiling, how many steps were timed, their seconds)."""
    state = trainer.plan.initial(trainer.initial, trainer.init_inputs)
    jax.block_until_ready(state)
    began = time.monotonic()
    advance, count = trainer.compile(trainer.dispatch)
    state, _ = jax.block_until_ready(advance(state, batches_of_steps(trainer, 0, count, count), count))
    compilation = time.monotonic() - began
    began, steps = time.monotonic(), 0
    while steps == 0 or (time.monotonic() - began < SECONDS and steps < trainer.config.steps):
        state, _ = advance(state, batches_of_steps(trainer, count + steps, count, count), count)
        jax.block_until_ready(state)
        steps += count
    return compilation, steps, time.monotonic() - began
