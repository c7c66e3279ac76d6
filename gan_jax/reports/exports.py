"""A comparison for other programs: JSON with everything, CSV with a row per seed, and LaTeX with the table of a paper."""

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from gan_jax.reports.comparison_page import describe_failures, format_estimate, format_real
from gan_jax.reports.differences import FAMILY, Differences
from gan_jax.reports.groups import Group
from gan_jax.reports.results import Method
from gan_jax.spec.glossary import describe_metric

_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "±": r"$\pm$",
    "†": r"$^\dagger$",
    "−": "$-$",
    "[": "{[}",  # at the beginning of a row, a bracket or an asterisk would be an argument of the end of the last one
    "*": "{*}",
}


def as_json(groups: Sequence[Group]) -> str:
    """The contents of the table, the values of each seed and the tests of all pairs. Values that are not finite become null."""
    content = {
        "methods": [_method_json(method, group) for group in groups for method in group.methods],
        "differences": {group.data: {n: _differences_json(d) for n, d in group.differences.items()} for group in groups},
        "protocols": {group.data: group.protocols for group in groups},
        "real": {group.data: {name: list(map(_finite, bounds)) for name, bounds in group.real.items()} for group in groups},
        "published": {group.data: [row._asdict() for row in group.published] for group in groups},
    }
    return json.dumps(content, indent=2) + "\n"


def as_csv(groups: Sequence[Group]) -> str:
    """A row per method and seed, with a column for every metric, which is empty for a broken or unfinished seed."""
    metrics = list(dict.fromkeys(name for group in groups for name in group.metrics))
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(["data", "method", "seed", "step", "status", *metrics])
    for group in groups:
        for method in group.methods:
            values = {name: method.values(name) for name in metrics}
            for seed in method.seeds:
                step, status = (seed.broken[0], f"broken: {seed.broken[1]}") if seed.broken else (seed.step, "finished")
                if seed in method.unfinished:
                    status = f"unfinished: {method.config['steps']} steps are planned"
                cells = (values[name].get(seed.number, "") for name in metrics)
                table.writerow([group.data, method.name, seed.number, step, status, *cells])
    return out.getvalue()


def as_latex(groups: Sequence[Group]) -> str:
    """A table per data set, for the packages booktabs and graphicx. Its caption explains the bold values and the
    measurements."""
    return "\n".join(map(_latex_table, groups))


def _latex_table(group: Group) -> str:
    rows = [_latex_row(group, method) for method in group.methods]
    reference = []
    if group.real:
        reference.append(["real data", *(escape_latex(format_real(group, name)) for name in group.metrics), ""])
    for row in group.published:
        scores = (f"{row.metrics[name]:g}" if name in row.metrics else "" for name in group.metrics)
        reference.append([escape_latex(f"{row.name} (published: {row.source})"), *scores, ""])
    names = (escape_latex(f"{name} {describe_metric(name)[1]}".rstrip()) for name in group.metrics)
    lines = [
        "% \\usepackage{booktabs, graphicx}",
        "\\begin{table}",
        "\\centering",
        f"\\caption{{{escape_latex(_caption(group))}}}",
        "\\resizebox{\\linewidth}{!}{%",
        f"\\begin{{tabular}}{{l{'r' * (len(group.metrics) + 1)}}}",
        "\\toprule",
        _latex_line(["method", *names, "seeds"]),
        "\\midrule",
        *map(_latex_line, rows),
        *(["\\midrule", *map(_latex_line, reference)] if reference else []),
        "\\bottomrule",
        "\\end{tabular}}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(group: Group, method: Method) -> list[str]:
    cells = []
    for name in group.metrics:
        mean, error = format_estimate(method.estimate(name))
        text = escape_latex(" ± ".join(part for part in (mean, error) if part))
        text = f"\\textbf{{{text}}}" if group.is_winner(method, name) else text
        cells.append(text + (_LATEX["†"] if text and method.excludes_seeds else ""))
    return [escape_latex(method.name), *cells, escape_latex(", ".join([str(len(method.seeds)), *describe_failures(method)]))]


def _caption(group: Group) -> str:
    sentences = [f"{group.data}: mean ± standard error over seeds."]
    sentences += [f"Bold: {FAMILY}."] if group.differences else []
    if any(method.excludes_seeds for method in group.methods):
        sentences.append("†: over the seeds that did not break and were evaluated at the method’s last step.")
    return " ".join([*sentences, *(f"Measured on {protocol}." for protocol in group.protocols)])


def _latex_line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def escape_latex(text: str) -> str:
    """The text with LaTeX's special characters as commands, on one line."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def _method_json(method: Method, group: Group) -> dict[str, Any]:
    metrics = {}
    for name in group.metrics:
        if (estimate := method.estimate(name)) is not None:
            metrics[name] = {
                "mean": _finite(estimate.mean),
                "standard_error": None if estimate.error is None else _finite(estimate.error),
                "best_mean": name in group.differences and group.differences[name].best is method,
                "better_than_all": group.is_winner(method, name),
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


def _differences_json(differences: Differences) -> list[dict[str, Any]]:
    rows = []
    for pair in differences.pairs:
        row = {"methods": [pair.a.name, pair.b.name], "seeds": pair.seeds}
        if pair.test is None:
            rows.append(row | {"not_tested": pair.why_untested})
            continue
        rows.append(
            row
            | {
                "test": "paired t-test" if pair.paired else "Welch's t-test",
                "difference": pair.test.difference,
                "interval": list(map(_finite, pair.test.interval)),
                "effect_size": _finite(pair.test.effect_size),
                "p": pair.test.p_value,
                "p_holm": pair.p_holm,
                "distinct": pair.distinct,
                "seeds_needed": pair.needed,
            }
        )
    return rows


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
