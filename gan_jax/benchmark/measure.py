"""Time workers in turns, and collect the results in one record, which is written as JSON (see `record`).

On a machine that runs other programs too, times drift by more than the differences of interest. So each form (`FORMS`) has a
process of its own: all compile, one after another, and are then timed in turns, in alternating order.
"""

import math
import os
import platform
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gan_jax.benchmark.cases import CASES, LAYERS, Case
from gan_jax.benchmark.layers import PEAK_FLOPS
from gan_jax.benchmark.worker import Worker
from gan_jax.errors import RunError
from gan_jax.runs.code import package_commit

FORMS = {"ours": "ours", "stock": "stock lax", "eager": "PyTorch", "compiled": "PyTorch compiled"}
TURN = 0.3  # the least duration of a turn, in seconds
PAUSE = 0.05  # seconds before a turn, until the threads of the previous process stop spinning
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

Say = Callable[[str], None]
Times = dict[str, list[float]]  # {"wall": milliseconds per call in each turn, "cpu": the same}


def has_torch() -> bool:
    return find_spec("torch") is not None


def machine() -> dict[str, Any]:
    """The properties of the machine: times are comparable only if they agree."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return {"processor": name, "cores": CORES, "system": platform.system()}


def record(command: str) -> dict[str, Any]:
    """An empty record of a benchmark."""
    head = {"command": command, "machine": machine(), "versions": {"python": platform.python_version()}}
    return {**head, "commit": package_commit(), "peak": {}, "steps": {}, "layers": {}, "growth": {}}


def take_turns(runs: Mapping[str, Callable[[int], tuple[float, float]]], repeats: int, multiple: int = 1) -> dict[str, Times]:
    """Time functions of the number of calls, which return the (wall, CPU) seconds per call. A turn lasts at least `TURN`
    seconds, and its number of calls is a multiple of `multiple`."""
    calls = {name: calls_in_turn(run, multiple) for name, run in runs.items()}
    times: dict[str, Times] = {name: {"wall": [], "cpu": []} for name in runs}
    for repeat in range(repeats):
        for name in sorted(runs, reverse=repeat % 2 == 1):
            time.sleep(PAUSE)
            wall, cpu = runs[name](calls[name])
            times[name]["wall"].append(wall * 1e3)
            times[name]["cpu"].append(cpu * 1e3)
    return times


def calls_in_turn(run: Callable[[int], tuple[float, float]], multiple: int) -> int:
    """The number of calls, a multiple of `multiple`, that takes at least `TURN` seconds."""
    calls = multiple
    while (seconds := run(calls)[0] * calls) < TURN:
        calls = math.ceil(calls * min(10.0, 1.2 * TURN / max(seconds, 1e-9)) / multiple) * multiple
    return calls


def step_job(case: Case, form: str, **options: Any) -> dict[str, Any]:
    """The job of a worker that takes this step."""
    head = {"kind": "step", "config": asdict(case.config), "shape": case.shape, "num_classes": case.num_classes}
    return {**head, "form": form, **({"threads": CORES} if form in ("eager", "compiled") else {}), **options}


def measure_step(case: Case, forms: tuple[str, ...], repeats: int, say: Say) -> dict[str, Any]:
    """Time a training step in each of `forms`. Returns {"description", "bar", "flops", "flops_source", "versions",
    "forms"}. For each form, `forms` has its `Times` with "first", the seconds until the end of the first step, "compile", by
    how much that step is longer than a later one, and "memory" in bytes; for a form of PyTorch that fails, {"failed": reason}.
    Raises RunError if ours fails."""
    workers: dict[str, Worker] = {}
    row: dict[str, Any] = {"description": case.description, "bar": case.bar, "flops": None, "versions": {}, "forms": {}}
    try:
        for form in forms:
            say(f"  {FORMS[form]}: compiling")
            workers[form] = Worker()
            try:
                row["forms"][form] = workers[form].start("step", step_job(case, form))
                workers[form].run("step", case.period)  # compiles the steps with other lazy penalties
            except RunError as error:
                if form == "ours":
                    raise
                say(f"  {FORMS[form]} failed: {error}")
                row["forms"][form] = {"failed": str(error)}
                workers.pop(form).__exit__()
        say("  taking turns")
        runs = {form: lambda calls, worker=worker: worker.run("step", calls) for form, worker in workers.items()}
        for form, times in take_turns(runs, repeats, case.period).items():
            row["forms"][form] |= times
            compiling = row["forms"][form]["compile"] - min(times["wall"]) / 1e3
            row["forms"][form]["compile"] = max(0.0, compiling)
        row["flops"], row["flops_source"] = _flops(workers)
        for form, worker in workers.items():
            answer = worker.end()
            row["forms"][form]["memory"] = answer["memory"]
            row["versions"] |= answer["versions"]
    finally:
        for worker in workers.values():
            worker.__exit__()
    return row


def _flops(workers: Mapping[str, Worker]) -> tuple[float, str]:
    """The operations of a step, and who counted them: PyTorch, whose count does not depend on how convolutions are computed, or
    XLA without PyTorch."""
    if "eager" in workers:
        return workers["eager"].flops("step"), "PyTorch"
    return workers["ours"].flops("step"), "XLA"


def measure_layers(layers: tuple, repeats: int, say: Say) -> tuple[dict[str, Any], dict[str, Any]]:
    """Time a product of matrices and convolutions. Returns the peak, {"flops" per second, "forms": {form: `Times`}}, and the
    convolutions, {description: {"flops", "forms": {form: `Times`}}}."""
    rows: dict[str, Any] = {}
    with ExitStack() as stack:
        ours = stack.enter_context(Worker())
        forms = {"ours": ours, "stock": ours} | ({"eager": stack.enter_context(Worker())} if has_torch() else {})

        def measure(name: str, job: dict[str, Any], forms: Mapping[str, Worker]) -> dict[str, Times]:
            say(f"  {name}")
            runs = {}
            for form, worker in forms.items():
                worker.start(form, {**job, "form": form, "threads": CORES})
                runs[form] = lambda calls, worker=worker, form=form: worker.run(form, calls)
            return take_turns(runs, repeats)

        product = measure("product of matrices", {"kind": "product"}, {f: w for f, w in forms.items() if f != "stock"})
        fastest = min(min(times["wall"]) for times in product.values())
        for layer in layers:
            times = measure(layer.description, {"kind": "layer", "layer": list(layer)}, forms)
            rows[layer.description] = {"flops": layer.flops, "forms": times}
    return {"flops": PEAK_FLOPS / fastest * 1e3, "forms": product}, rows


def measure(results: dict[str, Any], cases: list[str], repeats: int, say: Say, save: Callable[[], None]) -> None:
    """Measure the cases with these names, which may include "layers", and add them to a record; `save` is called after each."""
    forms = ("ours", "eager", "compiled") if has_torch() else ("ours",)
    # The peak is needed for every share of it.
    say("layers")
    results["peak"], results["layers"] = measure_layers(LAYERS if "layers" in cases else (), repeats, say)
    save()
    for name in cases:
        if name != "layers":
            say(CASES[name].description)
            row = measure_step(CASES[name], forms, repeats, say)
            results["versions"] |= row.pop("versions")
            results["steps"][name] = row
            save()
