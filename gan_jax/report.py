"""A run directory in, one self-contained HTML page out: whoever is sent the file has all of it.

The page's frame, style and script are in report.html beside this module. Names and values of a run are escaped here.
"""

import base64
import json
import math
import re
import shlex
from collections.abc import Iterator
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from gan_jax.curves import Curve, svg
from gan_jax.errors import InputError
from gan_jax.metrics.glossary import METRICS
from gan_jax.run_dir import write_atomically

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
]
# What is shown with the metric X because it is the same measurement of something else: label, colour, dashes.
BESIDE = {
    "_floor": ("real against real", "ink", "--"),
    "_real": ("real samples", "ink", "--"),
    "_train": ("to the training samples", "muted", "-"),
}
MEDIA = {".png": "image/png", ".svg": "image/svg+xml", ".wav": "audio/wav"}
TEXTS = {".txt", ".smi"}

Rows = dict[int, dict[str, float]]  # step -> {key: value}, steps ascending


def write_report(run_dir: Path) -> Path:
    """Write `run_dir/report.html` from the run directory's own files, whether the run finished or not; return its path.

    Raises InputError, naming the file, where config.json or metrics.jsonl is absent, or any file is corrupt.
    """
    run_dir = Path(run_dir)
    config = _read_object(run_dir / "config.json")
    environment = _read_object(run_dir / "environment.json") if (run_dir / "environment.json").exists() else {}
    page = _page(run_dir, config, environment, _read_metrics(run_dir / "metrics.jsonl"))
    path = run_dir / "report.html"
    try:
        write_atomically(path, page.encode())
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
        facts["time"] = f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"
    status = str(environment.get("status", "finished"))
    if status == "finished" and isinstance(steps, int) and last < steps:  # killed, or still running
        status = f"unfinished: at step {last:,} of {steps:,} when this page was written"
    command = escape(f"python experiments/train.py {shlex.quote(str(run_dir / 'config.json'))}")
    sections = [
        _results(rows, environment),
        _samples(run_dir, config),
        *_curves(rows),
        _section("Config", _pairs(config)),
        _section("Environment", _pairs(environment)),
        _section("Run it again", f"<pre>{command}</pre>"),
    ]
    return Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8")).substitute(
        title=escape(Path(name).stem if name.endswith(".py") else name),
        facts=_pairs(facts),
        status="" if status == "finished" else f'<p class="status">{escape(status[:1].upper() + status[1:])}</p>',
        sections="\n".join(sections),
    )


def _results(rows: Rows, environment: dict) -> str:
    """The last value of every metric, with what real data score beside it."""
    names = _metric_names(rows)
    if not names:
        return ""
    lines = ""
    for name in [n for base in names for n in (base, f"{base}_train") if _points(rows, f"eval/{n}")]:
        full, better, meaning = _explain(name)
        cells = ""
        for suffixes in ([""], ["_floor", "_real"]):
            points = next((p for s in suffixes if (p := _points(rows, f"eval/{name}{s}"))), {})
            cells += f'<td class="number">{_number(points[max(points)]) if points else ""}</td>'
        lines += f"<tr><th>{escape(full)} <code>{escape(name)}</code></th>{cells}<td>{better} {escape(meaning)}</td></tr>"
    step = max(step for step, row in rows.items() if any(key.startswith("eval/") for key in row))
    on = f" Measured on {_text(environment['evaluation'])}." if environment.get("evaluation") else ""
    head = "<tr><th>Metric</th><th>This run</th><th>Real data</th><th>↑ more is better, ↓ less</th></tr>"
    note = f"<p class='note'>At step {step:,}.{on} “Real data”: the same measurement of real samples.</p>"
    return _section("Results", f"<table><thead>{head}</thead><tbody>{lines}</tbody></table>{note}")


def _samples(run_dir: Path, config: dict) -> str:
    """The last grid beside the real samples, whatever else lies in samples/, and the grids over time."""
    groups: dict[str, list[Path]] = {}
    home = run_dir.resolve() / "samples"
    for path in sorted(home.iterdir()) if home.is_dir() else []:
        # A link could bring any file of this machine into a page that is made to be passed on.
        if path.is_file() and path.resolve().parent == home and path.suffix in MEDIA.keys() | TEXTS:
            groups.setdefault(re.match(r"step-\d+|[^-]*", path.stem)[0], []).append(path)
    steps = sorted(name for name in groups if name.startswith("step-"))
    last = len(steps) - 1
    picks = steps if last < MAX_GRIDS else [steps[round(i * last / (MAX_GRIDS - 1))] for i in range(MAX_GRIDS)]
    media = {name: "".join(map(_embed, groups[name])) for name in groups if name in picks or name not in steps}
    when = {name: f"{int(name[5:]):,}" for name in picks}
    body = ""
    if picks:
        caption = f'Generated, step <span id="at">{when[picks[-1]]}</span>'
        slider = f'<input id="scrub" type="range" max="{len(picks) - 1}" value="{len(picks) - 1}" aria-label="step" hidden>'
        body += _figure(f'<div id="stage">{media[picks[-1]]}</div>', caption + slider)
    captions = {"real": f"Real: {_text(config.get('data', ''))}", "interpolation": "Between pairs of latents, in equal steps"}
    for name in sorted(media.keys() - set(picks), key=lambda name: (name != "real", name)):
        body += _figure(media[name], captions.get(name, escape(name)))
    if len(picks) > 1:
        kind = "thumbs" if all(media[name].count("<img") == 1 for name in picks) else "clips"
        cells = "".join(_figure(media[name], when[name]) for name in picks)
        shown = f"; {len(picks)} of {len(steps)} are shown" if len(picks) < len(steps) else ""
        body += _figure(f'<div id="training">{cells}</div>', f"The same latents through training, by step{shown}", kind)
    return _section("Samples", body and f'<div class="pair">{body}</div>')


