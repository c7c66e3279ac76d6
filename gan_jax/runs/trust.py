"""Which code may run: a run directory names functions by file, and it may have been received from somebody else.

What a user names on the command line or in a recipe runs, and training records it in the user's cache. A config.json is data:
the code that it names runs only if this user has trained with it on this machine, or accepts it with --trust.
"""

import contextlib
import importlib.util
import json
import os
import stat
from dataclasses import asdict
from pathlib import Path

from gan_jax.config import Config
from gan_jax.errors import InputError, reading
from gan_jax.spec.lookup import is_code, split_code
from gan_jax.storage.cache import cache_path

_accepts_all = False  # by this process
# Windows has neither: there, the record is never believed, and a config.json that names code needs --trust.
_user = getattr(os, "geteuid", lambda: 0)
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


def accept_all() -> None:
    """Let this process run the code that any config.json names: --trust."""
    global _accepts_all
    _accepts_all = True


def named_code(config: Config) -> dict[str, list[str]]:
    """The code outside this package that a config names, by field: {"loss": ["path/mine.py:margin"]}."""
    named = {}
    for field, parse in Config.with_property("calls").items():
        calls = [] if getattr(config, field) is None else parse(getattr(config, field))
        named[field] = [name for name, _ in calls if is_code(name)]
        # The options of a network may name functions too, as path.py:function.
        values = (value for _, options in calls for value in options.values())
        named[field] += [value for value in values if isinstance(value, str) and ":" in value and is_code(value)]
    return {field: texts for field, texts in named.items() if texts}


def remember(config: Config) -> None:
    """Record the code that a config names as this user's own. Without a writable cache, nothing is recorded."""
    identities = {_identity(text) for texts in named_code(config).values() for text in texts}
    new = sorted(identities - _recorded())
    if not new:
        return
    with contextlib.suppress(OSError):
        _record().parent.mkdir(parents=True, exist_ok=True)
        file = os.open(_record(), os.O_WRONLY | os.O_APPEND | os.O_CREAT | _NO_LINKS, 0o600)
        with os.fdopen(file, "w") as record:  # short appended lines are not interleaved with those of other processes
            record.write("".join(json.dumps(identity) + "\n" for identity in new))


def check_code(config: Config, source: Path, stored: Config | None = None) -> None:
    """Raise InputError if `source`, a config.json, names code with which this user has not trained; it lists this code.

    `config` may differ from the `stored` one in fields that the user has set, which are not checked."""
    if _accepts_all:
        return
    stored = config if stored is None else stored
    unchanged = {name for name, value in asdict(stored).items() if asdict(config)[name] == value}
    recorded = _recorded()
    refused = {
        field: [text for text in texts if _identity(text) not in recorded]
        for field, texts in named_code(config).items()
        if field in unchanged
    }
    listed = ", ".join(f"{field} {text}" for field, texts in refused.items() for text in texts)
    if listed:
        raise InputError(
            f"{source} names code that would run with your permissions, and this user has not trained with it on this machine: "
            f"{listed}; if you trust it, add --trust"
        )


def _identity(text: str) -> str:
    """What identifies code, whatever the working directory: the file that would be loaded, and the function."""
    source, function = split_code(text)
    if source.endswith(".py"):
        with reading(f"the file {source!r}"):  # a name may hold a NUL
            return f"{Path(source).resolve()}:{function}"
    return f"{_package(source)} {source}:{function}"


def _package(source: str) -> str:
    """Where the top package of a module lies; nothing of it is executed."""
    try:
        spec = importlib.util.find_spec(source.partition(".")[0])
    except (ImportError, ValueError):
        spec = None
    return "nowhere" if spec is None else str(spec.origin or list(spec.submodule_search_locations or ()))


def _record() -> Path:
    return cache_path(f"trained-with-{_user()}.jsonl")  # a cache may be shared, trust may not


def _recorded() -> set[str]:
    """The recorded code; none if the file is missing, or if others could have written it."""
    try:
        with open(_record(), encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            if status.st_uid != _user() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return set()
            lines = file.read().splitlines()
    except (OSError, UnicodeDecodeError):
        return set()
    identities = set()
    for line in lines:
        with contextlib.suppress(ValueError):  # cut short by a full disk
            identities.add(json.loads(line))
    return {identity for identity in identities if isinstance(identity, str)}
