"""The two errors that a command reports to its user, as one line. Any other exception that reaches the user is a bug."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

LONG = 60  # more names than this are a list that hides the answer


class InputError(ValueError):
    """The user's input is invalid. The message names it and says what is allowed. Exit code 2; nothing is written."""


class RunError(RuntimeError):
    """A run failed after it had started. The message says what happened and how to continue. Exit code 1."""


def unknown(what: str, name: str, known: Iterable[str]) -> InputError:
    """Return an `InputError` for a name that is not in `known`: it suggests the nearest name and lists all; if there are more
    than `LONG`, it lists them only if none is near."""
    known = sorted(known)
    lower_case = {text.lower(): text for text in known}
    nearest = difflib.get_close_matches(name.lower(), lower_case, n=1)
    hint = [f"did you mean {lower_case[nearest[0]]!r}?"] if nearest else []
    names = [] if nearest and len(known) > LONG else [f"known: {', '.join(known) or 'none'}"]
    return InputError(f"unknown {what} {name!r}: {' '.join(hint + names)}")


@contextmanager
def reading(what: str, failure: str = "cannot be read") -> Iterator[None]:
    """Turn any failure within the block into an `InputError` that begins with `what`, the user's input that is read there, or,
    with another `failure`, the user's function that is called there.

    For reading alone: what a library raises for a damaged file cannot be foreseen, whereas a failure in what we then do with
    its content is a bug, and must look like one."""
    try:
        yield
    except (InputError, RunError):
        raise
    except (Exception, SystemExit) as error:
        raise InputError(f"{what} {failure}: {reason(error)}") from error


@contextmanager
def needs(what: str, requirement: str, otherwise: str = "") -> Iterator[None]:
    """Turn the failure of an import within the block into an `InputError` with the line that installs what is missing, and
    `otherwise`, what to do without it: `with needs("BLEU needs nltk", "gan_jax[text]"): import nltk`."""
    try:
        yield
    except ImportError as error:
        raise InputError(f"{what}: pip install '{requirement}'{otherwise and f', {otherwise}'} ({error})") from error


def reason(error: BaseException) -> str:
    """The reason of a failure, in one sentence."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MemoryError):
        return "it does not fit in the memory"
    if isinstance(error, SystemExit):
        return f"it calls sys.exit({'' if error.code is None else repr(error.code)})"
    return f"{type(error).__name__}: {error}"
