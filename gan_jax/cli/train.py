"""Train a GAN: `python experiments/train.py [RECIPE.py | RUN_DIR/config.json] [--field value ...]`.

With nothing else it trains experiments/images/digits.py. The same command again resumes. With --fork_from RUN_DIR a new run
begins with the weights of that one, and with its config where no recipe is given. With --seeds 0:8 it trains eight runs in one
compiled program, each that of its seed, and with --sweep g_lr=1e-4,2e-4 one of each value; the report compares them.
"""

import argparse
import sys
from pathlib import Path

from gan_jax.cli.command import make_cores_devices, make_deterministic
from gan_jax.cli.flags import RECIPES, parse, seeds_of
from gan_jax.config import smoke
from gan_jax.errors import InputError
from gan_jax.game.sweep import sweep_of

DEFAULT = RECIPES / "images" / "digits.py"


def add_options(parser):
    parser.add_argument("--run_dir", type=str | None, default=None, help="where the run lives (default: runs/NAME-seedSEED)")
    parser.add_argument("--data_dir", type=str | None, default=None, help="where tfds: data lies (default: $GAN_JAX_DATA)")
    parser.add_argument("--seeds", type=str | None, default=None, help="FIRST:END, or some between commas: all in one program")
    parser.add_argument(
        "--sweep", action="append", type=str, help="FIELD=NUMBER,NUMBER,...: all in one program; may be repeated"
    )
    parser.add_argument("--fork_from", type=str | None, default=None, help="a run whose weights a new run begins with")
    parser.add_argument("--deterministic", action="store_true", help="the same bits every time on a GPU too, more slowly")
    parser.add_argument("--distributed", action="store_true", help="join the processes on other hosts that run this command")
    parser.add_argument("--coordinator", type=str | None, default=None, help="HOST:PORT of process 0, where no cluster tells")
    parser.add_argument("--processes", type=int | None, default=None, help="how many there are, where no cluster tells")
    parser.add_argument("--rank", type=int | None, default=None, help="which of them this is, from 0, where no cluster tells")
    parser.add_argument("--dry_run", action="store_true", help="show what would be trained, and stop")
    parser.add_argument("--smoke", action="store_true", help="two small steps of it, to see that it runs")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")


def _default(argv: list[str]) -> Path:
    """The config that flags change where no recipe is given: that of the run to fork from, if there is one. A fork that has
    begun, in the directory that the command names, has its own."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for name in ("--fork_from", "--run_dir"):
        parser.add_argument(name, nargs="?", type=Path)
    given = parser.parse_known_args(argv)[0]
    if given.fork_from is None:
        return DEFAULT
    for run_dir in (given.fork_from, given.run_dir):
        if run_dir and (run_dir / "config.json").is_file():
            return run_dir / "config.json"
    raise InputError(f"--fork_from {given.fork_from} is not a run directory: it has no config.json")


def main() -> None:
    config, options = parse(sys.argv[1:], _default(sys.argv[1:]), __doc__, add_options)
    fork_from = options.fork_from and Path(options.fork_from)
    config = smoke(config) if options.smoke else config
    if options.deterministic:
        make_deterministic()
    if options.seeds or options.sweep:
        make_cores_devices()
    # Not earlier: --help and a mistyped flag need not wait for JAX.
    from gan_jax.runs import hosts
    from gan_jax.training.train import dry_run, train

    if options.distributed:
        hosts.join(options.coordinator, options.processes, options.rank)

    seeds = None if options.seeds is None else seeds_of(options.seeds)
    sweep = sweep_of(options.sweep or [])
    which = f"seed{config.seed}"
    if seeds is not None:
        which = f"seeds{seeds[0]}-{seeds[-1]}" if ":" in options.seeds else f"seeds{','.join(map(str, seeds))}"
    which = "-".join([*(f"{field}{','.join(map(str, values))}" for field, values in sweep.items()), which])
    run_dir = Path(options.run_dir or f"runs/{config.name}-{which}{'-fork' if fork_from else ''}")
    with hosts.together():
        if options.dry_run:
            print(dry_run(config, run_dir, options.data_dir, seeds, fork_from, sweep))
            return
        report = train(config, run_dir, options.data_dir, seeds, fork_from, sweep)
    if hosts.is_first():
        print(f"report: {report}")
