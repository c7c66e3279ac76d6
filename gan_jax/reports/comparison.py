"""The comparison: run directories in, one table and one self-contained page out, with every method over all of its seeds.

`gan_jax.reports.results` says what the methods are and what came of them; here it becomes text and JSON, in `comparison_page` HTML.
"""

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gan_jax.errors import InputError
from gan_jax.reports.comparison_page import cells_of, comparison_page, costs_of, fates, partial, real_score
from gan_jax.reports.html import explain
from gan_jax.reports.results import Group, Method, by_data, load_methods
from gan_jax.storage.files import write_atomically


def write_comparison(run_dirs: Sequence[Path], out: Path) -> Path:
    """Write `out`/comparison.html and `out`/comparison.json of runs of one seed or many; return the page's path.

    Raises InputError, naming the directory or file, where one is absent, is no run or is corrupt."""
    methods, notes = load_methods(run_dirs)
    groups = by_data(methods)
    content = comparison_page(methods, groups, notes)
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
        write_atomically(Path(out) / "comparison.json", (json.dumps(_json(methods, groups), indent=2) + "\n").encode())
        write_atomically(Path(out) / "comparison.html", content.encode())
    except OSError as error:
        raise InputError(f"cannot write in {out}: {error.strerror}") from error
    return Path(out) / "comparison.html"


def comparison_table(run_dirs: Sequence[Path]) -> str:
    """The table of the same runs as text, cut into blocks of columns as wide as the terminal. Raises what it raises."""
    methods, notes = load_methods(run_dirs)
    return "\n".join(["\n\n".join(map(_text_table, by_data(methods))), *notes])


def _text_table(group: Group) -> str:
    head = [f"{name} {explain(name)[1]}".rstrip() + "  " for name in group.metrics]  # room for the signs after a mean
    rows = [[group.data, *head, "seeds", "time", "ms/step/seed", "parameters G + D"]]
    for method in group.methods:
        cells = []
        for name in group.metrics:
            estimate = method.estimate(name)
            cell = " ± ".join(part for part in cells_of(estimate) if part)
            signs = ("†" if estimate and partial(method) else "") + (
                "*" if estimate and estimate.mean == group.best(name) else ""
            )
            cells.append(cell and cell + signs.ljust(2))
        rows.append([method.name, *cells, ", ".join([str(len(method.seeds)), *fates(method)]), *costs_of(method)])
    if group.real:
        rows.append(["real data", *(f"{real_score(group, name)}  " for name in group.metrics), "", "", "", ""])
    for row in group.published:
        scores = (f"{row.metrics[name]:g}  " if name in row.metrics else "" for name in group.metrics)
        rows.append([f"{row.name} (published)", *scores, "", "", "", ""])
    feet = ["mean ± standard error over seeds" if group.metrics else "nothing has been evaluated yet"]
    feet[0] += "; * the best mean" if group.metrics and len(group.methods) > 1 else ""
    if any(map(partial, group.methods)):
        feet.append("† over the seeds that lived and were evaluated at the method's last step")
    for source, checked in dict.fromkeys((row.source, row.checked) for row in group.published):
        feet.append(f"published: {source}" + ("" if checked else " (as cited, not checked against the paper)"))
    return "\n".join([*side_by_side(rows), *feet])


def side_by_side(rows: list[list[str]]) -> list[str]:
    """Rows of cells as lines; columns that the terminal has no room for below, the first column repeated; no empty ones."""
    room = shutil.get_terminal_size((120, 24)).columns
    columns = [column for column in zip(*rows, strict=True) if any(column[1:])]
    first, rest = columns[0], columns[1:]
    widths = [max(map(len, column)) for column in rest]
    start = max(map(len, first))
    lines, shown = [], 0
    while shown < len(rest):
        end, used = shown + 1, start + 2 + widths[shown]
        while end < len(rest) and used + 2 + widths[end] <= room:
            used += 2 + widths[end]
            end += 1
        for i, name in enumerate(first):
            cells = (rest[k][i].rjust(widths[k]) for k in range(shown, end))
            lines.append("  ".join([name.ljust(start), *cells]).rstrip())
        lines.append("")
        shown = end
    return lines


def _json(methods: list[Method], groups: list[Group]) -> dict[str, Any]:
    """All that the table says, and each seed's own numbers. What is not finite is null."""
    return {
        "methods": [_method_json(method, group) for group in groups for method in group.methods],
        "real": {group.data: {name: list(map(_finite, both)) for name, both in group.real.items()} for group in groups},
        "published": {group.data: [row._asdict() for row in group.published] for group in groups},
    }


def _method_json(method: Method, group: Group) -> dict[str, Any]:
    metrics = {}
    for name in group.metrics:
        if (estimate := method.estimate(name)) is not None:
            metrics[name] = {
                "mean": _finite(estimate.mean),
                "standard_error": None if estimate.error is None else _finite(estimate.error),
                "best": estimate.mean == group.best(name),
                "seeds": {str(seed): _finite(value) for seed, value in method.values(name).items()},
            }
    return {
        "name": method.name,
        "run_dirs": [str(run.path) for run in method.runs],
        "config": {field: value for field, value in method.config.items() if field != "seed"},
        "seeds": [seed.number for seed in method.seeds],
        "broken": [{"seed": seed.number, "step": seed.broken[0], "why": seed.broken[1]} for seed in method.broken],
        "unfinished": [{"seed": seed.number, "step": seed.step} for seed in method.unfinished],
        "step": method.step,
        "metrics": metrics,
        "seconds": method.seconds,
        "ms_per_step_and_seed": method.milliseconds,
        "parameters": dict(zip("gd", method.parameters, strict=True)) if method.parameters else None,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
