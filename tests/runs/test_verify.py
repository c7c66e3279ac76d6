"""Verify: equal runs verify as equal; for others, the report names the first difference."""

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from gan_jax.config import config_json
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.game.build import build
from gan_jax.game.state import init_state
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.verify import verify
from gan_jax.spec.lookup import load_file

ROOT = Path(__file__).parents[2]
LINES = [
    {"step": 4, "d/loss": 0.5, "g/loss": 0.25, "seconds": 1.0},
    {"step": 8, "d/loss": 0.0, "g/loss": math.nan, "seconds": 2.0},
]


@pytest.fixture(scope="module")
def state(tiny):
    return jax.device_get(init_state(build(tiny, load("ring", 0, 16)), jax.random.key(0)))


@pytest.fixture
def runs(tmp_path, tiny, state):
    """Two run directories that differ only in wall-clock time, with checkpoints of steps 4 and 8."""
    for name, clock in (("a", 1.0), ("b", 9.0)):
        run_dir = tmp_path / name
        with Checkpoints(run_dir) as checkpoints:
            for step in (4, 8):
                checkpoints.save(state.replace(step=np.asarray(step, np.int32)))
            checkpoints.wait()
        (run_dir / "config.json").write_text(config_json(tiny))
        facts = {"jax": "0.10.2", "cores": 2, "data": {"checksum": "00"}, "status": f"finished {name}"}
        (run_dir / "environment.json").write_text(json.dumps(facts))
        write_log(run_dir, [line | {"seconds": line["seconds"] * clock} for line in LINES])
    return tmp_path / "a", tmp_path / "b"


def write_log(run_dir, lines):
    (run_dir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def edit(run_dir, **facts):
    path = run_dir / "environment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def save_again(run_dir, state, step=8):
    shutil.rmtree(run_dir / "checkpoints" / str(step))
    with Checkpoints(run_dir) as checkpoints:
        checkpoints.save(state.replace(step=np.asarray(step, np.int32)))
        checkpoints.wait()


def report(runs):
    """Return whether the runs are equal, and the report on their logs, checkpoints, configs and environments."""
    equal, text = verify(*runs)
    first, *rest = text.splitlines()
    assert first.startswith("bitwise equal") == equal
    return equal, *(line.split(": ", 1)[1] for line in rest)


def test_runs_that_differ_only_in_time_are_equal(runs, state):
    arrays = len(jax.tree.leaves(state))
    assert report(runs) == (True, "equal, 2 lines", f"equal, {arrays} arrays at step 8", "equal", "equal")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"d/loss": -0.0}, "first difference in line 2, step 8: d/loss 0.0 | -0.0"),
        ({"g/loss": 0.5}, "first difference in line 2, step 8: g/loss NaN | 0.5"),
        ({"d/loss": 5e-324, "new": 1}, "first difference in line 2, step 8: d/loss 0.0 | 5e-324 (and 1 more)"),
        ({"step": 9}, "first difference in line 2, step 8: step 8 | 9"),
    ],
)
def test_the_first_step_and_metric_that_differ_are_reported(runs, change, words):
    write_log(runs[1], [LINES[0], LINES[1] | change])
    equal, log, arrays, *_ = report(runs)
    assert (equal, log) == (False, words)
    assert arrays.startswith("equal, ")


def test_runs_of_different_lengths_are_not_equal(runs):
    write_log(runs[1], LINES[:1])
    assert report(runs)[:2] == (False, "equal up to the end of the shorter one; lines: 2, to step 8 | 1, to step 4")
    for run_dir in runs:
        (run_dir / "metrics.jsonl").unlink()
    assert report(runs)[:2] == (False, "no lines in either run")


