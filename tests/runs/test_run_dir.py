"""A run directory: damaged files are kept, changed code is refused or recorded, and what cannot be saved does not begin."""

import hashlib
import json
import os
import shutil
from dataclasses import asdict, replace

import jax
import numpy as np
import pytest

from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.game.build import build
from gan_jax.game.state import init_state
from gan_jax.runs import environment as environments
from gan_jax.runs.averages import averages, posthoc_average
from gan_jax.runs.checkpoint import Checkpoints, try_saving
from gan_jax.runs.code import copies, user_code
from gan_jax.runs.identity import Identity
from gan_jax.runs.load import load_run
from gan_jax.runs.run_dir import RunDir, check_run_dir
from gan_jax.runs.trust import remember
from gan_jax.runs.verify import verify
from gan_jax.storage.files import digest


@pytest.fixture(scope="module")
def ring():
    return load("ring", 0, 16)


@pytest.fixture(scope="module")
def state(tiny, ring):
    return jax.device_get(init_state(build(tiny, ring), jax.random.key(0)))


def begin(path, config, data, step=0, **options):
    """Begin or resume a run at `step`; return its messages."""
    run = RunDir(path, config, data, **options)
    messages = run.rewind(step)
    run.close()
    return messages


def recorded(path):
    return json.loads((path / "environment.json").read_text())


def files(path):
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def test_a_damaged_line_costs_no_other_line(tiny, ring, tmp_path):
    begin(tmp_path / "run", tiny, ring)
    log = tmp_path / "run" / "metrics.jsonl"
    lines = [json.dumps({"step": step, "d/loss": step / 3, "seconds": step}) + "\n" for step in (4, 6, 8, 12, 16)]
    damaged = "".join([lines[0], lines[1][:9] + "\n", *lines[2:], '{"step": 18, "d/l'])
    log.write_text(damaged)
    messages = begin(tmp_path / "run", tiny, ring, step=12)
    assert log.read_text() == "".join([lines[0], *lines[2:4]])
    assert (tmp_path / "run" / "metrics.jsonl.damaged").read_text() == damaged
    assert "line 2 of 5 cannot be read" in messages[0] and "metrics.jsonl.damaged" in messages[0]
    assert messages[1:] == ["the log reaches step 16: the steps after 12 are repeated"]
    loss = {"file": "metrics.jsonl.damaged", "what": "line 2 of 5 cannot be read", "missing": 0}
    assert recorded(tmp_path / "run")["lost_lines"] == [loss]
    log.write_text("nothing\n")
    begin(tmp_path / "run", tiny, ring, step=12)
    assert (tmp_path / "run" / "metrics.jsonl.damaged").read_text() == damaged, "recovery overwrites nothing"
    assert (tmp_path / "run" / "metrics.jsonl.damaged-2").read_text() == "nothing\n"
    assert begin(tmp_path / "run", tiny, ring, step=12) == []


def test_the_files_that_a_config_names(tiny, tmp_path, monkeypatch):
    """Those of functions, networks and options, and what they import from their own folder, however deep; no other file."""
    monkeypatch.chdir(tmp_path)
    for name, text in {
        "mine.py": "import helper, numpy\nfrom parts.one import f as g\nfrom gan_jax import losses\n",
        "helper.py": "def h():\n    import deep\n",
        "deep.py": "import helper\n",
        "parts/__init__.py": "",
        "parts/one.py": "from . import two\n",
        "parts/two.py": "",
        "unused.py": "",
        "net.py": "x = 1\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    config = replace(
        tiny,
        penalty="r1 + 0.3 * mine.py:small(k=2)",
        loss="mine.py:margin",
        model="net.py",
        stop="modes > 7",
        metrics="fd,net.py:m",
    )
    sources = user_code(config)
    imported = {"helper.py", "deep.py", "parts/__init__.py", "parts/one.py", "parts/two.py"}
    assert sources.keys() == {"mine.py", "net.py"} | imported
    assert all(set(sources[name].fields) == {"loss", "penalty"} for name in imported)
    assert set(sources["net.py"].fields) == {"model", "metrics"}
    assert sources["net.py"].sha256 == hashlib.sha256(b"x = 1\n").hexdigest()
    assert user_code(replace(tiny, model="mlp(activation='net.py:f')")).keys() == {"net.py"}
    assert user_code(tiny) == {}
    assert copies({"net.py": sources["net.py"]})[f"net-{sources['net.py'].sha256[:12]}.py"] == b"x = 1\n"


