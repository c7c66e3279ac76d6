"""The HTML page of a comparison, and the formatting of its numbers and notes, which the table in the terminal shares.

Everything that comes from a run is escaped here or in `html.py`.
"""

import math
import shlex
from html import escape
from pathlib import Path

from gan_jax.reports.differences import FAMILY
from gan_jax.reports.differences_page import differences_section
from gan_jax.reports.formatting import LARGE, escaped_text, format_duration, format_number
from gan_jax.reports.groups import Group
from gan_jax.reports.html import caution_box, definition_list, figure, page, panel, section
from gan_jax.reports.media import Shown, embed, media_files, read_labels
from gan_jax.reports.published import PUBLISHED
from gan_jax.reports.results import Estimate, Method, Seed, differing_fields
from gan_jax.reports.small_data import cautions
from gan_jax.reports.svg import DASHES, METHOD_COLOURS, Curve
from gan_jax.spec.glossary import describe_metric

MAX_OTHER_GRIDS = 12  # per method, from seeds other than the first


def comparison_page(methods: list[Method], groups: list[Group], notes: list[str]) -> str:
    """Return the whole page: the methods in groups of the same data, and `notes` on how they were read."""
    several = len(methods) > 1
    names = {str(method.config.get("name") or method.name) for method in methods}
    seeds = sorted({len(method.seeds) for method in methods})
    steps = sorted({str(method.config["steps"]) for method in methods}, key=lambda steps: (len(steps), steps))
    facts = {
        "data": [group.data for group in groups],
        **({"methods": len(methods)} if several else {}),
        "seeds per method" if several else "seeds": f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else seeds[0],
        "steps": [f"{int(step):,}" if step.isdigit() else step for step in steps],
    }
    failed = [f"{method.name}: {', '.join(failures)}" for method in methods if (failures := describe_failures(method))]
    status = " · ".join([*(["Some seeds did not finish", *failed] if failed else []), *notes])
    marks = {method.name: _line_sample(i) for i, method in enumerate(methods)}
    sections = []
    contents = {"Results": _table, "Differences": differences_section, "Samples": _samples, "Curves": _curves}
    for title, content in contents.items():
        for group in groups:
            sections.append(section(f"{title}: {group.data}" if len(groups) > 1 else title, content(group, marks)))
    fields = differing_fields([method.config for method in methods])
    common = {name: value for name, value in methods[0].config.items() if name not in (*fields, "seed")}
    sections.append(section("Differences in config", several and _differences(methods, fields, marks)))
    sections.append(section("Run them again" if several else "Run it again", _commands(methods, marks)))
    folded = f"<details><summary>{len(common)} fields</summary>{definition_list(common)}</details>"
    sections.append(section("Shared config" if several else "Config", folded))
    title = f"{names.pop()}: " if len(names) == 1 else "Comparison of "
    return page(f"{title}{len(methods)} methods" if several else methods[0].name, facts, status, sections, wide=True)


def _curve_style(index: int) -> tuple[str, str]:
    """Colour and dashes of the curves of method number `index`."""
    cycle, colour = divmod(index, len(METHOD_COLOURS))
    return METHOD_COLOURS[colour], DASHES[cycle % len(DASHES)]


def _line_sample(index: int) -> str:
    """A short piece of that method's curve, shown before its name."""
    colour, dashes = _curve_style(index)
    return _line(colour, 3, {"-": "none", ":": "2 2", "-.": "6 2 2 2"}[dashes])


def _line(colour: str, width: float, dashes: str) -> str:
    line = f'<line x2="20" y1="4" y2="4" stroke="var(--{colour})" stroke-width="{width}" stroke-dasharray="{dashes}"/>'
    return f'<svg class="mark" viewBox="0 0 20 8" aria-hidden="true">{line}</svg>'


