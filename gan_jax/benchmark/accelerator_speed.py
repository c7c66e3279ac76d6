"""Training steps on an accelerator, ours and PyTorch's: parts of `gan_jax benchmark --accelerator`."""

import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any

from gan_jax.benchmark.accelerator import COMPUTES, Task, describe, games
from gan_jax.benchmark.cases import Case
from gan_jax.errors import RunError

REPEATS = 3
SECONDS, TRACED_SECONDS = 0.6, 0.5  # duration of a timed run, and of a traced one, unless one step takes longer
MAX_MICROBATCHES = 16
MEMORY_MARGIN = 0.9  # of the device's memory that a program may take
COMPILING = 0.6  # of the time left: after that, the steps that have compiled are measured


def speed(task: Task) -> None:
    """The speed of matrix products, which is the peak; the speed of our steps, and how they spend their time."""
    import jax

    results: dict[str, Any] = {"device": jax.devices()[0].device_kind, "jax": jax.__version__}
    results["peak"] = {compute: product_flops(compute, 256 if task.smoke else 8192) for compute in COMPUTES}
    task.record(results)
    cases = games(task.smoke)
    for compute in COMPUTES:
        with ThreadPoolExecutor(len(cases)) as pool:
            steps = {name: pool.submit(compiled_step, task, case, compute) for name, case in cases.items()}
            wait(steps.values(), COMPILING * task.seconds_left())
            for name in sorted(steps, key=lambda name: not steps[name].done()):
                measured = attempt(task, partial(measure_ours, task, steps.pop(name), cases[name].period))
                results.setdefault(name, {"case": describe(cases[name])})[compute] = measured
                task.record(results)


def product_flops(compute: str, size: int) -> float:
    """Floating-point operations per second of a product of square matrices, in the fastest of several runs."""
    import jax
    import jax.numpy as jnp

    a, b = jax.random.normal(jax.random.key(0), (2, size, size), jnp.dtype(compute))
    product, best = jax.jit(jnp.dot), float("inf")
    product(a, b).block_until_ready()
    for _ in range(REPEATS):
        start = time.perf_counter()
        results = [product(a, b) for _ in range(20)]
        jax.block_until_ready(results)
        best = min(best, (time.perf_counter() - start) / len(results))
    return 2.0 * size**3 / best


def compiled_step(task: Task, case: Case, compute: str) -> tuple[Any, dict[str, Any]]:
    """Compile our step with as few microbatches as the memory allows; return it, and facts about the program."""
    import jax

    from gan_jax.benchmark.product import ProductStep

    limit, parts = (jax.devices()[0].memory_stats() or {}).get("bytes_limit"), 1
    while task.seconds_left() > 0:
        start = time.perf_counter()
        step = ProductStep(case.at(compute=compute, microbatches=parts).config, case.shape, case.num_classes)
        sizes = step.compile().memory_analysis()
        memory = sizes.argument_size_in_bytes + sizes.temp_size_in_bytes
        if limit is None or memory < MEMORY_MARGIN * limit or parts == MAX_MICROBATCHES:
            facts = {"batch": case.config.batch, "microbatches": parts, "memory_bytes": memory}
            return step, facts | {"compile_seconds": time.perf_counter() - start}
        parts *= 2
    raise RunError("out of time")


def measure_ours(task: Task, compiled: Future, period: int) -> dict[str, Any]:
    """Time and trace the result of `compiled_step`, whose lazy penalties repeat after `period` steps."""
    step, facts = compiled.result(task.seconds_left())
    seconds = seconds_per_step(step, period)
    count = steps_within(TRACED_SECONDS, seconds, period, step.steps_per_call)
    return facts | {"seconds": seconds, "trace": attempt(task, partial(trace, step, count))}


def trace(step: Any, count: int) -> dict[str, Any]:
    """The fraction of time in which the device is idle, and its most expensive operations."""
    from gan_jax.benchmark.profile import profile

    profiled = profile(lambda: step.run(count))
    return {"steps": count, "idle": 1 - profiled.busy, "operations": [operation._asdict() for operation in profiled.top]}


def seconds_per_step(step: Any, period: int) -> float:
    """Seconds per step in the fastest of several timed runs, of a multiple of `period` steps each."""
    step.run(period)
    start = time.perf_counter()
    step.run(period)
    count = steps_within(SECONDS, (time.perf_counter() - start) / period, period, 1_000)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        step.run(count)
        times.append((time.perf_counter() - start) / count)
    return min(times)


def steps_within(seconds: float, per_step: float, period: int, max_steps: int) -> int:
    """How many steps take about `seconds`: a multiple of `period`, at most `max_steps` unless `period` exceeds it."""
    return period * max(1, min(int(seconds / per_step), max_steps) // period)


def pytorch(task: Task) -> None:
    """The same games in PyTorch: compiled, channels_last, with autocast for bfloat16 and with TF32 for float32."""
    try:
        import torch
    except ImportError:
        task.record({"note": "PyTorch is not installed"})
        return
    from gan_jax.benchmark.twin import TwinStep

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    device = "cuda" if torch.cuda.is_available() else "cpu"
    results: dict[str, Any] = {"torch": torch.__version__}
    compiled = device == "cuda"  # on the CPU of a smoke run, compilation would take minutes

    def measured(name: str, case: Case, compute: str) -> dict[str, Any]:
        """Measure the step with the batch size of the case, halved until it fits in memory."""
        start, options = time.perf_counter(), {"compiled": compiled, "device": device, "autocast": compute == "bfloat16"}
        try:
            step = TwinStep(case.config, case.shape, case.num_classes, **options)
            step.run(1)
            facts = {"batch": case.config.batch, "compiled": compiled, "compile_seconds": time.perf_counter() - start}
            facts["seconds"] = seconds_per_step(step, case.period)
            # Counted once: the operations are those of the game, in any type and framework.
            return facts if "flops" in results[name] else facts | {"flops": step.flops() / case.config.batch}
        except torch.OutOfMemoryError:
            if case.config.batch == 1:
                raise
        step = None  # free its memory
        torch.cuda.empty_cache()
        return measured(name, case.at(batch=case.config.batch // 2), compute)

    for compute in COMPUTES:
        for name, case in games(task.smoke).items():
            results.setdefault(name, {"case": describe(case)})
            row = attempt(task, partial(measured, name, case, compute))
            if "flops" in row:
                results[name]["flops"] = row.pop("flops")  # per image
            results[name][compute] = row
            task.record(results)
            torch.cuda.empty_cache()


def attempt(task: Task, function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result of the function, or {"error": reason} if it fails, so that the other cases are still measured."""
    if task.seconds_left() <= 0:
        return {"error": "out of time"}
    try:
        return function()
    except Exception as error:
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"}
