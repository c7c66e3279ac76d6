"""Compare the speed of our training steps and convolutions with PyTorch's: `gan_jax benchmark`.

Each case is a training step, compiled and called as in train.py, on random data in memory. If PyTorch is installed, the case is
also timed as a twin in PyTorch, eager and compiled: the same networks, losses, penalties, optimisers and average of G. Each
form has a process of its own, and they take turns. `layers` are single convolutions and their gradients: ours, those of stock
`lax` and PyTorch's. Close other programs first: all cores are used.

--accelerator checks and measures a GPU instead; for its options: `gan_jax benchmark --accelerator --help`.
"""

import sys
from typing import Any

from gan_jax.benchmark.cases import CASES
from gan_jax.cli.command import Parser, out_file, path, whole_number, write_json, write_output
from gan_jax.errors import InputError, RunError, unknown


def main() -> None:
    if "--accelerator" in sys.argv:
        from gan_jax.cli import benchmark_accelerator

        return benchmark_accelerator.main()
    options, cases = parse_options()
    from gan_jax.benchmark import table
    from gan_jax.benchmark.measure import machine

    old = None if options.check is None else table.read_results(options.check)
    if old is not None and not options.results:
        table.check_machine(old, machine())
    if options.results:
        results = table.merge([table.read_results(file) for file in options.results])
    else:
        results = measure_all(options, cases)
    print(table.as_text(results))
    if options.json:
        write_json(options.json, results)
    if options.markdown:
        write_output(options.markdown, table.as_markdown(results))
    for file in filter(None, (options.json, options.markdown)):
        print(f"written to {file}")
    if old is not None:
        slower = table.regressions(old, results)
        for line in slower:
            print(line)
        if slower:
            raise RunError(f"slower than in {options.check}: {len(slower)} of the cases, listed above")
        print(f"nothing is slower than in {options.check}")


def parse_options() -> tuple[Any, list[str]]:
    """The options, and the names of the cases to measure."""
    names = [*CASES, "layers"]
    parser = Parser(description=__doc__)
    parser.add_argument("--cases", metavar="NAME,...", help=f"what to measure, of {', '.join(names)} (default: all)")
    parser.add_argument(
        "--repeats", type=whole_number(1, 10**6), default=7, help="number of timed turns of each form (default: %(default)s)"
    )
    parser.add_argument(
        "--growth",
        action="store_true",
        help="measure how times grow with batch, width, resolution, seeds, devices and samples, instead of the cases",
    )
    parser.add_argument(
        "--json", type=out_file, metavar="PATH", help="also write all times to this JSON file, updated after each case"
    )
    parser.add_argument("--markdown", type=out_file, metavar="PATH", help="also write the tables as Markdown")
    parser.add_argument(
        "--results",
        type=path,
        nargs="+",
        metavar="PATH",
        help="measure nothing, but read these JSON files; later ones take precedence",
    )
    parser.add_argument(
        "--check",
        type=path,
        metavar="PATH",
        help="an older JSON file of this machine: fail if ours has become slower by more than the spread of its times",
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    cases = names if options.cases is None else options.cases.split(",")
    for name in cases:
        if name not in names:
            raise unknown("case", name, names)
    if options.results and (options.cases or options.growth):
        raise InputError("--results measures nothing: leave off --cases and --growth")
    if options.growth and options.cases:
        raise InputError("--growth has cases of its own: leave off --cases")
    return options, cases


def measure_all(options: Any, cases: list[str]) -> dict[str, Any]:
    """Measure what the options choose; the JSON file is written after each case, so that an interruption loses nothing."""
    from gan_jax.benchmark import growth, measure

    def say(line: str) -> None:
        print(line, flush=True)

    def save() -> None:
        if options.json:
            write_json(options.json, results)

    chosen = "--growth" if options.growth else f"--cases {','.join(cases)}"
    results = measure.record(f"gan_jax benchmark {chosen} --repeats {options.repeats}")
    if not measure.has_torch():
        say("PyTorch is not installed (pip install torch): measuring ours alone")
    if options.growth:
        growth.measure_growth(results, options.repeats, say, save)
    else:
        measure.measure(results, cases, options.repeats, say, save)
    return results
