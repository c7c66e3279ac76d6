"""The report: one self-contained HTML page about a run directory, which can be shared as a single file."""

import math
import re
import shlex
from collections.abc import Iterator
from html import escape
from pathlib import Path

from gan_jax.errors import InputError
from gan_jax.reports.doctor import diagnose
from gan_jax.reports.html import (
    REFERENCES,
    Rows,
    definition_list,
    embed,
    escaped_text,
    figure,
    format_duration,
    format_number,
    media_files,
    metric_names,
    page,
    panel,
    read_json_object,
    read_lines,
    rows_by_step,
    section,
    series,
)
from gan_jax.reports.svg import Curve, svg
from gan_jax.spec.glossary import describe_metric
from gan_jax.storage.files import write_atomically

MAX_GRIDS = 20  # maximum number of grids in the series over training, evenly spread

# The curves of training: title, {key: (label, colour)}, caption. Real data has the colour "ink", generated data that of G.
PANELS: list[tuple[str, dict[str, tuple[str, str]], str]] = [
    (
        "Losses",
        {"d/loss": ("D", "d"), "g/loss": ("G", "g")},
        "What the discriminator D and the generator G minimise. They need not fall: flat curves indicate a balanced game.",
    ),
    (
        "Logits",
        {"d/real_logit": ("real", "ink"), "d/fake_logit": ("generated", "g")},
        "D’s mean output. The closer the two curves, the less D distinguishes generated samples from real ones.",
    ),
    (
        "Gradient norms",
        {"d/grad_norm": ("D", "d"), "g/grad_norm": ("G", "g")},
        "Norm of each player’s gradient. Spikes indicate instability; a player whose gradient vanishes no longer learns.",
    ),
    ("Penalty", {"d/penalty": ("penalty", "d")}, "The regulariser of D, before its weight is applied."),
    (
        "Parameter norms",
        {"d/param_norm": ("D", "d"), "g/param_norm": ("G", "g")},
        "Norm of each player’s parameters. Steady growth lowers the effective learning rate.",
    ),
    (
        "Separation",
        {"doctor/separation": ("D", "d")},
        "1 if D’s output is higher for every real sample than for every generated one, 0 if D guesses.",
    ),
    ("Overfitting", {"doctor/real_sign": ("D", "d")}, "Mean sign of D’s output for real samples (r in ADA)."),
    ("Duplicates", {"doctor/duplicates": ("G", "g")}, "Fraction of samples with a near duplicate."),
    ("Spread", {"doctor/spread": ("G", "g")}, "Standard deviation of the samples divided by that of the data; ideally 1."),
    (
        "Rank",
        {"doctor/rank": ("G", "g")},
        "Effective number of directions in which samples vary, relative to the data; ideally 1.",
    ),
    (
        "Rotation",
        {"doctor/rotation": ("game", "ink")},
        "1 if the players only cycle around each other, 0 if they do not cycle at all.",
    ),
]


def write_report(run_dir: Path) -> Path:
    """Write `run_dir/report.html` from the files in the run directory, whether or not the run finished; return its path.

    Raises InputError, naming the file, if config.json or metrics.jsonl is missing or any file is corrupt.
    """
    run_dir = Path(run_dir)
    config = read_json_object(run_dir / "config.json")
    environment = read_json_object(run_dir / "environment.json") if (run_dir / "environment.json").exists() else {}
    if not (run_dir / "metrics.jsonl").exists():
        raise InputError(f"cannot read {run_dir / 'metrics.jsonl'}: no such file")
    lines, damage = read_lines(run_dir / "metrics.jsonl")
    content = _page(run_dir, config, environment, rows_by_step(lines), damage)
    path = run_dir / "report.html"
    try:
        write_atomically(path, content.encode(errors="backslashreplace"))  # a path may not be valid UTF-8
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    return path


