"""What the report of one run and the comparison of several share: reading run directories and writing HTML.

The frame, style and script of the pages are in report.html next to this module. Names and values are escaped here, except for
captions and the contents of figures and sections, which are HTML already.
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
from gan_jax.storage.log import read_log

# Values shown with the metric X, because they measure the same quantity of other samples: suffix -> label, colour, dashes.
REFERENCES = {
    "_floor": ("real against real", "ink", "--"),
    "_real": ("real samples", "ink", "--"),
    "_griffin_lim": ("Griffin-Lim", "ink", "--"),
    "_train": ("to the training samples", "muted", "-"),
}
MEDIA = {".png": "image/png", ".svg": "image/svg+xml", ".wav": "audio/wav"}
TEXT_SUFFIXES = (".txt", ".smi")

Rows = dict[int, dict[str, float]]  # step -> {key: value}


def page(title: str, facts: dict[str, Any], status: str, sections: Iterable[str], wide: bool = False) -> str:
    """Return a whole page of sections that are HTML. A non-empty `status` is highlighted at the top."""
    return Template(Path(__file__).with_name("report.html").read_text(encoding="utf-8")).substitute(
        title=escape(title),
        width="wide" if wide else "",
        facts=definition_list(facts),
        status=status and f'<p class="status">{escape(status)}</p>',
        sections="\n".join(sections),
    )


def section(title: str, body: str) -> str:
    """A section of the page with a heading; empty if `body` is."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if body else ""


def figure(content: str, caption: str, css_class: str = "") -> str:
    """A figure; content and caption are HTML."""
    return f'<figure class="{css_class}">{content}<figcaption>{caption}</figcaption></figure>'


def definition_list(mapping: dict[str, Any]) -> str:
    """Names and values; nested ones get dotted names."""
    items = list(mapping.items())
    for name, value in items:
        if isinstance(value, dict):
            items += [(f"{name}.{inner}", v) for inner, v in value.items()]
    flat = ((name, value) for name, value in items if not isinstance(value, dict))
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escaped_text(value)}</dd></div>" for name, value in flat)
    return f'<dl class="pairs">{rows}</dl>' if rows else ""


def panel(title: str, caption: str, curves: list[Curve], legend: bool = True) -> str:
    """A figure of those curves that have a finite value other than zero; empty if none has."""
    gaps = [step for curve in curves for step, value in curve.points.items() if not math.isfinite(value)]
    curves = [curve for curve in curves if any(value and math.isfinite(value) for value in curve.points.values())]
    if not curves:
        return ""
    if gaps:
        caption += f" Not finite at {len(set(gaps)):,} of the points, first at step {min(gaps):,}."
    return figure(svg(title, curves, legend), f"<b>{escape(title)}</b> {escape(caption)}")


def media_files(run_dir: Path) -> list[Path]:
    """The files in `run_dir`/samples that a page can show: pictures, then sounds, then texts, each by name."""
    folder = run_dir.resolve() / "samples"
    suffixes = [*MEDIA, *TEXT_SUFFIXES]
    # Skip links: they could put any file of this machine into a page that is made to be shared.
    files = [p for p in folder.iterdir() if p.is_file() and p.resolve().parent == folder] if folder.is_dir() else []
    return sorted((p for p in files if p.suffix in suffixes), key=lambda path: (suffixes.index(path.suffix), path.name))


def embed(path: Path) -> str:
    """The file as HTML that contains all of it. Raises InputError, naming the file, if it cannot be read or is corrupt."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if path.suffix in TEXT_SUFFIXES:
        return f"<pre>{escape(data.decode(errors='replace'))}</pre>"
    complete = {
        ".png": data.startswith(b"\x89PNG\r\n\x1a\n") and data.endswith(b"IEND\xaeB\x60\x82"),
        ".svg": b"<svg" in data,
        ".wav": data.startswith(b"RIFF"),
    }
    if not complete[path.suffix]:
        raise InputError(f"{path} is corrupt: not a complete {path.suffix[1:]} file; delete it to leave it out of the report")
    source = f'src="data:{MEDIA[path.suffix]};base64,{base64.b64encode(data).decode()}"'
    if path.suffix == ".wav":
        return f"<audio controls {source}></audio>"
    # Enlarge small pictures without smoothing. A PNG's width is the first number of its header.
    small = path.suffix == ".png" and int.from_bytes(data[16:20]) < 400
    return f'<img {"class=pixels " if small else ""}alt="{escape(path.stem)}" {source}>'


LARGE = 1e12  # from here on with an exponent


def format_number(value: float) -> str:
    """The number to four significant digits, or three if it is below 1; whole numbers, and numbers from 1000 to `LARGE`,
    without decimals."""
    if LARGE <= abs(value) < math.inf:
        return f"{value:.3e}"
    no_decimals = value.is_integer() or 1000 <= abs(value) < math.inf
    return f"{value:,.0f}" if no_decimals else f"{value:#.{4 if abs(value) >= 1 else 3}g}"


def format_duration(seconds: float) -> str:
    """`95 s`, or `12 min`."""
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


def plain_text(value: Any) -> str:
    """A JSON value as readable text."""
    if isinstance(value, list):
        return ", ".join(map(plain_text, value))
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)


def escaped_text(value: Any) -> str:
    """`plain_text`, escaped for HTML."""
    return escape(plain_text(value))


def metric_names(rows: Iterable[dict[str, float]]) -> list[str]:
    """Names of the evaluated metrics, in order of appearance, without those shown as the REFERENCES of another."""
    names = dict.fromkeys(key[5:] for row in rows for key in row if key.startswith("eval/"))
    return [n for n in names if not any(n.endswith(s) and n.removesuffix(s) in names for s in REFERENCES)]


def series(rows: Rows, key: str) -> dict[int, float]:
    """The values of `key`, by step."""
    return {step: row[key] for step, row in rows.items() if key in row}


def read_json_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises InputError, naming the file, if it contains none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is corrupt: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} is corrupt: expected a JSON object, got {type(value).__name__}")
    return value


def read_lines(path: Path) -> tuple[list[dict[str, Any]], str]:
    """Return the lines of a metrics.jsonl, with numbers as floats and `step` as an int, and which lines cannot be read and are
    left out; empty if there are none. An incomplete last line, which is still being written, does not count.

    Raises InputError, naming the file, if it cannot be read, or none of its lines can."""
    try:
        log = read_log(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if log.damage and not log.lines:
        raise InputError(f"{path} is corrupt: {log.damage}; expected a JSON object with a step in each")
    for line in log.lines:
        line |= {key: float(value) for key, value in line.items() if type(value) is int and key != "step"}
    return log.lines, f"{path}: {log.damage}, and are left out" if log.damage else ""


def rows_by_step(lines: Iterable[dict[str, Any]]) -> Rows:
    """The numbers in the lines, by step, in ascending order."""
    rows: Rows = {}
    for line in lines:
        rows.setdefault(line["step"], {}).update({key: value for key, value in line.items() if isinstance(value, float)})
    return dict(sorted(rows.items()))