def test_changed_code_is_refused_or_accepted_and_recorded(tiny, ring, tmp_path):
    mine, helper, run = tmp_path / "mine.py", tmp_path / "helper.py", tmp_path / "run"
    mine.write_text("import helper\n")
    helper.write_text("weight = 1\n")
    config = replace(tiny, loss=f"{mine}:f")
    assert begin(run, config, ring) == [] and begin(run, config, ring, step=3) == []
    before = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in (mine, helper)}
    assert recorded(run)["code"] == before
    helper.write_text("weight = 2\n")
    untouched = files(run)
    now = hashlib.sha256(helper.read_bytes()).hexdigest()
    with pytest.raises(InputError) as error:
        begin(run, config, ring, step=3)
    change = f"loss: {helper} (sha256 {before[str(helper)][:12]}, now {now[:12]})"
    assert change in str(error.value) and "--accept_changes" in str(error.value) and "\n" not in str(error.value)
    assert files(run) == untouched
    assert begin(run, config, ring, step=3, accept_changes=True) == [
        f"warning: from step 3 on, the run continues with changed code: {change}"
    ]
    assert recorded(run)["accepted_changes"] == [{"step": 3, "changes": [change]}]
    assert recorded(run)["code"] == before | {str(helper): now}
    kept = {path.name: path.read_text() for path in (run / "code").glob("helper-*.py")}
    assert kept == {f"helper-{before[str(helper)][:12]}.py": "weight = 1\n", f"helper-{now[:12]}.py": "weight = 2\n"}
    (run / "code" / f"helper-{now[:12]}.py").write_text("weight = 9\n")  # damaged: its name is the digest of its content
    assert begin(run, config, ring, step=3) == []
    assert (run / "code" / f"helper-{now[:12]}.py").read_text() == "weight = 2\n"


def test_another_source_of_the_package_is_said_and_recorded(tiny, ring, tmp_path, monkeypatch):
    begin(tmp_path, tiny, ring)
    digests = recorded(tmp_path)["source"], "0" * 64
    monkeypatch.setattr(environments, "package_digest", lambda: digests[1])
    (message,) = begin(tmp_path, tiny, ring, step=3)
    assert f"source: {digests[0]} -> {digests[1]}" in message
    assert recorded(tmp_path)["earlier"] == [{"source": digests[0], "until_step": 3}]


def test_a_run_without_its_environment_is_refused_with_a_way_out(tiny, ring, tmp_path):
    begin(tmp_path, tiny, ring)
    (tmp_path / "environment.json").unlink()
    with pytest.raises(InputError, match=r"no environment.json, .*: put it back, .*--fork_from .*, or add --accept_changes"):
        check_run_dir(tmp_path, tiny, ring)
    (tmp_path / "environment.json").write_text("{")
    with pytest.raises(InputError, match=r"cannot read .*environment.json: .*; put an intact copy in its place"):
        check_run_dir(tmp_path, tiny, ring)
    (tmp_path / "environment.json").unlink()
    begin(tmp_path, tiny, ring, accept_changes=True)
    assert recorded(tmp_path)["data"]["checksum"] == ring.checksum


@pytest.mark.parametrize("name", [os.fsdecode(b"caf\xe9"), "\\", "gs:", "x" * 300])
def test_a_directory_in_which_nothing_can_be_saved_is_refused_before_training(tiny, ring, tmp_path, name):
    with pytest.raises(InputError, match="choose another"):
        RunDir(tmp_path / name, tiny, ring)
    assert list(tmp_path.iterdir()) == []


