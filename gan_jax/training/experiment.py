"""An experiment: everything that a training needs, loaded, built and checked before anything is written.

Training and a dry run both begin with `prepare`, so a dry run finds every mistake that training would find at its start.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from gan_jax.config import Config, config_json
from gan_jax.data.dataset import Data, Measure
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.evaluation.monitor import validate_metrics
from gan_jax.game.build import build
from gan_jax.game.game import Game
from gan_jax.game.preflight import label_warning
from gan_jax.game.state import count_parameters
from gan_jax.game.sweep import Sweep, combinations
from gan_jax.reports.comparison import write_comparison
from gan_jax.reports.report import write_report
from gan_jax.runs import hosts
from gan_jax.runs.code import user_code
from gan_jax.runs.config_changes import differences
from gan_jax.runs.fork import Fork, find_fork
from gan_jax.runs.run_dir import RunDir, check_run_dir
from gan_jax.spec.glossary import published_protocol
from gan_jax.spec.stop import uses_sample_metrics
from gan_jax.training.compile import Plan, plan_devices
from gan_jax.training.cost import cost, describe_cost, describe_devices
from gan_jax.training.members import ManyRuns, OneRun


@dataclass(frozen=True)
class Single:
    """An experiment of one run."""

    config: Config
    count: None = None
    seeds: None = None
    sweep: None = None

    def check(self, data: Data) -> None:
        """Raise InputError for data on which the stopping rule must not be evaluated, and for a rule on a published protocol
        that is not measured."""
        for rule in self.config.stop_rules:
            protocol = published_protocol(rule.metric.removeprefix("eval/"))
            if protocol and protocol not in self.config.metric_names:
                raise InputError(f"stop {self.config.stop!r} needs --metrics with {protocol}, got {self.config.metrics!r}")
        images = type(data.sample_shape) is tuple and len(data.sample_shape) == 3
        if images and data.validation is None and uses_sample_metrics(self.config.stop_rules):
            raise InputError(f"stop {self.config.stop!r} would select on the held-out images: set --validation 0.1")

    def find_fork(self, source: Path | None, run_dir: Path, environment: dict, game: Game, data_dir: str | None) -> Fork | None:
        """The run whose weights this one starts with; None if it starts from random weights, or has already started."""
        return find_fork(source, run_dir, environment, game, lambda text: print(text, file=sys.stderr), data_dir)

    def trainer(self, *parts: Any) -> OneRun:
        return OneRun(self.config, *parts)

    def write_report(self, run_dir: Path) -> Path:
        return write_report(run_dir)

    def describe(self, plan: Plan) -> list[str]:
        """The lines of a dry run about devices."""
        return [_row("devices", describe_devices(plan))]


@dataclass(frozen=True)
class Group:
    """An experiment of several runs in one compiled program: each seed with each combination of values in the sweep."""

    config: Config  # of the first run
    seeds: Sequence[int]
    sweep: Sweep = field(default_factory=dict)
    count: int = 1

    @classmethod
    def of(cls, config: Config, seeds: Sequence[int] | None, sweep: Sweep | None, fork_from: Path | None) -> "Group":
        """Raises InputError for seeds that are not distinct, and for options that work with one run only."""
        seeds, sweep = [config.seed] if seeds is None else list(seeds), sweep or {}
        if not seeds or len(set(seeds)) < len(seeds) or not all(0 <= seed < 2**32 for seed in seeds):
            raise InputError(f"seeds must be different whole numbers from 0 to 2**32 - 1, got {seeds}")
        if fork_from is not None:
            raise InputError("--fork_from works with one seed only: leave it off, or train seeds one by one")
        for name in ("posthoc_ema", "stop"):
            if getattr(config, name):
                raise InputError(f"{name} works with one seed only: leave it off, or train seeds one by one")
        if sweep and config.duality_gap:
            raise InputError("duality_gap works with one game only: leave it off, or leave off --sweep")
        values = combinations(config, sweep)
        return cls(replace(config, **values[0]), seeds, sweep, len(values) * len(seeds))

    def check(self, data: Data) -> None:
        """Raise InputError for data that only one run at a time can read."""
        if data.streamed:
            raise InputError(
                f"{data.name} is streamed, which works with one seed only: set --stream never, or train seeds one by one"
            )

    def find_fork(self, source: Path | None, run_dir: Path, environment: dict, game: Game, data_dir: str | None) -> None:
        return None

    def trainer(self, *parts: Any) -> ManyRuns:
        return ManyRuns(self.config, *parts, self.seeds, self.sweep)

    def write_report(self, run_dir: Path) -> Path:
        return write_comparison([run_dir], run_dir)

    def describe(self, plan: Plan) -> list[str]:
        """The lines of a dry run about the runs and the devices."""
        lines = [_row(name, ", ".join(map(str, values))) for name, values in self.sweep.items()]
        return [*lines, _row("seeds", f"{', '.join(map(str, self.seeds))}, on {plan.devices} of the devices")]


@dataclass(frozen=True)
class Experiment:
    """What `prepare` returns."""

    config: Config
    run_dir: Path
    data: Data
    game: Game
    plan: Plan
    runs: Single | Group
    measure: Measure | None  # the data's metrics, if these had to be prepared to be checked
    fork: Fork | None
    warning: str | None
    accept_changes: bool

    def open(self) -> RunDir:
        """The run directory, locked and begun."""
        return RunDir(self.run_dir, self.config, self.data, self.runs.seeds, self.runs.sweep, self.accept_changes)

    def trainer(self, run: RunDir) -> OneRun | ManyRuns:
        return self.runs.trainer(self.game, self.data, run, self.plan, self.measure)

    def write_report(self) -> Path:
        """The path of the report, which the first of several hosts writes."""
        return self.runs.write_report(self.run_dir) if hosts.is_first() else self.run_dir / "report.html"


def prepare(
    config: Config,
    run_dir: Path,
    data_dir: str | None = None,
    seeds: Sequence[int] | None = None,
    fork_from: Path | None = None,
    sweep: Sweep | None = None,
    accept_changes: bool = False,
) -> Experiment:
    """Load, build and check everything; nothing is written. Raises InputError for an experiment that cannot start."""
    runs = Single(config) if seeds is None and not sweep else Group.of(config, seeds, sweep, fork_from)
    config = runs.config
    data = load(config.data, config.seed, config.batch, data_dir, config.validation, config.stream, hosts.process_slice())
    hosts.check_same("the config, or the data,", config_json(config) + data.checksum)
    runs.check(data)
    game, plan = build(config, data), plan_devices(config, runs.count)
    hosts.check_same("the code", str({path: source.sha256 for path, source in user_code(config).items()}))
    environment = check_run_dir(run_dir, config, data, runs.seeds, runs.sweep, accept_changes)
    fork = runs.find_fork(fork_from, run_dir, environment, game, data_dir)
    measure = validate_metrics(config, data)
    return Experiment(config, run_dir, data, game, plan, runs, measure, fork, label_warning(config, game), accept_changes)


def describe(experiment: Experiment, recipe: Config | None = None, with_cost: bool = False) -> str:
    """Describe what `train` would do with this experiment; nothing is written. Begins with what differs from `recipe`. With
    `with_cost`, also compile a step and describe its cost; raises InputError for several runs and for `pmap`, whose cost XLA
    does not report."""
    config, data, game, plan = experiment.config, experiment.data, experiment.game, experiment.plan
    if with_cost and (plan.runs is not None or plan.form == "pmap"):
        raise InputError("--cost needs one seed and --parallel jit: leave off --cost, or leave off --seeds, --sweep and pmap")
    parameters = count_parameters(game)
    rows = f"{data.num_train:,} training samples, {'streamed' if data.streamed else f'{data.test.count:,} held out'}"
    changes = [] if recipe is None else differences(recipe, config) or ["nothing"]
    lines = [_row("changed", change) for change in changes]
    lines += [_row(name, value) for name, value in asdict(config).items() if value is not None]
    lines += [_row("samples", f"{data.sample_shape}: {rows}")]
    lines += [_row("data", note) for note in data.notes]
    lines += [_row("parameters", f"generator {parameters['g']:,}, discriminator {parameters['d']:,}")]
    lines += experiment.runs.describe(plan)
    lines += describe_cost(cost(game, data, plan)) if with_cost else []
    if experiment.warning:
        lines += [_row("warning", experiment.warning)]
    if experiment.fork is not None:
        record = experiment.fork.record
        new = f", {len(record['new'])} arrays new, for other classes" if "new" in record else ""
        lines += [_row("forked from", f"{record['run_dir']}, step {record['step']}{new}")]
    return "\n".join([*lines, _row("run_dir", experiment.run_dir)])


def _row(name: str, value: Any) -> str:
    return f"{name:16s} {value}"
