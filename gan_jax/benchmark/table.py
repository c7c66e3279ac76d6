"""Records of the benchmark as text and as Markdown (`experiments/BENCHMARKS.md`), and compared with older ones."""

import json
import math
import statistics
from pathlib import Path
from typing import Any

from gan_jax.benchmark.cases import CASES
from gan_jax.benchmark.measure import FORMS
from gan_jax.errors import InputError, reading

SLOWER = 3.0  # standard deviations of a turn beyond which a median is a regression
MIN_CHANGE = 0.05  # the smallest regression: medians of two runs of the same program differ by a few percent

TIMES_HEAD = ["ms", "quartiles", "CPU ms", "of peak", "peak GB", "compiling s", "first step s"]
STEP_HEAD = ["step", "", *TIMES_HEAD, "our speed", "bar"]
LAYER_HEAD = ["layer, ms (GFLOP/s)", "ours", "stock lax", "PyTorch", "our speed"]
GROWTH_HEAD = ["time of", "sizes", "ms", "law"]

Row = list[str]


def median(times: dict[str, Any], clock: str = "wall") -> float:
    return statistics.median(times[clock])


def spread(times: dict[str, Any]) -> float:
    """The standard deviation of a turn relative to the median, from the quartiles: those of a normal distribution are 1.349
    standard deviations apart. 0 for a single turn."""
    lower, upper = quartiles(times)
    return (upper - lower) / 1.349 / median(times)


def quartiles(times: dict[str, Any]) -> tuple[float, float]:
    """The lower and the upper quartile of the turns; both are the time of a single turn."""
    turns = times["wall"]
    lower, _, upper = statistics.quantiles(turns, method="inclusive") if len(turns) > 1 else turns * 3
    return lower, upper


def speed(row: dict[str, Any]) -> tuple[float, str] | None:
    """Our speed relative to that of the faster form of PyTorch, and that form; None if no form of PyTorch was measured."""
    others = {form: median(times) for form, times in row["forms"].items() if form in ("eager", "compiled") and "wall" in times}
    if not others:
        return None
    fastest = min(others, key=others.get)
    return others[fastest] / median(row["forms"]["ours"]), fastest


def step_rows(results: dict[str, Any]) -> list[Row]:
    """One row for each form of each step."""
    rows, peak = [], results["peak"].get("flops", math.nan)
    for row in results["steps"].values():
        ratio, bar = speed(row), "" if row["bar"] is None else f"{row['bar']:g}"
        for form, times in row["forms"].items():
            ours = form == "ours"
            head = [row["description"] if ours else "", FORMS[form]]
            if "failed" in times:
                rows.append([*head, "failed", *[""] * 8])
                continue
            wall = median(times)
            share = "" if row["flops"] is None else f"{row['flops'] / wall * 1e3 / peak:.0%}"
            timing = [_quartiles(times), _digits(median(times, "cpu")), share, f"{times['memory'] / 1e9:.2f}"]
            starts = [f"{times['compile']:.1f}", f"{times['first']:.1f}"]
            result = [f"{ratio[0]:.2f}", bar] if ours and ratio else ["", ""]
            rows.append([*head, _digits(wall), *timing, *starts, *result])
    return rows


def layer_rows(results: dict[str, Any]) -> list[Row]:
    """One row for each convolution: milliseconds, and GFLOP/s in brackets."""
    rows = []
    for name, row in results["layers"].items():
        cells = []
        for form in ("ours", "stock", "eager"):
            times = row["forms"].get(form)
            cells.append("" if times is None else f"{_digits(median(times))} ({row['flops'] / median(times) / 1e6:.0f})")
        ratio = speed(row)
        rows.append([name, *cells, "" if ratio is None else f"{ratio[0]:.2f}"])
    return rows


def growth_rows(results: dict[str, Any]) -> list[Row]:
    """One row for each law."""
    rows = []
    for law in results["growth"].values():
        sizes, times = ", ".join(f"{size:,}" for size in law["sizes"]), ", ".join(map(_digits, law["ms"]))
        rows.append([law["description"], sizes, times, f"{law['factor']:.3g} n^{law['exponent']:.2f}"])
    return rows


def sections(results: dict[str, Any]) -> list[tuple[str, list[Row]]]:
    """(title, rows with the head first) of all tables that are not empty."""
    tables = [
        ("Training steps", STEP_HEAD, step_rows(results)),
        ("Convolutions", LAYER_HEAD, layer_rows(results)),
        ("Growth", GROWTH_HEAD, growth_rows(results)),
    ]
    return [(title, [head, *rows]) for title, head, rows in tables if rows]


def as_text(results: dict[str, Any]) -> str:
    """All tables in columns, for a terminal."""
    lines = []
    for title, rows in sections(results):
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines += ["", title]
        for row in rows:
            numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
            lines.append("  ".join([row[0].ljust(widths[0]), *numbers]).rstrip())
    return "\n".join([*lines, "", *_facts(results)])


