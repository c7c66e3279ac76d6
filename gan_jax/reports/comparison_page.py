"""The page of a comparison, and how numbers and what befell seeds are put in words, on it and in the terminal.

Whatever comes from a run is escaped here or in `page`.
"""

import math
import shlex
from html import escape

from gan_jax.reports.html import duration, embed, explain, figure, media_files, number, page, pairs, panel, plain, section, text
from gan_jax.reports.published import PUBLISHED
from gan_jax.reports.results import Estimate, Group, Method, Seed, differing
from gan_jax.reports.svg import DASHES, METHOD_COLOURS, Curve

MAX_OTHERS = 12  # grids of its other seeds that the page holds of a method


def comparison_page(methods: list[Method], groups: list[Group], notes: list[str]) -> str:
    """The whole page: what came of the methods, in groups that can be compared; and `notes` on how they were read."""
    several = len(methods) > 1
    names = {str(method.config.get("name") or method.name) for method in methods}
    seeds = sorted({len(method.seeds) for method in methods})
    steps = sorted({str(method.config["steps"]) for method in methods}, key=lambda steps: (len(steps), steps))
    facts = {
        "data": [group.data for group in groups],
        **({"methods": len(methods)} if several else {}),
        "seeds of each" if several else "seeds": f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else seeds[0],
        "steps": [f"{int(step):,}" if step.isdigit() else step for step in steps],
    }
    told = [f"{method.name}: {', '.join(words)}" for method in methods if (words := fates(method))]
    status = " · ".join([*(["Not every seed got to the end", *told] if told else []), *notes])
    marks = {method.name: _mark(i) for i, method in enumerate(methods)}
    sections = []
    for title, part in (("Results", _table), ("Samples", _samples), ("Curves", _curves)):
        for group in groups:
            sections.append(section(f"{title}: {group.data}" if len(groups) > 1 else title, part(group, marks)))
    fields = differing([method.config for method in methods])
    common = {name: value for name, value in methods[0].config.items() if name not in (*fields, "seed")}
    sections.append(section("What differs", several and _differences(methods, fields, marks)))
    sections.append(section("Run them again" if several else "Run it again", _commands(methods, marks)))
    folded = f"<details><summary>{len(common)} fields</summary>{pairs(common)}</details>"
    sections.append(section("Config in common" if several else "Config", folded))
    title = f"{names.pop()}: " if len(names) == 1 else "Comparison of "
    return page(f"{title}{len(methods)} methods" if several else methods[0].name, facts, status, sections, wide=True)


def _look(index: int) -> tuple[str, str]:
    """Colour and dashes of the curves of the method of this number."""
    turn, colour = divmod(index, len(METHOD_COLOURS))
    return METHOD_COLOURS[colour], DASHES[turn % len(DASHES)]


def _mark(index: int) -> str:
    """A piece of that curve, to stand wherever the method is named."""
    colour, dashes = _look(index)
    return _line(colour, 3, {"-": "none", ":": "2 2", "-.": "6 2 2 2"}[dashes])


def _line(colour: str, width: float, dashes: str) -> str:
    line = f'<line x2="20" y1="4" y2="4" stroke="var(--{colour})" stroke-width="{width}" stroke-dasharray="{dashes}"/>'
    return f'<svg class="mark" viewBox="0 0 20 8" aria-hidden="true">{line}</svg>'


def _table(group: Group, marks: dict[str, str]) -> str:
    """A row a method, then real data and published figures, and what one has to know to read them."""
    costs = [costs_of(method) for method in group.methods]
    shown = [i for i in range(3) if any(cost[i] for cost in costs)]
    codes = {name: escape(name).replace("_", "_<wbr>") for name in group.metrics}
    heads = ["Method", *(f"{escape(_full_name(name))}<code>{code}</code>" for name, code in codes.items()), "Seeds"]
    heads += [("Time", "ms per step and seed", "Parameters G\N{NO-BREAK SPACE}+\N{NO-BREAK SPACE}D")[i] for i in shown]
    empty = "<td></td>" * (1 + len(shown))
    body = ""
    for method, cost in zip(group.methods, costs, strict=True):
        fate = "".join(f"<small>{escape(words)}</small>" for words in fates(method))
        counted = f"<small>{len(method.counted)} counted</small>" if partial(method) else ""
        cells = "".join(_cell(group, method, name) for name in group.metrics)
        cells += f"<td>{len(method.seeds)}{counted}</td>" + "".join(f"<td>{cost[i]}</td>" for i in shown)
        body += f"<tr><th>{marks[method.name]}{escape(method.name)}{fate}</th>{cells}</tr>"
    if group.real:
        cells = "".join(f"<td>{real_score(group, name)}</td>" for name in group.metrics)
        body += f'<tr class="beside"><th>Real data</th>{cells}{empty}</tr>'
    sources = list(dict.fromkeys((row.source, row.protocol, row.checked) for row in group.published))
    for row in group.published:
        footnote = sources.index((row.source, row.protocol, row.checked)) + 1
        told = f"<small>published{'' if row.checked else '; as cited, not checked against the paper'}</small>"
        cells = "".join(f"<td>{row.metrics[n]:g}</td>" if n in row.metrics else "<td></td>" for n in group.metrics)
        body += f'<tr class="beside"><th>{escape(row.name)}<sup>[{footnote}]</sup>{told}</th>{cells}{empty}</tr>'
    head = "".join(f"<th>{name}</th>" for name in heads)
    kind = "methods dense" if len(group.metrics) > 6 else "methods"
    table = f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll">{table}</div>{_feet(group, sources)}'


