"""Curves over steps as inline SVG, in the colours and the font of the page that contains it.

curves.js, on the page, replaces each drawing by one with the same points that can be read, zoomed and smoothed; without it the
drawing stays.
"""

import io
import json
import math
import re
from collections.abc import Iterator
from html import escape
from typing import Any, NamedTuple

from gan_jax.reports.formatting import format_number

MAX_POINTS = 400  # per curve; a longer one is binned, and a band shows the minimum and maximum of each bin
# The page's colours are CSS variables (light, dark), which matplotlib does not accept: these placeholders are replaced by them.
COLOURS = {"ink": "#010101", "muted": "#010102", "line": "#010103", "d": "#010104", "g": "#010105"}
# Colours of methods in a comparison. If there are more methods, colours repeat with other dashes.
METHOD_COLOURS = [f"m{i}" for i in range(8)]
COLOURS |= {name: f"#0102{i:02d}" for i, name in enumerate(METHOD_COLOURS)}
DASHES = ("-", ":", "-.")
STYLE = {
    "svg.fonttype": "none",  # keep text as text
    "font.size": 8,
    "axes.edgecolor": COLOURS["line"],
    **dict.fromkeys(("xtick.color", "ytick.color", "grid.color"), COLOURS["line"]),
    **dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor", "text.color"), COLOURS["muted"]),
}


class Curve(NamedTuple):
    """A line over steps. `colour` is a name in COLOURS; dashes "--" mark a reference level for the other curves."""

    label: str
    colour: str
    dashes: str
    points: dict[int, float]  # step -> value; at least one value is finite
    band: dict[int, tuple[float, float]] | None = None  # step -> minimum and maximum of the values averaged in `points`


def chart(title: str, x: str, y: str, curves: list[Curve], legend: bool = True) -> str:
    """Return the drawing of curves, in an element whose data-chart holds their points for curves.js."""
    points, previous = [], None
    for curve in curves:
        entry: dict[str, Any] = {"label": curve.label, "colour": curve.colour, "dashes": curve.dashes}
        if (level := _level(curve)) is not None:
            points.append(entry | {"level": _rounded(level)})
            continue
        steps, mean, low, high = (list(column) for column in zip(*_bins(curve.points, curve.band or {}), strict=True))
        entry |= {} if steps == previous else {"x": steps}  # without x: that of the curve before
        entry["y"] = list(map(_rounded, mean))
        if _has_band(curve):
            entry |= {"low": list(map(_rounded, low)), "high": list(map(_rounded, high))}
        points.append(entry)
        previous = steps
    data = json.dumps(
        {"x": x, "y": y, "log": _spans_decades(curves), "legend": legend, "curves": points}, separators=(",", ":")
    )
    return f'<div class="plot" data-chart="{escape(data)}">{svg(title, x, y, curves, legend)}</div>'


def svg(title: str, x: str, y: str, curves: list[Curve], legend: bool = True) -> str:
    """Return a panel of curves as an inline <svg>; `x` and `y` name the axes. The vertical axis is logarithmic if all values
    are positive and a linear axis would hide most of them."""
    import matplotlib  # here, not above: importing it takes most of a second
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE | {"svg.hashsalt": title}):
        figure = Figure(figsize=(4.6, 2.3), layout="constrained")
        axes = figure.subplots()
        _draw(axes, curves, legend)
        axes.set(xlabel=x, ylabel=y)
        figure.get_layout_engine().execute(figure)
        figure.set_layout_engine("none")  # saving would compute the layout again
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    # Make the document an element: without declaration, metadata and size, and only with the ids that it refers to.
    head, body = re.search(r"<svg(.*?)>(.*)", file.getvalue(), re.DOTALL).groups()
    body = re.sub(r'<(metadata|style).*?</\1>| id="[\w.]*_\d+"', "", body, flags=re.DOTALL)
    for name, placeholder in COLOURS.items():
        body = body.replace(placeholder, f"var(--{name})")
    view_box = re.search(r'viewBox="[^"]*"', head)[0]
    return f'<svg {view_box} role="img" aria-label="{escape(_describe(title, x, curves))}">{body}'


