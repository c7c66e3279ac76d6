"""Mixtures of Gaussians in the plane: data whose modes are known, so that mode collapse can be counted.

Source: the ring of 8 and the grid of 25 of Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761, section 5.1. The networks
see the points as they are: the ring has radius 1, the grid reaches from -4 to 4.
"""

import io

import numpy as np

from gan_jax.data import Data, Measure, Source, Split

TRAIN, TEST = 100_000, 10_000


def ring() -> Source:
    """8 modes on the unit circle, standard deviation 0.02."""
    angle = 2 * np.pi * np.arange(8) / 8
    return _source(np.stack([np.cos(angle), np.sin(angle)], axis=1), 0.02)


def grid() -> Source:
    """25 modes at {-4, -2, 0, 2, 4} x {-4, -2, 0, 2, 4}, standard deviation 0.05."""
    axis = np.arange(-4.0, 5.0, 2.0)
    return _source(np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2), 0.05)


def _source(centers: np.ndarray, sigma: float) -> Source:
    """Equally likely modes at `centers` [K, 2]. The game is unconditional: no labels."""

    def evaluator(data: Data) -> Measure:
        from gan_jax.metrics.modes import modes

        def measure(samples: np.ndarray, labels: np.ndarray | None) -> dict[str, float]:
            return modes(samples, centers, sigma)

        measure.description = f"the {len(centers)} modes of {data.name}, standard deviation {sigma}"
        return measure

    # The data's own seed: runs of every seed see the same points. RandomState's stream never changes (NEP 19).
    random = np.random.RandomState(0)
    points = centers[random.randint(len(centers), size=TRAIN + TEST)] + sigma * random.randn(TRAIN + TEST, 2)
    points = points.astype(np.float32)
    return Source(
        train=Split(points[:TRAIN], None),
        test=Split(points[TRAIN:], None),
        num_classes=0,
        to_float=_as_stored,
        show=lambda samples: {".png": _scatter(samples, centers, sigma)},
        pack=lambda samples: {"samples": samples},
        evaluator=evaluator,
        shown=2_500,
    )


def _as_stored(points):
    return points


def _scatter(samples: np.ndarray, centers: np.ndarray, sigma: float) -> bytes:
    """A PNG of 480 x 480: samples [N, 2] over circles of 3 sigma, a sample outside every circle in orange.

    The frame depends on the modes alone, so that pictures over time compare; samples outside of it are counted.
    """
    # The object-oriented API: pyplot keeps global state and picks a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.collections import EllipseCollection
    from matplotlib.figure import Figure

    samples = np.asarray(samples, np.float64)
    if samples.ndim != 2 or samples.shape[1] != 2:
        raise ValueError(f"samples must be [N, 2], got {samples.shape}")
    distance = np.sqrt(((samples[:, None] - centers) ** 2).sum(-1)).min(1)
    inside = distance <= 3 * sigma
    reach = 1.25 * np.abs(centers).max()
    lost = int((~(np.abs(samples) <= reach).all(1)).sum())  # a NaN is lost too

    figure = Figure(figsize=(4.8, 4.8), dpi=100)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.08, 0.06, 0.89, 0.89))
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.tick_params(labelsize=7)
    title = f"{inside.mean() if len(samples) else 0:.1%} of {len(samples):,} samples within 3σ of a mode"
    axes.set_title(title + (f", {lost:,} outside the frame" if lost else ""), fontsize=9)
    for chosen, color, size in ((inside, "tab:blue", 2.5), (~inside, "tab:orange", 4)):
        axes.plot(*samples[chosen].T, ".", markersize=size, markeredgewidth=0, alpha=0.7, color=color)
    width = np.full(len(centers), 6 * sigma)  # diameters, in the units of the data
    rings = EllipseCollection(width, width, np.zeros(len(centers)), units="xy", offsets=centers)
    rings.set(offset_transform=axes.transData, facecolor="none", edgecolor="0.25", linewidth=0.8, zorder=3)
    axes.add_collection(rings)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()
