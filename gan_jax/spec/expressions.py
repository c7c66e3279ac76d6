"""Parse the expressions with which users choose variants: `NAME`, `NAME(key=value, ...)`, and sums of them.

NAME is anything up to the first `(`: a variant's name, or `path/mine.py:margin`; values are Python literals. Names are not
resolved here.
"""

import ast
import inspect
import math
import re
from collections.abc import Callable
from dataclasses import is_dataclass, replace
from functools import partial
from typing import Any

from gan_jax.errors import InputError, unknown

_CALL = "NAME or NAME(key=value, ...), values being numbers, strings, tuples, True, False or None"
_SUM = "a sum such as r1 + 0.3 * lecam(decay=0.9)"


def parse_call(text: str) -> tuple[str, dict[str, Any]]:
    """`ring(sigma=0.01)` -> ("ring", {"sigma": 0.01}). Raises InputError for text of any other form."""
    name, bracket, rest = text.partition("(")
    name = name.strip()
    if not name or ")" in name:
        raise InputError(f"{text!r} must be {_CALL}")
    return name, _arguments(text, "(" + rest.rstrip()) if bracket else {}


def parse_sum(text: str) -> list[tuple[float, str, dict[str, Any]]]:
    """`0.5 * r1 + path/mine.py:margin` -> [(0.5, "r1", {}), (1.0, "path/mine.py:margin", {})]: weight, name and arguments of
    each term. Raises InputError for text of any other form."""
    terms = []
    for term in _terms(text):
        weight, star, call = term.partition("*") if "*" in term.partition("(")[0] else ("1", "", term)
        try:
            value = float(weight)
        except ValueError:
            value = math.nan
        if not abs(value) <= 3.4e38:  # larger numbers are infinite in float32
            raise InputError(
                f"{text!r}: the weight before {star} must be a finite number, got {weight.strip()!r}; write {_SUM}"
            )
        if not call.strip():
            raise InputError(f"{text!r}: a term is missing; write {_SUM}")
        terms.append((value, *parse_call(call)))
    return terms


def single_call(text: str) -> list[tuple[str, dict[str, Any]]]:
    """`NAME(key=value)` -> [(name, options)]: see `parse_call`."""
    return [parse_call(text)]


def calls_in_sum(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The name and options of each term of a sum: see `parse_sum`."""
    return [(name, options) for _, name, options in parse_sum(text)]


def listed_names(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The names between commas, each without options."""
    return [(name, {}) for name in names_between_commas(text)]


def names_between_commas(text: str) -> tuple[str, ...]:
    """Split `"a, b"` into ("a", "b"); commas inside brackets do not separate."""
    return tuple(part.strip() for part in re.split(r",(?![^()]*\))", text) if part.strip())


def bind(what: str, name: str, function: Callable[..., Any], kwargs: dict[str, Any]) -> Callable[..., Any]:
    """Return `function` with its options `kwargs` bound. Options are its keyword-only arguments, or any if it takes `**kwargs`.
    Raises InputError for an unknown option; the message contains `what` (loss, penalty, ...) and `name`."""
    if not kwargs:
        return function
    if is_dataclass(function):  # a record of `types.py`: the options are those of its function
        return replace(function, function=bind(what, name, function.function, kwargs))
    parameters = inspect.signature(function).parameters.values()
    options = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        for key in kwargs:
            if key not in options:
                raise unknown(f"option of {what} {name}", key, options)
    return partial(function, **kwargs)


def _arguments(text: str, brackets: str) -> dict[str, Any]:
    """Parse the keyword arguments in `(key=value, ...)` by Python's grammar, without executing anything."""
    call = f"f{brackets}"
    try:
        node = ast.parse(call, mode="eval").body
        # The text may continue with something that Python accepts as part of the expression, or as a comment.
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and ast.get_source_segment(call, node) == call):
            raise ValueError("not one call")
        keys = [keyword.arg for keyword in node.keywords]
        if node.args or None in keys or len(set(keys)) < len(keys):
            raise ValueError("not keyword arguments, each once")
        return {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise InputError(f"{text!r} must be {_CALL}") from error


def _terms(text: str) -> list[str]:
    """Split `text` at each `+` that is neither inside brackets nor part of a number such as 1e+2."""
    terms, depth, quote = [""], 0, ""
    for i, character in enumerate(text):
        if quote:
            quote = "" if character == quote and text[i - 1] != "\\" else quote
        elif depth and character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == "+" and depth == 0 and not re.fullmatch(r"\s*[\d.]+[eE]", terms[-1]):
            terms.append("")
            continue
        terms[-1] += character
    return terms
