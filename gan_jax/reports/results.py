"""Results of methods, read from run directories. A method is everything in a config except the seed, with all of its seeds.

Seeds that broke or have not finished are kept and marked; a method's metrics average over the seeds that did not break.
"""

import itertools
import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax.config import Config
from gan_jax.errors import InputError
from gan_jax.game.sweep import suffix
from gan_jax.reports.html import (
    Rows,
    describe_metric,
    media_files,
    metric_names,
    plain_text,
    read_json_object,
    read_lines,
    rows_by_step,
    series,
)
from gan_jax.reports.published import PUBLISHED, Published


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

    @property
    def seconds(self) -> float | None:
        """Training time, including compilation and evaluation; None if it was not recorded."""
        logged = [row["seconds"] for seed in self.seeds for row in seed.rows.values() if "seconds" in row]
        seconds = self.environment.get("seconds", max(logged, default=None))
        return self.cost_fraction * seconds if isinstance(seconds, int | float) and math.isfinite(seconds) else None


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
        """Per step and seed. Broken seeds count in full: in one program with others they are trained to the end."""
        done = sum(max((seed.step for seed in run.seeds), default=0) * len(run.seeds) for run in self.runs)
        return 1000 * self.seconds / done if done and self.seconds is not None else None

    @cached_property
    def parameters(self) -> tuple[int, int] | None:
        """The numbers of parameters of G and of D; None if they were not recorded."""
        parameters = self.runs[0].environment.get("parameters")
        counts = [parameters.get(player) for player in ("g", "d")] if isinstance(parameters, dict) else []
        return tuple(counts) if counts and all(isinstance(count, int) for count in counts) else None


class Group(NamedTuple):
    """Methods that were trained on the same data: only their metrics are comparable."""

    data: str
    methods: list[Method]
    metrics: list[str]
    published: list[Published]
    real: dict[str, tuple[float, float]]  # metric -> minimum and maximum measured on real samples

    def best(self, key: str) -> float | None:
        """The best mean of a metric among the methods; None if it has no better direction or fewer than two values."""
        means = [estimate.mean for method in self.methods if (estimate := method.estimate(key)) is not None]
        better = {"↑": max, "↓": min}.get(describe_metric(key)[1])
        finite = [mean for mean in means if math.isfinite(mean)]
        return better(finite) if better and finite and len(means) > 1 else None


def load_methods(run_dirs: Sequence[Path]) -> tuple[list[Method], list[str]]:
    """Return the methods in the run directories, in order of appearance, and notes for the reader on how they were combined.

    Raises InputError, naming the directory or file, if one is missing, corrupt or not a run, or if none is passed."""
    if not run_dirs:
        raise InputError("nothing to compare: pass at least one run directory")
    paths = {Path(path).resolve(): Path(path) for path in run_dirs}  # each directory once
    groups: list[list[Run]] = []
    for run in itertools.chain.from_iterable(map(_read_runs, paths.values())):
        group = next((group for group in groups if _method_key(group[0]) == _method_key(run)), None)
        groups.append([run]) if group is None else group.append(run)
    names = _names([group[0] for group in groups])
    methods, notes = [], []
    for name, group in zip(names, groups, strict=True):
        seeds: dict[int, Seed] = {}
        for seed in (seed for run in group for seed in run.seeds):
            first = seeds.setdefault(seed.number, seed)
            if first is not seed:
                notes.append(f"Seed {seed.number} of {name} is in {first.run_dir} and {seed.run_dir}: only the first counts.")
        runs = [run for run in group if any(seed.run_dir == run.path for seed in seeds.values())]
        if origins := dict.fromkeys(run.forked_from for run in runs if run.forked_from):
            notes.append(f"{name}: started from {', '.join(origins)}; its time does not include that training.")
        methods.append(Method(name, group[0].config, runs, [seeds[number] for number in sorted(seeds)]))
    return methods, notes


def group_by_data(methods: Sequence[Method]) -> list[Group]:
    """Group the methods by their data, with the metrics measured and the published results for that data."""
    groups = []
    for data in dict.fromkeys(method.config["data"] for method in methods):
        same_data = [method for method in methods if method.config["data"] == data]
        rows = [row for method in same_data for seed in method.seeds for row in seed.rows.values()]
        logged = {key for row in rows for key in row}
        metrics = [n for base in metric_names(rows) for n in (base, f"{base}_train") if f"eval/{n}" in logged]
        last_rows = [seed.rows[method.step] for method in same_data for seed in method.evaluated] or rows
        real = {}
        for name in metrics:
            keys = [f"eval/{name}{suffix}" for suffix in ("_floor", "_real")]
            if values := [row[key] for key in keys for row in last_rows if key in row]:
                real[name] = (min(values), max(values))
        groups.append(Group(str(data), same_data, metrics, PUBLISHED.get(str(data).replace(" ", ""), []), real))
    return groups