def _page(run_dir: Path, config: dict, environment: dict, rows: Rows, damage: str) -> str:
    name = str(config.get("name") or config.get("recipe") or run_dir.name)
    last, steps = max(rows, default=0), config.get("steps", 0)
    facts = {key: config[key] for key in ("data", "loss", "penalty", "seed", "steps") if key in config}
    if isinstance(steps, int) and steps:
        facts["steps"] = f"{steps:,}"
    seconds = environment.get("seconds", rows.get(last, {}).get("seconds"))
    if isinstance(seconds, int | float) and math.isfinite(seconds):
        facts["time"] = format_duration(seconds)
    if damage:
        facts["log"] = damage
    status = str(environment.get("status", "finished"))
    if status == "finished" and isinstance(steps, int) and last < steps:  # killed, or still running
        status = f"unfinished: at step {last:,} of {steps:,} when this page was written"
    command = escape(f"gan_jax train {shlex.quote(str(run_dir / 'config.json'))}")
    sections = [
        _results(rows, environment),
        _data_notes(environment),
        _doctor(rows),
        _samples(run_dir, config),
        *_curves(rows),
        _spectrum(run_dir),
        section("Config", definition_list(config)),
        section("Environment", definition_list(environment)),
        section("Run it again", f"<pre>{command}</pre>"),
    ]
    title = Path(name).stem if name.endswith(".py") else name
    return page(title, facts, "" if status == "finished" else status[:1].upper() + status[1:], sections)


def _results(rows: Rows, environment: dict) -> str:
    """A table of the last value of every metric, with the value of real data."""
    names = metric_names(rows.values())
    if not names:
        return ""
    lines = ""
    for name in [n for base in names for n in (base, f"{base}_train") if series(rows, f"eval/{n}")]:
        full_name, better, meaning = describe_metric(name)
        cells = ""
        for suffixes in ([""], ["_floor", "_real"]):
            values = next((v for s in suffixes if (v := series(rows, f"eval/{name}{s}"))), {})
            cells += f'<td class="number">{format_number(values[max(values)]) if values else ""}</td>'
        lines += f"<tr><th>{escape(full_name)} <code>{escape(name)}</code></th>{cells}<td>{better} {escape(meaning)}</td></tr>"
    step = max(step for step, row in rows.items() if any(key.startswith("eval/") for key in row))
    protocol = f" Measured on {escaped_text(environment['evaluation'])}." if environment.get("evaluation") else ""
    head = "<tr><th>Metric</th><th>This run</th><th>Real data</th><th>↑ higher is better, ↓ lower</th></tr>"
    note = f"<p class='note'>At step {step:,}.{protocol} “Real data”: the same metric for real samples.</p>"
    return section("Results", f"<table class=results><thead>{head}</thead><tbody>{lines}</tbody></table>{note}")


def _data_notes(environment: dict) -> str:
    """How the reader understood the files, and what it dropped."""
    data = environment.get("data")
    notes = data.get("notes", []) if isinstance(data, dict) else []
    items = "".join(f"<li>{escaped_text(note)}</li>" for note in notes)
    return section("Data", items and f"<ul>{items}</ul>")


def _doctor(rows: Rows) -> str:
    """The alarms that are raised at the end of the log."""
    items = ""
    for diagnosis in diagnose([{"step": step, **row} for step, row in sorted(rows.items())]):
        text = f"<b>{escape(diagnosis.name)}</b>: {escape(diagnosis.sentence)}. Remedy: {escape(diagnosis.remedy)}."
        numbers = f"{format_number(float(diagnosis.value))}, limit {diagnosis.threshold:g}"
        items += f"<li>{text} <span class='note'>Since step {diagnosis.step:,}: {numbers}.</span></li>"
    return section("Doctor", items and f"<ul>{items}</ul>")