def _table(group: Group, marks: dict[str, str]) -> str:
    """A row per method, then real data and published results, and notes on how to read them."""
    costs = [format_costs(method) for method in group.methods]
    columns = [i for i in range(3) if any(cost[i] for cost in costs)]
    codes = {name: escape(name).replace("_", "_<wbr>") for name in group.metrics}
    heads = ["Method", *(f"{escape(_metric_title(name))}<code>{code}</code>" for name, code in codes.items()), "Seeds"]
    heads += [("Time", "ms per step and seed", "Parameters G\N{NO-BREAK SPACE}+\N{NO-BREAK SPACE}D")[i] for i in columns]
    empty = "<td></td>" * (1 + len(columns))
    body = ""
    for method, cost in zip(group.methods, costs, strict=True):
        failures = "".join(f"<small>{escape(failure)}</small>" for failure in describe_failures(method))
        averaged = f"<small>mean over {len(method.evaluated)}</small>" if method.excludes_seeds else ""
        cells = "".join(_cell(group, method, name) for name in group.metrics)
        cells += f"<td>{len(method.seeds)}{averaged}</td>" + "".join(f"<td>{cost[i]}</td>" for i in columns)
        body += f"<tr><th>{marks[method.name]}{escape(method.name)}{failures}</th>{cells}</tr>"
    if group.real:
        cells = "".join(f"<td>{format_real(group, name)}</td>" for name in group.metrics)
        body += f'<tr class="reference"><th>Real data</th>{cells}{empty}</tr>'
    sources = list(dict.fromkeys((row.source, row.protocol, row.checked) for row in group.published))
    for row in group.published:
        footnote = sources.index((row.source, row.protocol, row.checked)) + 1
        origin = f"<small>published{'' if row.checked else '; as cited, not checked against the paper'}</small>"
        cells = "".join(f"<td>{row.metrics[n]:g}</td>" if n in row.metrics else "<td></td>" for n in group.metrics)
        body += f'<tr class="reference"><th>{escape(row.name)}<sup>[{footnote}]</sup>{origin}</th>{cells}{empty}</tr>'
    head = "".join(f"<th>{name}</th>" for name in heads)
    css_class = "methods dense" if len(group.metrics) > 6 else "methods"
    table = f'<table class="{css_class}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    runs = [run for method in group.methods for run in method.runs]
    sentences = dict.fromkeys(text for run in runs for text in cautions(group.metrics, run.config, run.environment))
    return f'{caution_box(list(sentences))}<div class="scroll" tabindex="0">{table}</div>{_table_notes(group, sources)}'


def _cell(group: Group, method: Method, name: str) -> str:
    estimate = method.estimate(name)
    if estimate is None:
        return "<td></td>"
    mean, error = format_estimate(estimate)
    mean = f"<b>{mean}</b>" if group.is_winner(method, name) else mean
    dagger = "<sup>†</sup>" if method.excludes_seeds else ""
    return f"<td>{mean}{dagger}{f'<small>± {error}</small>' if error else ''}</td>"


def _table_notes(group: Group, sources: list[tuple[str, str, bool]]) -> str:
    steps = [f"{step:,}" for step in sorted({method.step for method in group.methods if method.evaluated})]
    heading = {0: "Nothing has been evaluated yet", 1: f"At step {''.join(steps[:1])}"}
    notes = [
        heading.get(len(steps), f"At each method’s last evaluation, step {' or '.join(steps)}")
        + ". Mean ± standard error over seeds; ↑ higher is better, ↓ lower is better. "
        + (f"Bold: {FAMILY}. " if group.differences else "")
        + ("Real data: the same metric for real samples. " if group.real else "")
        + "Time includes compilation and evaluation; the time per step, measured between logged steps, excludes them."
    ]
    if any(method.excludes_seeds for method in group.methods):
        notes.append(
            "† Mean over the seeds that did not break and were evaluated at the method’s last step; the others are left out."
        )
    for method in group.methods:
        reasons = "; ".join(f"seed {seed.number} at step {seed.broken[0]:,}, {seed.broken[1]}" for seed in method.broken)
        notes += [f"Broken seeds of {method.name}: {reasons}."] if reasons else []
    notes += [f"Measured on {protocol}." for protocol in group.protocols]
    for footnote, (source, protocol, checked) in enumerate(sources, 1):
        caution = "" if checked else " The results are as cited, not checked against the paper."
        notes.append(f"[{footnote}] {source}. Protocol: {protocol}.{caution}")
    similar = [key for key in PUBLISHED if key.partition("(")[0] == group.data.partition("(")[0]]
    if similar and not sources:
        notes.append(f"Published results are available for the data {' and '.join(similar)}.")
    return "".join(f'<p class="note">{escape(note)}</p>' for note in notes)