def _embed(path: Path) -> str:
    """The file as HTML that holds all of it."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if path.suffix in TEXTS:
        return f"<pre>{escape(data.decode(errors='replace'))}</pre>"
    whole = {
        ".png": data.startswith(b"\x89PNG\r\n\x1a\n") and data.endswith(b"IEND\xaeB\x60\x82"),
        ".svg": b"<svg" in data,
        ".wav": data.startswith(b"RIFF"),
    }
    if not whole[path.suffix]:
        raise InputError(f"{path} is corrupt: not a whole {path.suffix[1:]} file; delete it to leave it out of the report")
    source = f'src="data:{MEDIA[path.suffix]};base64,{base64.b64encode(data).decode()}"'
    if path.suffix == ".wav":
        return f"<audio controls {source}></audio>"
    # Few pixels, enlarged, should stay the squares they are. A PNG's width is the first number of its header.
    small = path.suffix == ".png" and int.from_bytes(data[16:20]) < 400
    return f'<img {"class=pixels " if small else ""}alt="{escape(path.stem)}" {source}>'


def _curves(rows: Rows) -> Iterator[str]:
    """A section of what the step reports, and one of the evaluation, each metric with what real data score."""
    training, evaluation = "", ""
    known = {key for _, keys, _ in PANELS for key in keys}
    others = {key for row in rows.values() for key in row if not key.startswith("eval/")} - known - {"seconds"}
    for title, keys, caption in PANELS + [(key, {key: (key, "d")}, "") for key in sorted(others)]:
        training += _panel(title, caption, [Curve(*look, "-", _points(rows, key)) for key, look in keys.items()])
    for name in _metric_names(rows):
        full, better, _ = _explain(name)
        curves = [Curve("generated", "g", "-", _points(rows, f"eval/{name}"))]
        curves += [Curve(*look, _points(rows, f"eval/{name}{suffix}")) for suffix, look in BESIDE.items()]
        evaluation += _panel(f"{full} {better}", "", curves)
    for title, panels in (("Training", training), ("Evaluation", evaluation)):
        yield _section(title, panels and f'<div class="panels">{panels}</div>')


def _panel(title: str, caption: str, curves: list[Curve]) -> str:
    """A figure of the curves that have a finite point to show; nothing where there is none, or nothing but zeros."""
    holes = [step for curve in curves for step, value in curve.points.items() if not math.isfinite(value)]
    curves = [curve for curve in curves if any(value and math.isfinite(value) for value in curve.points.values())]
    if not curves:
        return ""
    if holes:
        caption += f" Not finite at {len(set(holes)):,} of the points, first at step {min(holes):,}."
    return _figure(svg(title, curves), f"<b>{escape(title)}</b> {escape(caption)}")


def _explain(name: str) -> tuple[str, str, str]:
    """What METRICS says of a metric, or as much as its own name says."""
    return METRICS.get(name, (name.replace("_", " ").capitalize(), "", ""))


def _metric_names(rows: Rows) -> list[str]:
    """Names of the evaluated metrics, in order of appearance, without those shown beside another (`BESIDE`)."""
    names = dict.fromkeys(key[5:] for row in rows.values() for key in row if key.startswith("eval/"))
    return [n for n in names if not any(n.endswith(s) and n.removesuffix(s) in names for s in BESIDE)]


def _points(rows: Rows, key: str) -> dict[int, float]:
    return {step: row[key] for step, row in rows.items() if key in row}


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is corrupt: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is corrupt: a JSON object was expected, not {type(value).__name__}")
    return value


def _read_metrics(path: Path) -> Rows:
    """The lines by step, without a last one that is still being written."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    rows: Rows = {}
    for number, line in enumerate(lines, 1):
        try:
            if line.strip():
                row = json.loads(line)
                step = int(row.pop("step"))
                rows.setdefault(step, {}).update({k: float(v) for k, v in row.items() if isinstance(v, int | float)})
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            if number == len(lines):  # no newline yet
                break
            raise InputError(f"{path}, line {number}, is corrupt: a JSON object with a step was expected") from error
    return dict(sorted(rows.items()))


def _number(value: float) -> str:
    whole = value.is_integer() or 1000 <= abs(value) < math.inf
    return f"{value:,.0f}" if whole else f"{value:#.{4 if abs(value) >= 1 else 3}g}"


def _text(value: Any) -> str:
    """Any JSON value as a person would write it, escaped."""
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return escape(str(value))


def _pairs(mapping: dict[str, Any]) -> str:
    """Names and values; what is nested gets dotted names."""
    items = list(mapping.items())
    for name, value in items:
        if isinstance(value, dict):
            items += [(f"{name}.{inner}", v) for inner, v in value.items()]
    pairs = ((name, value) for name, value in items if not isinstance(value, dict))
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{_text(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="pairs">{rows}</dl>' if rows else ""


def _figure(content: str, caption: str, kind: str = "") -> str:
    return f'<figure class="{kind}">{content}<figcaption>{caption}</figcaption></figure>'


def _section(title: str, body: str) -> str:
    """A headed part of the page; nothing where there is nothing to show."""
    return f"<section><h2>{title}</h2>{body}</section>" if body else ""
