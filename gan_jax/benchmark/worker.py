"""A process that times one framework, so that memory and the time to the first step are those of this framework alone. `Worker`
starts the process and drives it through pipes; several workers take turns.

The process answers lines of JSON: `{"start": name, "job": {...}}` builds a job and runs it once, `{"run": name, "calls": n}`
runs it n times, `{"flops": name}` counts its operations, `{"end": true}` ends the process.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gan_jax.errors import RunError

# Measure compilation, not the caches of earlier runs.
ENVIRONMENT = {"JAX_ENABLE_COMPILATION_CACHE": "false", "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}


class Worker:
    """A worker process, from the side of its parent. Raises RunError, with the last error of the process, if it fails."""

    def __init__(self, environment: dict[str, str] | None = None):
        self._started, self._stderr = time.perf_counter(), tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gan_jax.benchmark.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env=os.environ | ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | (environment or {}),
        )

    def start(self, name: str, job: dict[str, Any]) -> dict[str, float]:
        """Build `job` (see `BUILDERS`) and run it once. Returns the seconds of that run, `compile`, and `first`, the seconds
        until its end from the start of the process, or from the end of the previous `start`."""
        answer = self._ask({"start": name, "job": job})
        first, self._started = time.perf_counter() - self._started, time.perf_counter()
        return {"first": first, **answer}

    def run(self, name: str, calls: int) -> tuple[float, float]:
        """Run it `calls` times; return the wall and CPU seconds per call."""
        answer = self._ask({"run": name, "calls": calls})
        return answer["wall"] / calls, answer["cpu"] / calls

    def flops(self, name: str) -> float:
        return self._ask({"flops": name})["flops"]

    def end(self) -> dict[str, Any]:
        """End the process; return its peak memory in bytes as `memory`, and the `versions` of the frameworks it imported."""
        answer = self._ask({"end": True})
        self._process.wait()
        return answer

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            stream.close()

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        try:
            print(json.dumps(message), file=self._process.stdin, flush=True)
            return json.loads(self._process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError) as error:
            code = self._process.wait()
            self._stderr.seek(0)
            lines = [line for line in self._stderr.read().splitlines() if line.strip()]
            errors = [line for line in lines if "Error" in line.split(":")[0]]
            raise RunError((errors or lines or [f"exit code {code}"])[-1].strip()) from error


class Timed:
    """A job: `run(calls)` runs it `calls` times and waits for the results; `flops()` counts the operations of one call."""

    def __init__(self, run: Callable[[int], None], flops: Callable[[], float] | None = None):
        self.run, self.flops = run, flops


def build_step(config: dict[str, Any], shape: list[int], num_classes: int, form: str, **options: Any) -> Timed:
    """A training step: `form` is ours, eager or compiled; `options` are those of `ProductStep` or `TwinStep`."""
    from gan_jax.config import Config

    arguments = (Config(**config), tuple(shape), num_classes)
    if form == "ours":
        from gan_jax.benchmark.product import ProductStep

        step = ProductStep(*arguments, **options)
    else:
        from gan_jax.benchmark.twin import TwinStep

        step = TwinStep(*arguments, compiled=form == "compiled", **options)
    return Timed(step.run, step.flops)


def build_layer(layer: list[Any], form: str, threads: int) -> Timed:
    """A convolution: `form` is ours, stock or eager."""
    from gan_jax.benchmark import layers
    from gan_jax.benchmark.cases import Layer

    if form != "eager":
        return Timed(layers.jax_layer(Layer(*layer), form == "stock"))
    _set_threads(threads)
    return Timed(layers.torch_layer(Layer(*layer)))


def build_product(form: str, threads: int) -> Timed:
    """A product of matrices, whose speed defines the peak: `form` is ours or eager."""
    from gan_jax.benchmark import layers

    if form != "eager":
        return Timed(layers.jax_product())
    _set_threads(threads)
    return Timed(layers.torch_product())


def build_distance(count: int, dim: int) -> Timed:
    """The Frechet distance between two sets of `count` features of dimension `dim`: an evaluation without its networks."""
    import numpy as np

    from gan_jax.metrics.frechet import frechet_distance

    real, fake = np.random.default_rng(0).standard_normal((2, count, dim), np.float32)

    def run(calls: int) -> None:
        for _ in range(calls):
            frechet_distance(real, fake)

    return Timed(run)


BUILDERS = {"step": build_step, "layer": build_layer, "product": build_product, "distance": build_distance}


def _set_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def peak_memory() -> int:
    """The largest number of bytes that this process has held in memory."""
    try:
        # Unlike getrusage's figure, this one of Linux does not include the memory of the parent process.
        return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    except (OSError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def serve() -> None:
    """Answer the messages on stdin until the end."""
    # Libraries may print: their output goes to stderr.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    timed: dict[str, Timed] = {}
    for line in sys.stdin:
        message = json.loads(line)
        start, cpu = time.perf_counter(), time.process_time()
        if "start" in message:
            job = dict(message["job"])
            item = timed[message["start"]] = BUILDERS[job.pop("kind")](**job)
            start = time.perf_counter()
            item.run(1)
            answer = {"compile": time.perf_counter() - start}
        elif "run" in message:
            timed[message["run"]].run(message["calls"])
            answer = {"wall": time.perf_counter() - start, "cpu": time.process_time() - cpu}
        elif "flops" in message:
            answer = {"flops": timed[message["flops"]].flops()}
        else:
            versions = {name: sys.modules[name].__version__ for name in ("jax", "jaxlib", "torch") if name in sys.modules}
            answer = {"memory": peak_memory(), "versions": versions}
        print(json.dumps(answer), file=replies, flush=True)
        if "end" in message:
            return


if __name__ == "__main__":
    serve()
