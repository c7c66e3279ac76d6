"""The report: one self-contained HTML page about a run directory, which can be shared as a single file."""

import math
import re
import shlex
from collections.abc import Iterator
from html import escape
from pathlib import Path

from gan_jax.errors import InputError
from gan_jax.reports.doctor import diagnose
from gan_jax.reports.formatting import escaped_text, format_duration, format_number
from gan_jax.reports.html import (
    REFERENCES,
    Rows,
    caution_box,
    definition_list,
    metric_names,
    page,
    panel,
    read_json_object,
    read_lines,
    rows_by_step,
    section,
    series,
)
from gan_jax.reports.samples import samples_section
from gan_jax.reports.small_data import cautions
from gan_jax.reports.svg import Curve
from gan_jax.spec.glossary import describe_metric
from gan_jax.storage.files import write_atomically

# The curves of training: title, vertical axis, {key: (label, colour)}, caption. Real data has the colour "ink", generated data
# that of G.
PANELS: list[tuple[str, str, dict[str, tuple[str, str]], str]] = [
    (
        "Losses",
        "loss",
        {"d/loss": ("D", "d"), "g/loss": ("G", "g")},
        "What the discriminator D and the generator G minimise. They need not fall: flat curves indicate a balanced game.",
    ),
    (
        "Logits",
        "mean output of D",
        {"d/real_logit": ("real", "ink"), "d/fake_logit": ("generated", "g")},
        "D’s mean output. The closer the two curves, the less D distinguishes generated samples from real ones.",
    ),
    (
        "Gradient norms",
        "norm",
        {"d/grad_norm": ("D", "d"), "g/grad_norm": ("G", "g")},
        "Norm of each player’s gradient. Spikes indicate instability; a player whose gradient vanishes no longer learns.",
    ),
    ("Penalty", "penalty", {"d/penalty": ("penalty", "d")}, "The regulariser of D, before its weight is applied."),
    (
        "Parameter norms",
        "norm",
        {"d/param_norm": ("D", "d"), "g/param_norm": ("G", "g")},
        "Norm of each player’s parameters. Steady growth lowers the effective learning rate.",
    ),
    (
        "Separation",
        "2 · AUC − 1",
        {"doctor/separation": ("D", "d")},
        "1 if D’s output is higher for every real sample than for every generated one, 0 if D guesses.",
    ),
    ("Overfitting", "mean sign", {"doctor/real_sign": ("D", "d")}, "Mean sign of D’s output for real samples (r in ADA)."),
    ("Duplicates", "fraction", {"doctor/duplicates": ("G", "g")}, "Fraction of samples with a near duplicate."),
    (
        "Spread",
        "ratio to the data",
        {"doctor/spread": ("G", "g")},
        "Standard deviation of the samples divided by that of the data; ideally 1.",
    ),
    (
        "Rank",
        "ratio to the data",
        {"doctor/rank": ("G", "g")},
        "Effective number of directions in which samples vary, relative to the data; ideally 1.",
    ),
    (
        "Rotation",
        "rotation",
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
        _results(rows, config, environment),
        _data_notes(environment),
        _doctor(rows),
        samples_section(run_dir, config),
        *_curves(rows),
        _spectrum(run_dir),
        section("Config", definition_list(config)),
        section("Environment", definition_list(environment)),
        section("Run it again", f"<pre>{command}</pre>"),
    ]
    title = Path(name).stem if name.endswith(".py") else name
    return page(title, facts, "" if status == "finished" else status[:1].upper() + status[1:], sections)


def _results(rows: Rows, config: dict, environment: dict) -> str:
    """A table of the last value of every metric, with the value of real data."""
    names = metric_names(rows.values())
    if not names:
        return ""
    names = [n for base in names for n in (base, f"{base}_train") if series(rows, f"eval/{n}")]
    lines = ""
    for name in names:
        full_name, better, meaning = describe_metric(name)
        cells = ""
        for suffixes, head in (([""], "This run"), (["_floor", "_real"], "Real data")):
            values = next((v for s in suffixes if (v := series(rows, f"eval/{name}{s}"))), {})
            number = format_number(values[max(values)]) if values else ""
            cells += f'<td class="number" data-head="{head}">{number}</td>'
        metric = f"<th scope=row>{escape(full_name)} <code>{escape(name)}</code></th>"
        lines += f"<tr>{metric}{cells}<td>{better} {escape(meaning)}</td></tr>"
    step = max(step for step, row in rows.items() if any(key.startswith("eval/") for key in row))
    protocol = f" Measured on {escaped_text(environment['evaluation'])}." if environment.get("evaluation") else ""
    heads = "".join(f"<th scope=col>{head}</th>" for head in ("Metric", "This run", "Real data", "↑ higher is better, ↓ lower"))
    note = f"<p class='note'>At step {step:,}.{protocol} “Real data”: the same metric for real samples.</p>"
    table = f"<table class=results><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>"
    return section("Results", f"{caution_box(cautions(names, config, environment))}{table}{note}")


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
        numbers = f"{format_number(float(diagnosis.value))}, limit {diagnosis.threshold:g}, since step {diagnosis.step:,}"
        sentence = diagnosis.sentence[:1].upper() + diagnosis.sentence[1:]
        remedy = diagnosis.remedy[:1].upper() + diagnosis.remedy[1:]
        head = f"<h3>{escape(diagnosis.name[:1].upper() + diagnosis.name[1:])} <span>{numbers}</span></h3>"
        items += f"<li>{head}<p>{escape(sentence)}.</p><p><b>Remedy</b> {_with_flags(remedy)}.</p></li>"
    return section("Doctor", items and f'<ul class="alarms">{items}</ul>')


def _with_flags(text: str) -> str:
    """The text as HTML, with the flags in it marked as code."""
    return re.sub(r"--\w+(?: \w+)?", lambda match: f"<code>{match[0]}</code>", escape(text))


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
    caption = f"Mean power at each frequency, in cycles per shorter side, at step {step:,}. Peaks are periodic artefacts."
    content = panel("Power spectrum", caption, curves, x="frequency (cycles per shorter side)", y="power")
    return section("Spectrum", content and f'<div class="panels">{content}</div>')


def _curves(rows: Rows) -> Iterator[str]:
    """Yield a section of training metrics and one of evaluation metrics, each of the latter with its value for real data."""
    training, evaluation = "", ""
    in_panels = {key for _, _, keys, _ in PANELS for key in keys}
    others = {key for row in rows.values() for key in row if not key.startswith("eval/")} - in_panels - {"seconds"}
    for title, y, keys, caption in PANELS + [(key, key, {key: (key, "d")}, "") for key in sorted(others)]:
        training += panel(title, caption, [Curve(*style, "-", series(rows, key)) for key, style in keys.items()], y=y)
    for name in metric_names(rows.values()):
        full_name, better, _ = describe_metric(name)
        curves = [Curve("generated", "g", "-", series(rows, f"eval/{name}"))]
        curves += [Curve(*style, series(rows, f"eval/{name}{suffix}")) for suffix, style in REFERENCES.items()]
        evaluation += panel(f"{full_name} {better}".rstrip(), "", curves, y=name)
    for title, panels in (("Training", training), ("Evaluation", evaluation)):
        yield section(title, panels and f'<div class="panels">{panels}</div>')
