"""Train a GAN: `gan_jax train [RECIPE.py | RUN_DIR/config.json] [--field value ...]`.

Without arguments it trains images/digits. The same command again resumes. With --fork_from RUN_DIR, a new run
starts with the weights of that run, and with its config unless a recipe is given. With --seeds 0:8 it trains eight runs in one
compiled program, each identical to the run of its seed alone, and with --sweep g_lr=1e-4,2e-4 one run for each value; the
report compares them.
"""

import argparse
import sys
from pathlib import Path

from gan_jax.cli.command import (
    NO_CACHE_HELP,
    TRUST_HELP,
    make_deterministic,
    path_of,
    use_cached_programs,
    use_cores_as_devices,
)
from gan_jax.cli.flags import parse, parse_seeds, smoke
from gan_jax.errors import InputError
from gan_jax.game.sweep import parse_sweep
from gan_jax.spec.recipes import RECIPES
from gan_jax.training.progress import lossy_output

DEFAULT = RECIPES / "images" / "digits.py"


def add_options(parser):
    """Add the options that are not fields of Config."""
    text, number = {"type": str | None, "default": None}, {"type": int | None, "default": None}
    parser.add_argument("--run_dir", **text, help="directory of the run (default: runs/NAME-seedSEED)")
    parser.add_argument("--data_dir", **text, help="directory of tfds: data and relative paths (default: $GAN_JAX_DATA)")
    parser.add_argument("--seeds", **text, help="FIRST:END, or seeds between commas, all in one program")
    parser.add_argument(
        "--sweep", action="append", type=str, help="FIELD=NUMBER,NUMBER,..., all in one program; may be repeated"
    )
    parser.add_argument("--fork_from", **text, help="directory of a run whose weights a new run starts with")
    parser.add_argument("--accept_changes", action="store_true", help="resume although the user's files have changed; recorded")
    parser.add_argument("--deterministic", action="store_true", help="the same bits every time on a GPU too, at lower speed")
    parser.add_argument("--distributed", action="store_true", help="join the processes on other hosts that run this command")
    parser.add_argument("--coordinator", **text, help="HOST:PORT of process 0, if no cluster manager provides it")
    parser.add_argument("--processes", **number, help="number of processes, if no cluster manager provides it")
    parser.add_argument("--rank", **number, help="index of this process, from 0, if no cluster manager provides it")
    parser.add_argument(
        "--log", action="append", type=str, help="tensorboard or wandb, which then follow metrics.jsonl; may be repeated"
    )
    parser.add_argument("--profile", **number, metavar="N", help="write a trace of N steps, for a profiler, in RUN_DIR/profile")
    parser.add_argument(
        "--dry_run", action="store_true", help="show what would be trained and for how long, by a few steps, and stop"
    )
    parser.add_argument("--cost", action="store_true", help="like --dry_run, and also compile a step to show its cost")
    parser.add_argument("--smoke", action="store_true", help="train two small steps only, to see that the recipe runs")
    parser.add_argument("--no_compilation_cache", action="store_true", help=NO_CACHE_HELP)
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    parser.add_argument("--debug", action="store_true", help="show tracebacks")


@lossy_output()
def main() -> None:
    config, options, recipe = parse(sys.argv[1:], _default_recipe(sys.argv[1:]), __doc__, add_options)
    fork_from = options.fork_from and path_of("--fork_from", options.fork_from)
    config = smoke(config) if options.smoke else config
    if options.deterministic:
        make_deterministic()
    if options.seeds or options.sweep:
        use_cores_as_devices()
    use_cached_programs(not options.no_compilation_cache)
    # Imported late, so that --help and a mistyped flag answer without JAX.
    from gan_jax.runs import hosts
    from gan_jax.runs.names import default_directory
    from gan_jax.runs.trackers import check_trackers
    from gan_jax.training.estimate import estimate
    from gan_jax.training.experiment import describe, prepare
    from gan_jax.training.train import train

    if not 0 <= (options.profile or 0) < 2**31:
        raise InputError(f"--profile must be a number of steps, got {options.profile}")
    check_trackers(options.log or ())
    if options.distributed:
        hosts.join(options.coordinator, options.processes, options.rank)

    seeds = None if options.seeds is None else parse_seeds(options.seeds)
    sweep = parse_sweep(options.sweep or [])
    run_dir = path_of("--run_dir", options.run_dir or str(default_directory(config, seeds, sweep, bool(fork_from))))
    arguments = (config, run_dir, options.data_dir, seeds, fork_from, sweep, options.accept_changes)
    with hosts.abort_on_failure():
        if options.dry_run or options.cost:
            experiment = prepare(*arguments)
            print(describe(experiment, recipe, options.cost), flush=True)
            if options.dry_run:
                print(estimate(experiment))
            return
        report = train(*arguments, log=options.log or (), profile=options.profile or 0)
    if hosts.is_first():
        print(f"report: {report}")


def _default_recipe(argv: list[str]) -> Path:
    """The config that the flags change if no recipe is given: that of the run to fork from, if there is one. A fork that has
    already started, in the directory that the command names, has its own."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("--fork_from", "--run_dir"):
        parser.add_argument(name, nargs="?")
    options = parser.parse_known_args(argv)[0]
    if options.fork_from is None:
        return DEFAULT
    for name in ("fork_from", "run_dir"):
        config = path_of(f"--{name}", getattr(options, name) or "") / "config.json"
        if getattr(options, name) and config.is_file():
            return config
    raise InputError(f"--fork_from {options.fork_from} is not a run directory: it has no config.json")
