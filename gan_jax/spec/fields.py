"""Fields of the configuration with their bounds and properties, declared where the field stands."""

from collections.abc import Callable
from dataclasses import field
from typing import Any, Literal, NamedTuple, get_args, get_origin

from gan_jax.errors import InputError

Calls = Callable[[str], list[tuple[str, dict[str, Any]]]]  # a field's text -> the functions it names, with their options


class Bounds(NamedTuple):
    """Which values of a field are allowed: in words, and as a condition on a value that is not null."""

    allowed: str
    holds: Callable[[Any], bool]


LARGEST = 2**31 - 1  # steps and sizes are int32
_FLOAT32 = 3.4e38  # numbers become float32, in which larger ones are infinite
COUNT = Bounds("a whole number of at least 1 and below 2^31", lambda value: 1 <= value <= LARGEST)
SIZE = Bounds("at least 1 and below 2^31, or null", lambda value: 1 <= value <= LARGEST)
NOT_NEGATIVE = Bounds("a finite number of at least 0, at most 3.4e38", lambda value: 0 <= value <= _FLOAT32)
POSITIVE = Bounds("a finite number above 0, at most 3.4e38", lambda value: 0 < value <= _FLOAT32)
DECAY = Bounds("at least 0 and below 1", lambda value: 0 <= value < 1)
PROBABILITY = Bounds("between 0 and 1", lambda value: 0 <= value <= 1)


def bounded(default: Any, bounds: Bounds, **properties: Any) -> Any:
    """A field with bounds. Further properties: `network=True` for an option of the networks, `tunable=True` for a number that
    is traced, so that a sweep can vary it, and `weighs=FIELD` if it has no effect while that field is null."""
    return field(default=default, metadata={"bounds": bounds, **properties})


def network(default: Any = None) -> Any:
    """A field that is an option of the networks, without bounds."""
    return field(default=default, metadata={"network": True})


def optional(**properties: Any) -> Any:
    """A field that "none" leaves out, as null does."""
    return field(default=None, metadata={"none_is_null": True, **properties})


def names(default: str | None, calls: Calls) -> Any:
    """A field that names functions, the names and options of which `calls` returns."""
    return field(default=default, metadata={"calls": calls})


def check_type(name: str, annotation: Any, value: Any) -> None:
    """Raise InputError for a value that is not of a field's type; a whole number counts as a number."""
    allowed = get_args(annotation) or (annotation,)
    fits = value in allowed if get_origin(annotation) is Literal else type(value) in allowed
    fits = fits or (value is None and type(None) in allowed) or (type(value) is int and float in allowed)
    if not fits:
        raise InputError(f"{name}: expected {type_name(annotation)}, got {value!r}")


def type_name(annotation: Any) -> str:
    """A field's type, in words for users."""
    if get_origin(annotation) is Literal:
        return " or ".join(get_args(annotation))
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
    return " or ".join(words[kind] for kind in get_args(annotation) or (annotation,))
