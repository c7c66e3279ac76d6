"""TensorBoard and Weights & Biases receive each line of metrics.jsonl once, and the grids of samples."""

import io
import json
import struct
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from gan_jax.config import Config
from gan_jax.errors import InputError
from gan_jax.runs import trackers
from gan_jax.runs.trackers import Trackers, check_trackers
from gan_jax.training.train import train


def png(side):
    file = io.BytesIO()
    Image.new("RGB", (side, side), "red").save(file, "png")
    return {".png": file.getvalue(), ".txt": b"no picture"}


def line(step, value, **member):
    return {"step": step, **member, "d/loss": value, "seconds": step / 10}


def follow_twice(name, folder):
    """A run that logs the steps 10 to 30, is interrupted, resumes from step 20 and ends at step 40."""
    said = []
    first = Trackers([name], folder, Config(steps=40), said.append)
    first.begin([])
    first.show("step-00000000", png(4))
    first.log(line(10, 1.0))
    first.show("step-00000020", png(8))
    first.show("interpolation", png(9))
    for step, value in ((20, 2.0), (30, 3.0)):
        first.log(line(step, value))
    first.close()
    second = Trackers([name], folder, Config(steps=40), said.append)
    second.begin([line(10, 1.0), line(20, 2.0)])
    for step, value in ((30, 3.0), (40, 4.0)):
        second.log(line(step, value))
    second.close()
    assert said == []


def test_tensorboard_has_each_step_once(tmp_path):
    """Its files are records of (length, checksum, event, checksum)."""
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    (tmp_path / "samples").mkdir()
    for step, side in ((0, 4), (20, 8)):
        (tmp_path / "samples" / f"step-{step:08d}.png").write_bytes(png(side)[".png"])
    follow_twice("tensorboard", tmp_path)
    (file,) = (tmp_path / "tensorboard").glob("events.*")
    content, events = file.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        events.append(Event.FromString(content[12 : 12 + length]))
        content = content[16 + length :]
    values = [(value.tag, event.step, value) for event in events for value in event.summary.value]
    losses = [(step, value.simple_value) for tag, step, value in values if tag == "d/loss"]
    assert losses == [(10, 1.0), (20, 2.0), (30, 3.0), (40, 4.0)]
    assert [(step, value.image.width) for tag, step, value in values if tag == "samples"] == [(0, 4), (20, 8)]
    assert [tag for tag, *_ in values if tag.startswith("config")] == ["config/text_summary"]
    # What an earlier start wrote is discarded by a TensorBoard that has read it.
    assert [event.step for event in events if event.session_log.status == SessionLog.START] == [0]


def records(content):
    """The records of a log in LevelDB's format: blocks of 32 KiB of (checksum, length, type, data), after 7 bytes."""
    position, parts = 7, b""
    while position + 7 <= len(content):
        if 32768 - position % 32768 < 7:
            position += 32768 - position % 32768
            continue
        length, kind = struct.unpack("<HB", content[position + 4 : position + 7])
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


