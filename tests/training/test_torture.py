"""Torture tests: killed repeatedly at random moments, the same command ends with the same result."""

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


READER = """
import sys, time, warnings
from pathlib import Path
from gan_jax.errors import InputError
from gan_jax.evaluation.evaluate import diagnose_run
from gan_jax.reports.comparison import comparison_table
from gan_jax.reports.report import write_report
from gan_jax.runs.load import load_run
run, reads, said = Path(sys.argv[1]), 0, set()
while not run.with_name("stop").exists():
    for read in (write_report, lambda run: comparison_table([run]), diagnose_run, lambda run: load_run(run, said.add)):
        try:
            read(run)
            reads += 1
        except InputError as error:
            said.add(str(error))
print(reads, *sorted(said), sep="\\n")
"""
# What a reader may find while another process trains, or has just begun.
EXPECTED = ("not a run directory", "no checkpoint", "such file", "holds several seeds", "no logged steps")
OWN = "from scale import SCALE\ndef f(real, fake):\n    return SCALE * (real - fake).mean(), SCALE * fake.mean()\n"
CLIPS = {"data": "audio(length=1024, bands=16, fft=256, hop=128)", "model": "dcgan", "g_depth": None, "d_depth": None}
VARIANTS = {
    "averages": ({"posthoc_ema": True}, []),
    "sweep": ({}, ["--sweep", "g_lr=0.001,0.002", "--seeds", "0,1"]),
    "unrolled": ({"update": "unrolled"}, []),
    "text": ({"data": "text(length=8)", "model": "text_resnet", "loss": "wasserstein", "penalty": "gradient_penalty"}, []),
    "audio": (CLIPS | {"steps": 100, "g_width": 4, "d_width": 4, "batch": 8}, []),
    "own loss": ({"loss": "mine.py:f"}, []),
}


def prepare_variant(tiny, variant, folder):
    """The command of a variant, apart from its directory, and the environment in which it runs."""
    changes, flags = VARIANTS[variant]
    (folder / "mine.py").write_text(f"import sys\nsys.path.insert(0, {str(folder)!r})\n{OWN}")
    (folder / "scale.py").write_text("SCALE = 0.5\n")
    often = {"steps": 300, "log_every": 1, "save_every": 4, "eval_every": 50, "eval_samples": 64}
    config = replace(tiny, **often | changes)
    (folder / "config.json").write_text(config_json(config))
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"), "PYTHONPATH": str(ROOT), "XLA_FLAGS": ""}
    return [sys.executable, str(ROOT / "experiments/train.py"), str(folder / "config.json"), *flags, "--run_dir"], environment


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_kills_while_another_process_reads(tiny, tmp_path, variant, kills=12):
    """The run ends with the same bits, and reports, comparisons and checkpoints can be read at all times."""
    command, environment = prepare_variant(tiny, variant, tmp_path)
    options = {"cwd": tmp_path, "env": environment, "text": True}
    subprocess.run([*command, "whole"], check=True, capture_output=True, **options)
    run_dir, chance, done = tmp_path / "killed", random.Random(variant), 0
    reader = subprocess.Popen([sys.executable, "-c", READER, str(run_dir)], stdout=subprocess.PIPE, **options)
    while done < kills:
        process = subprocess.Popen([*command, "killed"], stderr=subprocess.PIPE, **options)
        wait_for_moment(("any", "training", "saving")[done % 3], process, run_dir, chance)
        ended = process.poll()
        process.kill()
        error = process.communicate(timeout=PATIENCE)[1]
        assert ended in (None, 0), error
        done += ended is None
        if ended == 0:
            break
    (tmp_path / "stop").touch()
    reads, *said = reader.communicate(timeout=PATIENCE)[0].splitlines()
    print(f"{variant}: killed {done} times, read {reads} times; said {said}")
    assert reader.returncode == 0 and int(reads) > 10 and done >= kills // 2
    assert all(any(words in line for words in EXPECTED) for line in said), said
    finished = subprocess.run([*command, "killed"], capture_output=True, **options)
    assert finished.returncode == 0, finished.stderr
    same, words = verify(run_dir, tmp_path / "whole")
    assert same, words
    assert not list(run_dir.rglob(".*.tmp")) and not list(run_dir.glob("metrics.jsonl.damaged*"))
