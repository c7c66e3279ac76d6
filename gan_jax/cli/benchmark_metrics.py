"""How long the metrics take, and how much memory, beside other tools: `python experiments/benchmark_metrics.py`.

Each tool reads the same random features from .npy files in a process of its own, so that its peak memory is its own. Timed is
the call alone, once, from features in memory to the value: what has to be compiled counts, what has to be imported does not.
Tools of another environment (one with PyTorch) run by its interpreter: `--python PATH`. A tool that is missing is left out
with a line; one that would not fit into memory is measured at --small_n instead, and ours beside it.
"""

import argparse
import contextlib
import io
import json
import os
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
    from gan_jax.cli.command import Parser, out_file, write_json
    from gan_jax.errors import InputError

    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--n", type=int, default=50_000, help="samples on each side (default: %(default)s)")
    parser.add_argument("--small_n", type=int, default=10_000, help="for tools that need N x N matrices (default: %(default)s)")
    parser.add_argument("--dim", type=int, default=2048, help="dimension of the features (default: %(default)s)")
    parser.add_argument("--metrics", nargs="+", choices=CASES, default=list(CASES), help="default: all")
    parser.add_argument("--tools", nargs="+", help="names of tools to run (default: all)")
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="interpreter that has the other tools")
    parser.add_argument("--json", type=out_file, metavar="PATH", help="write the table there as JSON too")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    for name, least in (("n", 2 * SUBSET_SIZE), ("small_n", 2 * SUBSET_SIZE), ("dim", 1)):
        if getattr(options, name) < least:
            raise InputError(f"--{name} must be at least {least}, got {getattr(options, name)}")
    known = sorted({tool for tools in CASES.values() for tool in tools})
    if not set(options.tools or known) <= set(known):
        raise InputError(f"--tools must be among {', '.join(known)}, got {' '.join(options.tools)}")
    if options.json and not options.json.parent.is_dir():
        raise InputError(f"--json {options.json}: there is no folder {options.json.parent}")

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
    print(f"{options.dim} float32 features on each side, {cores()} cores; peak GB: all of the process but the features")
    if options.json:
        write_json(options.json, {"dim": options.dim, "cores": cores(), "rows": rows})
        print(f"written to {options.json}")