def _samples(group: Group, marks: dict[str, str]) -> str:
    """The real samples and each method's last grid; the grids of its other seeds are folded."""
    runs = [run for method in group.methods for run in method.runs]
    body = ""
    for run in runs:
        if real := [path for path in media_files(run.path) if path.stem.startswith("real")]:
            about = Shown(f"Real samples of {group.data}", read_labels(run.path).get("real", ()))
            body = figure(embed(real, about), f"<b>Real</b><span>{escape(group.data)}</span>")
            break
    others = ""
    for method in group.methods:
        grids = [(seed, *grid) for seed in (*method.intact, *method.broken) if (grid := seed.grid())[1]]
        if not grids:
            continue
        name = f"{marks[method.name]}<b>{escape(method.name)}</b>"
        body += figure(_grid(method, *grids[0]), f"{name}<span>{_caption(*grids[0][:2])}</span>")
        rest = grids[1 : 1 + MAX_OTHER_GRIDS]
        cells = "".join(figure(_grid(method, *grid), _caption(*grid[:2])) for grid in rest)
        selection = f" ({len(rest)} of {len(grids) - 1} are shown)" if len(grids) - 1 > len(rest) else ""
        others += f'<p>{name}{selection}</p><div class="seeds">{cells}</div>' if cells else ""
    folded = f"<details><summary>Other seeds</summary>{others}</details>" if others else ""
    few = " few" if len(group.methods) <= 3 else ""
    return body and f'<div class="grids{few}">{body}</div>{folded}'


def _grid(method: Method, seed: Seed, step: int, files: list[Path]) -> str:
    about = Shown(f"Samples of {method.name}, {_caption(seed, step)}", read_labels(seed.run_dir).get("step", ()))
    return embed(files, about)


def _caption(seed: Seed, step: int) -> str:
    broken = f", broke at step {seed.broken[0]:,}" if seed.broken else ""
    return f"seed {seed.number}, step {step:,}{broken}"


def _curves(group: Group, marks: dict[str, str]) -> str:
    """Every metric over steps: a line per method, with a band from the minimum to the maximum over its seeds."""
    panels = ""
    for name in group.metrics:
        curves = []
        for method in group.methods:
            means, band = method.curve(name)
            style = _curve_style(list(marks).index(method.name))
            curves += [Curve(method.name, *style, means, band if len(method.seeds) > 1 else None)] if means else []
        if name in group.real:
            steps = (step for curve in curves for step in curve.points)
            curves.append(Curve("real data", "ink", "--", dict.fromkeys(steps, group.real[name][0])))
        panels += panel(_metric_title(name), describe_metric(name)[2], curves, y=name, legend=False)
    if not panels:
        return ""
    legend = [f"<span>{marks[method.name]}{escape(method.name)}</span>" for method in group.methods]
    legend += [f"<span>{_line('ink', 1.5, '4 3')}real data</span>"] if group.real else []
    bands = any(len(method.seeds) > 1 for method in group.methods)
    note = "Lines: mean over the seeds that did not break. Bands: minimum to maximum over the same seeds."
    note = f'<p class="note">{note}</p>' if bands else ""
    return f'<p class="legend">{"".join(legend)}</p><div class="panels">{panels}</div>{note}'


def _differences(methods: list[Method], fields: list[str], marks: dict[str, str]) -> str:
    head = "".join(f"<th><code>{escape(field)}</code></th>" for field in fields)
    rows = ""
    for method in methods:
        cells = "".join(f"<td>{escaped_text(method.config.get(field))}</td>" for field in fields)
        rows += f"<tr><th>{marks[method.name]}{escape(method.name)}</th>{cells}</tr>"
    return f'<div class="scroll"><table class="differences"><thead><tr><th></th>{head}</tr></thead>{rows}</table></div>'


