"""Specifications: what users type to choose a variant, taken apart. `NAME`, `NAME(key=value, ...)`, and sums of them.

NAME is anything up to the first `(`: a variant's name, or `path/mine.py:margin`; values are Python literals. Nothing here
knows which names there are.
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
    """`ring(sigma=0.01)` -> ("ring", {"sigma": 0.01}). Raises InputError for what is not of this form."""
    name, bracket, rest = text.partition("(")
    name = name.strip()
    if not name or ")" in name:
        raise InputError(f"{text!r} must be {_CALL}")
    return name, _arguments(text, "(" + rest.rstrip()) if bracket else {}


def parse_sum(text: str) -> list[tuple[float, str, dict[str, Any]]]:
    """`0.5 * r1 + path/mine.py:margin` -> [(0.5, "r1", {}), (1.0, "path/mine.py:margin", {})]: weight, name and arguments of
    each term. Raises InputError for what is not of this form."""
    terms = []
    for term in _terms(text):
        weight, star, call = term.partition("*") if "*" in term.partition("(")[0] else ("1", "", term)
        try:
            value = float(weight)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise InputError(
                f"{text!r}: the weight before {star} must be a finite number, got {weight.strip()!r}; write {_SUM}"
            )
        if not call.strip():
            raise InputError(f"{text!r}: a term is missing; write {_SUM}")
        terms.append((value, *parse_call(call)))
    return terms


def names_between_commas(text: str) -> tuple[str, ...]:
    """`"a, b"` -> ("a", "b"); a comma inside brackets does not separate."""
    return tuple(part.strip() for part in re.split(r",(?![^()]*\))", text) if part.strip())


def bind(what: str, name: str, function: Callable[..., Any], kwargs: dict[str, Any]) -> Callable[..., Any]:
    """`function` with its options `kwargs` given; itself where there are none. Raises InputError for an option that is not a
    keyword-only argument of it, in words that begin with `what` (loss, penalty, ...) and `name`."""
    if not kwargs:
        return function
    if is_dataclass(function):  # a record of `types.py`, whose options are those of the function inside
        return replace(function, function=bind(what, name, function.function, kwargs))
    parameters = inspect.signature(function).parameters.values()
    known = [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        for key in kwargs:
            if key not in known:
                raise unknown(f"option of {what} {name}", key, known)
    return partial(function, **kwargs)


def _arguments(text: str, brackets: str) -> dict[str, Any]:
    """The keyword arguments in `(key=value, ...)`: by Python's own grammar, and nothing in them is run."""
    call = f"f{brackets}"
    try:
        node = ast.parse(call, mode="eval").body
        # More may follow that Python takes for the same expression, or for a comment.
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and ast.get_source_segment(call, node) == call):
            raise ValueError("not one call")
        keys = [keyword.arg for keyword in node.keywords]
        if node.args or None in keys or len(set(keys)) < len(keys):
            raise ValueError("not keyword arguments, each once")
        return {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise InputError(f"{text!r} must be {_CALL}") from error


def _terms(text: str) -> list[str]:
    """`text` cut at each `+` that stands neither in brackets nor in a number such as 1e+2."""
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
