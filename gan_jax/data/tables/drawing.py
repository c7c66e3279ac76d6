"""Drawings and text of the rows of a table: the distribution of each column next to the real one, the associations of columns,
and the first rows."""

import math
from collections.abc import Sequence

import numpy as np

from gan_jax.data.tables.dates import Dates
from gan_jax.data.tables.metrics import association
from gan_jax.data.tables.schema import Categorical, Numeric, Schema, Table, cells
from gan_jax.imaging import vector

MAX_PANELS = 30  # columns drawn
MAX_LEVELS = 10  # levels drawn per column: the most frequent ones
MAX_ROWS = 12  # rows in the text
BINS = 30
COLUMNS, WIDTH, HEIGHT = 3, 300, 190  # panels beside each other, and the size of one in pixels
LEFT, RIGHT, TOP, BOTTOM = 40, 16, 30, 44  # margins of a panel
MAX_CELL = 14  # side of a cell of the associations, in pixels
NAMES = 75  # width of the names of its rows


def picture(schema: Schema, rows: Table, real: Table) -> bytes:
    """Return an SVG with a panel for each column, real rows filled behind the outline of generated ones, and two panels
    with the associations of all pairs of columns. The axes depend only on the real rows, so pictures of different steps are
    comparable."""
    shown = schema.columns[:MAX_PANELS]
    panels = []
    for column in shown:
        if isinstance(column, Numeric):
            i = schema.numeric.index(column)
            panels.append(_numbers(column, rows.numbers[:, i], real.numbers[:, i]))
        else:
            i = schema.categorical.index(column)
            panels.append(_levels(column, rows.codes[:, i], real.codes[:, i]))
    panels += [""] * (len(panels) % COLUMNS == COLUMNS - 1)  # so that the next two are beside each other
    for table, title in ((real, "Associations, real"), (rows, "Associations, generated")):
        panels.append(_associations(title, schema.columns, association(schema.grouped(table), schema.levels)))
    body = f'<g transform="translate(0 14)">{_key()}</g>'
    for i, panel in enumerate(panels):
        body += f'<g transform="translate({i % COLUMNS * WIDTH} {28 + i // COLUMNS * HEIGHT})">{panel}</g>'
    names = ", ".join(column.name for column in shown)
    description = (
        f"Distributions of the columns {names} among {len(rows.numbers):,} generated and {len(real.numbers):,} real rows"
    )
    return vector.document(COLUMNS * WIDTH, 28 + math.ceil(len(panels) / COLUMNS) * HEIGHT, body, description)


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


def _key() -> str:
    """What the two colours mean."""
    real = '<rect x="0" y="-9" width="14" height="10" fill="var(--real)"/>' + vector.text(20, 0, "real", 12)
    outline = '<rect x="61" y="-8" width="13" height="8" fill="none" stroke="var(--fake)" stroke-width="2"/>'
    return real + outline + vector.text(80, 0, "generated", 12)


def _frame(title: str, top: float, unit: str = "fraction of rows") -> str:
    """The title of a panel, its base line and its vertical axis from 0 to `top`."""
    bottom = HEIGHT - BOTTOM
    marks = vector.line(LEFT, bottom, WIDTH - RIGHT, bottom, "muted")
    for value in (0.0, top / 2, top):
        y = bottom - (bottom - TOP) * value / top
        marks += vector.line(LEFT, y, WIDTH - RIGHT, y) if value else ""
        marks += vector.text(LEFT - 5, y + 3.5, f"{value:.2g}", 10, "end", "muted")
    marks += vector.text(10, (TOP + bottom) / 2, unit, 9.5, "middle", "muted", -90)
    return vector.text(LEFT, 18, title, 12.5) + marks


def _nice(value: float) -> float:
    """The next number of 1, 2, 4, 5, 6, 8 times a power of ten that is not below `value`."""
    power = 10 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 4, 5, 6, 8, 10) if factor * power >= value * (1 - 1e-9))


