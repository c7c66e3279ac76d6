"""Curves over steps as an SVG that is part of the page it stands in: its colours and its font are the page's."""

import io
import math
import re
from collections.abc import Iterator
from html import escape
from typing import Any, NamedTuple

MAX_POINTS = 400  # of a curve; a longer one is binned into its mean and a band from least to greatest
# matplotlib wants colours where the page has CSS variables (light, dark): these stand in until the SVG is written.
COLOURS = {"ink": "#010101", "muted": "#010102", "line": "#010103", "d": "#010104", "g": "#010105"}
# The colours of methods, which come again with other dashes where there are more than these.
METHOD_COLOURS = [f"m{i}" for i in range(8)]
COLOURS |= {name: f"#0102{i:02d}" for i, name in enumerate(METHOD_COLOURS)}
DASHES = ("-", ":", "-.")
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "font.size": 8,
    "axes.edgecolor": COLOURS["line"],
    **dict.fromkeys(("xtick.color", "ytick.color", "grid.color"), COLOURS["line"]),
    **dict.fromkeys(("xtick.labelcolor", "ytick.labelcolor", "text.color"), COLOURS["muted"]),
}


class Curve(NamedTuple):
    """A line over steps. Its colour is a name in COLOURS; a dashed one ("--") is a level to compare the others with."""

    label: str
    colour: str
    dashes: str
    points: dict[int, float]  # step -> value, maybe not finite, but at least one is
    band: dict[int, tuple[float, float]] | None = None  # step -> least and greatest of what the value is the mean of


def svg(title: str, curves: list[Curve], legend: bool = True) -> str:
    """One panel of curves as an inline <svg>. Logarithmic where all is positive and a linear axis would hide most of it."""
    import matplotlib  # here, not above: it takes most of a second, and only a report draws
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE | {"svg.hashsalt": title}):
        figure = Figure(figsize=(4.6, 2.3), layout="constrained")
        _draw(figure.subplots(), curves, legend)
        figure.draw_without_rendering()  # layout moves the ticks: their new labels may need more room
        file = io.StringIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    # From a document to an element: no declaration, no metadata, no size of its own, no ids but those it refers to.
    head, body = re.search(r"<svg(.*?)>(.*)", file.getvalue(), re.DOTALL).groups()
    body = re.sub(r'<(metadata|style).*?</\1>| id="[\w.]*_\d+"', "", body, flags=re.DOTALL)
    for name, stand_in in COLOURS.items():
        body = body.replace(stand_in, f"var(--{name})")
    view = re.search(r'viewBox="[^"]*"', head)[0]
    return f'<svg {view} role="img" aria-label="{escape(title)} over steps">{body}'


def _draw(axes: Any, curves: list[Curve], legend: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    banded = sum(curve.band is not None for curve in curves)
    for label, colour, dashes, points, band in curves:
        line = {"label": label, "color": COLOURS[colour], "ls": dashes}
        finite = [value for value in points.values() if math.isfinite(value)]
        if dashes == "--" and min(finite) == max(finite):  # a level that never changes spans the panel
            axes.axhline(finite[0], lw=1, **line)
            continue
        steps, mean, low, high = zip(*_bins(points, band or {}), strict=True)
        axes.plot(steps, mean, lw=1.2, marker="o" if len(steps) <= 30 else None, ms=2.5, **line)
        if band or len(points) > len(steps):
            alpha = 0.18 if banded <= 1 else 0.12 if banded <= 4 else 0.06  # many upon each other would be one grey
            axes.fill_between(steps, low, high, color=COLOURS[colour], alpha=alpha, lw=0)
    values = sorted(v for curve in curves for v in curve.points.values() if math.isfinite(v))
    if values[0] > 0 and values[-1] > 10 * values[len(values) // 2]:
        axes.set_yscale("log")
        ends = [end for curve in curves if curve.band for pair in curve.band.values() for end in pair if 0 < end < math.inf]
        decades = math.log10(max(values[-1:] + ends) / min(values[:1] + ends))
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades < math.log10(500) else (1,)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step / 1000:g}k" if step >= 1000 else f"{step:g}"))
    axes.set_xlim(left=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", lw=0.5)
    if legend and len(curves) > 1:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, borderpad=0, handlelength=1.4)


def _bins(points: dict[int, float], band: dict[int, tuple[float, float]]) -> Iterator[tuple[int, float, float, float]]:
    """(step, mean, least, greatest) of at most MAX_POINTS runs of neighbours; NaN, a gap, where none is finite."""
    steps = list(points)
    size = math.ceil(len(steps) / MAX_POINTS)
    for i in range(0, len(steps), size):
        run = steps[i : i + size]
        values = [points[step] for step in run if math.isfinite(points[step])] or [math.nan]
        ends = values + [end for step in run for end in band.get(step, ()) if math.isfinite(end)]
        yield run[0], sum(values) / len(values), min(ends), max(ends)
