"""The two errors that a command reports to its user, as one line. Any other exception that reaches the user is a bug."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """The user's input is invalid. The message names it and says what is allowed. Exit code 2; nothing is written."""


class RunError(RuntimeError):
    """A run failed after it had started. The message says what happened and how to continue. Exit code 1."""


def unknown(what: str, name: str, known: Iterable[str]) -> InputError:
    """Return an `InputError` for a name that is not in `known`, which lists all known names and suggests the nearest."""
    known = sorted(known)
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {nearest[0]!r}? " if nearest else ""
    return InputError(f"unknown {what} {name!r}: {hint}known: {', '.join(known) or 'none'}")