def _numbers(column: Numeric, fake: np.ndarray, real: np.ndarray) -> str:
    missing_fractions = [np.isnan(x).mean() if len(x) else 0.0 for x in (real, fake)]
    fake, real = (column.scaled(x[np.isfinite(x)]) for x in (fake, real))
    low, high = np.quantile(real, [0.002, 0.998])
    low, high = (low, high) if high > low else (low - 0.5, high + 0.5)
    edges = np.linspace(low - 0.05 * (high - low), high + 0.05 * (high - low), BINS + 1)
    fractions = [np.histogram(values, edges)[0] / max(len(values), 1) for values in (real, fake)]
    top, bottom = _nice(1.2 * max(fractions[0].max(), 1e-9)), HEIGHT - BOTTOM
    x = LEFT + (WIDTH - LEFT - RIGHT) * np.arange(BINS + 1) / BINS

    def steps(heights: np.ndarray) -> str:
        y = np.maximum(TOP - 6, bottom - (bottom - TOP) * heights / top)  # bars of a collapsed column leave the axes
        return f"M{x[0]:.1f} {bottom}" + "".join(f"V{y[i]:.1f}H{x[i + 1]:.1f}" for i in range(BINS)) + f"V{bottom}"

    missing = f"; missing {missing_fractions[1]:.0%}, real {missing_fractions[0]:.0%}" if any(missing_fractions) else ""
    body = _frame(f"{column.name[:28]}{missing}", top)
    body += f'<path d="{steps(fractions[0])}" fill="var(--real)"/>'
    body += f'<path d="{steps(fractions[1])}" fill="none" stroke="var(--fake)" stroke-width="1.6"/>'
    for place, fraction in ((low, 0.05 / 1.1), ((low + high) / 2, 0.5), (high, 1.05 / 1.1)):
        written = column.form.write(column.unscaled(np.array([place]))[0]) if _has_form(column) else _plain(place)
        body += vector.text(LEFT + (WIDTH - LEFT - RIGHT) * fraction, bottom + 15, str(written), 10, "middle", "muted")
    return body


def _plain(value: float) -> str:
    """The number to four significant digits, with an exponent only if it is very large or small."""
    return f"{value:,.0f}" if 1_000 <= abs(value) < 1e7 else f"{value:.4g}"


def _has_form(column: Numeric) -> bool:
    """Whether positions on the axis are not the numbers themselves."""
    return bool(column.log_unit) or isinstance(column.form, Dates)


def _levels(column: Categorical, fake: np.ndarray, real: np.ndarray) -> str:
    counts = np.bincount(real, minlength=len(column.levels))
    order = np.argsort(-counts, kind="stable")[:MAX_LEVELS]
    fractions = [counts[order] / max(len(real), 1)]
    fractions.append(np.bincount(fake, minlength=len(column.levels))[order] / max(len(fake), 1))
    more = f" ({len(order)} of {len(column.levels)} levels)" if len(column.levels) > len(order) else ""
    top, bottom = _nice(1.05 * max(fractions[0].max(), fractions[1].max(), 1e-9)), HEIGHT - BOTTOM
    body, step = _frame(f"{column.name[:28]}{more}", top), (WIDTH - LEFT - RIGHT) / len(order)
    crowded = step < 54
    for i, level in enumerate(order):
        x = LEFT + (i + 0.5) * step
        for fraction, width, look in ((fractions[0][i], 0.8, 'fill="var(--real)"'), (fractions[1][i], 0.5, _OUTLINE)):
            height = (bottom - TOP) * fraction / top
            body += f'<rect x="{x - width * step / 2:.1f}" y="{bottom - height:.1f}" width="{width * step:.1f}"'
            body += f' height="{height:.1f}" {look}/>'
        name = column.levels[level] or "(missing)"
        if crowded:
            body += vector.text(x + 4, bottom + 13, name[:9], 10, "end", "muted", -30)
        else:
            body += vector.text(x, bottom + 15, name[: int(step / 5.5)], 10, "middle", "muted")
    return body


_OUTLINE = 'fill="none" stroke="var(--fake)" stroke-width="1.6"'


def _associations(title: str, columns: Sequence[Categorical | Numeric], table: np.ndarray) -> str:
    """The matrix of associations of columns, as squares whose opacity is the absolute value."""
    cell = min(MAX_CELL, (HEIGHT - TOP - BOTTOM + 20) / max(len(table), 1))
    named = len(table) == len(columns) and cell >= 9
    left = LEFT + NAMES if named else LEFT
    body = vector.text(LEFT, 18, title, 12.5)
    for i, column in enumerate(columns if named else ()):
        body += vector.text(left - 5, TOP + (i + 0.75) * cell, column.name[:14], 9, "end", "muted")
    for i, j in np.ndindex(*table.shape):
        value = float(np.nan_to_num(table[i, j]))
        colour = "positive" if value > 0 else "negative"
        body += f'<rect x="{left + j * cell:.1f}" y="{TOP + i * cell:.1f}" width="{cell - 1:.1f}" height="{cell - 1:.1f}"'
        body += f' fill="var(--{colour})" fill-opacity="{max(0.04, abs(value)):.2f}"/>'
    return body + vector.text(left, TOP + len(table) * cell + 14, "full red is 1, full blue −1", 10, "start", "muted")