def _samples(run_dir: Path, config: dict) -> str:
    """The last grid next to the real samples, any other files in samples/, and the series of grids over training."""
    groups: dict[str, list[Path]] = {}
    for path in media_files(run_dir):
        groups.setdefault(re.match(r"step-\d+|[^-]*", path.stem)[0], []).append(path)
    steps = sorted(name for name in groups if name.startswith("step-"))
    last = len(steps) - 1
    picks = steps if last < MAX_GRIDS else [steps[round(i * last / (MAX_GRIDS - 1))] for i in range(MAX_GRIDS)]
    media = {name: "".join(map(embed, groups[name])) for name in groups if name in picks or name not in steps}
    step_numbers = {name: f"{int(name[5:]):,}" for name in picks}
    body = ""
    if picks:
        caption = f'Generated, step <span id="step">{step_numbers[picks[-1]]}</span>'
        slider = f'<input id="scrub" type="range" max="{len(picks) - 1}" value="{len(picks) - 1}" aria-label="step" hidden>'
        body += figure(f'<div id="stage">{media[picks[-1]]}</div>', caption + slider)
    captions = {
        "real": f"Real: {escaped_text(config.get('data', ''))}",
        "interpolation": "Interpolations between pairs of latents",
    }
    for name in sorted(media.keys() - set(picks), key=lambda name: (name != "real", name)):
        body += figure(media[name], captions.get(name, escape(name)))
    if len(picks) > 1:
        css_class = "thumbs" if all(media[name].count("<img") == 1 for name in picks) else "clips"
        cells = "".join(figure(media[name], step_numbers[name]) for name in picks)
        selection = f"; {len(picks)} of {len(steps)} steps are shown" if len(picks) < len(steps) else ""
        body += figure(f'<div id="training">{cells}</div>', f"The same latents at each step of training{selection}", css_class)
    return section("Samples", body and f'<div class="pair">{body}</div>')


def _spectrum(run_dir: Path) -> str:
    """The average power spectra of generated and of held-out images at the last evaluation, from frequency 1 on."""
    path = run_dir / "samples" / "spectrum.json"
    if not path.is_file():
        return ""
    content = read_json_object(path)
    try:
        step, real, generated = int(content["step"]), *(map(float, content[name]) for name in ("real", "generated"))
        spectra = [dict(enumerate(list(values)[1:], 1)) for values in (real, generated)]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is corrupt: expected a step and two lists of numbers") from error
    curves = [Curve("real", "ink", "-", spectra[0]), Curve("generated", "g", "-", spectra[1])]
    if not all(any(value and math.isfinite(value) for value in curve.points.values()) for curve in curves):
        return ""
    caption = f"Mean power at each frequency, in cycles per shorter side, at step {step:,}. Peaks are periodic artefacts."
    content = figure(svg("Power spectrum", curves, axis="frequencies"), f"<b>Power spectrum</b> {caption}")
    return section("Spectrum", f'<div class="panels">{content}</div>')


def _curves(rows: Rows) -> Iterator[str]:
    """Yield a section of training metrics and one of evaluation metrics, each of the latter with its value for real data."""
    training, evaluation = "", ""
    in_panels = {key for _, keys, _ in PANELS for key in keys}
    others = {key for row in rows.values() for key in row if not key.startswith("eval/")} - in_panels - {"seconds"}
    for title, keys, caption in PANELS + [(key, {key: (key, "d")}, "") for key in sorted(others)]:
        training += panel(title, caption, [Curve(*style, "-", series(rows, key)) for key, style in keys.items()])
    for name in metric_names(rows.values()):
        full_name, better, _ = describe_metric(name)
        curves = [Curve("generated", "g", "-", series(rows, f"eval/{name}"))]
        curves += [Curve(*style, series(rows, f"eval/{name}{suffix}")) for suffix, style in REFERENCES.items()]
        evaluation += panel(f"{full_name} {better}", "", curves)
    for title, panels in (("Training", training), ("Evaluation", evaluation)):
        yield section(title, panels and f'<div class="panels">{panels}</div>')
