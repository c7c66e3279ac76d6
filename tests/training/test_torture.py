"""Torture test: killed repeatedly at random moments, the same command ends with the same result."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gan_jax.config import config_json
from gan_jax.runs.verify import verify
from gan_jax.storage.log import read_log
from gan_jax.training.train import train

ROOT = Path(__file__).parents[2]
PATIENCE = 90  # seconds within which a process must reach the point where it is killed


def wait_for(event, process):
    deadline = time.monotonic() + PATIENCE
    while not event():
        assert process.poll() is None, f"it ended by itself: {process.communicate()}"
        assert time.monotonic() < deadline, "it never came so far"
        time.sleep(0.001)


def lines(run_dir):
    log = run_dir / "metrics.jsonl"
    return read_log(log).lines


def half_saved(run_dir):
    """Whether a save is in progress, or was when the process ended."""
    return any((run_dir / "checkpoints").glob("*tmp*"))


def wait_for_moment(kind, process, run_dir, chance):
    """Wait until a random moment of the process, of its training, or of one of its saves."""
    before = len(lines(run_dir))
    if kind == "any":
        time.sleep(chance.uniform(0, 5))
        return
    wait_for(lambda: len(lines(run_dir)) not in (0, before), process)
    if kind == "training":
        time.sleep(chance.uniform(0, 0.3))
    else:
        wait_for(lambda: half_saved(run_dir), process)
        time.sleep(chance.uniform(0, 0.02))


@pytest.mark.parametrize(("kills", "steps"), [(3, 400), pytest.param(50, 3000, marks=pytest.mark.slow)])
def test_a_run_killed_at_random_moments_is_the_same(tiny, tmp_path, kills, steps):
    """Several SIGKILLs, a SIGTERM during a save, then to the end, compared with an uninterrupted run."""
    config = replace(tiny, steps=steps, log_every=1, save_every=4, eval_every=steps)
    (tmp_path / "config.json").write_text(config_json(config))
    run_dir, chance, during_saves = tmp_path / "killed", random.Random(0), 0
    command = [sys.executable, "experiments/train.py", str(tmp_path / "config.json"), "--run_dir", str(run_dir)]
    # A separate compilation cache: a killed process may leave entries half written.
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled")}
    for number in range(kills + 1):
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        kind = ("any", "training", "saving")[number % 3] if number < kills else "saving"
        wait_for_moment(kind, process, run_dir, chance)
        assert process.poll() is None, "it ended before it could be killed: too few steps for so many kills"
        process.send_signal(signal.SIGKILL if number < kills else signal.SIGTERM)
        error = process.communicate(timeout=PATIENCE)[1]
        assert process.returncode == (-signal.SIGKILL if number < kills else 1), error
        during_saves += half_saved(run_dir)
        logged = [line["step"] for line in lines(run_dir)]
        assert logged == list(range(1, len(logged) + 1))
    assert error.splitlines()[-1].startswith("error: stopped by SIGTERM at step ")
    assert "Traceback" not in error
    assert json.loads((run_dir / "environment.json").read_text())["status"].startswith("stopped by SIGTERM")
    print(f"killed {kills} times, {during_saves} of them in the middle of a save; then at step {len(logged)} of {steps}")
    assert during_saves >= kills // 6
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    train(config, tmp_path / "whole")
    same, words = verify(run_dir, tmp_path / "whole")
    assert same, words
    assert [line["step"] for line in lines(run_dir)] == list(range(1, steps + 1))
