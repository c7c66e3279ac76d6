"""From a command line to a Config. jsonargparse generates the flags from its fields, and their help from the docstrings."""

import re
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from gan_jax.config import Config, load_recipe
from gan_jax.errors import InputError, unknown
from gan_jax.spec.fields import type_name
from gan_jax.spec.recipes import find_recipe

MOST_SEEDS = 10_000  # in one program
RECIPE_HELP = "a name that `gan_jax recipes` lists, RECIPE.py, or RUN_DIR/config.json"


def parse(argv: list[str], default_recipe: Path, description: str, add_options: Any) -> tuple[Config, Any]:
    """A command line `[RECIPE] [--field value ...]` -> (Config, the command's other options).

    `add_options(parser)` adds the flags of the command itself. Raises InputError for flags and values that are not allowed, and
    for a config.json that names code which this user has not trained with, unless the flags have --trust or other code."""
    parser = _parser(description)
    parser.add_argument("recipe", nargs="?", help=f"{RECIPE_HELP} (default: {default_recipe.stem})")
    add_options(parser)
    # Parsed twice: first for the recipe, then with its values as the defaults.
    options = _parse(parser, argv)
    from gan_jax.runs import trust  # here, so that --help does not load NumPy

    if options.get("trust"):
        trust.accept_all()
    recipe = find_recipe(options.recipe or default_recipe)
    stored = load_recipe(recipe)
    parser.set_defaults(asdict(stored))
    options = _parse(parser, argv)
    config = Config(**{field.name: options[field.name] for field in fields(Config)})
    if recipe.suffix == ".json":
        trust.check_code(config, recipe, stored)
    return config, options


def _parser(description: str | None) -> Any:
    from jsonargparse import ArgumentParser, set_parsing_settings

    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = ArgumentParser(description=description, exit_on_error=False, default_env=False, allow_abbrev=False)
    parser.add_class_arguments(Config, None)
    return parser


def _parse(parser: Any, argv: list[str]) -> Any:
    try:
        return parser.parse_args(argv)
    except Exception as error:
        unrecognised = re.search(r"unrecognized arguments: --([^\s=]+)", str(error))
        if unrecognised:
            known = {action.dest for action in parser._actions} - {"help", "print_shtab", "recipe"}
            raise unknown("field", unrecognised[1], known) from error
        raise InputError(_one_line(error)) from error


def _one_line(error: Exception) -> str:
    """The parser's message about a value, in our words: `steps: expected a whole number, got x`."""
    text = " ".join(str(error).split())
    match = re.search(r"""[Kk]ey "(\w+)".*(?:Got|Given) value: (.*)""", text)
    types = {field.name: field.type for field in fields(Config)}
    if match is None or match[1] not in types:
        return text
    return f"{match[1]}: expected {type_name(types[match[1]])}, got {match[2]}"


def parse_seeds(text: str) -> list[int]:
    """`0:10` -> [0, ..., 9]; `0,3,5` -> [0, 3, 5]; `7` -> [7]. Raises InputError for anything else."""
    try:
        seeds = [int(part) for part in text.split(":" if ":" in text else ",")]
        if ":" in text:
            first, end = seeds
            seeds = list(range(first, min(end, first + MOST_SEEDS + 1)))
    except ValueError:
        seeds = []
    if not 1 <= len(set(seeds)) == len(seeds) <= MOST_SEEDS or not all(0 <= seed < 2**32 for seed in seeds):
        form = f"FIRST:END or different whole numbers between commas, at most {MOST_SEEDS:,}"
        raise InputError(f"--seeds must be {form}, got {text[:100]!r}")
    return seeds


def smoke(config: Config) -> Config:
    """The same game at a size that shows within a minute whether it runs: two steps with a few samples and networks a few
    channels wide, each step logged, evaluated and saved at the end. Data and methods stay those of `config`."""
    small = {"batch": 8 * config.pack * config.microbatches, "g_width": 4, "d_width": 4, "eval_samples": 200}
    return replace(config, name=f"{config.name}-smoke", steps=2, log_every=1, **small)