def test_an_array_that_differs_by_one_bit_is_reported(runs, state):
    kernel = state.g.params["Dense_0"]["kernel"].copy()
    kernel[0, 0] = np.nextafter(kernel[0, 0], np.float32(np.inf))
    params = state.g.params | {"Dense_0": state.g.params["Dense_0"] | {"kernel": kernel}}
    save_again(runs[1], state.replace(g=state.g.replace(params=params)))
    difference = float(kernel[0, 0]) - float(state.g.params["Dense_0"]["kernel"][0, 0])
    equal, log, arrays, *_ = report(runs)
    assert not equal and log.startswith("equal, ")
    total = len(jax.tree.leaves(state))
    assert arrays == f"at step 8, 1 of {total} arrays differ; the first is g/params/Dense_0/kernel, by up to {difference:.3g}"
    # Only the newest common step is compared; once it is deleted, the previous one is, and it is equal.
    for run_dir in runs:
        shutil.rmtree(run_dir / "checkpoints" / "8")
    assert report(runs)[2] == f"equal, {total} arrays at step 4"


@pytest.mark.parametrize(
    ("fields", "difference"),
    [
        ({"g_width": 9}, "ema/params/Dense_0/bias, float32[8] | float32[9]"),
        ({"g_norm": "layer"}, "ema/params/Dense_0/bias, only in the first run"),
    ],
)
def test_arrays_of_another_shape_or_in_one_run_only_are_reported(runs, tiny, fields, difference):
    other = build(replace(tiny, **fields), load("ring", 0, 16))
    save_again(runs[1], jax.device_get(jax.jit(lambda: init_state(other, jax.random.key(0)))()))
    equal, _, arrays, *_ = report(runs)
    assert not equal
    assert re.fullmatch(rf"at step 8, \d+ of \d+ arrays differ; the first is {re.escape(difference)}", arrays), arrays


def test_runs_without_a_common_checkpoint_are_not_equal(runs):
    shutil.rmtree(runs[0] / "checkpoints" / "8")
    shutil.rmtree(runs[1] / "checkpoints" / "4")
    equal, _, arrays, *_ = report(runs)
    assert not equal
    assert arrays == "no step in common, so no array was compared; steps: 4 | 8"


def test_damaged_checkpoints_are_not_equal(runs):
    metadata = runs[1] / "checkpoints" / "8" / "digest" / "metadata"
    metadata.write_text(json.dumps({"sha256": "0" * 64}))
    equal, _, arrays, *_ = report(runs)
    assert not equal
    assert arrays == "at step 8, the arrays are equal but their digests differ: one of the checkpoints is damaged"
    for path in (runs[1] / "checkpoints" / "8" / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    with pytest.raises(InputError, match=r"the checkpoint of step 8 in .*b cannot be read: "):
        verify(*runs)


def test_differences_of_config_and_environment_are_reported_but_do_not_count(runs, tiny):
    edit(runs[1], jax="0.11.0", cores=1, status="stopped", XLA_FLAGS="--xla_a=1", data={"checksum": "11"})
    (runs[1] / "config.json").write_text(config_json(replace(tiny, g_lr=0.5)))
    equal, *_, config, environment = report(runs)
    assert equal
    assert config == "g_lr: 0.001 -> 0.5"
    assert environment == ('jax: "0.10.2" | "0.11.0"; cores: 2 | 1; data.checksum: "00" | "11"; XLA_FLAGS: null | "--xla_a=1"')


def test_the_command(runs, monkeypatch, capsys):
    command = load_file(ROOT / "experiments" / "compare.py")

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["compare.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            command.command(command.main)
        return ended.value.code, *capsys.readouterr()

    code, out, error = run("--verify", *runs)
    assert (code, error) == (0, "") and out.startswith("bitwise equal\n")
    write_log(runs[1], LINES[:1])
    code, out, error = run("--verify", *runs)
    assert (code, error) == (1, "") and out.startswith("not bitwise equal: ")
    for arguments in (
        ["--verify", runs[0]],
        ["--verify", *runs, runs[0]],
        ["--verify", *runs, "--loss", "hinge"],
        ["--verify", runs[0], "no"],
    ):
        code, out, error = run(*arguments)
        assert (code, out, error.count("\n")) == (2, "", 1), arguments
