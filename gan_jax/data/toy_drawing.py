"""Scatter plots of points in the plane: a PNG, for films and other programs, and an SVG, for pages."""

import io
from typing import NamedTuple

import numpy as np

from gan_jax.imaging import vector
from gan_jax.metrics.modes import nearest_centers

SIZE = 480  # pixels of the PNG
WIDTH, HEIGHT = 380, 392  # of the SVG, which is drawn smaller, so that its text can be read on a page
BOX = (46, 30, 326)  # left, top and side of the axes of the SVG


class Scatter(NamedTuple):
    """What is drawn. The frame depends only on the modes, so pictures of different steps are comparable."""

    inside: np.ndarray  # [N, 2], samples within 3 sigma
    outside: np.ndarray  # [M, 2]; those beyond the frame are counted in the title
    centers: np.ndarray  # [K, 2]
    radius: float  # 3 sigma
    connected: bool  # whether the centres are a curve
    reach: float  # the frame is [-reach, reach]^2
    title: str


def plan(samples: np.ndarray, centers: np.ndarray, sigma: float, connected: bool) -> Scatter:
    """Decide what a plot of samples [N, 2] shows."""
    samples = np.asarray(samples, np.float64)
    if samples.ndim != 2 or samples.shape[1] != 2:
        raise ValueError(f"samples must be [N, 2], got {samples.shape}")
    inside = nearest_centers(samples, centers)[0] <= 3 * sigma
    reach = max(1.25 * np.abs(centers).max(), np.abs(centers).max() + 4 * sigma)
    outside_frame = int((~(np.abs(samples) <= reach).all(1)).sum())  # NaNs included
    title = f"{inside.mean() if len(samples) else 0:.1%} of {len(samples):,} within 3σ = {3 * sigma:.3g}"
    title += " of the curve" if connected else " of a mode"
    title += f", {outside_frame:,} outside the frame" if outside_frame else ""
    return Scatter(samples[inside], samples[~inside], centers, 3 * sigma, connected, reach, title)


def svg(scatter: Scatter) -> bytes:
    """Return an SVG of the samples and the outline of the region within 3 sigma; samples outside it are orange."""
    left, top, side = BOX
    scale = side / (2 * scatter.reach)

    def place(points: np.ndarray) -> np.ndarray:
        """Points of the plane -> pixels, with the second coordinate upwards."""
        return np.stack([left + (points[:, 0] + scatter.reach) * scale, top + (scatter.reach - points[:, 1]) * scale], axis=1)

    def visible(points: np.ndarray) -> np.ndarray:
        return place(points[(np.abs(points) <= scatter.reach).all(axis=1)])

    body = f'<path d="M{left} {top}h{side}v{side}h{-side}z" fill="none" stroke="var(--line)"/>'
    unit = next(unit for unit in (5, 2, 1, 0.5, 0.2, 0.1) if scatter.reach >= 2 * unit or unit == 0.1)
    for value in unit * np.arange(-np.floor(scatter.reach / unit), np.floor(scatter.reach / unit) + 1):
        (x, y), label = place(np.array([[value, value]]))[0], f"{value:g}".replace("-", "−")
        body += vector.text(x, top + side + 15, label, 11, "middle", "muted") + vector.text(
            left - 6, y + 4, label, 11, "end", "muted"
        )
    body += vector.text(left + side / 2, HEIGHT - 4, "first coordinate", 11, "middle", "muted")
    body += vector.text(10, top + side / 2, "second coordinate", 11, "middle", "muted", -90)
    body += vector.text(6, 16, scatter.title, min(12.0, 1.75 * WIDTH / len(scatter.title)))
    if scatter.connected:
        # A wide line with round ends covers all points within its half width; a narrower one on top leaves its edge.
        for colour, width in (("muted", 2 * scatter.radius * scale + 1.6), ("region", 2 * scatter.radius * scale)):
            for stroke in _strokes(scatter.centers):
                # Every fourth centre is enough for a smooth line: there are four to a sigma.
                points = " ".join(f"{x:.1f},{y:.1f}" for x, y in place(np.concatenate([stroke[::4], stroke[-1:]])))
                look = f'stroke="var(--{colour})" stroke-width="{width:.1f}" stroke-linecap="round" stroke-linejoin="round"'
                body += f'<polyline points="{points}" fill="none" {look}/>'
    body += vector.dots(visible(scatter.outside), 1.4, "outside") + vector.dots(visible(scatter.inside), 1.0, "fake")
    for x, y in place(scatter.centers) if not scatter.connected else ():
        body += f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{scatter.radius * scale:.1f}" fill="none" stroke="var(--muted)"/>'
    return vector.document(WIDTH, HEIGHT, body, f"Scatter plot: {scatter.title}")


def png(scatter: Scatter) -> bytes:
    """Return a 480 x 480 PNG of the same, on white."""
    # The object-oriented API, because pyplot keeps global state and chooses a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIZE / 100, SIZE / 100), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.08, 0.06, 0.89, 0.89))
    axes.set(xlim=(-scatter.reach, scatter.reach), ylim=(-scatter.reach, scatter.reach), aspect="equal")
    axes.tick_params(labelsize=7)
    axes.set_title(scatter.title, fontsize=9)
    for points, color, size in ((scatter.inside, "tab:blue", 2.5), (scatter.outside, "tab:orange", 4)):
        axes.plot(*points.T, ".", markersize=size, markeredgewidth=0, alpha=0.7, color=color)
    _outline(axes, scatter)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def _outline(axes, scatter: Scatter) -> None:
    """Draw circles around the centres, or if these are connected, the edge of the strokes they form."""
    if not scatter.connected:
        from matplotlib.collections import EllipseCollection

        centers = scatter.centers
        width = np.full(len(centers), 2 * scatter.radius)  # diameters, in data units
        rings = EllipseCollection(width, width, np.zeros(len(centers)), units="xy", offsets=centers)
        rings.set(offset_transform=axes.transData, facecolor="none", edgecolor="0.25", linewidth=0.8, zorder=3)
        axes.add_collection(rings)
        return
    box = axes.get_window_extent()
    line_width = 2 * scatter.radius * box.width / np.ptp(axes.get_xlim()) * 72 / axes.figure.dpi  # in points
    for color, width, zorder in (("0.25", line_width + 1.6, 0), ("white", line_width, 0.1)):
        for stroke in _strokes(scatter.centers):
            axes.plot(*stroke.T, color=color, linewidth=width, solid_capstyle="round", solid_joinstyle="round", zorder=zorder)


def _strokes(centers: np.ndarray) -> list[np.ndarray]:
    """The centres of a curve, cut where it is interrupted."""
    steps = np.linalg.norm(np.diff(centers, axis=0), axis=1)
    return np.split(centers, 1 + np.flatnonzero(steps > 3 * np.median(steps)))
