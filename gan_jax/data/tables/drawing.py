"""Rows of a table for a person to look at: each column beside the real one's, how columns hang together, and the first rows."""

import io
import math

import numpy as np

from gan_jax.data.tables.metrics import association
from gan_jax.data.tables.schema import Categorical, Numeric, Schema, Table, cells

PANELS = 30  # columns drawn, at most
LEVELS = 12  # of a column, at most: the commonest
ROWS = 12  # written
REAL, MADE = "0.78", "tab:blue"


def picture(schema: Schema, rows: Table, real: Table) -> bytes:
    """A PNG: a panel for each column, real rows in grey behind these in blue, and at the end the strength of the dependence of
    any two columns, real and here. The frames depend on the real rows alone, so that pictures over time compare."""
    # The object-oriented API: pyplot keeps global state and picks a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = schema.columns[:PANELS]
    wide = min(6, max(3, math.ceil(math.sqrt(len(shown) + 2))))
    high = math.ceil((len(shown) + 2) / wide)
    figure = Figure(figsize=(2.3 * wide, 1.9 * high), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(high, wide, squeeze=False).flat)
    for axes in panels:
        axes.tick_params(labelsize=6)
        axes.set_yticks([])
    for axes, column in zip(panels, shown, strict=False):
        if isinstance(column, Numeric):
            i = schema.numeric.index(column)
            _numbers(axes, column, rows.numbers[:, i], real.numbers[:, i])
        else:
            i = schema.categorical.index(column)
            _levels(axes, column, rows.codes[:, i], real.codes[:, i])
    for axes, of, title in zip(panels[len(shown) :], (real, rows), ("dependence, real", "dependence, here"), strict=False):
        axes.imshow(association(of, schema.levels), vmin=-1, vmax=1, cmap="RdBu_r")
        axes.set_xticks([])
        axes.set_title(title, fontsize=7)
    for axes in panels[len(shown) + 2 :]:
        axes.set_axis_off()
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def text(schema: Schema, rows: Table) -> bytes:
    """The first rows, a line each, under the columns' names; then what the columns are."""
    first = cells(schema, Table(rows.numbers[:ROWS], rows.codes[:ROWS]))
    lines = ["" for _ in range(1 + min(len(rows.numbers), ROWS))]
    for name, column in first.items():
        written = [name, *(cell or "-" for cell in column)]
        width = max(map(len, written))
        lines = [f"{line}{cell:>{width}}  " for line, cell in zip(lines, written, strict=True)]
    described = [str(column) for column in schema.columns]
    return "\n".join([*(line.rstrip() for line in lines), "", *described, ""]).encode()


def _numbers(axes, column: Numeric, made: np.ndarray, real: np.ndarray) -> None:
    lacking = [np.isnan(x).mean() if len(x) else 0.0 for x in (real, made)]
    made, real = made[np.isfinite(made)], real[np.isfinite(real)]
    low, high = np.quantile(real, [0.002, 0.998])
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    edges = np.linspace(low - 0.05 * (high - low), high + 0.05 * (high - low), 31)
    tops = []
    for values, color, filled in ((real, REAL, True), (made, MADE, False)):
        share = np.histogram(values, edges)[0] / max(len(values), 1)
        axes.stairs(share, edges, color=color, fill=filled, linewidth=1)
        tops.append(share.max())
    axes.set(xlim=edges[[0, -1]], ylim=(0, 1.5 * tops[0]))  # a mode that all fall into may leave the frame
    missing = f"; missing {lacking[1]:.0%}, real {lacking[0]:.0%}" if any(lacking) else ""
    axes.set_title(f"{column.name[:28]}{missing}", fontsize=7)


def _levels(axes, column: Categorical, made: np.ndarray, real: np.ndarray) -> None:
    counts = np.bincount(real, minlength=column.choices)
    order = np.argsort(-counts, kind="stable")[:LEVELS]
    place = np.arange(len(order))
    axes.bar(place, counts[order] / max(len(real), 1), color=REAL, width=0.9)
    axes.bar(place, np.bincount(made, minlength=column.choices)[order] / max(len(made), 1), color=MADE, width=0.35)
    axes.set_xticks(place, [(column.levels[i] or "(missing)")[:9] for i in order], rotation=30 if len(order) > 3 else 0)
    axes.set_title(column.name[:28], fontsize=7)
