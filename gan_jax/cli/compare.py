"""Compare methods over seeds: `gan_jax compare [RECIPE.py | RUN_DIR ...] [--field value,value ...] --seeds 0:10`.

Trains every recipe with every combination of the listed values, all seeds of a method in one compiled program, and writes one
table and one page: mean and standard error of every metric, which methods differ significantly and how many seeds would tell
the others apart, samples side by side, cost, published figures. Run directories are included without training. The same command
again resumes; adding a method costs only its own time.

    gan_jax compare toy/ring --loss hinge,relativistic,path/mine.py:margin --seeds 0:10

The page and comparison.json, with the values of every seed and the tests of all pairs, are written in --out. --csv table.csv
writes a row per seed, --latex table.tex the table with its caption, and --json results.json the same as comparison.json.

With --verify RUN_A RUN_B it only reports whether two runs are bitwise equal and, if not, where they first differ and how their
configs and environments differ: exit code 0 if they are equal, else 1.
"""

import argparse
import itertools
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path

from gan_jax.cli.command import (
    NO_CACHE_HELP,
    TRUST_HELP,
    Parser,
    out_file,
    path,
    use_cached_programs,
    use_cores_as_devices,
    write_output,
)
from gan_jax.cli.flags import RECIPE_HELP, parse, parse_seeds
from gan_jax.cli.spelling import unknown_flag, usual_spelling
from gan_jax.config import Config
from gan_jax.errors import InputError
from gan_jax.reports.load import load_methods
from gan_jax.runs import trust
from gan_jax.spec.expressions import listed_names
from gan_jax.spec.recipes import RECIPES
from gan_jax.training.compare import train_methods
from gan_jax.training.progress import lossy_output

# Flags of compare.py that are not fields of Config.
SWITCHES = {"no_compilation_cache", "trust", "debug"}
OPTIONS = {"seeds", "out", "data_dir", "csv", "latex", "json", "verify", "help"} | SWITCHES
DEFAULT = RECIPES / "toy" / "ring.py"


@lossy_output()
def main() -> None:
    parser = Parser(description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "runs", nargs="*", type=path, metavar="RECIPE|RUN_DIR", help=f"{RECIPE_HELP}, or RUN_DIR (default: {DEFAULT.stem})"
    )
    parser.add_argument("--seeds", default="0:5", help="FIRST:END, or seeds between commas (default: %(default)s)")
    parser.add_argument(
        "--out",
        type=path,
        default=Path("runs/compare"),
        help="directory of the methods' runs and the page (default: %(default)s)",
    )
    parser.add_argument("--csv", type=table_file(".csv"), metavar="FILE.csv", help="also write a row per seed with its metrics")
    parser.add_argument("--latex", type=table_file(".tex"), metavar="FILE.tex", help="also write the table for a paper")
    parser.add_argument(
        "--json", type=table_file(".json"), metavar="FILE.json", help="also write what comparison.json holds to this file"
    )
    parser.add_argument("--data_dir", help="directory of tfds: data and relative paths (default: $GAN_JAX_DATA)")
    parser.add_argument(
        "--verify", nargs=2, type=path, metavar=("RUN_A", "RUN_B"), help="check whether two runs are bitwise equal"
    )
    parser.add_argument("--no_compilation_cache", action="store_true", help=NO_CACHE_HELP)
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    arguments, flags = split_flags(sys.argv[1:])
    options = parser.parse_args(arguments)
    if options.verify:
        if options.runs or flags:
            raise InputError(f"--verify takes two run directories and nothing else, got also {(*options.runs, *flags)[0]}")
        from gan_jax.runs.verify import verify

        equal, report = verify(*options.verify)
        print(report)
        sys.exit(0 if equal else 1)
    if options.trust:
        trust.accept_all()
    finished = [run for run in options.runs if run.is_dir()]
    recipes = [str(run) for run in options.runs if not run.is_dir()]
    if finished and flags and not recipes:
        raise InputError(f"--{next(iter(flags))} applies to recipes, and only run directories were given")
    if finished:  # before anything is trained
        load_methods(finished)
    methods = {} if finished and not recipes else combine(recipes, flags, DEFAULT)
    use_cores_as_devices()
    use_cached_programs(not options.no_compilation_cache)
    run_dirs = train_methods(methods, parse_seeds(options.seeds), options.out, options.data_dir)
    # Imported late, so that --help and a mistyped flag answer without JAX.
    from gan_jax.reports.comparison import comparison_table, export, write_comparison

    runs = [*finished, *run_dirs]
    print(comparison_table(runs))
    print(f"page: {write_comparison(runs, options.out)}")
    for file in filter(None, (options.csv, options.latex, options.json)):
        write_output(file, export(runs, file.suffix))
        print(f"written to {file}")


def table_file(suffix: str) -> Callable[[str], Path]:
    """Return the parser of the path of an output file with this suffix, so that no recipe is overwritten by mistake."""

    def parse(text: str) -> Path:
        if Path(text).suffix != suffix:
            raise argparse.ArgumentTypeError(f"must be a file named *{suffix}, got {text}")
        return out_file(text)

    return parse


def split_flags(argv: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
    """A command line -> (arguments that do not set fields of Config, {field: its choices}).

    `--loss 'hinge,mmd(kernel="gaussian")' --steps=500` -> {"loss": ["hinge", 'mmd(kernel="gaussian")'], "steps": ["500"]}.
    Raises InputError for a flag without a value."""
    known = {field.name for field in fields(Config)} - {"seed"}
    switches = dict.fromkeys(SWITCHES, False) | {field.name: True for field in fields(Config) if field.type is bool}
    lists = {
        name for name, parse in Config.with_property("calls").items() if parse is listed_names
    }  # their commas are their own
    rest: list[str] = []
    choices: dict[str, list[str]] = {}
    parts = iter(usual_spelling(argv, known | OPTIONS, switches))
    for part in parts:
        flag, equals, value = part.partition("=")
        field = flag.removeprefix("--")
        if field == flag or field in OPTIONS:
            rest.append(part)
            continue
        if field not in known:
            raise unknown_flag("field", field, value or next(parts, ""), known | OPTIONS)
        value = value if equals else next(parts, None)
        if not value or value.startswith("--"):
            raise InputError(f"{flag} needs a value, or several between commas")
        choices[field] = [value] if field in lists else [choice.strip() for choice in re.split(r",(?![^()]*\))", value)]
    return rest, choices


def combine(recipes: Sequence[str], choices: dict[str, list[str]], default: Path) -> dict[str, Config]:
    """The Configs of every recipe with every combination of `choices`, by a name that shows the choices. Raises InputError for
    values that are out of bounds."""
    methods: dict[str, Config] = {}
    for recipe in recipes or [None]:
        for values in itertools.product(*choices.values()):
            chosen = list(zip(choices, values, strict=True))
            flags = [part for field, value in chosen for part in (f"--{field}", value)]
            config = parse([*([recipe] if recipe else []), *flags], default, "", lambda parser: None).config
            # The name already says which data they are.
            words = [config.name, *(value for field, value in chosen if len(choices[field]) > 1 and field != "data")]
            name = "-".join(re.sub(r"[^\w.]+", "_", word).strip("_") for word in words)
            if name in methods and methods[name] != config:
                name = f"{name}-{len(methods)}"
            methods[name] = config
    return methods
