"""Shared by all commands: parsing, JSON output, XLA flags. Exit code 0 on success, 2 for invalid input, 1 for a failed run."""

import argparse
import json
import os
import re
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gan_jax.cli.spelling import unknown_flag, usual_spelling, whole
from gan_jax.errors import InputError, RunError, reason
from gan_jax.storage.files import write_atomically

SAMPLES = 10**9  # the most samples that a command generates

# Help texts of options that several commands have.
DATA_DIR_HELP = "directory that is searched for tfds:NAME data sets and relative paths (default: $GAN_JAX_DATA)"
EMA_HELP = "use an average of this relative width, 0.01 to 0.28, reconstructed from a run with --posthoc_ema"
TRUST_HELP = "run the code that the config.json of a run directory names, although you have not trained with it on this machine"
NO_CACHE_HELP = "compile all programs anew: neither read nor write the cache of compiled programs"
STANDING_HELP = "recompute the statistics of batch norm over this many batches of samples"


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that reports an error in one line, like all other errors, and prints its description unchanged. Flags
    may be spelled in all the ways of `spelling.py`."""

    def __init__(self, **options: Any):
        super().__init__(**{"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False} | options)

    def error(self, message: str) -> None:
        raise InputError(f"{message}; see --help")

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        flags = {flag[2:]: action for flag, action in self._option_string_actions.items() if flag.startswith("--")}
        switches = {name: False for name, action in flags.items() if action.nargs == 0 and name != "help"}
        argv = usual_spelling(sys.argv[1:] if args is None else args, flags, switches)
        options, rest = self.parse_known_args(argv, namespace)
        for i, part in enumerate(rest):
            if part.startswith("--") and part != "--":
                name, _, value = part[2:].partition("=")
                raise unknown_flag("option", name, value or "".join(rest[i + 1 : i + 2]), flags)
        if rest:
            self.error(f"unrecognized arguments: {' '.join(rest)}")
        return options


def seed(text: str) -> int:
    """Parse a seed: the `type` of a flag."""
    return whole_number(0, 2**32 - 1)(text)


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Return the parser of a whole number from `low` to `high`, also written as 1e4: the `type` of a flag."""

    def parse(text: str) -> int:
        digits = whole(text)
        if not re.fullmatch(r"[+-]?[0-9]{1,20}", digits.strip(), re.ASCII) or not low <= int(digits) <= high:
            raise argparse.ArgumentTypeError(f"must be a whole number from {low:,} to {high:,}, got {text}")
        return int(digits)

    return parse


def path(text: str) -> Path:
    """Parse a path, which need not exist: the `type` of a flag. "~" is the home directory."""
    try:
        parsed = Path(text).expanduser()
        parsed.exists()
    except (OSError, ValueError, RuntimeError) as error:  # too long, not readable, ~nobody
        raise argparse.ArgumentTypeError(f"{text!r} is not a path: {reason(error)}") from error
    return parsed


def path_of(what: str, text: str) -> Path:
    """Parse a path as `path` does, for an argument that is not always a path. Raises InputError."""
    try:
        return path(text)
    except argparse.ArgumentTypeError as error:
        raise InputError(f"{what}: {error}") from error


def out_file(text: str) -> Path:
    """Parse the path of an output file: the `type` of a flag, so that a wrong path is reported before the work starts."""
    if path(text).is_dir() or not path(text).absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"must be a file in an existing directory, got {text}")
    if path(text).name in ("config.json", "environment.json") and (path(text).parent / "config.json").is_file():
        raise argparse.ArgumentTypeError(f"must be a file of its own, and {text} is part of a run")
    return path(text)


def write_json(out: Path, result: Any) -> None:
    """Write a result as JSON, as `write_output` does."""
    write_output(out, json.dumps(result, indent=2) + "\n")


def write_output(out: Path, text: str) -> None:
    """Write a file whole or not at all; to a device or pipe, such as /dev/stdout, directly. Raises InputError if it cannot be
    written."""
    content = text.encode(errors="backslashreplace")
    try:
        if out.exists() and not out.is_file():
            out.write_bytes(content)
        else:
            write_atomically(out.resolve(), content)
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}; choose another file") from error


# The first forbids operations that sum in a varying order, and raises an error for those without a deterministic implementation
# (the gradient of max pooling); the second disables autotuning, which chooses by timing among algorithms with different
# rounding.
DETERMINISTIC = ("--xla_gpu_deterministic_ops=true", "--xla_gpu_autotune_level=0")


def make_deterministic() -> None:
    """Make XLA's GPU programs produce the same bits every time, through XLA_FLAGS; call it before JAX starts. CPU programs
    always do."""
    # If a flag is repeated, XLA uses the last one.
    os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *DETERMINISTIC]).strip()


def use_cores_as_devices() -> None:
    """Make JAX treat each core of a CPU as a device, through XLA_FLAGS; call it before JAX starts. Runs distributed over these
    devices use all cores, whereas the operations of a single small network leave most of them idle. The user's own flag takes
    precedence."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    flag = f"--xla_force_host_platform_device_count={cores}"
    # If a flag is repeated, XLA uses the last one.
    os.environ["XLA_FLAGS"] = f"{flag} {os.environ.get('XLA_FLAGS', '')}".strip()


def use_cached_programs(enabled: bool) -> None:
    """If `enabled`, keep compiled programs and use those of earlier commands (`storage/compiled.py`). Call it once the command
    line is parsed, before anything is compiled; it imports JAX."""
    if not enabled:
        return
    from gan_jax.storage.compiled import cache_programs

    if problem := cache_programs():
        print(f"warning: {problem}", file=sys.stderr)


def command(main: Callable[[], None]) -> None:
    """Run a command's `main`. An error becomes one line on stderr, after its traceback if `--debug` is given; a warning becomes
    one line, without the code that raised it."""
    warnings.formatwarning = lambda message, *_: f"warning: {' '.join(str(message).split())}\n"
    try:
        main()
    except InputError as error:
        _end(error, 2)
    except RunError as error:
        _end(error, 1)
    except KeyboardInterrupt:
        _end("stopped by Ctrl-C", 1)
    except BrokenPipeError:
        _end("the output was closed", 1)
    except Exception as error:
        if "RESOURCE_EXHAUSTED" in str(error) or isinstance(error, MemoryError):
            _end(f"the memory is full: {str(error).split(chr(10))[0]}", 1)
        _end(f"{type(error).__name__}: {error} (--debug shows where)", 1)


def _end(error: object, code: int) -> None:
    if "--debug" in sys.argv:
        traceback.print_exc()
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    sys.exit(code)
