"""Scaling laws of times: of a step with batch, width, resolution, seeds and devices, and of an evaluation with its samples.

Each law t = a n^b is the least-squares line through the logarithms of the medians.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from gan_jax.benchmark.cases import CASES, Case
from gan_jax.benchmark.measure import Say, step_job, take_turns
from gan_jax.benchmark.worker import Worker

SMALL = CASES["dcgan"].at(g_width=16, d_width=16, batch=16)
DIM = 512  # of the features of an evaluation


def sweeps() -> dict[str, dict[int, Case]]:
    """Our steps to time: {quantity that grows: {its value: case}}."""
    return {
        "batch": {batch: SMALL.at(batch=batch) for batch in (8, 16, 32, 64, 128)},
        "width": {width: SMALL.at(g_width=width, d_width=width) for width in (8, 16, 32, 64)},
        "resolution": {size: SMALL._replace(shape=(size, size, 1)) for size in (16, 32, 64, 128)},
    }


def measure_growth(results: dict[str, Any], repeats: int, say: Say, save: Callable[[], None]) -> None:
    """Measure all laws and add them to `results["growth"]`: {quantity that grows: {"description", "sizes", "ms" (medians),
    "exponent", "factor"}}. `save` is called after each."""
    growth = results["growth"]
    step = "DCGAN 32x32x1, width 16, batch 16"
    for name, cases in sweeps().items():
        say(f"growth with {name}")
        jobs = {size: step_job(case, "ours") for size, case in cases.items()}
        growth[name] = law(f"step, {step}, by {name}", jobs, repeats)
        save()
    say("growth with seeds")
    mlp = CASES["mlp8"]
    jobs = {count: step_job(mlp, "ours", seeds=count, devices=None) for count in (1, 2, 4, 8, 16)}
    growth["seeds"] = law(f"step of all, {mlp.description}, by seeds", jobs, repeats, _fake_devices(2))
    save()
    say("growth with devices")
    jobs = {count: step_job(SMALL, "ours", devices=count) for count in (1, 2, 4)}
    growth["devices"] = law(f"step, {step}, by fake devices", jobs, repeats, _fake_devices(4))
    save()
    say("growth of an evaluation")
    jobs = {count: {"kind": "distance", "count": count, "dim": DIM} for count in (1000, 4000, 16_000, 64_000)}
    growth["samples"] = law(f"Frechet distance of {DIM} features, by samples", jobs, repeats)
    save()


def law(
    description: str, jobs: dict[int, dict[str, Any]], repeats: int, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """Time jobs {size: job} in one worker, in turns, and fit the law."""
    with Worker(environment) as worker:
        for size, job in jobs.items():
            worker.start(str(size), job)
        runs = {str(size): lambda calls, size=size: worker.run(str(size), calls) for size in jobs}
        times = take_turns(runs, repeats)
    medians = [float(np.median(times[str(size)]["wall"])) for size in jobs]
    exponent, factor = fit(list(jobs), medians)
    return {"description": description, "sizes": list(jobs), "ms": medians, "exponent": exponent, "factor": factor}


def fit(sizes: list[int], times: list[float]) -> tuple[float, float]:
    """Fit the law t = a n^b by least squares on logarithms; return (b, a)."""
    exponent, intercept = np.polyfit(np.log(sizes), np.log(times), 1)
    return float(exponent), float(np.exp(intercept))


def _fake_devices(count: int) -> dict[str, str]:
    return {"XLA_FLAGS": f"--xla_force_host_platform_device_count={count}"}
