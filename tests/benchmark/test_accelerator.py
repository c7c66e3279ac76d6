"""`experiments/benchmark.py --accelerator`: how its parts are run and their results read; the whole command at smoke size
(slow); and its checks on an accelerator (gpu)."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from gan_jax.benchmark.accelerator import GAMES, games
from gan_jax.cli import benchmark_accelerator
from gan_jax.cli.benchmark_accelerator import MODULE, PARTS, follow, table
from gan_jax.errors import InputError

ROOT = Path(__file__).parents[2]
# Dependencies of gan_jax that a machine with JAX and PyTorch may lack.
MISSING = ("array_record", "docstring_parser", "grain", "importlib_resources", "jsonargparse", "rdkit", "tensorflow_datasets")


def environment(**changes):
    """The environment of a process that uses all devices and compiles as for users; conftest.py restricts both."""
    kept = {name: value for name, value in os.environ.items() if name not in ("JAX_PLATFORMS", "XLA_FLAGS")}
    return kept | {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])} | changes


def part(tmp_path, program):
    """A process like those of the parts, whose `program` may write results.json."""
    folder = tmp_path / "part"
    folder.mkdir()
    return folder, subprocess.Popen([sys.executable, "-c", program], cwd=folder, process_group=0)


WRITE = "from pathlib import Path; write = lambda text: (Path('x').write_text(text), Path('x').rename('results.json'))\n"


def test_the_results_of_a_part_are_saved_while_it_runs(tmp_path):
    saved = []
    program = f"""{WRITE}
import time
write('{{"a": 1}}')
time.sleep(0.6)
write('{{"a": 1, "b": 2}}')
"""
    folder, process = part(tmp_path, program)
    assert follow(process, folder, 60, saved.append) == {"a": 1, "b": 2}
    assert saved == [{"part": {"a": 1}}, {"part": {"a": 1, "b": 2}}]


def test_a_part_that_takes_too_long_is_ended_with_its_child_processes(tmp_path):
    program = f"""{WRITE}
