"""Results of methods, read from run directories. A method is everything in a config except the seed, with all of its seeds.

Seeds that broke or have not finished are kept and marked; a method's metrics average over the seeds that did not break.
"""

import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax.reports.html import Rows, metric_names, series
from gan_jax.reports.media import media_files
from gan_jax.spec.glossary import published_protocol

# Facts about an evaluation (`Measure.facts`) that do not change the values of its metrics.
_NOT_OF_THE_MEASURE = {"protocols", "metrics", "not measured", "caution", "features"}


class Seed(NamedTuple):
    """One training of a method."""

    number: int
    run_dir: Path
    suffix: str  # of its pictures' names, if the directory holds several trainings; otherwise empty
    rows: Rows
    broken: tuple[int, str] | None  # (step, reason), if training broke

    @property
    def step(self) -> int:
        """The last logged step."""
        return max(self.rows, default=0)

    def grid(self) -> tuple[int, list[Path]]:
        """The step of the last grid of samples, and its files; (0, []) if there is none."""
        pattern = re.compile(rf"step-(\d+){re.escape(self.suffix)}(?![\d.e])" if self.suffix else r"step-(\d+)(?!.*-seed\d)")
        grids: dict[int, list[Path]] = {}
        for path in media_files(self.run_dir):
            if match := pattern.match(path.stem):
                grids.setdefault(int(match[1]), []).append(path)
        return max(grids.items(), default=(0, []))


class Run(NamedTuple):
    """The contents of a run directory, or of one combination of values in the directory of a sweep."""

    path: Path
    config: dict[str, Any]
    environment: dict[str, Any]
    seeds: list[Seed]
    values: dict[str, float]  # of the swept fields
    cost_fraction: float = 1.0  # of the directory's training time

    @property
    def forked_from(self) -> str:
        """The run and step whose weights it started from; empty if it is not a fork."""
        fork = self.environment.get("forked_from")
        return f"{fork.get('run_dir')} at step {fork.get('step')}" if isinstance(fork, dict) else ""

    def measured(self, metric: str) -> dict[str, Any]:
        """How a metric was measured, as recorded: values of a metric are comparable if these facts are equal. Those of a
        published protocol are its own, and include its number of samples."""
        data = self.environment.get("data")
        facts = {"checksum": data.get("checksum") if isinstance(data, dict) else data}
        recorded = self.environment.get("protocol")
        if not isinstance(recorded, dict):
            return facts | {"samples": self.config.get("eval_samples"), "protocol": self.environment.get("evaluation")}
        published = recorded.get("protocols")
        if isinstance(published, dict) and (name := published_protocol(metric)) in published:
            return facts | {"protocol": published[name]}
        others = {name: fact for name, fact in recorded.items() if name not in _NOT_OF_THE_MEASURE}
        return facts | {"samples": self.config.get("eval_samples")} | others

    @property
    def seconds(self) -> float | None:
        """Training time, including compilation and evaluation; None if it was not recorded."""
        logged = [row["seconds"] for seed in self.seeds for row in seed.rows.values() if "seconds" in row]
        seconds = self.environment.get("seconds", max(logged, default=None))
        return self.cost_fraction * seconds if isinstance(seconds, int | float) and math.isfinite(seconds) else None

    @property
    def seconds_per_step(self) -> list[float]:
        """Seconds per step and seed in each interval between log lines without compilation, evaluation and checkpoints.

        The loop writes the line of step s one interval later, once the devices have finished that step, but at an evaluation
        or a checkpoint it writes all remaining lines. So the time from line s to line s + log_every is that of training if
        there is neither at s, s + log_every and s + 2 log_every."""
        every, config = self.config["log_every"], self.config
        rows = max((seed.rows for seed in self.seeds), key=len, default={})
        written = {step: row["seconds"] for step, row in rows.items() if "seconds" in row}

        def waits(step: int) -> bool:
            return step % config["eval_every"] == 0 or step % config["save_every"] == 0 or step >= config["steps"]

        starts = (s for s in written if s + every in written and not any(waits(s + i * every) for i in range(3)))
        return [(written[s + every] - written[s]) / every * self.cost_fraction / len(self.seeds) for s in starts]


