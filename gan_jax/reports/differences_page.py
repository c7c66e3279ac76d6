"""The differences between methods as HTML: a sentence about each metric, and a table of the tests behind it."""

from html import escape

from gan_jax.reports.differences import PLAN, Difference, Differences, conclusions, format_p
from gan_jax.reports.formatting import format_number
from gan_jax.reports.groups import Group
from gan_jax.reports.significance import LEVEL
from gan_jax.spec.glossary import describe_metric


def differences_section(group: Group, marks: dict[str, str]) -> str:
    """The contents of the section; empty if no metric can be compared."""
    if not group.differences:
        return ""
    body = ""
    for name, text in conclusions(group.differences).items():
        differences = group.differences.get(name)
        table = _table(differences) if differences and any(pair.test for pair in differences.pairs) else ""
        metric = f"<code>{escape(name)}</code> {describe_metric(name)[1]}: " if name else ""
        body += f"<p>{metric}{escape(text)}</p>{table}"
    notes = (
        f"Effect size: Hedges’ g, the difference in standard deviations over seeds. Interval: {1 - LEVEL:.0%}, for each pair "
        f"by itself. p: before and after Holm’s correction over all pairs; only pairs with the best or the first method are "
        f"shown. {PLAN}."
    )
    return f'{body}<p class="note">{escape(notes)}</p>' if "" not in conclusions(group.differences) else body


def _table(differences: Differences) -> str:
    heads = ["Methods", "Difference", f"{1 - LEVEL:.0%} interval", "Effect size", "p", "p (Holm)", "Seeds", "Seeds needed"]
    head = "".join(f"<th>{head}</th>" for head in heads)
    rows = "".join(_row(pair) for pair in differences.shown)
    table = f'<table class="methods dense"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    count = len(differences.shown)
    summary = "1 test" if count == 1 else f"{count} tests"
    return f'<details class="tests"><summary>{summary}</summary><div class="scroll" tabindex="0">{table}</div></details>'


def _row(pair: Difference) -> str:
    names = f"<th>{escape(pair.a.name)} − {escape(pair.b.name)}</th>"
    if pair.test is None:
        return f'<tr>{names}<td colspan="5">{escape(pair.why_untested)}</td><td>{pair.seeds}</td><td></td></tr>'
    low, high = map(format_number, pair.test.interval)
    p_value, p_holm = (format_p(p).removeprefix("= ") for p in (pair.test.p_value, pair.p_holm))
    cells = [
        format_number(pair.test.difference),
        f"{low} to {high}",
        f"{pair.test.effect_size:.2f}",
        escape(p_value),
        f"<b>{escape(p_holm)}</b>" if pair.distinct else escape(p_holm),
        pair.seeds,
        pair.describe_needed(),
    ]
    return f"<tr>{names}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
