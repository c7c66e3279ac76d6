"""Run directories in, methods out: a method is all that a config says but the seed, with every seed it was trained on.

Seeds that broke or are not finished stay in it and are told apart; a method's numbers are over the seeds that lived.
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
from gan_jax.reports.html import Rows, explain, media_files, metric_names, plain, points, read_lines, read_object, rows_of
from gan_jax.reports.published import PUBLISHED, Published


class Seed(NamedTuple):
    """One training of a method."""

    number: int
    run_dir: Path
    suffix: str  # of its pictures' names, where the directory holds others too
    rows: Rows
    broken: tuple[int, str] | None  # at which step, why

    @property
    def step(self) -> int:
        """The last step it was logged at."""
        return max(self.rows, default=0)

    def grid(self) -> tuple[int, list[Path]]:
        """The step of its last picture, and the files of that; (0, []) where there are none."""
        wanted = re.compile(rf"step-(\d+){re.escape(self.suffix)}(?![\d.e])" if self.suffix else r"step-(\d+)(?!.*-seed\d)")
        found: dict[int, list[Path]] = {}
        for path in media_files(self.run_dir):
            if match := wanted.match(path.stem):
                found.setdefault(int(match[1]), []).append(path)
        return max(found.items(), default=(0, []))


class Run(NamedTuple):
    """What a run directory says."""

    path: Path
    config: dict[str, Any]
    environment: dict[str, Any]
    seeds: list[Seed]
    values: dict[str, float]  # of a sweep, which makes this one of several runs in the directory
    share: float = 1.0  # of what the directory's training cost

    @property
    def began(self) -> str:
        """With whose weights it began; "" where with its own."""
        told = self.environment.get("forked_from")
        return f"{told.get('run_dir')} at step {told.get('step')}" if isinstance(told, dict) else ""

    @property
    def seconds(self) -> float | None:
        """Of training, those spent on compiling and evaluating included; None where nobody noted them."""
        noted = [row["seconds"] for seed in self.seeds for row in seed.rows.values() if "seconds" in row]
        seconds = self.environment.get("seconds", max(noted, default=None))
        return self.share * seconds if isinstance(seconds, int | float) and math.isfinite(seconds) else None


class Estimate(NamedTuple):
    """A metric's mean over seeds, with its standard error (None of a single seed)."""

    mean: float
    error: float | None


@dataclass(frozen=True)
class Method:
    """Runs whose configs differ in nothing but the seed, and what came of them."""

    name: str
    config: dict[str, Any]
    runs: list[Run]
    seeds: list[Seed]  # by number

    @cached_property
    def lived(self) -> list[Seed]:
        return [seed for seed in self.seeds if seed.broken is None]

    @cached_property
    def broken(self) -> list[Seed]:
        return [seed for seed in self.seeds if seed.broken is not None]

    @cached_property
    def unfinished(self) -> list[Seed]:
        steps = self.config.get("steps")
        # A rule that ended a run is named in its status: "finished: eval/fd has not improved ...".
        ended = {run.path for run in self.runs if str(run.environment.get("status", "")).startswith("finished:")}
        return [s for s in self.lived if isinstance(steps, int) and s.step < steps and s.run_dir not in ended]

    @cached_property
    def step(self) -> int:
        """The last step at which a seed that lived was evaluated: where the method's metrics are taken."""
        steps = [step for seed in self.lived for step, row in seed.rows.items() if metric_names([row])]
        return max(steps, default=0)

    @cached_property
    def counted(self) -> list[Seed]:
        """The seeds that its metrics are over: those that lived and were evaluated at `step`."""
        return [seed for seed in self.lived if metric_names([seed.rows.get(self.step, {})])]

    def values(self, key: str) -> dict[int, float]:
        """The metric `key` of each seed counted, by seed."""
        rows = {seed.number: seed.rows[self.step] for seed in self.counted}
        return {number: row[f"eval/{key}"] for number, row in rows.items() if f"eval/{key}" in row}

    def estimate(self, key: str) -> Estimate | None:
        """Mean and standard error of the metric `key`; None where it was not measured."""
        values = list(self.values(key).values())
        if not values:
            return None
        mean = sum(values) / len(values)  # statistics.mean refuses what is not finite
        if len(values) == 1:
            return Estimate(mean, None)
        finite = all(map(math.isfinite, values))
        return Estimate(mean, statistics.stdev(values) / math.sqrt(len(values)) if finite else math.nan)

    def curve(self, key: str) -> tuple[dict[int, float], dict[int, tuple[float, float]]]:
        """The metric `key` over steps: means over the seeds that lived (all, where none did), and from least to greatest."""
        by_step: dict[int, list[float]] = {}
        for seed in self.lived or self.seeds:
            for step, value in points(seed.rows, f"eval/{key}").items():
                by_step.setdefault(step, []).append(value)
        steps = sorted(by_step)
        means = {step: sum(by_step[step]) / len(by_step[step]) for step in steps}
        return means, {step: (min(by_step[step]), max(by_step[step])) for step in steps}

    @cached_property
    def seconds(self) -> float | None:
        known = [run.seconds for run in self.runs]
        return None if None in known else sum(known)

    @cached_property
    def milliseconds(self) -> float | None:
        """Per step and seed. Seeds that broke are trained to the end with the others, and cost as much."""
        done = sum(max((seed.step for seed in run.seeds), default=0) * len(run.seeds) for run in self.runs)
        return 1000 * self.seconds / done if done and self.seconds is not None else None

    @cached_property
    def parameters(self) -> tuple[int, int] | None:
        """Of G and of D."""
        told = self.runs[0].environment.get("parameters")
        sizes = [told.get(player) for player in ("g", "d")] if isinstance(told, dict) else []
        return tuple(sizes) if sizes and all(isinstance(size, int) for size in sizes) else None


