"""Compare: from lists of choices to methods, and each method trained over all seeds in one compiled program."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from gan_jax.config import Config
from gan_jax.errors import InputError, unknown
from gan_jax.flags import parse

OWN = {"seeds", "out", "data_dir", "verify", "debug", "help"}  # flags of compare.py that are no fields of Config


def split_flags(argv: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """A command line -> (what is not about fields of Config, {field: its choices}).

    `--loss 'hinge,mmd(kernel="gaussian")' --steps=500` -> {"loss": ["hinge", 'mmd(kernel="gaussian")'], "steps": ["500"]}.
    Raises InputError for a flag without a value."""
    known = {field.name for field in fields(Config)} - {"seed"}
    rest: list[str] = []
    choices: dict[str, list[str]] = {}
    parts = iter(argv)
    for part in parts:
        flag, equals, value = part.partition("=")
        field = flag.removeprefix("--")
        if field == flag or field in OWN:
            rest.append(part)
            continue
        if field not in known:
            raise unknown("field", field, known | OWN)
        value = value if equals else next(parts, None)
        if not value or value.startswith("--"):
            raise InputError(f"{flag} needs a value, or several between commas")
        choices[field] = [choice.strip() for choice in re.split(r",(?![^()]*\))", value)]
    return rest, choices


def methods(recipes: Sequence[str], choices: dict[str, list[str]], default: Path) -> dict[str, Config]:
    """The Configs of every recipe with every combination of `choices`, by a name that tells what was chosen. Raises InputError
    for what no Config can have."""
    found: dict[str, Config] = {}
    for recipe in recipes or [str(default)]:
        for values in itertools.product(*choices.values()):
            chosen = [(field, value) for field, value in zip(choices, values, strict=True)]
            argv = [recipe, *(part for field, value in chosen for part in (f"--{field}", value))]
            config, _ = parse(argv, default, "", lambda parser: None)
            words = [config.name, *(value for field, value in chosen if len(choices[field]) > 1)]
            name = "-".join(re.sub(r"[^\w.]+", "_", word).strip("_") for word in words)
            if name in found and found[name] != config:
                name = f"{name}-{len(found)}"
            found[name] = config
    return found


def seeds_of(text: str) -> list[int]:
    """`0:10` -> 0 to 9; `0,3,5` as they are; `7` alone. Raises InputError for anything else."""
    try:
        if ":" in text:
            first, end = (int(part) for part in text.split(":"))
            seeds = list(range(first, end))
        else:
            seeds = [int(part) for part in text.split(",")]
    except ValueError:
        seeds = []
    if not seeds or len(set(seeds)) < len(seeds) or not all(0 <= seed < 2**32 for seed in seeds):
        raise InputError(f"--seeds must be FIRST:END or different whole numbers between commas, got {text!r}")
    return seeds


def train_methods(found: dict[str, Config], seeds: Sequence[int], out: Path, data_dir: str | None) -> list[Path]:
    """Trains each method over all seeds in `out`/NAME, going on where that was stopped; returns their directories.

    Every method is built before the first is trained: a mistake in the last is found at once."""
    # Not earlier: --help and a mistyped flag need not wait for JAX.
    from gan_jax.data import load
    from gan_jax.game import build
    from gan_jax.run_dir import check_run_dir
    from gan_jax.train import train

    for name, config in found.items():
        try:
            data = load(config.data, config.seed, config.batch, data_dir, config.validation, config.stream)
            build(config, data)
            check_run_dir(out / name, config, data, seeds)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
    for number, (name, config) in enumerate(found.items(), 1):
        print(f"method {number} of {len(found)}: {name}", flush=True)
        train(config, out / name, data_dir, seeds)
    return [out / name for name in found]
