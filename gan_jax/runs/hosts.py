"""Several hosts: the same command on each, as processes of one JAX distributed runtime.

Each reads and computes its rows of every batch, and evaluates like all others, so that no host waits for another's evaluation
and all make the same decisions. Only the first one writes the log, samples and report. All write checkpoints.
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

JOIN = 120  # seconds within which all processes must have joined
HEARTBEAT = 30  # seconds without a heartbeat after which a process counts as lost


def join(coordinator: str | None = None, processes: int | None = None, rank: int | None = None) -> None:
    """Join the other processes; call it before JAX does anything else. SLURM, Open MPI, Kubernetes and TPU pods provide the
    arguments; elsewhere pass the address HOST:PORT of the first process, the number of processes, and the index of this one.

    Raises InputError if the processes cannot connect."""
    try:
        jax.distributed.initialize(
            coordinator, processes, rank, initialization_timeout=JOIN, heartbeat_timeout_seconds=HEARTBEAT
        )
    except (ValueError, RuntimeError) as error:
        why = str(error).strip().split("\n")[0]
        raise InputError(
            f"--distributed: this process cannot join the others ({why}); without a cluster manager, "
            "pass --coordinator HOST:PORT, --processes and --rank"
        ) from error


@contextmanager
def abort_on_failure() -> Iterator[None]:
    """Context for the work of several hosts. A process that fails exits without waiting for the others, which may never finish:
    they detect its loss. Raises RunError if another process is lost."""
    try:
        yield
    except BaseException as error:
        if single_process():
            raise
        atexit.register(os._exit, 1)
        broken = _broken(error)
        if broken is not None:
            why = str(broken).strip().split("\n")[0]
            raise RunError(
                f"another process is lost ({why}): the same command again, on all hosts, resumes from the newest checkpoint"
            ) from error
        raise


def _broken(error: BaseException | None) -> BaseException | None:
    """The runtime's error among the causes of `error`, such as of a failed save; broken collectives may also raise
    ValueError."""
    while error is not None and not isinstance(error, jax.errors.JaxRuntimeError):
        if isinstance(error, ValueError) and any(name in str(error) for name in ("Gloo", "NCCL")):
            break
        error = error.__cause__
    return error


def process_slice() -> tuple[int, int]:
    """(index of this process, number of processes)."""
    return jax.process_index(), jax.process_count()


def is_first() -> bool:
    """Whether this process writes."""
    return jax.process_index() == 0


def single_process() -> bool:
    """Whether this is the only process."""
    return jax.process_count() == 1


def any_process(flag: bool) -> bool:
    """Whether `flag` is true in any process. All must call it, and wait for each other and their devices."""
    return flag if single_process() else bool(multihost_utils.process_allgather(np.array(flag)).any())


def barrier() -> None:
    """Wait for all processes."""
    any_process(False)


def check_same(what: str, text: str) -> None:
    """Raise InputError in all processes unless they all pass the same text."""
    if single_process():
        return
    digest = np.frombuffer(hashlib.sha256(text.encode()).digest()[:4], np.uint32)
    digests = multihost_utils.process_allgather(digest)
    if (digests != digests[0]).any():
        different = [str(i) for i in range(len(digests)) if (digests[i] != digests[0]).any()]
        raise InputError(
            f"{what} of process {', '.join(different)} differs from that of process 0: all must run the same command"
        )
