"""From a command line to a Config. jsonargparse parses the flags, which `help.py` makes from the fields of Config."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, NamedTuple, get_args

from gan_jax.cli.spelling import unknown_flag, usual_spelling, whole
from gan_jax.config import Config, load_recipe
from gan_jax.data.names import short_name
from gan_jax.errors import InputError
from gan_jax.spec.fields import type_name
from gan_jax.spec.recipes import find_recipe

MOST_SEEDS = 10_000  # in one program
RECIPE_HELP = "a name that `gan_jax recipes` lists, RECIPE.py, or RUN_DIR/config.json"


class Parsed(NamedTuple):
    """A command line."""

    config: Config
    options: Any  # the command's other options
    recipe: Config  # what the flags change


def parse(argv: Sequence[str], default_recipe: Path, description: str, add_options: Any) -> Parsed:
    """Parse a command line `[RECIPE] [--field value ...]`, in any of the spellings of `spelling.py`.

    `add_options(parser)` adds the flags of the command itself. Data that the flags choose name the run (see `_named`). Raises
    InputError for flags and values that are not allowed, and for a config.json that names code which this user has not trained
    with, unless the flags have --trust or other code."""
    from gan_jax.cli.help import parser_of_config

    parser = parser_of_config(description)
    parser.add_argument("recipe", nargs="?", help=f"{RECIPE_HELP} (default: {default_recipe.stem})")
    add_options(parser)
    # Parsed twice: first for the recipe, then with its values as the defaults.
    argv = _spelled(parser, argv)
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
    if not any(part.partition("=")[0] == "--name" for part in argv):
        config = _named(config, stored, options.recipe is None and default_recipe.suffix == ".py")
    return Parsed(config, options, stored)


def _named(config: Config, recipe: Config, by_default: bool) -> Config:
    """The config, named after its data if these are not the recipe's: the data's name alone if the user has not chosen the
    recipe, else RECIPE-DATA."""
    if config.data == recipe.data:
        return config
    data = short_name(config.data)
    return replace(config, name=data if by_default else f"{recipe.name[:50]}-{data}")


def _spelled(parser: Any, argv: Sequence[str]) -> list[str]:
    """The command line in the spelling that the parser knows."""
    actions = {flag[2:]: action for action in parser._actions for flag in action.option_strings if flag.startswith("--")}
    types = {field.name: field.type for field in fields(Config)}
    switches = {name: False for name, action in actions.items() if action.nargs == 0 and name != "help"}
    switches |= {name: True for name, kind in types.items() if kind is bool}
    result = usual_spelling(argv, actions, switches)
    numbers = {name for name, kind in types.items() if int in (get_args(kind) or (kind,))}
    for i, part in enumerate(result):
        name, equals, value = part.removeprefix("--").partition("=")
        if part.startswith("--") and name in numbers and equals:
            result[i] = f"--{name}={whole(value)}"
        elif part.startswith("--") and name in numbers and i + 1 < len(result):
            result[i + 1] = whole(result[i + 1])
    return result


def _parse(parser: Any, argv: Sequence[str]) -> Any:
    try:
        return parser.parse_args(argv)
    except Exception as error:
        unrecognised = re.search(r"unrecognized arguments: --([^\s=]+)", str(error))
        if unrecognised:
            known = {action.dest for action in parser._actions} - {"help", "print_shtab", "recipe"}
            following = dict(itertools.pairwise(argv)).get(f"--{unrecognised[1]}", "")
            value = next((part.partition("=")[2] for part in argv if part.startswith(f"--{unrecognised[1]}=")), following)
            raise unknown_flag("field", unrecognised[1], value, known) from error
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
