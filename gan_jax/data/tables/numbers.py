"""Numbers in the cells of a column: how a file writes them, their values, and new numbers in the same form.

Understood are decimal points and decimal commas, thousands separators (comma, point, space, apostrophe), a currency sign
before or after the number, percent signs, a unit of letters that all cells share, signs and exponents.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

LARGEST = 1e100  # magnitude of a number: the squares of larger ones overflow, and they are rather a mark of missing values
EXACT = 2**53  # larger integers are not all float64 numbers
MARKS = {".": ",", ",": "."}  # decimal mark -> the other one, which may separate thousands
_CURRENCIES = "$€£¥₹₽₩₺₫₴₪฿"
_CODES = "USD|EUR|GBP|JPY|CNY|CHF|INR|CAD|AUD"
_SPACES = " \u00a0\u202f"


@dataclass(frozen=True)
class Numbers:
    """How the numbers of a column are written."""

    decimals: int = 0  # most decimals in a cell; of the mantissa if there are exponents
    min_decimals: int = 0
    significant: int = 0  # most significant digits in a cell, if some have an exponent; otherwise 0
    exponent: str = ""  # "e" or "E" if all have an exponent
    mark: str = "."
    thousands: str = ""
    currency: str = ""  # before the number, with its space
    unit: str = ""  # after the number, with its space
    plus: bool = False  # whether numbers above 0 have a sign

    def parse(self, text: str) -> float:
        """Return the number in a cell, with or without the currency, unit and thousands separators of the column; if it is no
        such number, as Python writes it. Raises ValueError."""
        match = match_number(text.removesuffix(self.unit), self.mark)
        # The point of "45.123" separates no thousands in a column that has none: Python wrote it.
        if match and match["sep"] in (None, self.thousands) and match["currency"] in ("", self.currency) and not match["unit"]:
            return value(match)
        match = match_number(text, ".")
        if match and not (match["sep"] or match["currency"] or match["unit"]):
            return value(match)
        raise ValueError(text)

    def write(self, number: float) -> str:
        """Return the cell of a number."""
        digits = self._digits(abs(number))
        sign = "" if float(digits) == 0 else "-" if number < 0 else "+" if self.plus else ""
        whole, point, rest = digits.partition(".")
        whole = f"{int(whole):,}".replace(",", self.thousands) if self.thousands else whole
        return sign + self.currency + whole + point.replace(".", self.mark) + rest + self.unit

    def round(self, numbers: np.ndarray) -> np.ndarray:
        """Round numbers as `write` does."""
        if not self.significant and self.decimals <= 15:
            with np.errstate(over="ignore"):
                rounded = np.round(numbers, self.decimals)
            # Larger float64 numbers have no more decimals. Adding 0.0 turns -0.0 into 0.0.
            return np.where(np.abs(numbers) < 2**52 / 10**self.decimals, rounded, numbers) + 0.0
        return np.array([float(self._digits(abs(x))) * (-1 if x < 0 else 1) for x in numbers.tolist()]) + 0.0

    def _digits(self, number: float) -> str:
        if not self.significant:
            options = {"precision": self.decimals, "min_digits": self.min_decimals}
            return np.format_float_positional(number, trim="k" if self.min_decimals else "-", **options)
        if self.exponent:
            options = {"precision": self.decimals, "min_digits": self.min_decimals, "exp_digits": 2}
            digits = np.format_float_scientific(number, trim="k" if self.min_decimals else "-", **options)
            return digits.replace("e", self.exponent)
        digits = repr(float(f"{number:.{self.significant - 1}e}"))
        return digits if self.min_decimals else digits.removesuffix(".0")

    def __str__(self) -> str:
        count, digits = (self.significant, "significant digit") if self.significant else (self.decimals, "decimal")
        kind = f"numbers of {count} {digits}{'s' * (count > 1)}" if count else "integers"
        comma = ", decimal comma" if self.mark == "," and self.decimals else ""
        thousands = f", thousands separated by {self.thousands!r}" if self.thousands else ""
        unit = (self.currency + self.unit).strip()
        return kind + (f" in {unit}" if unit else "") + comma + thousands


@cache
def _pattern(mark: str) -> re.Pattern:
    grouped = rf"[1-9][0-9]{{0,2}}(?P<sep>[{MARKS[mark]}'’{_SPACES}])[0-9]{{3}}(?:(?P=sep)[0-9]{{3}})*"
    number = rf"(?P<whole>{grouped}|[0-9]*)(?:{re.escape(mark)}(?P<part>[0-9]*))?(?:(?P<e>[eE])(?P<power>[+-]?[0-9]{{1,3}}))?"
    sign, currency = "[-+−]?", f"(?:[{_CURRENCIES}]|{_CODES})[{_SPACES}]?"
    unit = rf"[{_SPACES}]?(?:[%‰{_CURRENCIES}]|{_CODES})"
    return re.compile(
        rf"(?P<sign>{sign})(?P<currency>(?:{currency})?)(?P<inner>{sign})(?=[0-9{mark}]){number}(?P<unit>{unit})?"
    )


def match_number(text: str, mark: str) -> re.Match | None:
    """Return the match of a number up to `LARGEST` with the decimal mark "." or ","; None if the text is none."""
    match = _pattern(mark).fullmatch(text)
    if match is None or (match["sign"] and match["inner"]) or not (match["whole"] or match["part"]):
        return None
    return match if abs(value(match)) <= LARGEST else None


def value(match: re.Match) -> float:
    """Return the number of a match."""
    whole = re.sub("[^0-9]", "", match["whole"]) or "0"
    number = float(f"{whole}.{match['part'] or '0'}e{match['power'] or '0'}")
    return -number if (match["sign"] + match["inner"]) in ("-", "−") else number


def is_code(match: re.Match) -> bool:
    """Whether a number is digits that are no quantity: with a leading zero, or an integer that float64 cannot hold."""
    if re.match("0[0-9]", match["whole"]):
        return True
    return not (match["part"] or match["e"]) and abs(value(match)) > EXACT


def infer_numbers(texts: Iterable[str], mark: str) -> tuple[Numbers, dict[str, float]]:
    """Return how most of the different texts of a column are written, with this decimal mark, and the values of those that are
    so written."""
    texts = list(texts)
    shared = _shared_unit(texts, mark)
    matches = {text: match for text in texts if (match := match_number(text.removesuffix(shared), mark))}
    if not matches:
        return Numbers(mark=mark), {}
    signs = Counter((match["currency"], match["unit"] or "") for match in matches.values())
    currency, unit = signs.most_common(1)[0][0]
    separators = Counter(match["sep"] for match in matches.values() if match["sep"])
    thousands = separators.most_common(1)[0][0] if separators else ""
    matches = {
        text: match
        for text, match in matches.items()
        if (match["currency"], match["unit"] or "") == (currency, unit) and match["sep"] in (None, thousands)
    }
    exponents = [match["e"] for match in matches.values()]
    decimals = [len(match["part"] or "") for match in matches.values() if all(exponents) or not match["e"]]
    significant = 0
    if any(exponents):
        digits = [re.sub("[^0-9]", "", match["whole"] + (match["part"] or "")).strip("0") for match in matches.values()]
        significant = min(17, max(1, *map(len, digits)))
    return Numbers(
        decimals=max(decimals),
        min_decimals=min(decimals),
        significant=significant,
        exponent=exponents[0] if all(exponents) else "",
        mark=mark,
        thousands=thousands,
        currency=currency,
        unit=unit + shared,
        plus=any("+" in match["sign"] + match["inner"] for match in matches.values()),
    ), {text: value(match) for text, match in matches.items()}


def _shared_unit(texts: list[str], mark: str) -> str:
    """Return the letters, such as " kg" or "°C", that end all texts and without which all are numbers; "" if there are none."""
    unit = re.search("[^0-9]*$", texts[0])[0] if texts else ""
    if not re.match(rf"[{_SPACES}]?[°º]?[^\W\d_]", unit) or not all(text.endswith(unit) for text in texts):
        return ""
    bare = [match_number(text.removesuffix(unit), mark) for text in texts]
    return "" if match_number(texts[0], mark) or None in bare or any(map(is_code, bare)) else unit