class Estimate(NamedTuple):
    """A metric's mean over seeds and its standard error (None for a single seed)."""

    mean: float
    error: float | None


@dataclass(frozen=True)
class Method:
    """Runs whose configs differ only in the seed, with their results."""

    name: str
    config: dict[str, Any]
    runs: list[Run]
    seeds: list[Seed]  # by number

    @cached_property
    def intact(self) -> list[Seed]:
        return [seed for seed in self.seeds if seed.broken is None]

    @cached_property
    def broken(self) -> list[Seed]:
        return [seed for seed in self.seeds if seed.broken is not None]

    @cached_property
    def unfinished(self) -> list[Seed]:
        steps = self.config.get("steps")
        # A run that its stopping rule ended has a status such as "finished: eval/fd has not improved ...".
        stopped = {run.path for run in self.runs if str(run.environment.get("status", "")).startswith("finished:")}
        return [s for s in self.intact if isinstance(steps, int) and s.step < steps and s.run_dir not in stopped]

    @cached_property
    def step(self) -> int:
        """The step of the method's metrics: the last one at which an intact seed was evaluated."""
        steps = [step for seed in self.intact for step, row in seed.rows.items() if metric_names([row])]
        return max(steps, default=0)

    @cached_property
    def evaluated(self) -> list[Seed]:
        """The seeds that the metrics average over: the intact ones that were evaluated at `step`."""
        return [seed for seed in self.intact if metric_names([seed.rows.get(self.step, {})])]

    @property
    def excludes_seeds(self) -> bool:
        """Whether the metrics average over some, but not all, of the seeds."""
        return 0 < len(self.evaluated) < len(self.seeds)

    def values(self, key: str) -> dict[int, float]:
        """The metric `key` of each evaluated seed, by seed."""
        rows = {seed.number: seed.rows[self.step] for seed in self.evaluated}
        return {number: row[f"eval/{key}"] for number, row in rows.items() if f"eval/{key}" in row}

    def estimate(self, key: str) -> Estimate | None:
        """Mean and standard error of the metric `key`; None if it was not measured."""
        values = list(self.values(key).values())
        if not values:
            return None
        mean = sum(values) / len(values)  # statistics.mean does not accept values that are not finite
        if len(values) == 1:
            return Estimate(mean, None)
        finite = all(map(math.isfinite, values))
        return Estimate(mean, statistics.stdev(values) / math.sqrt(len(values)) if finite else math.nan)

    def curve(self, key: str) -> tuple[dict[int, float], dict[int, tuple[float, float]]]:
        """The metric `key` over steps, as means and as (minimum, maximum), over the intact seeds, or over all if none is
        intact."""
        by_step: dict[int, list[float]] = {}
        for seed in self.intact or self.seeds:
            for step, value in series(seed.rows, f"eval/{key}").items():
                by_step.setdefault(step, []).append(value)
        steps = sorted(by_step)
        means = {step: sum(by_step[step]) / len(by_step[step]) for step in steps}
        return means, {step: (min(by_step[step]), max(by_step[step])) for step in steps}

    @cached_property
    def seconds(self) -> float | None:
        seconds = [run.seconds for run in self.runs]
        return None if None in seconds else sum(seconds)

    @cached_property
    def milliseconds(self) -> float | None:
        """Milliseconds per step and seed without compilation and evaluation, the median over log lines; None if there are too
        few."""
        seconds = [value for run in self.runs for value in run.seconds_per_step]
        return 1000 * statistics.median(seconds) if seconds else None

    @cached_property
    def parameters(self) -> tuple[int, int] | None:
        """The numbers of parameters of G and of D; None if they were not recorded."""
        parameters = self.runs[0].environment.get("parameters")
        counts = [parameters.get(player) for player in ("g", "d")] if isinstance(parameters, dict) else []
        return tuple(counts) if counts and all(isinstance(count, int) for count in counts) else None


def differing_fields(configs: Sequence[dict[str, Any]]) -> list[str]:
    """The fields, except the seed, in which the configs differ."""
    fields = dict.fromkeys(field for config in configs for field in config if field != "seed")
    return [field for field in fields if any(config.get(field) != configs[0].get(field) for config in configs)]