def _cell(group: Group, method: Method, name: str) -> str:
    estimate = method.estimate(name)
    if estimate is None:
        return "<td></td>"
    mean, error = cells_of(estimate)
    mean = f"<b>{mean}</b>" if estimate.mean == group.best(name) else mean
    dagger = "<sup>†</sup>" if partial(method) else ""
    return f"<td>{mean}{dagger}{f'<small>± {error}</small>' if error else ''}</td>"


def _feet(group: Group, sources: list[tuple[str, str, bool]]) -> str:
    steps = [f"{step:,}" for step in sorted({method.step for method in group.methods if method.counted})]
    at = {0: "Nothing has been evaluated yet", 1: f"At step {''.join(steps[:1])}"}
    feet = [
        at.get(len(steps), f"At each method’s last evaluation, step {' or '.join(steps)}")
        + ". Mean ± standard error over seeds; ↑ more is better, ↓ less. "
        + ("Bold: the best mean. " if len(group.methods) > 1 else "")
        + ("Real data: the same measurement of real samples. " if group.real else "")
        + "Time includes compilation and evaluation."
    ]
    if any(map(partial, group.methods)):
        feet.append("† Over the seeds that lived and were evaluated at the method’s last step. The others are in no mean.")
    for method in group.methods:
        why = "; ".join(f"seed {seed.number} at step {seed.broken[0]:,}, {seed.broken[1]}" for seed in method.broken)
        feet += [f"Broke of {method.name}: {why}."] if why else []
    on = dict.fromkeys(run.environment.get("evaluation") for method in group.methods for run in method.runs)
    feet += [f"Measured on {plain(told)}." for told in on if told]
    for footnote, (source, protocol, checked) in enumerate(sources, 1):
        doubt = "" if checked else " The figures are as cited, not checked against the paper."
        feet.append(f"[{footnote}] {source}. Protocol: {protocol}.{doubt}")
    near = [key for key in PUBLISHED if key.partition("(")[0] == group.data.partition("(")[0]]
    if near and not sources:
        feet.append(f"Published figures are known for the data {' and '.join(near)}.")
    return "".join(f'<p class="note">{escape(foot)}</p>' for foot in feet)


def _samples(group: Group, marks: dict[str, str]) -> str:
    """Each method's last grid beside the real samples; those of its other seeds folded away."""
    runs = [run for method in group.methods for run in method.runs]
    real = next((found for run in runs if (found := [p for p in media_files(run.path) if p.stem.startswith("real")])), [])
    body = figure("".join(map(embed, real)), f"Real: {escape(group.data)}") if real else ""
    others = ""
    for method in group.methods:
        grids = [(seed, *grid) for seed in (*method.lived, *method.broken) if (grid := seed.grid())[1]]
        if not grids:
            continue
        name = f"{marks[method.name]}<b>{escape(method.name)}</b>"
        body += figure("".join(map(embed, grids[0][2])), f"{name}<span>{_caption(*grids[0][:2])}</span>")
        rest = grids[1 : 1 + MAX_OTHERS]
        cells = "".join(figure("".join(map(embed, files)), _caption(seed, step)) for seed, step, files in rest)
        left = f" ({len(rest)} of {len(grids) - 1} are shown)" if len(grids) - 1 > len(rest) else ""
        others += f'<p>{name}{left}</p><div class="seeds">{cells}</div>' if cells else ""
    folded = f"<details><summary>The other seeds</summary>{others}</details>" if others else ""
    few = " few" if len(group.methods) <= 3 else ""
    return body and f'<div class="grids{few}">{body}</div>{folded}'


def _caption(seed: Seed, step: int) -> str:
    broke = f", broke at {seed.broken[0]:,}" if seed.broken else ""
    return f"seed {seed.number}, step {step:,}{broke}"


def _curves(group: Group, marks: dict[str, str]) -> str:
    """Every metric over steps: a line a method, with a band from the least to the greatest of its seeds."""
    panels = ""
    for name in group.metrics:
        curves = []
        for method in group.methods:
            means, band = method.curve(name)
            look = _look(list(marks).index(method.name))
            curves += [Curve(method.name, *look, means, band if len(method.seeds) > 1 else None)] if means else []
        if name in group.real:
            steps = (step for curve in curves for step in curve.points)
            curves.append(Curve("real data", "ink", "--", dict.fromkeys(steps, group.real[name][0])))
        panels += panel(_full_name(name), explain(name)[2], curves, legend=False)
    if not panels:
        return ""
    legend = [f"<span>{marks[method.name]}{escape(method.name)}</span>" for method in group.methods]
    legend += [f"<span>{_line('ink', 1.5, '4 3')}real data</span>"] if group.real else []
    many = any(len(method.seeds) > 1 for method in group.methods)
    note = "Lines: the mean over the seeds that lived. Bands: from the least to the greatest of them."
    note = f'<p class="note">{note}</p>' if many else ""
    return f'<p class="legend">{"".join(legend)}</p><div class="panels">{panels}</div>{note}'


