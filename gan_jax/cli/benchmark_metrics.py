"""Compare time and memory of the metrics with other tools: `gan_jax benchmark_metrics`.

Each tool reads the same random features from .npy files in a separate process, which gives its peak memory. Only the call is
timed, once, from features in memory to the value: including compilation, excluding imports. Tools that are installed in another
environment (one with PyTorch) run with its interpreter: `--python PATH`. A tool that is not installed is reported and skipped;
one that would exceed the available memory is measured with --small_n samples instead; then ours is measured with both numbers.
"""

import argparse
import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

SUBSETS, SUBSET_SIZE, NEIGHBOURS = 100, 1000, 5
MISSING = 3  # exit code of a case whose tool is not installed
OURS = "gan_jax"


def main() -> None:
    from gan_jax.cli.command import SAMPLES, Parser, out_file, whole_number, write_json
    from gan_jax.errors import InputError

    parser = Parser(description=__doc__)
    parser.add_argument(
        "--n",
        type=whole_number(2 * SUBSET_SIZE, SAMPLES),
        default=50_000,
        help="number of real and of fake samples (default: %(default)s)",
    )
    parser.add_argument(
        "--small_n",
        type=whole_number(2 * SUBSET_SIZE, SAMPLES),
        default=10_000,
        help="the same for tools whose N x N matrices exceed the memory (default: %(default)s)",
    )
    parser.add_argument(
        "--dim", type=whole_number(1, 10**6), default=2048, help="dimension of the features (default: %(default)s)"
    )
    parser.add_argument("--metrics", nargs="+", choices=CASES, default=list(CASES), help="metrics to measure (default: all)")
    parser.add_argument("--tools", nargs="+", help="names of tools to run (default: all)")
    parser.add_argument(
        "--python",
        type=interpreter,
        default=sys.executable,
        metavar="PATH",
        help="interpreter of the other tools (default: this one)",
    )
    parser.add_argument("--json", type=out_file, metavar="PATH", help="also write the table to this JSON file")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    all_tools = sorted({tool for tools in CASES.values() for tool in tools})
    if not set(options.tools or all_tools) <= set(all_tools):
        raise InputError(f"--tools must be among {', '.join(all_tools)}, got {' '.join(options.tools)}")

    rows = []
    with tempfile.TemporaryDirectory(prefix="benchmark_metrics_") as folder:
        for metric, tools in CASES.items():
            if metric in options.metrics:
                rows += measure(metric, [tool for tool in tools if tool in (options.tools or tools)], options, Path(folder))
    print(f"\n{'':6} {'N':>7}  {'tool':24} {'seconds':>8} {'CPU s':>8} {'peak GB':>8}  value")
    for row in rows:
        tool = f"{row['tool']} {row['version']}"
        times = f"{row['seconds']:8.1f} {row['cpu_seconds']:8.1f} {row['peak_gb']:8.2f}"
        print(f"{row['metric']:6} {row['n']:7,}  {tool:24} {times}  {', '.join(f'{x:.6g}' for x in row['value'])}")
    print(f"{options.dim} float32 features per sample, {cores()} cores; peak GB: memory of the process without the features")
    if options.json:
        write_json(options.json, {"dim": options.dim, "cores": cores(), "rows": rows})
        print(f"written to {options.json}")


