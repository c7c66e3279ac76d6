"""Train a GAN: `python experiments/train.py [RECIPE.py | RUN_DIR/config.json] [--field value ...]`.

With nothing else it trains experiments/images/digits.py. The same command again resumes.
"""

import sys
from pathlib import Path

from gan_jax.command import command
from gan_jax.flags import parse

DEFAULT = Path(__file__).parent / "images" / "digits.py"


def add_options(parser):
    parser.add_argument("--run_dir", type=str | None, default=None, help="where the run lives (default: runs/NAME-seedSEED)")
    parser.add_argument("--data_dir", type=str | None, default=None, help="where tfds: data lies (default: $GAN_JAX_DATA)")
    parser.add_argument("--distributed", action="store_true", help="join the processes on other hosts that run this command")
    parser.add_argument("--coordinator", type=str | None, default=None, help="HOST:PORT of process 0, where no cluster tells")
    parser.add_argument("--processes", type=int | None, default=None, help="how many there are, where no cluster tells")
    parser.add_argument("--rank", type=int | None, default=None, help="which of them this is, from 0, where no cluster tells")
    parser.add_argument("--dry_run", action="store_true", help="show what would be trained, and stop")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")


def main() -> None:
    config, options = parse(sys.argv[1:], DEFAULT, __doc__, add_options)
    # Not earlier: --help and a mistyped flag need not wait for JAX.
    from gan_jax import hosts
    from gan_jax.train import dry_run, train

    if options.distributed:
        hosts.join(options.coordinator, options.processes, options.rank)

    run_dir = Path(options.run_dir or f"runs/{config.name}-seed{config.seed}")
    with hosts.together():
        if options.dry_run:
            print(dry_run(config, run_dir, options.data_dir))
            return
        report = train(config, run_dir, options.data_dir)
    if hosts.is_first():
        print(f"report: {report}")


if __name__ == "__main__":
    command(main)
