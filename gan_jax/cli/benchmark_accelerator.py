"""Check and measure an accelerator within a few minutes: `gan_jax benchmark --accelerator --out DIR`.

Needs the package's dependencies, but neither a network nor tensorflow-datasets; PyTorch is measured beside ours if it is
installed. The parts run one after another, each in a process of its own with a share of the time; the last one gets the time
left over:

    checks      agreement with the CPU to 1e-4 (float32 without TF32); the same bits in a second run and after a kill, with the
                flags of train.py --deterministic; 8 seeds in one program
    speed       DCGAN, SNGAN, BigGAN, StyleGAN2 and R3GAN in bfloat16 and in float32 (TF32): seconds per step, the device's idle
                time, and the ten most expensive operations of a trace; the peak of matrix products
    pytorch     the same games in PyTorch: compiled, channels_last, with autocast to bfloat16, or TF32
    evaluation  50,000 images: sampling, features of the Inception network (with random weights unless --inception names a
                file), Frechet distance
    training    SNGAN on CIFAR-10 for the time that is left, if --data names it: an .npz of uint8 images [N, 32, 32, 3] and
                labels [N]; with --inception, its fid50k_full at the end

DIR/accelerator.json is updated with every result, so that an interruption loses nothing; DIR/log.txt holds what the parts
print; the training also leaves its log and its last samples. The exit code is 1 if a check fails. --smoke tries everything on a
CPU, at sizes that measure nothing.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from gan_jax.benchmark.accelerator import COMPUTES, GAMES, Task
from gan_jax.cli.command import Parser, command, make_deterministic, path, whole_number, write_json
from gan_jax.errors import InputError, RunError

# Shares of the time; the last part gets what is left.
PARTS = {"checks": 0.17, "speed": 0.35, "pytorch": 0.2, "evaluation": 0.08, "training": 1.0}
LAST = "training"
RESERVE = 0.05  # share of the time, for the end of each part
# In the checks several processes share the device; the speed is measured with nearly all of its memory.
MEMORY = {"checks": {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}, "speed": {"XLA_PYTHON_CLIENT_MEM_FRACTION": "0.92"}}
# A smoke run compiles longer than it computes: without optimisations, as in the tests.
QUICK = {"XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"}
MODULE = "gan_jax.cli.benchmark_accelerator"


def main() -> None:
    if sys.argv[1:2] == ["part"]:
        return run_part(*sys.argv[2:])
    if sys.argv[1:2] == ["train"]:
        return train_reproducibly(*map(Path, sys.argv[2:]))
    parser = Parser(description=__doc__)
    parser.add_argument("--accelerator", action="store_true", help="check and measure an accelerator")
    parser.add_argument("--out", type=path, required=True, metavar="DIR", help="folder of the results")
    parser.add_argument("--minutes", type=whole_number(1, 600), default=8, help="time for all parts (default: %(default)s)")
    parser.add_argument("--data", type=path, metavar="PATH.npz", help="CIFAR-10, or a part of it")
    parser.add_argument(
        "--inception", type=path, metavar="PATH", help="weights of the Inception network (see `gan_jax weights`)"
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="parts to run (default: all)")
    parser.add_argument("--smoke", action="store_true", help="try all parts on a CPU, at sizes that measure nothing")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    for file in (options.data, options.inception):
        if file is not None and not file.is_file():
            raise InputError(f"there is no file {file}")
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {options.out}: {error.strerror}") from error
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the parts end with this process
    try:
        results = run_all(options)
    finally:
        signal.signal(signal.SIGTERM, before)
    print(table(results))
    if options.smoke:
        print("a smoke run: these speeds mean nothing")
    print(f"written to {options.out / 'accelerator.json'}")
    failed = [name for name, check in results.get("checks", {}).items() if isinstance(check, dict) and not check["passed"]]
    failed += [f"{part}: {results[part]['error']}" for part in options.parts if "error" in results[part]]
    if failed:
        raise RunError(f"failed: {'; '.join(failed)}")


def run_all(options: Any) -> dict[str, Any]:
    """Run the parts one after another; return all results."""
    end, total = time.monotonic() + 60 * options.minutes, 60 * options.minutes
    settings = {
        name: file and str(file.absolute()) for name, file in (("data", options.data), ("inception", options.inception))
    }
    settings |= {"smoke": options.smoke, "out": str(options.out.absolute())}
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="gan_jax-accelerator-") as folder, open(options.out / "log.txt", "w") as log:
        for part in ("environment", *options.parts):
            left = end - time.monotonic() - RESERVE * total
            seconds = left if part == LAST else min(left, PARTS.get(part, 0.2) * total)
            print(f"{part}: at most {max(seconds, 0):.0f} s", flush=True)
            scratch = Path(folder, part)
            scratch.mkdir()
            job = json.dumps(settings | {"scratch": str(scratch), "seconds": seconds})
            environment = os.environ | (QUICK if options.smoke else MEMORY.get(part, {}))
            environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
            process = subprocess.Popen(
                [sys.executable, "-m", MODULE, "part", part, job],
                **{"stdout": log, "stderr": log, "env": environment, "process_group": 0},
            )
            results[part] = follow(process, scratch, seconds + RESERVE * total, lambda new: save(options.out, results | new))
            save(options.out, results)
            if part == "environment" and not options.smoke and results[part].get("backend") == "cpu":
                raise InputError("--accelerator: JAX finds no accelerator on this machine; --smoke tries the command on a CPU")
    return results


def follow(process: subprocess.Popen, folder: Path, seconds: float, save: Any) -> dict[str, Any]:
    """Wait for a part, saving its results whenever they change; end it after `seconds`. Returns its results."""
    end, results, file = time.monotonic() + seconds, {}, folder / "results.json"
    try:
        while True:
            code = process.poll()
            latest = json.loads(file.read_text()) if file.exists() else {}
            if latest != results:
                results = latest
                save({folder.name: results})
            if code is not None:
                return results if code == 0 else results | {"error": f"exit code {code}: see log.txt"}
            if time.monotonic() > end:
                return results | {"error": "out of time"}
            time.sleep(0.2)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # also what it has started
        process.wait()


def save(out: Path, results: dict[str, Any]) -> None:
    write_json(out / "accelerator.json", results)


def run_part(name: str, settings: str) -> None:
    """Run a part, in a process that `run_all` started."""
    job = json.loads(settings)
    end, scratch = time.monotonic() + job["seconds"], Path(job["scratch"])
    data, inception = (job[key] and Path(job[key]) for key in ("data", "inception"))
    task = Task(
        seconds_left=lambda: end - time.monotonic(),
        record=lambda results: write_json(scratch / "results.json", results),
        **{"smoke": job["smoke"], "data": data, "inception": inception, "out": Path(job["out"]), "scratch": scratch},
        train_command=lambda config, run_dir: [sys.executable, "-m", MODULE, "train", str(config), str(run_dir)],
    )
    if name == "environment":
        import jax

        from gan_jax.runs.environment import current_environment

        task.record({**current_environment(), "backend": jax.default_backend(), "device": jax.devices()[0].device_kind})
    elif name == "checks":
        from gan_jax.benchmark.checks import checks

        checks(task)
    elif name in ("speed", "pytorch"):
        from gan_jax.benchmark import accelerator_speed

        getattr(accelerator_speed, name)(task)
    else:
        from gan_jax.benchmark import accelerator_use

        getattr(accelerator_use, name)(task)


def train_reproducibly(config_file: Path, run_dir: Path) -> None:
    """Train as `train.py --deterministic` does, without the package that parses the flags of that command."""
    make_deterministic()
    from gan_jax.config import load_config
    from gan_jax.training.train import train

    train(load_config(config_file), run_dir)


def table(results: dict[str, Any]) -> str:
    """The checks and the speeds as text; the ratio is our images per second over PyTorch's."""
    lines = []
    for name, check in results.get("checks", {}).items():
        if isinstance(check, dict):
            lines.append(f"{'passed' if check['passed'] else 'FAILED'}  {name}  {check.get('difference', '')}".rstrip())
    ours, theirs = results.get("speed", {}), results.get("pytorch", {})
    lines += ["", f"{'ms per image':24} {'ours':>10} {'PyTorch':>10} {'ratio':>8} {'of peak':>8} {'idle':>8}"]
    for name in GAMES:
        for compute in COMPUTES:
            a, b = (per_image(steps.get(name, {}).get(compute, {})) for steps in (ours, theirs))
            flops, peak = theirs.get(name, {}).get("flops"), ours.get("peak", {}).get(compute)
            cells = [f"{1e3 * a:10.4f}" if a else f"{'-':>10}", f"{1e3 * b:10.4f}" if b else f"{'-':>10}"]
            cells.append(f"{b / a:8.2f}" if a and b else f"{'-':>8}")
            cells.append(f"{flops / a / peak:8.1%}" if a and flops and peak else f"{'-':>8}")
            idle = ours[name][compute]["trace"].get("idle") if a else None
            cells.append(f"{'-':>8}" if idle is None else f"{idle:8.1%}")
            lines.append(f"{f'{name}, {compute}':24} {' '.join(cells)}")
    return "\n".join(lines)


def per_image(step: dict[str, Any]) -> float | None:
    """The seconds of a step per image of its batch; None if it was not measured."""
    return step["seconds"] / step["batch"] if "seconds" in step else None


if __name__ == "__main__":
    command(main)
