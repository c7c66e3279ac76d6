"""Dates and times in the cells of a column: their format, their values as numbers, and new ones in the same format.

Formats are written as in `strptime`: ISO 8601, day/month/year and month/day/year with slashes, points or hyphens, English names
of months, and times of day with 24 or 12 hours, fractions of a second and a zone. Years of two digits are 1930 to 2029. The
value of a date is its days since 1970-01-01 (of a month, its months), that of a date with a time its seconds since then, in UTC
if there is a zone, and that of a time of day its seconds since midnight.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache

import numpy as np

_DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%Y-%m", "%d.%m.%Y", "%d.%m.%y"),
    *(f"{day}{mark}{month}{mark}{year}" for year in ("%Y", "%y") for mark in "/-" for day, month in ("dm", "md")),
    *(f"%d{mark}{month}{mark}{year}" for month in ("%b", "%B") for mark in " -" for year in ("%Y", "%y")),
    *("%b %d, %Y", "%B %d, %Y"),
)
_DATES = tuple(re.sub(r"(?<![%\w])([dm])(?=[/-])", r"%\1", pattern) for pattern in _DATES)
_CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p")
_TIMES = (*_CLOCKS, *(f"{clock}%z" for clock in _CLOCKS[:3]))
_FIELDS = {
    **{"Y": "[0-9]{4}", "y": "[0-9]{2}", "m": "[0-9]{1,2}", "d": "[0-9]{1,2}", "b": "[A-Za-z]{3}", "B": "[A-Za-z]{3,9}"},
    **{"H": "[0-9]{1,2}", "I": "[0-9]{1,2}", "M": "[0-9]{2}", "S": "[0-9]{2}", "f": "[0-9]{1,9}", "p": "[AaPp][Mm]"},
    "z": " ?(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2})",
}
_MONTHS = ("January", "February", "March", "April", "May", "June", "July")
_MONTHS += ("August", "September", "October", "November", "December")
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Dates:
    """How the dates or times of a column are written."""

    pattern: str  # as of `strptime`
    # Field of the pattern -> how it is written: the fewest digits of a number (of "f", the most), "title", "upper" or "lower"
    # for a name, and the zone itself.
    styles: Mapping[str, str] = field(default_factory=dict)
    several_zones: bool = False  # whether the column has other zones than `styles["z"]`

    @property
    def unit(self) -> float:
        """The smallest difference of two values."""
        if "%f" in self.pattern:
            return 10.0 ** -int(self.styles["f"])
        return 60 if "%M" in self.pattern and "%S" not in self.pattern else 1

    def parse(self, text: str) -> float:
        """Return the value of a cell in the format of the column, or in ISO 8601. Raises ValueError."""
        match = _regex(self.pattern).fullmatch(text)
        return _value(self.pattern, match.groupdict()) if match else _iso_value(self.pattern, text)

    def write(self, number: float) -> str:
        """Return the cell of a value."""
        number = round(number / self.unit) * self.unit
        if "%M" not in self.pattern:
            year, month, day = _month(number) if "%d" not in self.pattern else (_EPOCH + timedelta(days=number)).timetuple()[:3]
            moment = datetime(year, month, day)
        else:
            offset = _offset(self.styles.get("z", ""))
            moment = _EPOCH + timedelta(microseconds=round(number * 1e6)) + timedelta(seconds=offset)
        return re.sub("%([A-Za-z])", lambda directive: _written(directive[1], moment, self.styles), self.pattern)

    def round(self, numbers: np.ndarray) -> np.ndarray:
        """Round values to the resolution of the format."""
        return np.round(numbers, int(self.styles["f"])) if "%f" in self.pattern else np.round(numbers / self.unit) * self.unit

    def __str__(self) -> str:
        kind = " and ".join(kind for kind, part in (("dates", "%[Yy]"), ("times", "%M")) if re.search(part, self.pattern))
        zone = self.styles.get("z", "").strip()
        zone = zone and f" in zone {zone}{', to which others are converted' if self.several_zones else ''}"
        return f"{kind} as {self.pattern.replace('%z', '')}{zone}"


def infer_dates(texts: Iterable[str]) -> list[tuple[Dates, dict[str, float]]]:
    """Return the formats in which most of the different texts of a column are dates or times, with the values of these texts:
    none, one, or two that differ in the order of day and month."""
    texts = [text for text in texts if re.search("[0-9]", text) and re.search(r"[-/.: ]|^[0-9]{8}$", text)]
    candidates = dict.fromkeys(pattern for text in texts[:: max(1, len(texts) // 20)] for pattern in _patterns(text))
    found = []
    for pattern in candidates:
        values, fields = {}, []
        for text in texts:
            if match := _regex(pattern).fullmatch(text):
                with contextlib.suppress(ValueError):  # there is no such day or time
                    values[text] = _value(pattern, match.groupdict())
                    fields.append(match.groupdict())
        zones = {x["z"] for x in fields if "z" in x}
        found.append((Dates(pattern, _styles(pattern, fields), len(zones) > 1), values))
    most = max((len(values) for _, values in found), default=0)
    return [pair for pair in found if len(pair[1]) == most > 0]


def _patterns(text: str) -> Iterable[str]:
    """Yield the patterns that a text may have."""
    for time in _TIMES:
        if _regex(time).fullmatch(text):
            yield time
    for day in _DATES:
        match = _regex(day).match(text)
        rest = text[match.end() :] if match else text
        if match and not rest:
            yield day
        elif match and (separator := re.match("T|, | ", rest)):
            for time in _TIMES:
                if _regex(time).fullmatch(rest[separator.end() :]):
                    yield f"{day}{separator[0]}{time}"


@cache
def _regex(pattern: str) -> re.Pattern:
    parts = re.split("%([A-Za-z])", pattern)
    texts = [f"(?P<{part}>{_FIELDS[part]})" if i % 2 else re.escape(part) for i, part in enumerate(parts)]
    # Some programs leave out a fraction of zero.
    return re.compile("".join(texts).replace(rf"\.(?P<f>{_FIELDS['f']})", rf"(?:\.(?P<f>{_FIELDS['f']}))?"))


def _value(pattern: str, fields: Mapping[str, str]) -> float:
    """Return the value of the fields of a match. Raises ValueError if there is no such day or time."""
    if pattern.startswith("%Y%m%d") and len(fields["m"] + fields["d"]) < 4:
        raise ValueError("a date without separators has eight digits")
    year = int(fields["Y"]) if "Y" in fields else 1970
    if "y" in fields:
        year = int(fields["y"]) + (1900 if int(fields["y"]) >= 30 else 2000)
    name = (fields.get("b") or fields.get("B") or "").title()
    names = [month[:3] if "b" in fields else month for month in _MONTHS]
    month = names.index(name) + 1 if name else int(fields.get("m", 1))  # index raises ValueError
    hour = int(fields.get("H") or fields.get("I") or 0)
    if "p" in fields:
        if not 1 <= hour <= 12:
            raise ValueError("not an hour of twelve")
        hour = hour % 12 + 12 * (fields["p"].lower() == "pm")
    moment = datetime(year, month, int(fields.get("d", 1)), hour, int(fields.get("M", 0)), int(fields.get("S", 0)))
    if "M" in fields:
        fraction = float(f"0.{fields['f']}") if fields.get("f") else 0.0
        return (moment - _EPOCH) // timedelta(seconds=1) - _offset(fields.get("z", "")) + fraction
    return float((moment - _EPOCH).days if "d" in fields else 12 * (year - 1970) + month - 1)


def _iso_value(pattern: str, text: str) -> float:
    """Return the value, in the unit of a pattern, of a text in ISO 8601. Raises ValueError."""
    if not re.search("%[Yy]", pattern) or not re.search("[0-9]-[0-9]", text):
        raise ValueError(text)
    moment = datetime.fromisoformat(text)
    seconds = (moment.replace(tzinfo=None) - (moment.utcoffset() or timedelta(0)) - _EPOCH).total_seconds()
    if "%M" in pattern:
        return seconds
    if seconds % 86400:
        raise ValueError(text)
    return seconds / 86400 if "%d" in pattern else float(12 * (moment.year - 1970) + moment.month - 1)


def _styles(pattern: str, fields: list[dict[str, str]]) -> dict[str, str]:
    styles = {}
    for name in re.findall("%([A-Za-z])", pattern):
        texts = [x[name] for x in fields if x[name]]
        if name in "mdHI":
            styles[name] = str(min(map(len, texts), default=2))
        elif name == "f":
            styles[name] = str(min(6, max(map(len, texts), default=6)))
        elif texts:
            cases = {"b": _case, "B": _case, "p": _case, "z": str}
            styles |= {name: Counter(map(cases[name], texts)).most_common(1)[0][0]} if name in cases else {}
    return styles


def _case(text: str) -> str:
    return "upper" if text.isupper() else "lower" if text.islower() else "title"


def _written(name: str, moment: datetime, styles: Mapping[str, str]) -> str:
    style = styles.get(name, "2")
    numbers = {"d": moment.day, "m": moment.month, "H": moment.hour, "I": (moment.hour - 1) % 12 + 1}
    if name in numbers:
        return f"{numbers[name]:0{style}d}"
    if name in ("M", "S"):
        return f"{moment.minute if name == 'M' else moment.second:02d}"
    if name in ("Y", "y"):
        return f"{moment.year:04d}" if name == "Y" else f"{moment.year % 100:02d}"
    if name == "f":
        return f"{moment.microsecond:06d}"[: int(style)]
    if name == "z":
        return style
    text = ("AM", "PM")[moment.hour >= 12] if name == "p" else _MONTHS[moment.month - 1][: 3 if name == "b" else None]
    return getattr(text, style)() if style != "2" else text


def _month(number: float) -> tuple[int, int, int]:
    year, month = divmod(round(number), 12)
    return 1970 + year, month + 1, 1


def _offset(zone: str) -> int:
    """Return the seconds by which a zone is ahead of UTC."""
    match = re.search("([+-])([0-9]{2}):?([0-9]{2})", zone)
    return int(f"{match[1]}1") * (3600 * int(match[2]) + 60 * int(match[3])) if match else 0
