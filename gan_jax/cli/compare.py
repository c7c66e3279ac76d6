"""Compare methods over seeds: `python experiments/compare.py [RECIPE.py | RUN_DIR ...] [--field value,value ...] --seeds 0:10`.

Trains every recipe with every combination of the listed values, all seeds of a method in one compiled program, and writes one
table and one page: mean and standard error of every metric, samples side by side, cost, published figures. Run directories
are taken as they are. The same command again goes on; one more method costs only its own time.

    python experiments/compare.py experiments/toy/ring.py --loss hinge,relativistic,path/mine.py:margin --seeds 0:10

With --verify RUN_A RUN_B it only says whether these are bitwise the same run, else where they part first and what of their
configs and environments differs: exit code 0 where they are the same, 1 where not.
"""

import itertools
import re
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from gan_jax.cli.command import Parser, make_cores_devices
from gan_jax.cli.flags import RECIPES, parse, seeds_of
from gan_jax.config import Config
from gan_jax.errors import InputError, unknown
from gan_jax.reports.results import load_methods
from gan_jax.training.compare import train_methods

OWN = {"seeds", "out", "data_dir", "verify", "debug", "help"}  # flags of compare.py that are no fields of Config
DEFAULT = RECIPES / "toy" / "ring.py"


def main() -> None:
    parser = Parser(description=__doc__, allow_abbrev=False)
    parser.add_argument("runs", nargs="*", metavar="RECIPE|RUN_DIR", help=f"(default: {DEFAULT})")
    parser.add_argument("--seeds", default="0:5", help="FIRST:END, or seeds between commas (default: %(default)s)")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/compare"), help="where methods and page go (default: %(default)s)"
    )
    parser.add_argument("--data_dir", help="where tfds: data lies (default: $GAN_JAX_DATA)")
    parser.add_argument("--verify", nargs=2, type=Path, metavar=("RUN_A", "RUN_B"), help="are they bitwise the same?")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    own, flags = split_flags(sys.argv[1:])
    options = parser.parse_args(own)
    if options.verify:
        if options.runs or flags:
            raise InputError(f"--verify takes two run directories and nothing else, got {(*options.runs, *flags)[0]} too")
        from gan_jax.runs.verify import verify

        same, words = verify(*options.verify)
        print(words)
        sys.exit(0 if same else 1)
    finished = [Path(run) for run in options.runs if Path(run).is_dir()]
    recipes = [run for run in options.runs if not Path(run).is_dir()]
    if finished and flags and not recipes:
        raise InputError(f"--{next(iter(flags))} is for recipes, and only run directories were given")
    if finished:  # before anything is trained
        load_methods(finished)
    found = {} if finished and not recipes else methods(recipes, flags, DEFAULT)
    make_cores_devices()
    run_dirs = train_methods(found, seeds_of(options.seeds), options.out, options.data_dir)
    # Not earlier: --help and a mistyped flag need not wait for JAX.
    from gan_jax.reports.comparison import comparison_table, write_comparison

    print(comparison_table([*finished, *run_dirs]))
    print(f"page: {write_comparison([*finished, *run_dirs], options.out)}")


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