def _commands(methods: list[Method], marks: dict[str, str]) -> str:
    blocks = ""
    for method in methods:
        commands = []
        for run in method.runs:
            config = shlex.quote(str(run.path / "config.json"))
            if not run.seeds[0].suffix:
                commands.append(f"gan_jax train {config}")
                continue
            numbers = [seed.number for seed in run.seeds]
            consecutive = numbers == list(range(numbers[0], numbers[-1] + 1))
            seeds = f"{numbers[0]}:{numbers[-1] + 1}" if consecutive else ",".join(map(str, numbers))
            out = shlex.quote(f"runs/{run.path.resolve().name}-again")
            flags = "".join(f" --{field} {value}" for field, value in run.values.items())
            commands.append(f"gan_jax compare {config}{flags} --seeds {seeds} --out {out}")
        blocks += f"<p>{marks[method.name]}{escape(method.name)}</p><pre>{escape(chr(10).join(commands))}</pre>"
    return blocks


def format_estimate(estimate: Estimate | None) -> tuple[str, str]:
    """A mean and its standard error as text, to two significant digits of the error but at most four of the mean."""
    if estimate is None:
        return "", ""
    mean, error = estimate
    if error is None or not (math.isfinite(mean) and math.isfinite(error)):
        return format_number(mean), ""
    if error == 0:
        return format_number(mean), "0"
    digits = 1 - math.floor(math.log10(error))
    if (digits > 6 and abs(mean) < 1e-4) or abs(mean) >= LARGE:
        return format_number(mean), f"{error:.2g}"
    if mean:
        digits = min(digits, max(3 - math.floor(math.log10(abs(mean))), 0), 6)
    return f"{mean:,.{max(digits, 0)}f}", f"{error:,.{max(digits, 0)}f}"


def describe_failures(method: Method) -> list[str]:
    """Texts on the seeds that did not finish: `2 broke at step 500`, `1 unfinished at step 300 of 1,000`."""
    failures = []
    if method.broken:
        steps = sorted({seed.broken[0] for seed in method.broken})
        between = " and " if len(steps) == 2 else " to "
        when = f"steps {steps[0]:,}{between}{steps[-1]:,}" if len(steps) > 1 else f"step {steps[0]:,}"
        failures.append(f"{_count(method.broken, method)}broke at {when}")
    for step in sorted({seed.step for seed in method.unfinished}):
        unfinished = [seed for seed in method.unfinished if seed.step == step]
        failures.append(f"{_count(unfinished, method)}unfinished at step {step:,} of {method.config['steps']:,}")
    return failures


def _count(seeds: list[Seed], method: Method) -> str:
    if len(seeds) < len(method.seeds):
        return f"{len(seeds)} "
    return "all " if len(seeds) > 1 else ""


def format_costs(method: Method) -> list[str]:
    """Time, milliseconds per step and seed, and the parameters of both players; empty if unknown."""
    seconds, milliseconds, parameters = method.seconds, method.milliseconds, method.parameters
    return [
        "" if seconds is None else format_duration(seconds),
        "" if milliseconds is None else format_number(milliseconds) if milliseconds >= 100 else f"{milliseconds:.3g}",
        "" if parameters is None else " + ".join(map(_short_count, parameters)),
    ]


def format_real(group: Group, name: str) -> str:
    """A metric's value for real samples; a range if methods were measured on different numbers of them."""
    low, high = map(format_number, group.real[name]) if name in group.real else ("", "")
    return low if low == high else f"{low} to {high}"


def _short_count(count: int) -> str:
    """9,876 as `9.88k`."""
    unit, size = ("M", 1e6) if count >= 1e6 else ("k", 1e3) if count >= 1e3 else ("", 1)
    return f"{count / size:.3g}{unit}"


def _metric_title(name: str) -> str:
    """`Modes ↑`, on one line."""
    title, better, _ = describe_metric(name)
    return f"{title}\N{NO-BREAK SPACE}{better}".rstrip()
