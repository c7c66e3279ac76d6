"""Write the page of a run: `gan_jax report RUN_DIR`.

While the run trains, too: with --serve the page is shown at a local address and renews itself with every evaluation and line of
the log, until Ctrl-C. The page of a comparison is written by `gan_jax compare`.
"""

from pathlib import Path

from gan_jax.cli.command import Parser, path, whole_number
from gan_jax.errors import InputError


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("run_dir", type=path, metavar="RUN_DIR", help="directory of the run")
    parser.add_argument("--serve", action="store_true", help="show the page, at an address of this machine alone")
    parser.add_argument(
        "--port", type=whole_number(0, 65535), default=0, help="port of the address (default: any that is free)"
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    if options.port and not options.serve:
        raise InputError("--port is the port of --serve: add it, or leave off --port")
    from gan_jax.storage.files import check_entries

    if not (options.run_dir / "config.json").is_file():
        raise InputError(f"{options.run_dir} is not a run directory: it has no config.json")
    check_entries(options.run_dir)
    if options.serve:
        from gan_jax.reports.serve import serve

        serve(options.run_dir, write_page, options.port)
    else:
        print(f"report: {write_page(options.run_dir)}")


def write_page(run_dir: Path) -> Path:
    """Write the page of a run of one or several members; return its path."""
    from gan_jax.reports.comparison import write_comparison
    from gan_jax.reports.html import read_json_object
    from gan_jax.reports.report import write_report

    file = run_dir / "environment.json"
    environment = read_json_object(file) if file.exists() else {}
    several = environment.get("seeds") or environment.get("sweep")
    return write_comparison([run_dir], run_dir) if several else write_report(run_dir)


if __name__ == "__main__":
    from gan_jax.cli.command import command

    command(main)
