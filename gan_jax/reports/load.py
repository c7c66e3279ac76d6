"""Read run directories and combine their runs into methods."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gan_jax.config import Config
from gan_jax.errors import InputError
from gan_jax.game.sweep import suffix
from gan_jax.reports.formatting import plain_text
from gan_jax.reports.html import read_json_object, read_lines, rows_by_step
from gan_jax.reports.results import Method, Run, Seed, differing_fields


def load_methods(run_dirs: Sequence[Path]) -> tuple[list[Method], list[str]]:
    """Return the methods in the run directories, in order of appearance, and notes for the reader on how they were combined.

    Raises InputError, naming the directory or file, if one is missing, corrupt or not a run, or if none is passed."""
    if not run_dirs:
        raise InputError("nothing to compare: pass at least one run directory")
    paths = {Path(path).resolve(): Path(path) for path in run_dirs}  # each directory once
    groups: list[list[Run]] = []
    methods, notes = [], []
    for run in [run for path in paths.values() for run in _read_runs(path, notes)]:
        group = next((group for group in groups if _method_key(group[0]) == _method_key(run)), None)
        groups.append([run]) if group is None else group.append(run)
    names = _names([group[0] for group in groups])
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
        names.append(" ".join(", ".join([*words, *(["forked"] if run.forked_from else [])]).split()))
    # null and "none" have the same text.
    return [f"{name} ({run.path})" if names.count(name) > 1 else name for name, run in zip(names, runs, strict=True)]


def _read_runs(path: Path, notes: list[str]) -> list[Run]:
    """Read the run in a directory; for a sweep, one run per combination of its values. Add damage of its log to `notes`."""
    if not path.is_dir():
        raise InputError(f"{path} is not a run directory: there is no such directory")
    if not (path / "config.json").is_file():
        raise InputError(f"{path} is not a run directory: it has no config.json")
    config = read_json_object(path / "config.json")
    if not {"data", "steps"} <= config.keys():
        raise InputError(f"{path} is not a run directory: its config.json has no fields data and steps")
    environment = read_json_object(path / "environment.json") if (path / "environment.json").exists() else {}
    lines, damage = read_lines(path / "metrics.jsonl") if (path / "metrics.jsonl").exists() else ([], "")
    notes += [f"Damaged log: {damage}."] if damage else []
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