def differing_fields(configs: Sequence[dict[str, Any]]) -> list[str]:
    """The fields, except the seed, in which the configs differ."""
    fields = dict.fromkeys(field for config in configs for field in config if field != "seed")
    return [field for field in fields if any(config.get(field) != configs[0].get(field) for config in configs)]


def _method_key(run: Run) -> tuple[dict[str, Any], bool]:
    """What the runs of one method have in common: the config without the seed, and whether they are forks."""
    return {field: value for field, value in run.config.items() if field != "seed"}, bool(run.forked_from)


def _names(runs: Sequence[Run]) -> list[str]:
    """Names that distinguish methods: the recipe if recipes differ, and the fields in which methods of one recipe differ."""
    recipes = [str(run.config.get("name") or run.path.name) for run in runs]
    names = []
    for recipe, run in zip(recipes, runs, strict=True):
        same_recipe = [other.config for name, other in zip(recipes, runs, strict=True) if name == recipe]
        words = [f"{field} {plain_text(run.config.get(field))}" for field in differing_fields(same_recipe)]
        words = ([recipe] if len(set(recipes)) > 1 or not words else []) + words
        names.append(", ".join([*words, *(["forked"] if run.forked_from else [])]))
    # null and "none" have the same text.
    return [f"{name} ({run.path})" if names.count(name) > 1 else name for name, run in zip(names, runs, strict=True)]


def _read_runs(path: Path) -> list[Run]:
    """Read the run in a directory; for a sweep, one run per combination of its values."""
    if not path.is_dir():
        raise InputError(f"{path} is not a run directory: there is no such directory")
    if not (path / "config.json").is_file():
        raise InputError(f"{path} is not a run directory: it has no config.json")
    config = read_json_object(path / "config.json")
    if not {"data", "steps"} <= config.keys():
        raise InputError(f"{path} is not a run directory: its config.json has no fields data and steps")
    environment = read_json_object(path / "environment.json") if (path / "environment.json").exists() else {}
    lines = read_lines(path / "metrics.jsonl") if (path / "metrics.jsonl").exists() else []
    sweep = environment.get("sweep", {})
    if not isinstance(sweep, dict) or not sweep.keys() <= config.keys() or not all(map(_are_numbers, sweep.values())):
        raise InputError(f"{path} is not a run directory: its environment.json has an invalid sweep, {sweep}")
    combinations = [dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())]
    runs = []
    for values in combinations:
        run_lines = [line for line in lines if values.items() <= line.items()]
        run_lines = [{key: value for key, value in line.items() if key not in values} for line in run_lines]
        # Fields that were added to Config after this run have their defaults.
        run_config = asdict(Config()) | config | values
        seeds = _seeds(path, run_config, environment, run_lines, values)
        runs.append(Run(path, run_config, environment, seeds, values, 1 / len(combinations)))
    return runs


def _are_numbers(values: Any) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(value, int | float) for value in values)


def _seeds(
    path: Path, config: dict[str, Any], environment: dict[str, Any], lines: list[dict[str, Any]], values: dict[str, float]
) -> list[Seed]:
    recorded = environment.get("seeds")
    numbers = {seed for seed in recorded if isinstance(seed, int)} if isinstance(recorded, list) else set()
    numbers |= {int(line["seed"]) for line in lines if isinstance(line.get("seed"), float)}
    if not numbers:
        status = re.match(r"training broke at step (\d+): ([^.]*)", str(environment.get("status", "")))
        broken = (int(status[1]), status[2]) if status else None
        return [Seed(config.get("seed", 0), path, "", rows_by_step(lines), broken)]
    seeds = []
    for number in sorted(numbers):
        seed_lines = [line for line in lines if line.get("seed") == number]
        broken = next(((line["step"], str(line["broken"])) for line in seed_lines if "broken" in line), None)
        logged = [line for line in seed_lines if "broken" not in line]
        rows = rows_by_step({key: value for key, value in line.items() if key != "seed"} for line in logged)
        seeds.append(Seed(number, path, suffix({"seed": number, **values}), rows, broken))
    return seeds
