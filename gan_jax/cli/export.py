"""Export the generator of a run: `gan_jax export RUN_DIR DIR`.

Writes a folder with the weights (safetensors), a program that runs on CPU, CUDA and TPU without this package (jax.export), and
a model card, README.md, that shows how to use both. `gan_jax.load(DIR)` in Python reads it again, bit for bit.
"""

import argparse

from gan_jax.cli.command import (
    DATA_DIR_HELP,
    EMA_HELP,
    NO_CACHE_HELP,
    TRUST_HELP,
    Parser,
    path,
    seed,
    use_cached_programs,
    whole_number,
)


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("run_dir", type=path, metavar="RUN_DIR", help="directory of the run")
    parser.add_argument("out", type=path, metavar="DIR", help="new folder to write")
    parser.add_argument(
        "--step", type=whole_number(0, 2**31 - 1), help="export the checkpoint of this step (default: the newest)"
    )
    parser.add_argument("--generator", choices=("average", "raw"), default="average", help="default: %(default)s")
    parser.add_argument("--ema", type=float, help=EMA_HELP)
    parser.add_argument("--seed", type=seed, help="which run, of a directory of several seeds")
    parser.add_argument("--sweep", action="append", type=_value, metavar="FIELD=NUMBER", help="which run, of a sweep")
    parser.add_argument("--data_dir", help=DATA_DIR_HELP)
    parser.add_argument("--no_compilation_cache", action="store_true", help=NO_CACHE_HELP)
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    # Imported here so that --help does not load JAX.
    from gan_jax.evaluation.export import export

    use_cached_programs(not options.no_compilation_cache)
    choice = {name: getattr(options, name) for name in ("step", "generator", "ema", "seed", "data_dir", "trust")}
    print(export(options.run_dir, options.out, sweep=dict(options.sweep or ()), **choice))


def _value(text: str) -> tuple[str, float]:
    field, _, number = text.partition("=")
    try:
        return field.strip(), float(number)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be FIELD=NUMBER, got {text}") from error