class Group(NamedTuple):
    """The methods that were trained on the same data: only their numbers can be compared."""

    data: str
    methods: list[Method]
    metrics: list[str]
    published: list[Published]
    real: dict[str, tuple[float, float]]  # metric -> least and greatest that real samples scored

    def best(self, key: str) -> float | None:
        """The best mean of a metric among methods; None where no direction is better or there is nothing to compare."""
        means = [estimate.mean for method in self.methods if (estimate := method.estimate(key)) is not None]
        better = {"↑": max, "↓": min}.get(explain(key)[1])
        finite = [mean for mean in means if math.isfinite(mean)]
        return better(finite) if better and finite and len(means) > 1 else None


def load_methods(run_dirs: Sequence[Path]) -> tuple[list[Method], list[str]]:
    """The methods of the run directories, in order of appearance, and what a reader must be told of how they were read.

    Raises InputError, naming the directory or file, where one is absent, is no run or is corrupt, or none is given."""
    if not run_dirs:
        raise InputError("nothing to compare: give run directories")
    paths = {Path(path).resolve(): Path(path) for path in run_dirs}  # each once
    groups: list[list[Run]] = []
    for run in itertools.chain.from_iterable(map(_read_runs, paths.values())):
        alike = (group for group in groups if _method_of(group[0]) == _method_of(run))
        group = next(alike, None)
        groups.append([run]) if group is None else group.append(run)
    names = _names([group[0] for group in groups])
    methods, notes = [], []
    for name, group in zip(names, groups, strict=True):
        seeds: dict[int, Seed] = {}
        for seed in (seed for run in group for seed in run.seeds):
            first = seeds.setdefault(seed.number, seed)
            if first is not seed:
                notes.append(f"Seed {seed.number} of {name} is in {first.run_dir} and {seed.run_dir}: the first is counted.")
        runs = [run for run in group if any(seed.run_dir == run.path for seed in seeds.values())]
        if forks := dict.fromkeys(run.began for run in runs if run.began):
            notes.append(f"{name} began with the weights of {', '.join(forks)}, whose training its time does not count.")
        methods.append(Method(name, group[0].config, runs, [seeds[number] for number in sorted(seeds)]))
    return methods, notes


def by_data(methods: Sequence[Method]) -> list[Group]:
    """The methods by their data, with what is known of it."""
    groups = []
    for data in dict.fromkeys(method.config["data"] for method in methods):
        alike = [method for method in methods if method.config["data"] == data]
        rows = [row for method in alike for seed in method.seeds for row in seed.rows.values()]
        known = {key for row in rows for key in row}
        metrics = [n for base in metric_names(rows) for n in (base, f"{base}_train") if f"eval/{n}" in known]
        last = [seed.rows[method.step] for method in alike for seed in method.counted] or rows
        real = {}
        for name in metrics:
            keys = [f"eval/{name}{suffix}" for suffix in ("_floor", "_real")]
            if values := [row[key] for key in keys for row in last if key in row]:
                real[name] = (min(values), max(values))
        groups.append(Group(str(data), alike, metrics, PUBLISHED.get(str(data).replace(" ", ""), []), real))
    return groups