@pytest.mark.filterwarnings("ignore")  # of the package
def test_wandb_has_each_step_once(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("WANDB_MODE", "offline")
    check_trackers(["wandb"])
    (tmp_path / "samples").mkdir()
    follow_twice("wandb", tmp_path)
    files = sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert len({file.name for file in files}) == 1  # both starts continue one run
    history, config = [], {}
    for record in (Record.FromString(content) for file in files for content in records(file.read_bytes())):
        if record.WhichOneof("record_type") == "history":
            history.append({item.key or item.nested_key[0]: item.value_json for item in record.history.item})
        if record.WhichOneof("record_type") == "run":
            config |= {update.key: update.value_json for update in record.run.config.update}
    assert [(int(row["_step"]), float(row.get("d/loss", 0))) for row in history] == [
        (0, 0.0), (10, 1.0), (20, 2.0), (30, 3.0), (40, 4.0),
    ]  # fmt: skip
    assert ["samples" in row for row in history] == [True, False, True, False, False]
    assert config["steps"] == "40"


class Recording:
    """A tracker that keeps what it receives, by member."""

    last = -1

    def __init__(self, run_dir, member, config):
        self.rows, self.closed = [], False
        Recording.members[member] = self

    def write(self, step, values, pictures, seconds):
        self.rows.append((step, values, sorted(pictures)))

    def close(self):
        self.closed = True


@pytest.fixture
def recording(monkeypatch):
    Recording.members = {}
    monkeypatch.setitem(trackers.WRITERS, "recording", Recording)
    monkeypatch.setitem(trackers.PACKAGES, "recording", "json")
    return Recording.members


def test_each_member_of_a_run_has_a_writer(recording, tmp_path):
    following = Trackers(["recording"], tmp_path, Config(), print)
    following.begin([])
    following.show("real", png(4))
    for seed in (0, 1):
        following.show(f"step-00000010-seed{seed}", png(4))
    for seed in (0, 1):
        following.log(line(10, float(seed), seed=seed))
    following.close()
    assert {name: writer.rows for name, writer in recording.items()} == {
        "seed0": [(0, {}, ["real"]), (10, {"d/loss": 0.0}, ["samples"])],
        "seed1": [(10, {"d/loss": 1.0}, ["samples"])],
    }
    assert all(writer.closed for writer in recording.values())


def test_a_tracker_that_fails_is_dropped(recording, tmp_path, monkeypatch):
    said = []
    monkeypatch.setitem(trackers.WRITERS, "broken", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    following = Trackers(["broken", "recording"], tmp_path, Config(), said.append)
    for step in (1, 2):
        following.log(line(step, 0.0))
    assert said == ["warning: --log broken has stopped: No space left on device; metrics.jsonl continues"]
    assert [step for step, *_ in recording[""].rows] == [1, 2]


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(name, monkeypatch):
    monkeypatch.setitem(sys.modules, trackers.PACKAGES[name], None)
    with pytest.raises(InputError, match=rf"--log {name} needs a package: pip install 'gan_jax\[{name}\]'"):
        check_trackers([name])


def test_an_unknown_tracker_is_refused_before_anything_is_written(tiny, tmp_path):
    with pytest.raises(InputError, match="unknown --log 'tensorbord': did you mean 'tensorboard'"):
        train(tiny, tmp_path / "run", log=["tensorbord"])
    assert not (tmp_path / "run").exists()


def test_a_training_is_followed_traced_and_announced(tiny, recording, tmp_path, capsys):
    """The tracker receives what metrics.jsonl holds; the trace begins after the compilation; metrics are prepared before the
    first step, and no line says a speed that includes this."""
    config = replace(tiny, steps=8, log_every=2, eval_every=4, save_every=4)
    train(config, tmp_path / "run", log=["recording"], profile=2)
    lines = [json.loads(text) for text in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    rows = {step: values for step, values, _ in recording[""].rows if step}
    assert rows == {row["step"]: {name: value for name, value in row.items() if "/" in name} for row in lines}
    assert [(step, names) for step, _, names in recording[""].rows if names] == [
        (0, ["real", "samples"]), (4, ["samples"]), (8, ["samples"]),
    ]  # fmt: skip
    assert len(list((tmp_path / "run" / "profile").glob("plugins/profile/*/perfetto_trace.json.gz"))) == 1
    said = capsys.readouterr().err
    order = [
        "preparing the metrics",
        "measured on",
        "compiling the training step",
        "compiled in",
        "trace of 2 steps",
        "step 4/8",
    ]
    positions = [said.index(words) for words in order]
    assert positions == sorted(positions), said
    # Resumed for more steps: the tracker of the new process receives all of them again, from the log.
    train(replace(config, steps=10), tmp_path / "run", log=["recording"])
    assert [step for step, *_ in recording[""].rows] == [0, 2, 4, 6, 8, 10]
    assert np.isfinite(recording[""].rows[-1][1]["d/loss"])
