"""Pictures and text of the rows of a table: the distribution of each column next to the real one, the associations of columns,
and the first rows."""

import io
import math

import numpy as np

from gan_jax.data.tables.dates import Dates
from gan_jax.data.tables.metrics import association
from gan_jax.data.tables.schema import Categorical, Numeric, Schema, Table, cells

MAX_PANELS = 30  # columns drawn
MAX_LEVELS = 12  # levels drawn per column: the most frequent ones
MAX_ROWS = 12  # rows in the text
REAL, FAKE = "0.78", "tab:blue"


def picture(schema: Schema, rows: Table, real: Table) -> bytes:
    """Return a PNG with a panel for each column, real rows in grey behind generated ones in blue, and two panels with the
    associations of all pairs of columns. The axes depend only on the real rows, so pictures of different steps are
    comparable."""
    # The object-oriented API, because pyplot keeps global state and chooses a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = schema.columns[:MAX_PANELS]
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
    titles = ("associations, real", "associations, generated")
    for axes, table, title in zip(panels[len(shown) :], map(schema.grouped, (real, rows)), titles, strict=False):
        axes.imshow(association(table, schema.levels), vmin=-1, vmax=1, cmap="RdBu_r")
        axes.set_xticks([])
        axes.set_title(title, fontsize=7)
    for axes in panels[len(shown) + 2 :]:
        axes.set_axis_off()
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()


def text(schema: Schema, rows: Table) -> bytes:
    """Return the first rows, one per line, under the names of the columns, and a description of each column."""
    first = cells(schema, Table(rows.numbers[:MAX_ROWS], rows.codes[:MAX_ROWS]))
    lines = ["" for _ in range(1 + min(len(rows.numbers), MAX_ROWS))]
    for name, column in first.items():
        cell_texts = [name, *(cell or "-" for cell in column)]
        width = max(map(len, cell_texts))
        lines = [f"{line}{cell:>{width}}  " for line, cell in zip(lines, cell_texts, strict=True)]
    descriptions = [str(column) for column in schema.columns]
    return "\n".join([*(line.rstrip() for line in lines), "", *descriptions, ""]).encode()


def _numbers(axes, column: Numeric, fake: np.ndarray, real: np.ndarray) -> None:
    missing_fractions = [np.isnan(x).mean() if len(x) else 0.0 for x in (real, fake)]
    fake, real = (column.scaled(x[np.isfinite(x)]) for x in (fake, real))
    low, high = np.quantile(real, [0.002, 0.998])
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    edges = np.linspace(low - 0.05 * (high - low), high + 0.05 * (high - low), 31)
    tops = []
    for values, color, filled in ((real, REAL, True), (fake, FAKE, False)):
        fractions = np.histogram(values, edges)[0] / max(len(values), 1)
        axes.stairs(fractions, edges, color=color, fill=filled, linewidth=1)
        tops.append(fractions.max())
    axes.set(xlim=edges[[0, -1]], ylim=(0, 1.5 * tops[0]))  # bars of a collapsed column may exceed the axes
    missing = f"; missing {missing_fractions[1]:.0%}, real {missing_fractions[0]:.0%}" if any(missing_fractions) else ""
    axes.set_title(f"{column.name[:28]}{missing}", fontsize=7)
    if column.log_unit or isinstance(column.form, Dates):
        places = np.array([low, high])
        axes.set_xticks(places, map(column.form.write, column.unscaled(places)))


def _levels(axes, column: Categorical, fake: np.ndarray, real: np.ndarray) -> None:
    counts = np.bincount(real, minlength=len(column.levels))
    order = np.argsort(-counts, kind="stable")[:MAX_LEVELS]
    positions = np.arange(len(order))
    axes.bar(positions, counts[order] / max(len(real), 1), color=REAL, width=0.9)
    axes.bar(positions, np.bincount(fake, minlength=len(column.levels))[order] / max(len(fake), 1), color=FAKE, width=0.35)
    axes.set_xticks(positions, [(column.levels[i] or "(missing)")[:9] for i in order], rotation=30 if len(order) > 3 else 0)
    axes.set_title(column.name[:28], fontsize=7)
