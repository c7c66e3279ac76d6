"""The two ways a command ends badly. The commands print either as one line; anything else that escapes is a bug of ours."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """The user asked for something that cannot be done. Names the thing and what is allowed. Exit code 2, nothing written."""


class RunError(RuntimeError):
    """A run that had started could not go on. Names what happened and how to go on. Exit code 1."""


def unknown(what: str, name: str, known: Iterable[str]) -> InputError:
    """An `InputError` for a name that is not among the known ones: it lists them and suggests the nearest."""
    known = sorted(known)
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return InputError(f"unknown {what} {name!r}: {hint}known: {', '.join(known) or 'none'}")
