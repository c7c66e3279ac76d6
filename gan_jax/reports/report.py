"""The report: a run directory in, one self-contained HTML page out. Whoever is sent the file has all of it."""

import math
import re
import shlex
from collections.abc import Iterator
from html import escape
from pathlib import Path

from gan_jax.errors import InputError
from gan_jax.reports.doctor import Diagnosis, diagnose
from gan_jax.reports.html import (
    BESIDE,
    Rows,
    duration,
    embed,
    explain,
    figure,
    media_files,
    metric_names,
    number,
    page,
    pairs,
    panel,
    points,
    read_lines,
    read_object,
    rows_of,
    section,
    text,
)
from gan_jax.reports.svg import Curve
from gan_jax.storage.files import write_atomically

MAX_GRIDS = 20  # grids over time on the page, evenly spread

# The curves of training: title, {key: (label, colour)}, caption. Real data is drawn in ink, what comes from G in G's colour.
PANELS: list[tuple[str, dict[str, tuple[str, str]], str]] = [
    (
        "Losses",
        {"d/loss": ("D", "d"), "g/loss": ("G", "g")},
        "What the discriminator D and the generator G minimise. Neither has to fall: level curves are a balanced game.",
    ),
    (
        "Logits",
        {"d/real_logit": ("real", "ink"), "d/fake_logit": ("generated", "g")},
        "D’s mean output. The nearer the two, the less D can tell generated samples from real ones.",
    ),
    (
        "Gradient norms",
        {"d/grad_norm": ("D", "d"), "g/grad_norm": ("G", "g")},
        "Length of each player’s gradient. Spikes are instability; where it vanishes, learning has stopped.",
    ),
    ("Penalty", {"d/penalty": ("penalty", "d")}, "The regulariser of D, without its weight."),
    (
        "Parameter norms",
        {"d/param_norm": ("D", "d"), "g/param_norm": ("G", "g")},
        "Length of each player’s parameter vector. Steady growth means that the effective learning rate falls.",
    ),
    (
        "Separation",
        {"doctor/separation": ("D", "d")},
        "1 where D tells every real sample from every generated one, 0 where it guesses.",
    ),
    ("Overfitting", {"doctor/real_sign": ("D", "d")}, "Mean sign of D’s output for real samples, ADA’s r."),
    ("Duplicates", {"doctor/duplicates": ("G", "g")}, "Share of samples with a near twin."),
    ("Spread", {"doctor/spread": ("G", "g")}, "Width of the samples over that of the data: 1 is right."),
    ("Rank", {"doctor/rank": ("G", "g")}, "In how many ways samples vary, over the same of the data: 1 is right."),
    ("Rotation", {"doctor/rotation": ("game", "ink")}, "How far the players chase each other around: 1 is all, 0 none."),
]


def write_report(run_dir: Path) -> Path:
    """Write `run_dir/report.html` from the run directory's own files, whether the run finished or not; return its path.

    Raises InputError, naming the file, where config.json or metrics.jsonl is absent, or any file is corrupt.
    """
    run_dir = Path(run_dir)
    config = read_object(run_dir / "config.json")
    environment = read_object(run_dir / "environment.json") if (run_dir / "environment.json").exists() else {}
    content = _page(run_dir, config, environment, rows_of(read_lines(run_dir / "metrics.jsonl")))
    path = run_dir / "report.html"
    try:
        write_atomically(path, content.encode())
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    return path


def _page(run_dir: Path, config: dict, environment: dict, rows: Rows) -> str:
    name = str(config.get("name") or config.get("recipe") or run_dir.name)
    last, steps = max(rows, default=0), config.get("steps", 0)
    facts = {key: config[key] for key in ("data", "loss", "penalty", "seed", "steps") if key in config}
    if isinstance(steps, int) and steps:
        facts["steps"] = f"{steps:,}"
    seconds = environment.get("seconds", rows.get(last, {}).get("seconds"))
    if isinstance(seconds, int | float) and math.isfinite(seconds):
        facts["time"] = duration(seconds)
    status = str(environment.get("status", "finished"))
    if status == "finished" and isinstance(steps, int) and last < steps:  # killed, or still running
        status = f"unfinished: at step {last:,} of {steps:,} when this page was written"
    command = escape(f"python experiments/train.py {shlex.quote(str(run_dir / 'config.json'))}")
    sections = [
        _results(rows, environment),
        _doctor(rows),
        _samples(run_dir, config),
        *_curves(rows),
        section("Config", pairs(config)),
        section("Environment", pairs(environment)),
        section("Run it again", f"<pre>{command}</pre>"),
    ]
    title = Path(name).stem if name.endswith(".py") else name
    return page(title, facts, "" if status == "finished" else status[:1].upper() + status[1:], sections)


