"""Curves over steps as inline SVG, in the colours and the font of the page that contains it."""

import io
import math
import re
from collections.abc import Iterator
from html import escape
from typing import Any, NamedTuple

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


def svg(title: str, curves: list[Curve], legend: bool = True, axis: str = "steps") -> str:
    """Return a panel of curves as an inline <svg>; `axis` names what they are drawn over. The vertical axis is logarithmic if
    all values are positive and a linear axis would hide most of them."""
    import matplotlib  # here, not above: importing it takes most of a second
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE | {"svg.hashsalt": title}):
        figure = Figure(figsize=(4.6, 2.3), layout="constrained")
        _draw(figure.subplots(), curves, legend)
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
    return f'<svg {view_box} role="img" aria-label="{escape(title)} over {escape(axis)}">{body}'


def _draw(axes: Any, curves: list[Curve], legend: bool) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

    bands = sum(curve.band is not None for curve in curves)
    for label, colour, dashes, points, band in curves:
        line = {"label": label, "color": COLOURS[colour], "ls": dashes}
        finite = [value for value in points.values() if math.isfinite(value)]
        if dashes == "--" and min(finite) == max(finite):  # draw a constant level across the whole panel
            axes.axhline(finite[0], lw=1, **line)
            continue
        steps, mean, low, high = zip(*_bins(points, band or {}), strict=True)
        axes.plot(steps, mean, lw=1.2, marker="o" if len(steps) <= 30 else None, ms=2.5, **line)
        if band or len(points) > len(steps):
            alpha = 0.18 if bands <= 1 else 0.12 if bands <= 4 else 0.06  # many overlapping bands would merge into one grey
            axes.fill_between(steps, low, high, color=COLOURS[colour], alpha=alpha, lw=0)
    values = sorted(v for curve in curves for v in curve.points.values() if math.isfinite(v))
    if values[0] > 0 and values[-1] > 10 * values[len(values) // 2]:
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
