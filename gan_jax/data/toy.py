"""Points in the plane: mixtures of Gaussians and noisy curves with known modes, so that mode collapse can be counted.

The points are not rescaled: the ring and the spiral have radius 1, the grid spans -4 to 4, the moons span -1.5 to 1.5.
"""

import math
from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np

from gan_jax.data.dataset import Data, Format, Measure, Presentation, Protocol, Source, Split
from gan_jax.errors import InputError

TRAIN, TEST = 100_000, 10_000
PIECES = 20  # the modes of a curve: pieces of equal length
_DENSITY = 4  # centres per sigma along a curve: a point 3 sigma from the curve is at most 3.003 sigma from a centre


def ring(*, sigma: float = 0.02) -> Source:
    """8 modes on the unit circle, each a Gaussian of standard deviation sigma.

    Source: Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761, section 5.1."""
    angle = 2 * np.pi * np.arange(8) / 8
    return _mixture("ring", np.stack([np.cos(angle), np.sin(angle)], axis=1), sigma)


def grid(*, sigma: float = 0.05) -> Source:
    """25 modes at {-4, -2, 0, 2, 4} x {-4, -2, 0, 2, 4}, each a Gaussian of standard deviation sigma.

    Source: Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761, section 5.1."""
    axis = np.arange(-4.0, 5.0, 2.0)
    return _mixture("grid", np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2), sigma)


def spiral(*, sigma: float = 0.02) -> Source:
    """Two turns of r = 0.2 + 0.2 angle / pi, from radius 0.2 to 1 with arms 0.4 apart: points uniform in arc length, plus
    Gaussian noise of standard deviation sigma."""
    angle = np.linspace(0, 4 * np.pi, 10_001)
    radius = 0.2 + 0.2 * angle / np.pi
    return _curve("spiral", [np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)], sigma)


def two_moons(*, sigma: float = 0.05) -> Source:
    """Two interlocking half circles of radius 1: points uniform in arc length, plus Gaussian noise of standard deviation
    sigma. The geometry is that of scikit-learn's `make_moons`, shifted to mean 0."""
    angle = np.linspace(0, np.pi, 10_001)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    centre = np.array([0.5, 0.25])
    return _curve("two_moons", [upper - centre, np.array([1, 0.5]) - upper - centre], sigma)


def _mixture(name: str, centers: np.ndarray, sigma: float) -> Source:
    """Return a mixture of equally likely modes at `centers` [K, 2]."""
    _check(name, sigma)
    return _source(lambda random, count: centers[random.randint(len(centers), size=count)], centers, sigma)


def _curve(name: str, strokes: list[np.ndarray], sigma: float) -> Source:
    """Return points uniform in arc length on polylines [M, 2], all of equal length."""
    _check(name, sigma)

    def point_at(fraction: np.ndarray) -> np.ndarray:
        """Return the points [N, 2] at fractions [N] of the whole length, 0 to 1, stroke after stroke."""
        stroke, fraction = np.divmod(fraction * len(strokes), 1)
        points = np.empty((len(fraction), 2))
        for i, line in enumerate(strokes):
            length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
            chosen = stroke == i
            points[chosen] = np.stack([np.interp(fraction[chosen] * length[-1], length, axis) for axis in line.T], axis=1)
        return points

    length = sum(np.linalg.norm(np.diff(line, axis=0), axis=1).sum() for line in strokes)
    per_piece = math.ceil(_DENSITY * length / sigma / PIECES)
    centers = point_at((np.arange(PIECES * per_piece) + 0.5) / (PIECES * per_piece))
    mode = np.repeat(np.arange(PIECES), per_piece)
    return _source(lambda random, count: point_at(random.rand(count)), centers, sigma, mode)


def _check(name: str, sigma: float) -> None:
    if isinstance(sigma, bool) or not isinstance(sigma, int | float) or not 0.001 <= sigma <= 10:
        raise InputError(f"data {name}: sigma must be a number from 0.001 to 10, got {sigma!r}")


def _source(
    draw: Callable[[np.random.RandomState, int], np.ndarray], centers: np.ndarray, sigma: float, mode: np.ndarray | None = None
) -> Source:
    """Return the points of `draw` plus noise, evaluated by `metrics.modes`; `mode` [number of centres] numbers the mode of each
    centre, by default one each. There are no labels: the game is unconditional."""

    def evaluator(data: Data, protocol: Protocol = Protocol()) -> Measure:
        from gan_jax.metrics.jackknife import with_errors
        from gan_jax.metrics.modes import modes

        if protocol.extractor or protocol.metrics:
            raise InputError(f"{data.name} is evaluated by its modes: --extractor and --metrics do not apply")

        def statistic(samples: np.ndarray) -> dict[str, float]:
            return modes(samples, centers, sigma, mode)

        @lru_cache(maxsize=2)
        def real(count: int) -> dict[str, float]:
            return {f"{name}_real": value for name, value in statistic(data.test.samples[:count]).items()}

        def measure(samples: np.ndarray, label: np.ndarray | None = None) -> dict[str, float]:
            values = with_errors(statistic, (samples,)) if protocol.errors else statistic(samples)
            return values | real(len(samples))

        kind = f"{len(centers)} modes" if mode is None else f"{PIECES} pieces of equal length"
        description = f"the {kind} of {data.name}, standard deviation {sigma}"
        return Measure(measure, description, {"data": data.name, "checksum": data.checksum})

    # A fixed seed: the points are the same whatever the run's seed. RandomState's stream never changes (NEP 19).
    random = np.random.RandomState(0)
    points = draw(random, TRAIN + TEST) + sigma * random.randn(TRAIN + TEST, 2)
    points = points.astype(np.float32)
    shown = presentation(centers, sigma, mode)
    return Source(
        train=Split(points[:TRAIN], None),
        test=Split(points[TRAIN:], None),
        num_classes=0,
        to_float=_as_stored,
        show=shown.show,
        pack=shown.pack,
        evaluator=evaluator,
        num_shown=2_500,
        format=Format("points", {"centers": centers, "sigma": sigma, "mode": mode}),
    )


def presentation(centers: np.ndarray, sigma: float, mode: np.ndarray | None) -> Presentation:
    """Return the presentation of points near `centers` [K, 2]; for the arguments see `_source`."""
    return Presentation(
        show=partial(_show, centers=centers, sigma=sigma, mode=mode),
        pack=lambda samples: {"samples": samples},
        decode=np.asarray,
    )


def _as_stored(points):
    return points


def _show(samples: np.ndarray, centers: np.ndarray, sigma: float, mode: np.ndarray | None) -> dict[str, bytes]:
    from gan_jax.data import toy_drawing

    scatter = toy_drawing.plan(samples, centers, sigma, mode is not None)
    return {".png": toy_drawing.png(scatter), ".svg": toy_drawing.svg(scatter)}
