"""How commands begin and end. Exit code 0 when done, 2 for input that cannot be used, 1 for a run that failed."""

import argparse
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gan_jax.errors import InputError, RunError


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose complaint is one line, like every other error."""

    def error(self, message: str) -> None:
        raise InputError(f"{message}; see --help")


def seed(text: str) -> int:
    """The `type` of a flag that is a seed."""
    if not (text.isdecimal() and int(text) < 2**32):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 2^32 - 1, got {text}")
    return int(text)


def out_file(text: str) -> Path:
    """The `type` of a flag that names a file to write: found not to be one before the work, not after it."""
    if Path(text).is_dir() or not Path(text).absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"must be a file in a folder that is there, got {text}")
    return Path(text)


def write_json(out: Path, result: Any) -> None:
    """Writes what a command found. Raises InputError where it cannot be written."""
    try:
        out.write_text(json.dumps(result, indent=2) + "\n")
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror}; choose another --out") from error


# The first forbids operations whose sums come in any order, and ends in an error where an operation knows no other way (the
# gradient of max pooling); the second keeps timings from choosing among algorithms with different last bits.
DETERMINISTIC = ("--xla_gpu_deterministic_ops=true", "--xla_gpu_autotune_level=0")


def make_deterministic() -> None:
    """Has XLA's GPU programs give the same bits every time, by XLA_FLAGS; before JAX starts. On a CPU they do anyway."""
    # The last of two equal flags counts.
    os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *DETERMINISTIC]).strip()


def use_cores_as_devices() -> None:
    """Has JAX take each core of a CPU for a device, by XLA_FLAGS; before it starts. Runs that are dealt out among them use all
    cores, of which the operations of a small network, sharing them, leave most idle. A user's own flag goes before."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    ours = f"--xla_force_host_platform_device_count={cores}"
    os.environ["XLA_FLAGS"] = f"{ours} {os.environ.get('XLA_FLAGS', '')}".strip()  # the last of two equal flags counts


def command(main: Callable[[], None]) -> None:
    """Runs a command's `main`. An error becomes one line on stderr; with `--debug`, its traceback comes before. So does a
    warning, without the code that it came from."""
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
        _end(f"{type(error).__name__}: {error} (--debug shows where)", 1)


def _end(error: object, code: int) -> None:
    if "--debug" in sys.argv:
        traceback.print_exc()
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
    sys.exit(code)