def _draw(axes: Any, curves: list[Curve], legend: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

    bands = sum(curve.band is not None for curve in curves)
    for curve in curves:
        label, colour, dashes, points, band = curve
        line = {"label": label, "color": COLOURS[colour], "ls": dashes}
        if (level := _level(curve)) is not None:  # across the whole panel
            axes.axhline(level, lw=1, **line)
            continue
        steps, mean, low, high = zip(*_bins(points, band or {}), strict=True)
        axes.plot(steps, mean, lw=1.2, marker="o" if len(steps) <= 30 else None, ms=2.5, **line)
        if _has_band(curve):
            alpha = 0.18 if bands <= 1 else 0.12 if bands <= 4 else 0.06  # many overlapping bands would merge into one grey
            axes.fill_between(steps, low, high, color=COLOURS[colour], alpha=alpha, lw=0)
    if _spans_decades(curves):
        values = _finite_values(curves)
        axes.set_yscale("log")
        ends = [end for curve in curves if curve.band for pair in curve.band.values() for end in pair if 0 < end < math.inf]
        decades = math.log10(max(values[-1:] + ends) / min(values[:1] + ends))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < math.log10(500) else (1,)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.minorticks_off()  # they take most of the time of drawing
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step / 1000:g}k" if step >= 1000 else f"{step:g}"))
    axes.set_xlim(left=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", lw=0.5)
    if legend and len(curves) > 1:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, borderpad=0, handlelength=1.4)


def _level(curve: Curve) -> float | None:
    """The value of a reference level, dashed and constant; None for other curves."""
    values = {value for value in curve.points.values() if math.isfinite(value)}
    return values.pop() if curve.dashes == "--" and len(values) == 1 else None


def _has_band(curve: Curve) -> bool:
    return bool(curve.band) or len(curve.points) > MAX_POINTS


def _finite_values(curves: list[Curve]) -> list[float]:
    """All values, in ascending order."""
    return sorted(value for curve in curves for value in curve.points.values() if math.isfinite(value))


def _spans_decades(curves: list[Curve]) -> bool:
    values = _finite_values(curves)
    return values[0] > 0 and values[-1] > 10 * values[len(values) // 2]


def _rounded(value: float) -> float | None:
    """The value to five significant digits, which is more than a screen shows; None if it is not finite, for JSON."""
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _describe(title: str, x: str, curves: list[Curve]) -> str:
    """What the drawing shows, in words."""
    parts = []
    for curve in curves:
        finite = [(step, value) for step, value in curve.points.items() if math.isfinite(value)]
        (first, begin), (last, end) = finite[0], finite[-1]
        if _level(curve) is not None or first == last:
            parts.append(f"{curve.label} {format_number(end)}")
        else:
            parts.append(f"{curve.label} from {format_number(begin)} at {first:,} to {format_number(end)} at {last:,}")
    return f"{title} over {x}: {'; '.join(parts)}"


def _bins(points: dict[int, float], band: dict[int, tuple[float, float]]) -> Iterator[tuple[int, float, float, float]]:
    """Yield (first step, mean, minimum, maximum) of at most MAX_POINTS bins of consecutive steps; NaN, drawn as a gap, for bins
    without finite values."""
    steps = list(points)
    size = math.ceil(len(steps) / MAX_POINTS)
    for i in range(0, len(steps), size):
        bin_steps = steps[i : i + size]
        values = [points[step] for step in bin_steps if math.isfinite(points[step])] or [math.nan]
        ends = values + [end for step in bin_steps for end in band.get(step, ()) if math.isfinite(end)]
        yield bin_steps[0], sum(values) / len(values), min(ends), max(ends)