import subprocess, sys, time
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
write(f'{{{{"child": {{child.pid}}}}}}')
time.sleep(600)
"""
    folder, process = part(tmp_path, program)
    start = time.monotonic()
    results = follow(process, folder, 2, lambda results: None)
    assert time.monotonic() - start < 30 and results["error"] == "out of time"
    time.sleep(0.2)
    status = Path(f"/proc/{results['child']}/status")
    assert not status.exists() or "State:\tZ" in status.read_text()


def test_a_part_that_fails_keeps_its_results(tmp_path):
    folder, process = part(tmp_path, f"{WRITE}write('{{\"a\": 1}}'); raise SystemExit(3)")
    assert follow(process, folder, 60, lambda results: None) == {"a": 1, "error": "exit code 3: see log.txt"}


def test_the_table():
    """2 s for 256 images against 1.5 s for 128: 1.5 times as many images per second. At 10^12 operations per image, 256 images
    in 2 s are 128 of 512 TFLOP/s."""
    results = {
        "checks": {"tolerance": 1e-4, "dcgan as on the CPU": {"passed": True}, "same bits twice": {"passed": False}},
        "speed": {"peak": {"bfloat16": 512e12}, "r3gan": {"bfloat16": {"seconds": 2.0, "batch": 256, "trace": {"idle": 0.03}}}},
        "pytorch": {"r3gan": {"flops": 1e12, "bfloat16": {"seconds": 1.5, "batch": 128}, "float32": {"error": "out of time"}}},
    }
    lines = table(results).splitlines()
    assert lines[:2] == ["passed  dcgan as on the CPU", "FAILED  same bits twice"]
    rows = {tuple(line.split()[:2]): line.split()[2:] for line in lines[4:]}
    assert rows["r3gan,", "bfloat16"] == ["7.8125", "11.7188", "1.50", "25.0%", "3.0%"]
    assert rows["r3gan,", "float32"] == rows["dcgan,", "bfloat16"] == ["-"] * 5
    assert len(rows) == 2 * len(GAMES)


def test_smoke_has_the_same_games_in_smaller_sizes():
    assert games(True).keys() == games(False).keys()
    assert all(case.config.batch == 8 and case.shape == (8, 8, 3) for case in games(True).values())
    assert GAMES["r3gan"].config.batch == GAMES["biggan"].config.batch == 256


def test_a_machine_without_an_accelerator_is_refused(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(sys, "argv", ["benchmark.py", "--accelerator", "--out", str(tmp_path)])
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: started.append(command[4]))
    monkeypatch.setattr(benchmark_accelerator, "follow", lambda *arguments: {"backend": "cpu"})
    with pytest.raises(InputError, match="no accelerator on this machine; --smoke tries"):
        benchmark_accelerator.main()
    assert started == ["environment"]


@pytest.mark.slow
def test_a_smoke_run_needs_nothing_but_the_package(tmp_path):
    """All parts, on a CPU, without packages that the machine may lack."""
    for name in MISSING:
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('no {name} here')\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT), *filter(None, sys.path)])
    command = [
        sys.executable,
        "experiments/benchmark.py",
        "--accelerator",
        "--smoke",
        "--minutes",
        "60",
        "--out",
        tmp_path / "out",
    ]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(PYTHONPATH=path, JAX_PLATFORMS="cpu"), capture_output=True, text=True
    )
    log = (tmp_path / "out" / "log.txt").read_text()
    assert done.returncode == 0, done.stderr + log[-3000:]
    results = json.loads((tmp_path / "out" / "accelerator.json").read_text())
    assert set(results) == {"environment", *PARTS}
    for name in GAMES:
        for step in (results["speed"][name][compute] for compute in ("float32", "bfloat16")):
            assert step["seconds"] > 0 and 0 <= step["trace"]["idle"] < 1 and 1 <= len(step["trace"]["operations"]) <= 10
    assert results["pytorch"].get("note") or all(results["pytorch"][name]["float32"]["seconds"] > 0 for name in GAMES)
    assert results["evaluation"]["images"] == 40 and np.isfinite(results["evaluation"]["distance"])
    assert results["training"]["status"] == "finished" and results["training"]["last"][0]["step"] == 4
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "accelerator.json", "log.txt", "training_metrics.jsonl", "training_samples.png",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results of all checks. Skips the tests where JAX finds no accelerator, unless GAN_JAX_GPU_TESTS is cpu."""
    on_cpu = os.environ.get("GAN_JAX_GPU_TESTS") == "cpu"
    devices = environment(XLA_PYTHON_CLIENT_PREALLOCATE="false")
    kept = os.environ | {"PYTHONPATH": devices["PYTHONPATH"]} if on_cpu else devices
    probe = [sys.executable, "-c", "import jax; print(jax.default_backend())"]
    backend = subprocess.run(probe, env=kept, capture_output=True, text=True).stdout.strip()
    if not on_cpu and backend in ("cpu", ""):
        pytest.skip("JAX finds no accelerator; GAN_JAX_GPU_TESTS=cpu tries the checks on a CPU")
    scratch = tmp_path_factory.mktemp("checks")
    job = {"smoke": on_cpu, "data": None, "inception": None, "out": str(scratch), "scratch": str(scratch), "seconds": 3600}
    done = subprocess.run(
        [sys.executable, "-m", MODULE, "part", "checks", json.dumps(job)], env=kept, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads((scratch / "results.json").read_text())


@pytest.mark.gpu
def test_the_numbers_are_those_of_the_cpu(results):
    compared = {name: check for name, check in results.items() if "as on the CPU" in name}
    assert compared and all(check["passed"] for check in compared.values()), compared


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["8 seeds in one program", "same bits twice", "same bits resumed"])
def test_a_check_passes(results, name):
    assert results[name]["passed"], results[name]
