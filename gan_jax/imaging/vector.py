"""Drawings as SVG files that follow the reader's light or dark scheme, also as pictures on a page."""

from html import escape

# Names of colours in a drawing, as var(--NAME): (on light, on dark paper).
COLOURS = {
    "ink": ("#1d2127", "#e4e7eb"),
    "muted": ("#5c6570", "#9ba4af"),
    "line": ("#d5d9de", "#3a414a"),
    "region": ("#f1f3f5", "#22272d"),
    "real": ("#c3c8cf", "#59626d"),
    "fake": ("#2b66b1", "#79b0f2"),
    "outside": ("#c2571a", "#f0975a"),
    "negative": ("#2b66b1", "#79b0f2"),
    "positive": ("#b8303f", "#f47c86"),
}


def document(width: float, height: float, body: str, description: str) -> bytes:
    """The file of a drawing whose elements are `body`; `description` says what is seen, for readers who cannot see it."""
    light, dark = (";".join(f"--{name}:{pair[i]}" for name, pair in COLOURS.items()) for i in range(2))
    style = f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"
    style += "text{font-family:system-ui,sans-serif;fill:var(--ink)}.muted{fill:var(--muted)}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}">'
    return f"{head}<desc>{escape(description)}</desc><style>{style}</style>{body}</svg>\n".encode()


def text(
    x: float, y: float, content: str, size: float = 11, anchor: str = "start", css_class: str = "", turn: float = 0
) -> str:
    """A line of text, turned by `turn` degrees around its anchor."""
    attributes = f' class="{css_class}"' if css_class else ""
    attributes += f' text-anchor="{anchor}"' if anchor != "start" else ""
    attributes += f' transform="rotate({turn:g} {x:.1f} {y:.1f})"' if turn else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}"{attributes}>{escape(content)}</text>'


def dots(points, radius: float, colour: str) -> str:
    """Dots at `points` [N, 2], as one path."""
    path = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
    style = f'stroke="var(--{colour})" stroke-width="{2 * radius:g}" stroke-linecap="round" stroke-opacity=".7"'
    return f'<path d="{path}" fill="none" {style}/>' if path else ""


def line(x1: float, y1: float, x2: float, y2: float, colour: str = "line") -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="var(--{colour})"/>'
