"""Verify: equal runs are found equal, and of unequal ones the first difference is named."""

import json
import math
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
from gan_jax.training.compile import initialise_state

ROOT = Path(__file__).parents[2]
LINES = [
    {"step": 4, "d/loss": 0.5, "g/loss": 0.25, "seconds": 1.0},
    {"step": 8, "d/loss": 0.0, "g/loss": math.nan, "seconds": 2.0},
]


@pytest.fixture(scope="module")
def state(tiny):
    return jax.device_get(initialise_state(build(tiny, load("ring", 0, 16)), jax.random.key(0)))


@pytest.fixture
def runs(tmp_path, tiny, state):
    """Two run directories with equal content, but for the clock: checkpoints of steps 4 and 8."""
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


def told(runs):
    """What is said of the log, the checkpoints, the configs and the environments."""
    same, words = verify(*runs)
    first, *rest = words.splitlines()
    assert first.startswith("the same bits") == same
    return same, *(line.split(": ", 1)[1] for line in rest)


def test_equal_but_for_the_clock_is_the_same(runs, state):
    arrays = len(jax.tree.leaves(state))
    assert told(runs) == (True, "the same, 2 lines", f"the same, {arrays} arrays of step 8", "the same", "the same")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"d/loss": -0.0}, "line 2 is the first that differs, step 8: d/loss 0.0 | -0.0"),
        ({"g/loss": 0.5}, "line 2 is the first that differs, step 8: g/loss NaN | 0.5"),
        ({"d/loss": 5e-324, "new": 1}, "line 2 is the first that differs, step 8: d/loss 0.0 | 5e-324, and 1 more there"),
        ({"step": 9}, "line 2 is the first that differs, step 8: step 8 | 9"),
    ],
)
def test_the_first_step_and_metric_that_differ(runs, change, words):
    write_log(runs[1], [LINES[0], LINES[1] | change])
    same, log, arrays, *_ = told(runs)
    assert (same, log) == (False, words)
    assert arrays.startswith("the same")


def test_a_shorter_run_is_not_the_same(runs):
    write_log(runs[1], LINES[:1])
    assert told(runs)[:2] == (False, "the same as far as both go; lines: 2, to step 8 | 1, to step 4")
    for run_dir in runs:
        (run_dir / "metrics.jsonl").unlink()
    assert told(runs)[:2] == (False, "no lines in either")


def test_the_first_array_that_differs_by_one_bit(runs, state):
    kernel = state.g.params["Dense_0"]["kernel"].copy()
    kernel[0, 0] = np.nextafter(kernel[0, 0], np.float32(np.inf))
    params = state.g.params | {"Dense_0": state.g.params["Dense_0"] | {"kernel": kernel}}
    save_again(runs[1], state.replace(g=state.g.replace(params=params)))
    by = float(kernel[0, 0]) - float(state.g.params["Dense_0"]["kernel"][0, 0])
    same, log, arrays, *_ = told(runs)
    assert not same and log.startswith("the same")
    total = len(jax.tree.leaves(state))
    assert arrays == f"of step 8, 1 of {total} arrays differ, first g/params/Dense_0/kernel: by up to {by:.3g}"
    # The step before is not looked at where a newer one is common; alone, it is the same.
    for run_dir in runs:
        shutil.rmtree(run_dir / "checkpoints" / "8")
    assert told(runs)[2] == f"the same, {total} arrays of step 4"


def test_arrays_of_another_shape_or_of_one_run_only(runs, tiny):
    other = build(replace(tiny, g_width=9, g_norm="layer"), load("ring", 0, 16))
    save_again(runs[1], jax.device_get(jax.jit(lambda: init_state(other, jax.random.key(0)))()))
    print(told(runs)[2])


def test_no_common_checkpoint_is_not_the_same(runs):
    shutil.rmtree(runs[0] / "checkpoints" / "8")
    shutil.rmtree(runs[1] / "checkpoints" / "4")
    same, _, arrays, *_ = told(runs)
    assert not same
    assert arrays == "none of a step that both have, so that no array could be compared; steps: 4 | 8"


def test_damage_is_not_taken_for_sameness(runs):
    metadata = runs[1] / "checkpoints" / "8" / "digest" / "metadata"
    metadata.write_text(json.dumps({"sha256": "0" * 64}))
    assert told(runs)[::2][:2] == (False, "of step 8, arrays are the same, but not their digests: one of the two is damaged")
    for path in (runs[1] / "checkpoints" / "8" / "state").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    with pytest.raises(InputError, match=r"the checkpoint of step 8 in .*b cannot be read: "):
        verify(*runs)


def test_what_may_explain_it(runs, tiny):
    edit(runs[1], jax="0.11.0", cores=1, status="stopped", XLA_FLAGS="--xla_a=1", data={"checksum": "11"})
    (runs[1] / "config.json").write_text(config_json(replace(tiny, g_lr=0.5)))
    same, *_, config, environment = told(runs)
    assert same, "a config or an environment alone makes no difference"
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
    assert (code, error) == (0, "") and out.startswith("the same bits\n")
    write_log(runs[1], LINES[:1])
    code, out, error = run("--verify", *runs)
    assert (code, error) == (1, "") and out.startswith("not the same bits: ")
    for arguments in (
        ["--verify", runs[0]],
        ["--verify", *runs, runs[0]],
        ["--verify", *runs, "--loss", "hinge"],
        ["--verify", runs[0], "no"],
    ):
        code, out, error = run(*arguments)
        assert (code, out, error.count("\n")) == (2, "", 1), arguments