def as_markdown(results: dict[str, Any]) -> str:
    """The content of BENCHMARKS.md."""
    lines = ["# Benchmarks", "", "Written by `" + results["command"] + "`; see `gan_jax benchmark --help`.", ""]
    lines += [*_facts(results), "", DEFINITIONS]
    for title, rows in sections(results):
        lines += ["", f"## {title}", "", _markdown_row(rows[0]), "|" + "---|" * len(rows[0])]
        lines += [_markdown_row(row) for row in rows[1:]]
    failures = [
        f"- {row['description']}, {FORMS[form]}: {times['failed']}"
        for row in results["steps"].values()
        for form, times in row["forms"].items()
        if "failed" in times
    ]
    return "\n".join([*lines, *(["", "Not measured:", "", *failures] if failures else [])]) + "\n"


DEFINITIONS = """Wall and CPU times are medians over the turns of the processes; the time of a step with lazy penalties is
the mean over their period. "Of peak" is the speed as a share of that of the fastest product of 2048 x 2048 matrices; for both
frameworks, the operations are those of PyTorch's eager twin. Memory is the peak of the process, with libraries and compiler.
"Compiling" is by how much the first step is longer than a later one, "first step" the time from the start of the process to
the end of that step, both without any cache. "Our speed" is relative to the faster form of PyTorch, with the same networks,
losses, penalties, optimisers and average of G, and "bar" is the speed to reach. What a gradient penalty differentiates twice
cannot be compiled in PyTorch, and runs eagerly there."""


def _facts(results: dict[str, Any]) -> list[str]:
    machine, versions = results["machine"], results["versions"]
    versions = ", ".join(f"{name} {version}" for name, version in versions.items())
    peak = f"{results['peak']['flops'] / 1e9:,.0f} GFLOP/s in products of matrices" if results["peak"] else "peak not measured"
    return [
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, float32; {peak}.",
        f"{versions}; commit {results['commit'] or 'unknown'}.",
    ]


def read_results(path: Path) -> dict[str, Any]:
    """Read a record that `--json` wrote. Raises InputError if the file is not one."""
    with reading(f"{path}"):
        results = json.loads(path.read_bytes().decode())
    try:
        if not all("ours" in row["forms"] for row in (*results["steps"].values(), *results["layers"].values())):
            raise ValueError("our times are missing")
        for row in (*results["steps"].values(), *results["layers"].values()):
            for form, times in row["forms"].items():
                turns = times["wall"] if form == "ours" or "failed" not in times else [1.0]
                if not turns or not all(isinstance(x, int | float) and 0 < x < math.inf for x in turns):
                    raise ValueError("times are not positive numbers")
        as_markdown(results)
        dict(results["machine"])
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError) as error:
        raise InputError(f"{path} was not written by `gan_jax benchmark --json`: {type(error).__name__} {error}") from error
    return results


def merge(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Merge records into one; later ones take precedence. Raises InputError unless all are of the same machine and commit."""
    merged = records[0]
    for record in records[1:]:
        if (record["machine"], record["commit"]) != (merged["machine"], merged["commit"]):
            raise InputError("--results: the files must be of one machine and one commit")
        parts = {name: merged[name] | record[name] for name in ("versions", "steps", "layers", "growth")}
        command = f"{merged['command']}` and `{record['command']}"
        merged = {**merged, **parts, "command": command, "peak": record["peak"] or merged["peak"]}
    return {**merged, "steps": {name: merged["steps"][name] for name in CASES if name in merged["steps"]}}


def check_machine(old: dict[str, Any], machine: dict[str, Any]) -> None:
    """Raise InputError if a record is not of this machine."""
    if old["machine"] != machine:
        raise InputError(f"times of different machines are not comparable: {old['machine']} and {machine}")


def regressions(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """The cases in which ours is slower than in an older record of the same machine, one line each.

    With s the standard deviation of a turn in each record (`spread`), a median is slower if it exceeds the older one by more
    than `SLOWER` * sqrt(s_old^2 + s_new^2) of it, and by more than `MIN_CHANGE` of it. Raises InputError for records of
    different machines and for those that have nothing in common."""
    check_machine(old, new["machine"])
    pairs = [
        (row.get("description", name), old[kind][name]["forms"]["ours"], row["forms"]["ours"])
        for kind in ("steps", "layers")
        for name, row in new[kind].items()
        if name in old[kind]
    ]
    if not pairs:
        raise InputError("nothing that was measured is in the older file: choose other --cases")
    lines = []
    for name, before, after in pairs:
        change = median(after) / median(before) - 1
        noise = max(MIN_CHANGE, SLOWER * math.hypot(spread(before), spread(after)))
        if change > noise:
            times = f"{_digits(median(before))} to {_digits(median(after))} ms"
            lines.append(f"{name}: {times}, {change:.0%} slower, with noise of {noise:.0%}")
    return lines


def _digits(ms: float) -> str:
    """Three significant digits."""
    return f"{ms:,.{max(0, 2 - math.floor(math.log10(max(ms, 1e-3))))}f}"


def _quartiles(times: dict[str, Any]) -> str:
    return "-".join(map(_digits, quartiles(times))) if len(times["wall"]) > 1 else ""


def _markdown_row(cells: Row) -> str:
    return "| " + " | ".join(cells) + " |"
