"""The comparison of runs: one table and one self-contained page, with every method over all of its seeds.

`load.py` reads the methods and `groups.py` compares them; this module formats them as text, `comparison_page.py` as HTML and
`exports.py` for other programs.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from gan_jax.errors import InputError
from gan_jax.reports import exports
from gan_jax.reports.comparison_page import comparison_page, describe_failures, format_costs, format_estimate, format_real
from gan_jax.reports.differences import FAMILY, PLAN, conclusions
from gan_jax.reports.groups import Group, group_by_data
from gan_jax.reports.load import load_methods
from gan_jax.spec.glossary import describe_metric
from gan_jax.storage.files import write_atomically


def write_comparison(run_dirs: Sequence[Path], out: Path) -> Path:
    """Write `out`/comparison.html and `out`/comparison.json about runs of one or several seeds; return the page's path.

    Raises InputError, naming the directory or file, if one is missing, corrupt or not a run."""
    methods, notes = load_methods(run_dirs)
    groups = group_by_data(methods)
    content = comparison_page(methods, groups, notes)
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
        write_atomically(Path(out) / "comparison.json", exports.as_json(groups).encode())
        write_atomically(Path(out) / "comparison.html", content.encode(errors="backslashreplace"))
    except OSError as error:
        raise InputError(f"cannot write in {out}: {error.strerror}") from error
    return Path(out) / "comparison.html"


def export(run_dirs: Sequence[Path], suffix: str) -> str:
    """The comparison for other programs, by the suffix of a file: .json, .csv or .tex. Raises InputError as
    `write_comparison` does."""
    groups = group_by_data(load_methods(run_dirs)[0])
    return {
        ".json": lambda: exports.as_json(groups),
        ".csv": lambda: exports.as_csv(groups),
        ".tex": lambda: exports.as_latex(groups),
    }[suffix]()


def comparison_table(run_dirs: Sequence[Path]) -> str:
    """Return the table of the same runs as text, split into blocks of columns that fit the terminal, and the differences
    between methods. Raises InputError as `write_comparison` does."""
    methods, notes = load_methods(run_dirs)
    return "\n".join(["\n\n".join(map(_text_table, group_by_data(methods))), *notes])


def _text_table(group: Group) -> str:
    head = [f"{name} {describe_metric(name)[1]}".rstrip() + "  " for name in group.metrics]  # room for the marks after a mean
    rows = [[group.data, *head, "seeds", "time", "ms/step/seed", "parameters G + D"]]
    for method in group.methods:
        cells = []
        for name in group.metrics:
            estimate = method.estimate(name)
            cell = " ± ".join(part for part in format_estimate(estimate) if part)
            dagger = "†" if estimate and method.excludes_seeds else ""
            star = "*" if group.is_winner(method, name) else ""
            cells.append(cell and cell + (dagger + star).ljust(2))
        seeds = ", ".join([str(len(method.seeds)), *describe_failures(method)])
        rows.append([method.name, *cells, seeds, *format_costs(method)])
    if group.real:
        rows.append(["real data", *(f"{format_real(group, name)}  " for name in group.metrics), "", "", "", ""])
    for row in group.published:
        scores = (f"{row.metrics[name]:g}  " if name in row.metrics else "" for name in group.metrics)
        rows.append([f"{row.name} (published)", *scores, "", "", "", ""])
    notes = ["mean ± standard error over seeds" if group.metrics else "nothing has been evaluated yet"]
    if any(method.excludes_seeds for method in group.methods):
        notes.append("† over the seeds that did not break and were evaluated at the method's last step")
    for source, checked in dict.fromkeys((row.source, row.checked) for row in group.published):
        notes.append(f"published: {source}" + ("" if checked else " (as cited, not checked against the paper)"))
    notes += [f"measured on {protocol}" for protocol in group.protocols]
    return "\n".join([*side_by_side(rows), *notes, *_differences(group)])


def _differences(group: Group) -> list[str]:
    """Lines about the differences between methods."""
    texts = conclusions(group.differences)
    lines = [f"{f'{name} {describe_metric(name)[1]}: ' if name else ''}{text}" for name, text in texts.items()]
    return ["", *lines, *([] if "" in texts else [f"* {FAMILY}. {PLAN}."])] if lines else []


def side_by_side(rows: list[list[str]]) -> list[str]:
    """Format rows of cells as lines. Columns that do not fit the terminal go below, with the first column repeated; empty
    columns are left out."""
    max_width = shutil.get_terminal_size((120, 24)).columns
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    first, rest = columns[0], columns[1:]
    widths = [max(map(len, column)) for column in rest]
    first_width = max(map(len, first))
    lines, begin = [], 0
    while begin < len(rest):
        end, width = begin + 1, first_width + 2 + widths[begin]
        while end < len(rest) and width + 2 + widths[end] <= max_width:
            width += 2 + widths[end]
            end += 1
        for i, name in enumerate(first):
            cells = (rest[k][i].rjust(widths[k]) for k in range(begin, end))
            lines.append("  ".join([name.ljust(first_width), *cells]).rstrip())
        lines.append("")
        begin = end
    return lines
