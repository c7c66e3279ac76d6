"""Numbers, durations and JSON values as text, on pages and in tables."""

import math
from html import escape
from typing import Any

LARGE = 1e12  # from here on with an exponent


def format_number(value: float) -> str:
    """The number to four significant digits, or three if it is below 1; whole numbers, and numbers from 1000 to `LARGE`,
    without decimals."""
    if LARGE <= abs(value) < math.inf:
        return f"{value:.3e}"
    no_decimals = value.is_integer() or 1000 <= abs(value) < math.inf
    return f"{value:,.0f}" if no_decimals else f"{value:#.{4 if abs(value) >= 1 else 3}g}"


def format_duration(seconds: float) -> str:
    """`95 s`, or `12 min`."""
    return f"{seconds:.0f} s" if seconds < 600 else f"{seconds / 60:.0f} min"


def plain_text(value: Any) -> str:
    """A JSON value as readable text."""
    if isinstance(value, list):
        return ", ".join(map(plain_text, value))
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return str(value)


def escaped_text(value: Any) -> str:
    """`plain_text`, escaped for HTML."""
    return escape(plain_text(value))