def differing(configs: Sequence[dict[str, Any]]) -> list[str]:
    """The fields in which configs differ, the seed apart."""
    fields = dict.fromkeys(field for config in configs for field in config if field != "seed")
    return [field for field in fields if any(config.get(field) != configs[0].get(field) for config in configs)]


def _method_of(run: Run) -> tuple[dict[str, Any], bool]:
    """What runs of one method have in common: all of the config but the seed, and whether they are forks."""
    return {field: value for field, value in run.config.items() if field != "seed"}, bool(run.began)


def _names(runs: Sequence[Run]) -> list[str]:
    """What tells methods apart: the recipe where those differ, and the fields in which methods of one recipe differ."""
    recipes = [str(run.config.get("name") or run.path.name) for run in runs]
    names = []
    for recipe, run in zip(recipes, runs, strict=True):
        alike = [other.config for name, other in zip(recipes, runs, strict=True) if name == recipe]
        words = [f"{field} {plain(run.config.get(field))}" for field in differing(alike)]
        words = ([recipe] if len(set(recipes)) > 1 or not words else []) + words
        names.append(", ".join([*words, *(["forked"] if run.began else [])]))
    # null and "none" read alike.
    return [f"{name} ({run.path})" if names.count(name) > 1 else name for name, run in zip(names, runs, strict=True)]


def _read_runs(path: Path) -> list[Run]:
    """The run in a directory; of a sweep, one of each combination of its values."""
    if not path.is_dir():
        raise InputError(f"{path} is not a run directory: there is no such directory")
    if not (path / "config.json").is_file():
        raise InputError(f"{path} is not a run directory: it has no config.json")
    config = read_object(path / "config.json")
    if not {"data", "steps"} <= config.keys():
        raise InputError(f"{path} is not a run directory: its config.json is not that of a run")
    environment = read_object(path / "environment.json") if (path / "environment.json").exists() else {}
    lines = read_lines(path / "metrics.jsonl") if (path / "metrics.jsonl").exists() else []
    swept = environment.get("sweep", {})
    if not isinstance(swept, dict) or not swept.keys() <= config.keys() or not all(map(_numbers, swept.values())):
        raise InputError(f"{path} is not a run directory: its environment.json names no sweep that could be: {swept}")
    found = [dict(zip(swept, values, strict=True)) for values in itertools.product(*swept.values())]
    runs = []
    for values in found:
        own = [line for line in lines if values.items() <= line.items()]
        own = [{key: value for key, value in line.items() if key not in values} for line in own]
        # A field that came after this run was made has its default.
        of = asdict(Config()) | config | values
        runs.append(Run(path, of, environment, _seeds(path, of, environment, own, values), values, 1 / len(found)))
    return runs


def _numbers(values: Any) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(value, int | float) for value in values)


def _seeds(
    path: Path, config: dict[str, Any], environment: dict[str, Any], lines: list[dict[str, Any]], values: dict[str, float]
) -> list[Seed]:
    told = environment.get("seeds")
    numbers = {seed for seed in told if isinstance(seed, int)} if isinstance(told, list) else set()
    numbers |= {int(line["seed"]) for line in lines if isinstance(line.get("seed"), float)}
    if not numbers:
        broke = re.match(r"training broke at step (\d+): ([^.]*)", str(environment.get("status", "")))
        broken = (int(broke[1]), broke[2]) if broke else None
        return [Seed(config.get("seed", 0), path, "", rows_of(lines), broken)]
    seeds = []
    for number in sorted(numbers):
        own = [line for line in lines if line.get("seed") == number]
        broken = next(((line["step"], str(line["broken"])) for line in own if "broken" in line), None)
        rows = rows_of({key: value for key, value in line.items() if key != "seed"} for line in own if "broken" not in line)
        seeds.append(Seed(number, path, suffix({"seed": number, **values}), rows, broken))
    return seeds
