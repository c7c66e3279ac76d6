"""What the report of one run and the comparison of several share: reading run directories and writing HTML.

The frame, style and script of the pages are in report.html next to this module. Names and values are escaped here, except for
captions and the contents of figures and sections, which are HTML already.
"""

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from gan_jax.errors import InputError
from gan_jax.reports.formatting import escaped_text
from gan_jax.reports.svg import Curve, chart
from gan_jax.storage.log import read_log

# Values shown with the metric X, because they measure the same quantity of other samples: suffix -> label, colour, dashes.
REFERENCES = {
    "_floor": ("real against real", "ink", "--"),
    "_real": ("real samples", "ink", "--"),
    "_griffin_lim": ("Griffin-Lim", "ink", "--"),
    "_train": ("to the training samples", "muted", "-"),
}

Rows = dict[int, dict[str, float]]  # step -> {key: value}


def page(title: str, facts: dict[str, Any], status: str, sections: Iterable[str], wide: bool = False) -> str:
    """Return a whole page of sections that are HTML. A non-empty `status` is highlighted at the top.

    The page's policy lets only the scripts of this package run, whose digests it names."""
    scripts = [_beside(name) for name in ("curves.js", "samples.js")]
    digests = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    return Template(_beside("report.html")).substitute(
        style=_beside("report.css"),
        script_sources=" ".join(f"'sha256-{digest}'" for digest in digests),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
        title=escape(title),
        width="wide" if wide else "",
        facts=definition_list(facts),
        status=status and f'<p class="status">{escape(status)}</p>',
        sections="\n".join(sections),
    )


def _beside(name: str) -> str:
    """The text of a file next to this module."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def section(title: str, body: str) -> str:
    """A section of the page with a heading; empty if `body` is."""
    return f"<section><h2>{escape(title)}</h2>{body}</section>" if body else ""


def figure(content: str, caption: str, css_class: str = "") -> str:
    """A figure; content and caption are HTML."""
    return f'<figure class="{css_class}">{content}<figcaption>{caption}</figcaption></figure>'


def caution_box(sentences: Sequence[str]) -> str:
    """A box on metrics that mean little at the size at which they were measured; empty without sentences."""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return (
        f'<div class="caution"><b>Small data: at this size these numbers mean little</b><ul>{items}</ul></div>' if items else ""
    )


def definition_list(mapping: dict[str, Any]) -> str:
    """Names and values; nested ones get dotted names."""
    items = list(mapping.items())
    for name, value in items:
        if isinstance(value, dict):
            items += [(f"{name}.{inner}", v) for inner, v in value.items()]
    flat = ((name, value) for name, value in items if not isinstance(value, dict))
    rows = "".join(f"<div><dt>{escape(name)}</dt><dd>{escaped_text(value)}</dd></div>" for name, value in flat)
    return f'<dl class="pairs">{rows}</dl>' if rows else ""


def panel(
    title: str, caption: str, curves: list[Curve], x: str = "step", y: str = "", name: str = "", legend: bool = True
) -> str:
    """A figure of those curves that have finite values; empty if all of these are zero. `x` and `y` name the axes (`y` is the
    title by default), `name` is what the log calls the values."""
    gaps = [step for curve in curves for step, value in curve.points.items() if not math.isfinite(value)]
    curves = [curve for curve in curves if any(map(math.isfinite, curve.points.values()))]
    if not any(value and math.isfinite(value) for curve in curves for value in curve.points.values()):
        return ""
    if gaps:
        caption += f" Not finite at {len(set(gaps)):,} of the points, first at step {min(gaps):,}."
    code = f" <code>{escape(name)}</code>" if name else ""
    heading = f"<h3>{escape(title)}{code}</h3>"
    caption = f"<figcaption>{escape(caption.strip())}</figcaption>" if caption.strip() else ""
    return f"<figure>{heading}{chart(title, x, y or title.rstrip(' ↑↓'), curves, legend)}{caption}</figure>"


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
