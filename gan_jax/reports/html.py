"""What the pages of one run and of several have in common: how a run directory is read, and how what was read becomes HTML.

The pages' frame, style and script are in report.html beside this module. Names and values are escaped here, but for captions
and the content of figures and sections, which are HTML already.
"""

import base64
import json
import math
from collections.abc import Iterable
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from gan_jax.errors import InputError
from gan_jax.reports.svg import Curve, svg
from gan_jax.spec.glossary import METRICS

# What is shown with the metric X because it is the same measurement of something else: label, colour, dashes.
BESIDE = {
    "_floor": ("real against real", "ink", "--"),
    "_real": ("real samples", "ink", "--"),
    "_griffin_lim": ("Griffin-Lim", "ink", "--"),
    "_train": ("to the training samples", "muted", "-"),
}
MEDIA = {".png": "image/png", ".svg": "image/svg+xml", ".wav": "audio/wav"}
TEXTS = (".txt", ".smi")

Rows = dict[int, dict[str, float]]  # step -> {key: value}


def page(title: str, facts: dict[str, Any], status: str, sections: Iterable[str], wide: bool = False) -> str:
    """A whole page, of sections that are HTML. `status`, where there is any, is what the reader must know before all else."""
    return Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        width="wide" if wide else "",
        facts=pairs(facts),
        status=status and f'<p class="status">{escape(status)}</p>',
        sections="\n".join(sections),
    )


def section(title: str, body: str) -> str:
    """A headed part of the page; nothing where there is nothing to show."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if body else ""


def figure(content: str, caption: str, kind: str = "") -> str:
    """Content and caption, both HTML."""
    return f'<figure class="{kind}">{content}<figcaption>{caption}</figcaption></figure>'


def pairs(mapping: dict[str, Any]) -> str:
    """Names and values; what is nested gets dotted names."""
    items = list(mapping.items())
    for name, value in items:
        if isinstance(value, dict):
            items += [(f"{name}.{inner}", v) for inner, v in value.items()]
    flat = ((name, value) for name, value in items if not isinstance(value, dict))
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{text(value)}</dd></div>" for name, value in flat)
    return f'<dl class="pairs">{rows}</dl>' if rows else ""


def panel(title: str, caption: str, curves: list[Curve], legend: bool = True) -> str:
    """A figure of the curves that have a finite point to show; nothing where there is none, or nothing but zeros."""
    holes = [step for curve in curves for step, value in curve.points.items() if not math.isfinite(value)]
    curves = [curve for curve in curves if any(value and math.isfinite(value) for value in curve.points.values())]
    if not curves:
        return ""
    if holes:
        caption += f" Not finite at {len(set(holes)):,} of the points, first at step {min(holes):,}."
    return figure(svg(title, curves, legend), f"<b>{escape(title)}</b> {escape(caption)}")


def media_files(run_dir: Path) -> list[Path]:
    """What can be shown of `run_dir`/samples: pictures, then sounds, then texts, by name."""
    home = run_dir.resolve() / "samples"
    kinds = [*MEDIA, *TEXTS]
    # A link could bring any file of this machine into a page that is made to be passed on.
    found = [p for p in home.iterdir() if p.is_file() and p.resolve().parent == home] if home.is_dir() else []
    return sorted((p for p in found if p.suffix in kinds), key=lambda path: (kinds.index(path.suffix), path.name))


def embed(path: Path) -> str:
    """The file as HTML that holds all of it. Raises InputError, naming it, where it cannot be read or is corrupt."""
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


def number(value: float) -> str:
    """Four digits of it, three where it is below 1."""
    whole = value.is_integer() or 1000 <= abs(value) < math.inf
    return f"{value:,.0f}" if whole else f"{value:#.{4 if abs(value) >= 1 else 3}g}"


def duration(seconds: float) -> str:
    """`95 s`, or `12 min`."""
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


def plain(value: Any) -> str:
    """Any JSON value as a person would write it."""
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)


def text(value: Any) -> str:
    """`plain`, escaped."""
    return escape(plain(value))


def explain(name: str) -> tuple[str, str, str]:
    """What METRICS says of a metric (full name, better direction, meaning), or as much as its own name says."""
    return METRICS.get(name, (name.replace("_", " ").capitalize(), "", ""))


def metric_names(rows: Iterable[dict[str, float]]) -> list[str]:
    """Names of the evaluated metrics, in order of appearance, without those shown beside another (`BESIDE`)."""
    names = dict.fromkeys(key[5:] for row in rows for key in row if key.startswith("eval/"))
    return [n for n in names if not any(n.endswith(s) and n.removesuffix(s) in names for s in BESIDE)]


def points(rows: Rows, key: str) -> dict[int, float]:
    """The values of `key`, by step."""
    return {step: row[key] for step, row in rows.items() if key in row}


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises InputError, naming it, where there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is corrupt: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is corrupt: a JSON object was expected, not {type(value).__name__}")
    return value


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl, numbers as float but for an int `step`, without a last one that is still being written.

    Raises InputError, naming file and line, where one is corrupt."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    read = []
    for position, line in enumerate(lines, 1):
        try:
            if line.strip():
                row = json.loads(line)
                numbers = {key: float(value) for key, value in row.items() if isinstance(value, int | float)}
                read.append(row | numbers | {"step": int(row["step"])})
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            if position == len(lines):  # no newline yet
                break
            raise InputError(f"{path}, line {position}, is corrupt: a JSON object with a step was expected") from error
    return read


def rows_of(lines: Iterable[dict[str, Any]]) -> Rows:
    """The numbers in the lines, by step, steps ascending."""
    rows: Rows = {}
    for line in lines:
        rows.setdefault(line["step"], {}).update({key: value for key, value in line.items() if isinstance(value, float)})
    return dict(sorted(rows.items()))
