"""Compare methods over seeds: `python experiments/compare.py [RECIPE.py | RUN_DIR ...] [--field value,value ...] --seeds 0:10`.

Trains every recipe with every combination of the listed values, all seeds of a method in one compiled program, and writes one
table and one page: mean and standard error of every metric, samples side by side, cost, published figures. Run directories
are taken as they are. The same command again goes on; one more method costs only its own time.

    python experiments/compare.py experiments/toy/ring.py --loss hinge,relativistic,path/mine.py:margin --seeds 0:10

With --verify RUN_A RUN_B it only says whether these are bitwise the same run, else where they part first and what of their
configs and environments differs: exit code 0 where they are the same, 1 where not.
"""

import sys
from pathlib import Path

from gan_jax.command import Parser, command, make_cores_devices
from gan_jax.compare import methods, seeds_of, split_flags, train_methods
from gan_jax.errors import InputError
from gan_jax.methods import load_methods

DEFAULT = Path(__file__).parent / "toy" / "ring.py"


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
        from gan_jax.verify import verify

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
    from gan_jax.comparison import comparison_table, write_comparison

    print(comparison_table([*finished, *run_dirs]))
    print(f"page: {write_comparison([*finished, *run_dirs], options.out)}")


if __name__ == "__main__":
    command(main)
