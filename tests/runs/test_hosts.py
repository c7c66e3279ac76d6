"""Two processes on this machine act as two hosts, each with one device, connected by gloo: `pytest -m hosts`."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gan_jax.config import config_json
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.storage.log import read_log
from gan_jax.training.train import train

pytestmark = pytest.mark.hosts
ROOT = Path(__file__).parents[2]
LIMIT = 120  # seconds after which a process is killed: gloo occasionally hangs


def start(config, run_dir, tmp_path):
    """Start the two processes of a run."""
    file = tmp_path / "config.json"
    file.write_text(config_json(config))
    with socket.socket() as free:
        free.bind(("localhost", 0))
        address = f"localhost:{free.getsockname()[1]}"
    command = [sys.executable, ROOT / "experiments/train.py", file, "--run_dir", run_dir, "--distributed", "--coordinator"]
    environment = os.environ | {"XLA_FLAGS": ""}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "env": environment, "cwd": ROOT}
    return [subprocess.Popen([*command, address, "--processes", "2", "--rank", str(rank)], **pipes) for rank in (0, 1)]


def wait(processes):
    """Return (exit code, output) of each process, or None if one hung."""
    try:
        outputs = [process.communicate(timeout=LIMIT)[0] for process in processes]
        return [(process.returncode, text) for process, text in zip(processes, outputs, strict=True)]
    except subprocess.TimeoutExpired:
        return None
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def run(config, run_dir, tmp_path):
    """Run both processes until they end; try once more if they hang."""
    results = wait(start(config, run_dir, tmp_path)) or wait(start(config, run_dir, tmp_path))
    assert results is not None, "two processes hung twice"
    assert [code for code, _ in results] == [0, 0], results
    return results


def log_without_time(run_dir):
    return [{name: x for name, x in line.items() if name != "seconds"} for line in read_log(run_dir / "metrics.jsonl").lines]


def check_same(run_dir, other):
    """Assert equal logs up to rounding, since two processes sum in a different order from one."""
    assert [line["step"] for line in log_without_time(run_dir)] == [line["step"] for line in log_without_time(other)]
    for line, expected in zip(log_without_time(run_dir), log_without_time(other), strict=True):
        assert line == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.fixture(scope="module")
def config(tiny):
    sgd = {"g_optimizer": "sgd", "d_optimizer": "sgd", "g_lr": 0.01, "d_lr": 0.01}
    return replace(tiny, data="ring(sigma=0.3)", devices=None, fsdp=True, d_width=64, d_depth=2, **sgd)


@pytest.fixture(scope="module")
def single(config, tmp_path_factory):
    path = tmp_path_factory.mktemp("hosts") / "single"
    train(replace(config, devices=1, fsdp=False), path)
    return path


@pytest.fixture(scope="module")
def double(config, tmp_path_factory):
    path = tmp_path_factory.mktemp("hosts") / "double"
    results = run(config, path, path.parent)
    assert "report: " in results[0][1] and "step 24/24" in results[0][1]
    assert "step " not in results[1][1]
    return path


def copy_until(run_dir, step, path):
    """Copy a run to `path` without the checkpoints after `step`."""
    shutil.copytree(run_dir, path)
    for later in (path / "checkpoints").iterdir():
        if int(later.name) > step:
            shutil.rmtree(later)
    return path


def test_two_processes_train_as_one(single, double):
    check_same(double, single)
    assert (double / "report.html").is_file() and (double / "samples" / "step-00000024.png").is_file()


def test_one_process_resumes_a_run_of_two(config, single, double, tmp_path):
    run_dir = copy_until(double, 12, tmp_path / "run")
    train(config, run_dir)
    check_same(run_dir, single)


def test_two_processes_resume_a_run_of_one(config, single, tmp_path):
    run_dir = copy_until(single, 12, tmp_path / "run")
    (run_dir / "config.json").write_text(config_json(config))
    run(config, run_dir, tmp_path)
    check_same(run_dir, single)


@pytest.mark.parametrize("victim", [0, 1])
def test_if_one_process_is_killed_the_other_exits_with_an_error(config, victim, tmp_path):
    long = replace(config, steps=100_000)
    processes = start(long, tmp_path / "run", tmp_path)
    checkpoints, started = tmp_path / "run" / "checkpoints", time.monotonic()
    while not any(path.name.isdigit() for path in checkpoints.glob("*")) and time.monotonic() < started + LIMIT:
        time.sleep(0.2)
    processes[victim].send_signal(signal.SIGKILL)
    killed, survivor = time.monotonic(), processes[1 - victim]
    output = survivor.communicate(timeout=60)[0]
    assert survivor.returncode != 0 and time.monotonic() < killed + 60
    assert "another process is lost" in output or "another task died" in output
    processes[victim].communicate()
    # Resume from the newest checkpoint, up to a step soon after it.
    with Checkpoints(tmp_path / "run", read_only=True) as saved:
        step = saved.steps()[0]
    shorter = replace(long, steps=step + 6, schedule_steps=100_000)
    (tmp_path / "run" / "config.json").write_text(config_json(shorter))
    assert f"resuming from step {step}" in run(shorter, tmp_path / "run", tmp_path)[0][1]