def test_saving_is_tried_without_a_trace(tmp_path):
    try_saving(tmp_path)
    assert list(tmp_path.iterdir()) == []


def saved(path, state, identity, steps=(4, 8)):
    with Checkpoints(path, identity=identity) as checkpoints:
        for step in steps:
            checkpoints.save(state.replace(step=np.asarray(step, np.int32)))
        checkpoints.wait()


@pytest.mark.parametrize(
    ("fields", "difference"),
    [
        ({"config": {"seed": 1, "loss": "hinge"}}, "seed: 1 -> 0; loss: 'hinge' -> 'relativistic'"),
        ({"data": "f" * 64}, f"data: sha256 {'f' * 12} -> 0"),
        ({"seeds": [0, 1]}, "seeds: [0, 1] -> None"),
    ],
)
def test_a_checkpoint_of_another_run_is_not_restored(tiny, state, tmp_path, fields, difference):
    """Its arrays have the same shapes, and its checksums are right."""
    identity, abstract = Identity(tiny, "0" * 64), jax.eval_shape(lambda: state)
    other = identity._replace(**fields | ({"config": replace(tiny, **fields["config"])} if "config" in fields else {}))
    saved(tmp_path / "a", state, identity, steps=[4])
    saved(tmp_path / "b", state, other, steps=[8])
    shutil.copytree(tmp_path / "b" / "checkpoints" / "8", tmp_path / "a" / "checkpoints" / "8")
    messages = []
    with Checkpoints(tmp_path / "a", identity=identity) as checkpoints:
        assert int(checkpoints.restore(abstract, messages.append).step) == 4
    assert f"checkpoint 8 does not verify (it is of another run: {difference}" in messages[0]
    assert (tmp_path / "a" / "damaged-checkpoint-8").is_dir()
    with Checkpoints(tmp_path / "b", identity=identity) as checkpoints, pytest.raises(InputError, match="of another run"):
        checkpoints.restore(abstract, print)


def test_length_and_devices_of_a_run_are_not_part_of_its_identity(tiny, state, tmp_path):
    saved(tmp_path, state, Identity(tiny, "00"))
    messages = []
    with Checkpoints(tmp_path, identity=Identity(replace(tiny, steps=999, schedule_steps=24, devices=2), "00")) as checkpoints:
        assert int(checkpoints.restore(jax.eval_shape(lambda: state), messages.append).step) == 8
    assert messages == []
    # Other data is reported where nothing is trained on it.
    with Checkpoints(tmp_path, True, Identity(tiny, "11")) as checkpoints:
        assert int(checkpoints.restore(jax.eval_shape(lambda: state), messages.append).step) == 8
    assert messages == ["warning: the data differs from that of checkpoint 8 (data: sha256 00 -> 11)"]


def test_a_record_of_the_run_belongs_to_the_arrays_with_which_it_was_saved(tiny, state, tmp_path):
    identity = Identity(tiny, "00")
    saved(tmp_path, state, identity)
    file = tmp_path / "checkpoints" / "8" / "digest" / "metadata"
    record = json.loads(file.read_text())
    assert record["run"]["config"] == asdict(tiny) and record["sha256"] == digest(state.replace(step=np.asarray(8, np.int32)))
    (tmp_path / "checkpoints.sha256").unlink()
    record["run"]["config"]["name"] = "other"
    file.write_text(json.dumps(record))
    messages = []
    with Checkpoints(tmp_path, identity=identity) as checkpoints:
        assert int(checkpoints.restore(jax.eval_shape(lambda: state), messages.append).step) == 4
    assert "the record of its run is not the one that was saved with its arrays" in messages[0]


def test_checkpoints_of_earlier_versions_are_restored_and_reported(tiny, state, tmp_path):
    saved(tmp_path, state, None)
    messages = []
    with Checkpoints(tmp_path, identity=Identity(tiny, "00")) as checkpoints:
        assert int(checkpoints.restore(jax.eval_shape(lambda: state), messages.append).step) == 8
    assert messages == [
        "checkpoint 8 is of an earlier version, which did not record its run: whether it is this one is unknown"
    ]