def _results(rows: Rows, environment: dict) -> str:
    """The last value of every metric, with what real data score beside it."""
    names = metric_names(rows.values())
    if not names:
        return ""
    lines = ""
    for name in [n for base in names for n in (base, f"{base}_train") if points(rows, f"eval/{n}")]:
        full, better, meaning = explain(name)
        cells = ""
        for suffixes in ([""], ["_floor", "_real"]):
            values = next((p for s in suffixes if (p := points(rows, f"eval/{name}{s}"))), {})
            cells += f'<td class="number">{number(values[max(values)]) if values else ""}</td>'
        lines += f"<tr><th>{escape(full)} <code>{escape(name)}</code></th>{cells}<td>{better} {escape(meaning)}</td></tr>"
    step = max(step for step, row in rows.items() if any(key.startswith("eval/") for key in row))
    on = f" Measured on {text(environment['evaluation'])}." if environment.get("evaluation") else ""
    head = "<tr><th>Metric</th><th>This run</th><th>Real data</th><th>↑ more is better, ↓ less</th></tr>"
    note = f"<p class='note'>At step {step:,}.{on} “Real data”: the same measurement of real samples.</p>"
    return section("Results", f"<table class=results><thead>{head}</thead><tbody>{lines}</tbody></table>{note}")


def _doctor(rows: Rows) -> str:
    """The alarms that ring at the end."""
    found = diagnose([{"step": step, **row} for step, row in sorted(rows.items())])
    if not found:
        return ""
    items = "".join(f"<li><b>{escape(d.name)}</b>: {escape(d.sentence)}; {escape(d.remedy)}. {_since(d)}</li>" for d in found)
    return section("Doctor", f"<ul>{items}</ul>")


def _since(found: Diagnosis) -> str:
    return f"<span class='note'>Since step {found.step:,}: {number(float(found.value))}, limit {found.threshold:g}.</span>"


def _samples(run_dir: Path, config: dict) -> str:
    """The last grid beside the real samples, whatever else lies in samples/, and the grids over time."""
    groups: dict[str, list[Path]] = {}
    for path in media_files(run_dir):
        groups.setdefault(re.match(r"step-\d+|[^-]*", path.stem)[0], []).append(path)
    steps = sorted(name for name in groups if name.startswith("step-"))
    last = len(steps) - 1
    picks = steps if last < MAX_GRIDS else [steps[round(i * last / (MAX_GRIDS - 1))] for i in range(MAX_GRIDS)]
    media = {name: "".join(map(embed, groups[name])) for name in groups if name in picks or name not in steps}
    when = {name: f"{int(name[5:]):,}" for name in picks}
    body = ""
    if picks:
        caption = f'Generated, step <span id="at">{when[picks[-1]]}</span>'
        slider = f'<input id="scrub" type="range" max="{len(picks) - 1}" value="{len(picks) - 1}" aria-label="step" hidden>'
        body += figure(f'<div id="stage">{media[picks[-1]]}</div>', caption + slider)
    captions = {"real": f"Real: {text(config.get('data', ''))}", "interpolation": "Between pairs of latents, in equal steps"}
    for name in sorted(media.keys() - set(picks), key=lambda name: (name != "real", name)):
        body += figure(media[name], captions.get(name, escape(name)))
    if len(picks) > 1:
        kind = "thumbs" if all(media[name].count("<img") == 1 for name in picks) else "clips"
        cells = "".join(figure(media[name], when[name]) for name in picks)
        shown = f"; {len(picks)} of {len(steps)} are shown" if len(picks) < len(steps) else ""
        body += figure(f'<div id="training">{cells}</div>', f"The same latents through training, by step{shown}", kind)
    return section("Samples", body and f'<div class="pair">{body}</div>')


def _curves(rows: Rows) -> Iterator[str]:
    """A section of what the step reports, and one of the evaluation, each metric with what real data score."""
    training, evaluation = "", ""
    known = {key for _, keys, _ in PANELS for key in keys}
    others = {key for row in rows.values() for key in row if not key.startswith("eval/")} - known - {"seconds"}
    for title, keys, caption in PANELS + [(key, {key: (key, "d")}, "") for key in sorted(others)]:
        training += panel(title, caption, [Curve(*look, "-", points(rows, key)) for key, look in keys.items()])
    for name in metric_names(rows.values()):
        full, better, _ = explain(name)
        curves = [Curve("generated", "g", "-", points(rows, f"eval/{name}"))]
        curves += [Curve(*look, points(rows, f"eval/{name}{suffix}")) for suffix, look in BESIDE.items()]
        evaluation += panel(f"{full} {better}", "", curves)
    for title, panels in (("Training", training), ("Evaluation", evaluation)):
        yield section(title, panels and f'<div class="panels">{panels}</div>')
