"""How a device spends its time: its idle time and its most expensive operations, from a trace of JAX's profiler."""

import gzip
import json
import re
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax

from gan_jax.errors import RunError

TOP = 10
# Operations that contain others, and whose time would count twice.
_CONTAINERS = re.compile(r"(while|conditional|call|async)([.\-_]|$)")


class Operation(NamedTuple):
    """All executions of an operation, or of a kernel on a GPU."""

    name: str
    milliseconds: float
    count: int
    fraction: float  # of the time of all operations


class Profile(NamedTuple):
    """What a device did in a traced call."""

    milliseconds: float  # from the start of the first operation to the end of the last one
    busy: float  # fraction of this time in which at least one operation ran
    top: tuple[Operation, ...]  # the most expensive first


def profile(function: Callable[[], Any]) -> Profile:
    """Call the function, which must wait for its results, under JAX's profiler. Raises RunError if the trace has no
    operations."""
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    options.host_tracer_level = 1 if jax.default_backend() != "cpu" else 2  # level 2 records a CPU's operations
    with tempfile.TemporaryDirectory(prefix="gan_jax-trace-") as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            function()
        (path,) = Path(folder).rglob("*.trace.json.gz")
        with gzip.open(path) as file:
            return summarise(json.load(file)["traceEvents"])


def summarise(events: Iterable[dict[str, Any]]) -> Profile:
    """Reduce the events of a trace (Trace Event Format, times in microseconds) to those of the devices' streams or, if there is
    no device, of the operations on the host."""
    events = list(events)
    names = {"process_name": {}, "thread_name": {}}
    for event in events:
        if event.get("ph") == "M" and event["name"] in names:
            names[event["name"]][event["pid"], event.get("tid")] = event["args"]["name"]
    devices = {pid for (pid, _), name in names["process_name"].items() if name.startswith("/device:")}
    # Other rows of a device repeat the kernels of its streams by module, by operation and by source line.
    streams = {row for row, name in names["thread_name"].items() if row[0] in devices and name.startswith("Stream")}
    timed = [event for event in events if event.get("ph") == "X" and event.get("dur", 0) > 0]
    chosen = [event for event in timed if (event["pid"], event["tid"]) in streams]
    if not chosen:
        chosen = [event for event in timed if "hlo_op" in event.get("args", {}) and not _CONTAINERS.match(event["name"])]
    if not chosen:
        raise RunError("the profiler recorded no operations")
    total, count = defaultdict(float), defaultdict(int)
    for event in chosen:
        total[event["name"]] += event["dur"] / 1e3
        count[event["name"]] += 1
    start, end = min(event["ts"] for event in chosen), max(event["ts"] + event["dur"] for event in chosen)
    everything = sum(total.values())
    top = sorted(total, key=total.get, reverse=True)[:TOP]
    return Profile(
        (end - start) / 1e3,
        _covered([(event["ts"], event["ts"] + event["dur"]) for event in chosen]) / (end - start),
        tuple(Operation(name, total[name], count[name], total[name] / everything) for name in top),
    )


def _covered(intervals: list[tuple[float, float]]) -> float:
    """Length of the union of the intervals."""
    length, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        length += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return length