def measure(metric: str, tools: list[str], options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """Return a row for each tool, with --n or --small_n samples. If any tool needs --small_n, ours is measured with both."""
    small = []
    for tool in tools:
        required = BYTES_PER_PAIR.get((metric, tool), 0) * options.n**2
        if required > free_memory() and options.small_n < options.n:
            memory = f"need {required / 1e9:.0f} GB, but {free_memory() / 1e9:.0f} GB are free"
            print(f"{metric}, {tool}: {options.n:,} samples {memory}; measuring {options.small_n:,} samples", flush=True)
            small.append(tool)
    runs = [(tool, options.n) for tool in tools if tool not in small]
    runs += [(tool, options.small_n) for tool in tools if tool in small or (small and tool == OURS)]
    rows = []
    for tool, n in runs:
        print(f"measuring: {metric}, {tool}, {n:,} samples", flush=True)
        python = sys.executable if tool == OURS else options.python
        if not (folder / f"real{n}.npy").exists():
            run_case(sys.executable, "features", str(options.dim), n, folder)
        result = run_case(python, metric, tool, n, folder)
        if result is None:
            print(f"{metric}, {tool}: not installed for {python}", flush=True)
        else:
            rows.append({"metric": metric, "tool": tool, "n": n} | result)
    return rows


def interpreter(text: str) -> str:
    """Parse the path or name of a program: the `type` of a flag, so that a wrong one is reported before the work starts."""
    if "\0" in text or shutil.which(text) is None:
        raise argparse.ArgumentTypeError(f"must be the interpreter of an environment, got {text!r}")
    return text


def run_case(python: str, metric: str, tool: str, n: int, folder: Path) -> dict[str, Any] | None:
    """Run `case` in a separate process; return its result, None if the tool is not installed. Raises RunError if it fails."""
    arguments = [python, __file__, "--case", metric, tool, str(n), str(folder)]
    process = subprocess.run(arguments, capture_output=True, text=True)
    if process.returncode == MISSING:
        return None
    if process.returncode:
        from gan_jax.errors import RunError

        last = (process.stderr.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        raise RunError(f"{metric}, {tool}, {n:,} samples failed: {last}")
    return json.loads(process.stdout.splitlines()[-1])


def case(metric: str, tool: str, n: str, folder: str) -> None:
    """Measure one tool, in its own process, and print the result as a line of JSON."""
    import resource

    if metric == "features":
        return make_features(int(n), int(tool), Path(folder))
    warnings.simplefilter("ignore")  # other tools raise many
    try:
        version, compute = metadata.version(tool), CASES[metric][tool]()
    except (ImportError, metadata.PackageNotFoundError):
        sys.exit(MISSING)
    real, fake = (np.load(Path(folder) / f"{name}{n}.npy", allow_pickle=False) for name in ("real", "fake"))
    start, cpu_start = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        value = compute(real, fake)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    peak_gb = (peak - real.nbytes - fake.nbytes) / 1e9
    row = {"version": version, "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_gb": peak_gb}
    print(json.dumps(row | {"value": [float(x) for x in value]}))


def make_features(n: int, dim: int, folder: Path) -> None:
    """Write random real and fake features: like those of networks, positive, correlated, and of uneven variances."""
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((256, dim), np.float32) * np.arange(1, 257, dtype=np.float32)[:, None] ** -0.7
    for name, shift, scale in (("real", 0.0, 1.0), ("fake", 0.05, 1.05)):
        x = np.empty((n, dim), np.float32)
        for start in range(0, n, 5000):
            rows = x[start : start + 5000]
            rows[:] = scale * rng.standard_normal((len(rows), 256), np.float32) @ mix + shift
            rows += 0.3 * rng.standard_normal(rows.shape, np.float32)
            np.abs(rows, out=rows)
        np.save(folder / f"{name}{n}.npy", x)
    print("{}")


# Each case imports its tool and returns the function that is timed: (real, fake) -> values.


def our_fid() -> Callable:
    from gan_jax.metrics.frechet import frechet_distance

    return lambda real, fake: [frechet_distance(real, fake)]


def our_kid() -> Callable:
    from gan_jax.metrics.kernel import kernel_distance

    return lambda real, fake: kernel_distance(real, fake, SUBSETS, SUBSET_SIZE)[:1]


def our_prdc() -> Callable:
    from gan_jax.metrics.prdc import prdc

    return lambda real, fake: prdc(real, fake, NEIGHBOURS).values()


def fidelity_fid() -> Callable:
    import torch
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    def compute(real, fake):
        statistics = [fid_features_to_statistics(torch.from_numpy(x)) for x in (real, fake)]
        return fid_statistics_to_metric(*statistics, verbose=False).values()

    return compute


def fidelity_kid() -> Callable:
    import torch
    from torch_fidelity.metric_kid import kid_features_to_metric

    options = {"kid_subsets": SUBSETS, "kid_subset_size": SUBSET_SIZE, "verbose": False}

    def compute(real, fake):
        result = kid_features_to_metric(torch.from_numpy(real), torch.from_numpy(fake), **options)
        return [result["kernel_inception_distance_mean"]]

    return compute


def fidelity_prdc() -> Callable:
    """Precision and recall only, in the tool's memory-saving mode."""
    import torch
    from torch_fidelity.metric_prc import prc_features_to_metric

    options = {"prc_neighborhood": NEIGHBOURS, "save_cpu_ram": True, "verbose": False}

    def compute(real, fake):
        # This function expects the fake samples first.
        result = prc_features_to_metric(torch.from_numpy(fake), torch.from_numpy(real), **options)
        return [result["precision"], result["recall"]]

    return compute


def torchmetrics_case(metric: Callable) -> Callable:
    def compute(real, fake):
        import torch

        network = torch.nn.Identity()
        network.num_features = real.shape[1]
        distance = metric(network)
        for start in range(0, len(real), SUBSET_SIZE):
            distance.update(torch.from_numpy(real[start : start + SUBSET_SIZE]), real=True)
            distance.update(torch.from_numpy(fake[start : start + SUBSET_SIZE]), real=False)
        result = distance.compute()
        return [result[0] if isinstance(result, tuple) else result]

    return compute


def torchmetrics_fid() -> Callable:
    from torchmetrics.image.fid import FrechetInceptionDistance

    return torchmetrics_case(FrechetInceptionDistance)


def torchmetrics_kid() -> Callable:
    from torchmetrics.image.kid import KernelInceptionDistance

    return torchmetrics_case(lambda network: KernelInceptionDistance(network, subsets=SUBSETS, subset_size=SUBSET_SIZE))


def pytorch_fid() -> Callable:
    from pytorch_fid.fid_score import calculate_frechet_distance

    def compute(real, fake):
        moments = [(x.mean(axis=0), np.cov(x, rowvar=False)) for x in (real, fake)]
        return [calculate_frechet_distance(*moments[0], *moments[1])]

    return compute


def reference_prdc() -> Callable:
    from prdc import compute_prdc

    return lambda real, fake: compute_prdc(real, fake, NEIGHBOURS).values()


# CASES[metric][name of the tool's distribution package] imports the tool and returns its function of (real, fake).
CASES: dict[str, dict[str, Callable]] = {
    "fid": {OURS: our_fid, "torch-fidelity": fidelity_fid, "torchmetrics": torchmetrics_fid, "pytorch-fid": pytorch_fid},
    "kid": {OURS: our_kid, "torch-fidelity": fidelity_kid, "torchmetrics": torchmetrics_kid},
    "prdc": {OURS: our_prdc, "prdc": reference_prdc, "torch-fidelity": fidelity_prdc},
}
BYTES_PER_PAIR = {("prdc", "prdc"): 13}  # peak memory, measured at 5,000 and 10,000 samples and rounded up


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> float:
    """Return the bytes of memory that a new process can use; infinity if the system does not report them."""
    try:
        return 1024 * int(Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0])
    except (OSError, IndexError, ValueError):
        return float("inf")


if __name__ == "__main__":  # run by `run_case`, perhaps in another environment without this package
    case(*sys.argv[2:])