def measure(metric: str, tools: list[str], options: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """A row for each tool, at --n or at --small_n; where one had to be small, ours is measured at that, too."""
    small = []
    for tool in tools:
        need = BYTES_PER_PAIR.get((metric, tool), 0) * options.n**2
        if need > free_memory() and options.small_n < options.n:
            print(f"{metric}, {tool}: {options.n:,} samples need {need / 1e9:.0f} GB, {free_memory() / 1e9:.0f} GB are free; "
                  f"measured at {options.small_n:,}", flush=True)  # fmt: skip
            small.append(tool)
    runs = [(tool, options.n) for tool in tools if tool not in small]
    runs += [(tool, options.small_n) for tool in tools if tool in small or (small and tool == OURS)]
    rows = []
    for tool, n in runs:
        print(f"measuring: {metric}, {tool}, {n:,} samples", flush=True)
        python = sys.executable if tool == OURS else options.python
        if not (folder / f"real{n}.npy").exists():
            run_case(sys.executable, "features", str(options.dim), n, folder)
        found = run_case(python, metric, tool, n, folder)
        if found is None:
            print(f"{metric}, {tool}: not installed for {python}", flush=True)
        else:
            rows.append({"metric": metric, "tool": tool, "n": n} | found)
    return rows


def run_case(python: str, metric: str, tool: str, n: int, folder: Path) -> dict[str, Any] | None:
    arguments = [python, __file__, "--case", metric, tool, str(n), str(folder)]
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode == MISSING:
        return None
    if done.returncode:
        from gan_jax.errors import RunError

        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RunError(f"{metric}, {tool}, {n:,} samples failed: {last}")
    return json.loads(done.stdout.splitlines()[-1])


def case(metric: str, tool: str, n: str, folder: str) -> None:
    """What runs in the process of a tool. It prints a line of JSON."""
    import resource

    if metric == "features":
        return make_features(int(n), int(tool), Path(folder))
    warnings.simplefilter("ignore")  # of other tools
    try:
        version, measured = metadata.version(tool), CASES[metric][tool]()
    except (ImportError, metadata.PackageNotFoundError):
        sys.exit(MISSING)
    real, fake = (np.load(Path(folder) / f"{side}{n}.npy", allow_pickle=False) for side in ("real", "fake"))
    start, cpu_start = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        value = measured(real, fake)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    peak_gb = (peak - real.nbytes - fake.nbytes) / 1e9
    row = {"version": version, "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_gb": peak_gb}
    print(json.dumps(row | {"value": [float(x) for x in value]}))


def make_features(n: int, dim: int, folder: Path) -> None:
    """Positive, of uneven variances and correlated, as features of networks are."""
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((256, dim), np.float32) * np.arange(1, 257, dtype=np.float32)[:, None] ** -0.7
    for side, shift, scale in (("real", 0.0, 1.0), ("fake", 0.05, 1.05)):
        x = np.empty((n, dim), np.float32)
        for start in range(0, n, 5000):
            rows = x[start : start + 5000]
            rows[:] = scale * rng.standard_normal((len(rows), 256), np.float32) @ mix + shift
            rows += 0.3 * rng.standard_normal(rows.shape, np.float32)
            np.abs(rows, out=rows)
        np.save(folder / f"{side}{n}.npy", x)
    print("{}")


# Each case imports its tool and returns what is timed: (real, fake) -> values.


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

    def measured(real, fake):
        statistics = [fid_features_to_statistics(torch.from_numpy(x)) for x in (real, fake)]
        return fid_statistics_to_metric(*statistics, verbose=False).values()

    return measured


def fidelity_kid() -> Callable:
    import torch
    from torch_fidelity.metric_kid import kid_features_to_metric

    options = {"kid_subsets": SUBSETS, "kid_subset_size": SUBSET_SIZE, "verbose": False}

    def measured(real, fake):
        found = kid_features_to_metric(torch.from_numpy(real), torch.from_numpy(fake), **options)
        return [found["kernel_inception_distance_mean"]]

    return measured


def fidelity_prdc() -> Callable:
    """Precision and recall only, in its memory-saving mode."""
    import torch
    from torch_fidelity.metric_prc import prc_features_to_metric

    options = {"prc_neighborhood": NEIGHBOURS, "save_cpu_ram": True, "verbose": False}

    def measured(real, fake):
        found = prc_features_to_metric(torch.from_numpy(fake), torch.from_numpy(real), **options)  # fakes come first there
        return [found["precision"], found["recall"]]

    return measured


def torchmetrics_of(metric: Callable) -> Callable:
    def measured(real, fake):
        import torch

        network = torch.nn.Identity()
        network.num_features = real.shape[1]
        distance = metric(network)
        for start in range(0, len(real), SUBSET_SIZE):
            distance.update(torch.from_numpy(real[start : start + SUBSET_SIZE]), real=True)
            distance.update(torch.from_numpy(fake[start : start + SUBSET_SIZE]), real=False)
        found = distance.compute()
        return [found[0] if isinstance(found, tuple) else found]

    return measured


def torchmetrics_fid() -> Callable:
    from torchmetrics.image.fid import FrechetInceptionDistance

    return torchmetrics_of(FrechetInceptionDistance)


def torchmetrics_kid() -> Callable:
    from torchmetrics.image.kid import KernelInceptionDistance

    return torchmetrics_of(lambda network: KernelInceptionDistance(network, subsets=SUBSETS, subset_size=SUBSET_SIZE))


def pytorch_fid() -> Callable:
    from pytorch_fid.fid_score import calculate_frechet_distance

    def measured(real, fake):
        moments = [(x.mean(axis=0), np.cov(x, rowvar=False)) for x in (real, fake)]
        return [calculate_frechet_distance(*moments[0], *moments[1])]

    return measured


def reference_prdc() -> Callable:
    from prdc import compute_prdc

    return lambda real, fake: compute_prdc(real, fake, NEIGHBOURS).values()


# By metric, then by the distribution's name.
CASES: dict[str, dict[str, Callable]] = {
    "fid": {OURS: our_fid, "torch-fidelity": fidelity_fid, "torchmetrics": torchmetrics_fid, "pytorch-fid": pytorch_fid},
    "kid": {OURS: our_kid, "torch-fidelity": fidelity_kid, "torchmetrics": torchmetrics_kid},
    "prdc": {OURS: our_prdc, "prdc": reference_prdc, "torch-fidelity": fidelity_prdc},
}
BYTES_PER_PAIR = {("prdc", "prdc"): 13}  # what it takes at its peak, measured at 5,000 and 10,000 samples; rounded up


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> float:
    """Bytes that a new process may take; where the system does not say, any number."""
    try:
        return 1024 * int(Path("/proc/meminfo").read_text().split("MemAvailable:")[1].split()[0])
    except (OSError, IndexError, ValueError):
        return float("inf")


if __name__ == "__main__":  # in the environment of another tool, perhaps without this package
    case(*sys.argv[2:])