def _differences(methods: list[Method], fields: list[str], marks: dict[str, str]) -> str:
    head = "".join(f"<th><code>{escape(field)}</code></th>" for field in fields)
    rows = ""
    for method in methods:
        cells = "".join(f"<td>{text(method.config.get(field))}</td>" for field in fields)
        rows += f"<tr><th>{marks[method.name]}{escape(method.name)}</th>{cells}</tr>"
    return f'<div class="scroll"><table class="differences"><thead><tr><th></th>{head}</tr></thead>{rows}</table></div>'


def _commands(methods: list[Method], marks: dict[str, str]) -> str:
    blocks = ""
    for method in methods:
        commands = []
        for run in method.runs:
            config = shlex.quote(str(run.path / "config.json"))
            if not run.seeds[0].suffix:
                commands.append(f"python experiments/train.py {config}")
                continue
            numbers = [seed.number for seed in run.seeds]
            whole = numbers == list(range(numbers[0], numbers[-1] + 1))
            seeds = f"{numbers[0]}:{numbers[-1] + 1}" if whole else ",".join(map(str, numbers))
            again = shlex.quote(f"runs/{run.path.resolve().name}-again")
            flags = "".join(f" --{field} {value}" for field, value in run.values.items())
            commands.append(f"python experiments/compare.py {config}{flags} --seeds {seeds} --out {again}")
        blocks += f"<p>{marks[method.name]}{escape(method.name)}</p><pre>{escape(chr(10).join(commands))}</pre>"
    return blocks


def cells_of(estimate: Estimate | None) -> tuple[str, str]:
    """A mean and its standard error as text: to two digits of the error, but no more than four of the mean."""
    if estimate is None:
        return "", ""
    mean, error = estimate
    if error is None or not (math.isfinite(mean) and math.isfinite(error)):
        return number(mean), ""
    if error == 0:
        return number(mean), "0"
    digits = 1 - math.floor(math.log10(error))
    if mean:
        digits = min(digits, max(3 - math.floor(math.log10(abs(mean))), 0), 6)
    return f"{mean:,.{max(digits, 0)}f}", f"{error:,.{max(digits, 0)}f}"


def fates(method: Method) -> list[str]:
    """What befell the seeds that did not get to the end: `2 broke at step 500`, `1 unfinished at step 300 of 1,000`."""
    told = []
    if method.broken:
        steps = sorted({seed.broken[0] for seed in method.broken})
        between = " and " if len(steps) == 2 else " to "
        at = f"steps {steps[0]:,}{between}{steps[-1]:,}" if len(steps) > 1 else f"step {steps[0]:,}"
        told.append(f"{_count(method.broken, method)}broke at {at}")
    for step in sorted({seed.step for seed in method.unfinished}):
        behind = [seed for seed in method.unfinished if seed.step == step]
        told.append(f"{_count(behind, method)}unfinished at step {step:,} of {method.config['steps']:,}")
    return told


def _count(seeds: list[Seed], method: Method) -> str:
    if len(seeds) < len(method.seeds):
        return f"{len(seeds)} "
    return "all " if len(seeds) > 1 else ""


def partial(method: Method) -> bool:
    """Whether its means leave out a seed, which a dagger then tells."""
    return 0 < len(method.counted) < len(method.seeds)


def costs_of(method: Method) -> list[str]:
    """Time, milliseconds per step and seed, and both players' parameters; empty where they are not known."""
    seconds, each, parameters = method.seconds, method.milliseconds, method.parameters
    return [
        "" if seconds is None else duration(seconds),
        "" if each is None else number(each) if each >= 100 else f"{each:.3g}",
        "" if parameters is None else " + ".join(map(_short, parameters)),
    ]


def real_score(group: Group, name: str) -> str:
    """What real samples score; a range where methods were measured on different numbers of them."""
    low, high = map(number, group.real[name]) if name in group.real else ("", "")
    return low if low == high else f"{low} to {high}"


def _short(count: int) -> str:
    """9,876 as `9.88k`."""
    unit, size = ("M", 1e6) if count >= 1e6 else ("k", 1e3) if count >= 1e3 else ("", 1)
    return f"{count / size:.3g}{unit}"


def _full_name(name: str) -> str:
    """`Modes ↑`, on one line."""
    full, better, _ = explain(name)
    return f"{full.replace('…', explain(name.removesuffix('_train'))[0])}\N{NO-BREAK SPACE}{better}".rstrip()
