"""Many hosts: the same command on each, its processes bound together by JAX's own runtime.

Each reads its share of every batch, computes its rows, and evaluates like all others, so that none waits for another and all
come to the same decisions. Only the first writes: log, samples, report. Checkpoints are written by all.
"""

import atexit
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

import jax
import numpy as np
from jax.experimental import multihost_utils

from gan_jax.errors import InputError, RunError

JOIN = 120  # seconds in which all processes must have come
HEARTBEAT = 30  # seconds without a sign of life after which a process counts as gone


def join(coordinator: str | None = None, processes: int | None = None, rank: int | None = None) -> None:
    """Joins the other processes; before JAX does anything else. SLURM, Open MPI, Kubernetes and TPU pods tell by themselves who
    takes part; elsewhere give the address HOST:PORT of the first process, their number, and which of them this is.

    Raises InputError where they do not find together."""
    try:
        jax.distributed.initialize(
            coordinator, processes, rank, initialization_timeout=JOIN, heartbeat_timeout_seconds=HEARTBEAT
        )
    except (ValueError, RuntimeError) as error:
        why = str(error).strip().split("\n")[0]
        raise InputError(
            f"--distributed: this process cannot join the others ({why}); where no cluster manager tells, "
            "give --coordinator HOST:PORT, --processes and --rank"
        ) from error


@contextmanager
def together() -> Iterator[None]:
    """Around what several hosts do. One that fails does not wait at its end for the others, which may never come: they find it
    gone. Raises RunError where another has gone."""
    try:
        yield
    except BaseException as error:
        if alone():
            raise
        atexit.register(os._exit, 1)
        broken = _broken(error)
        if broken is not None:
            why = str(broken).strip().split("\n")[0]
            raise RunError(
                f"another process has gone ({why}): the same command again, on all, goes on from the newest checkpoint"
            ) from error
        raise


def _broken(error: BaseException | None) -> BaseException | None:
    """What the runtime raised, which may be why a checkpoint could not be saved; a collective that breaks was seen to raise
    ValueError, too."""
    while error is not None and not isinstance(error, jax.errors.JaxRuntimeError):
        if isinstance(error, ValueError) and any(name in str(error) for name in ("Gloo", "NCCL")):
            break
        error = error.__cause__
    return error


def share() -> tuple[int, int]:
    """(which process this is, of how many)."""
    return jax.process_index(), jax.process_count()


def is_first() -> bool:
    """Whether this process writes."""
    return jax.process_index() == 0


def alone() -> bool:
    return jax.process_count() == 1


def any_of(flag: bool) -> bool:
    """Whether `flag` is true in any process; all must ask, and wait for each other and their devices."""
    return flag if alone() else bool(multihost_utils.process_allgather(np.array(flag)).any())


def meet() -> None:
    """Goes on when all processes are here."""
    any_of(False)


def check_same(what: str, told: str) -> None:
    """Raises InputError in all processes where they do not all have the same text."""
    if alone():
        return
    digest = np.frombuffer(hashlib.sha256(told.encode()).digest()[:4], np.uint32)
    found = multihost_utils.process_allgather(digest)
    if (found != found[0]).any():
        different = [str(i) for i in range(len(found)) if (found[i] != found[0]).any()]
        raise InputError(f"{what} of process {', '.join(different)} is not that of process 0: all must run the same command")