def test_a_second_damaged_checkpoint_of_a_step_does_not_replace_the_first(tiny, state, tmp_path):
    abstract = jax.eval_shape(lambda: state)
    for content in ("first", "second"):
        saved(tmp_path, state, None, steps=[8] if (tmp_path / "checkpoints" / "4").exists() else [4, 8])
        (tmp_path / "checkpoints" / "8" / "note").write_text(content)
        with Checkpoints(tmp_path) as checkpoints:
            assert int(checkpoints.restore(abstract, lambda text: None).step) == 4
    kept = [(tmp_path / f"damaged-checkpoint-8{suffix}" / "note").read_text() for suffix in ("", "-2")]
    assert kept == ["first", "second"]


def average(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{"params/w": np.full(3, value, np.float32)})


def at_step_24(state):
    """The state at the end of a `posthoc_run`, with the one variable of its averages."""
    return state.replace(step=np.asarray(24, np.int32), ema={"params": {"w": np.zeros(3, np.float32)}})


def posthoc_run(path, config, state, leftovers=()):
    """A run at step 24 with averages of every 6 steps, and of `leftovers`."""
    saved(path, state, None, steps=[24])
    (path / "config.json").write_text(json.dumps(asdict(config)))
    (path / "metrics.jsonl").write_text('{"step": 24, "seconds": 1}\n')
    for step in (6, 12, 18, 24, *leftovers):
        for sigma in ("0.05", "0.10"):
            average(path / "averages" / f"{step:08d}-{sigma}.npz", float(step))
    return path


def test_averages_that_a_stopped_run_leaves_change_nothing(tiny, state, tmp_path):
    config, at_end = replace(tiny, posthoc_ema=True), at_step_24(state)
    whole = posthoc_run(tmp_path / "whole", config, state)
    stopped = posthoc_run(tmp_path / "stopped", config, state, leftovers=[15])
    assert list(averages(stopped, config, 24)) == [f"{step:08d}-{s}.npz" for step in (6, 12, 18, 24) for s in ("0.05", "0.10")]
    assert [name[:8] for name in averages(stopped, config, 15)][::2] == ["00000006", "00000012", "00000015"]
    results = [posthoc_average(run, config, at_end, 0.07)["params"]["w"].tobytes() for run in (whole, stopped)]
    assert results[0] == results[1]
    assert verify(whole, stopped)[0]


def test_verify_compares_averages(tiny, state, tmp_path):
    config = replace(tiny, posthoc_ema=True)
    a, b = (posthoc_run(tmp_path / name, config, state) for name in "ab")
    same, text = verify(a, b)
    assert same and "averages: equal, 8 files to step 24" in text
    average(b / "averages" / "00000012-0.10.npz", np.nextafter(np.float32(12), np.float32(13)))
    same, text = verify(a, b)
    assert not same and "averages: 00000012-0.10.npz: 1 arrays differ; the first is params/w, by up to 9.54e-07" in text
    (b / "averages" / "00000012-0.10.npz").unlink()
    same, text = verify(a, b)
    assert not same and "averages: 00000012-0.10.npz, only in the first run" in text
    with pytest.warns(UserWarning, match="1 of 8 files are missing"):
        posthoc_average(b, config, at_step_24(state), 0.07)


def test_a_loaded_run_says_what_has_changed(tiny, ring, state, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text("def f(real, fake):\n    return real.mean(), fake.mean()\n")
    config, messages = replace(tiny, loss=f"{mine}:f"), []
    begin(tmp_path / "run", config, ring)
    remember(config)
    saved(tmp_path / "run", state, Identity(config, ring.checksum))
    remember(config)  # as training does
    load_run(tmp_path / "run", messages.append)
    assert messages == []
    mine.write_text("def f(real, fake):\n    return fake.mean(), real.mean()\n")
    load_run(tmp_path / "run", messages.append)
    assert len(messages) == 1 and messages[0].startswith(
        f"warning: code differs from that with which the run was trained: loss: {mine}"
    )
