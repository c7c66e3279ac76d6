"""Whole runs on the ring: the files they write, bitwise resumption after every kind of interruption, and refusals."""

import errno
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from gan_jax.config import config_json
from gan_jax.data.load import load
from gan_jax.errors import InputError, RunError
from gan_jax.evaluation.view_run import view_run
from gan_jax.game.build import build
from gan_jax.game.preflight import label_warning
from gan_jax.reports.doctor import diagnose
from gan_jax.runs import checkpoint
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.load import load_run
from gan_jax.runs.run_dir import RunDir
from gan_jax.runs.verify import verify
from gan_jax.storage.files import digest
from gan_jax.training.experiment import describe, prepare
from gan_jax.training.progress import LossyStream
from gan_jax.training.train import train

ROOT = Path(__file__).parents[2]
# Pending tensorstore writes notify an event loop that Orbax has already closed, possibly during the next test.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def log_of(run_dir):
    """The lines of metrics.jsonl without timestamps."""
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def final_digest(run_dir):
    return digest(load_run(run_dir, print)[3])


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory):
    """An uninterrupted run."""
    run_dir = tmp_path_factory.mktemp("whole") / "run"
    train(tiny, run_dir)
    return run_dir


@pytest.fixture
def no_report(monkeypatch):
    """Skip the report of runs that are compared by their logs and states: it costs a second each."""
    monkeypatch.setattr("gan_jax.training.experiment.write_report", lambda run_dir: run_dir)


def test_a_run_directory(tiny, whole):
    assert [line["step"] for line in log_of(whole)] == [4, 6, 8, 12, 16, 18, 20, 24]
    assert all(np.isfinite(list(line.values())).all() for line in log_of(whole))
    assert ["eval/modes" in line for line in log_of(whole)] == [False, False, False, True, False, False, False, True]
    stems = ["interpolation", "real", "step-00000000", "step-00000012", "step-00000024"]
    names = [f"{stem}{suffix}" for stem in stems for suffix in (".png", ".svg")]
    assert sorted(path.name for path in (whole / "samples").iterdir()) == names
    environment = json.loads((whole / "environment.json").read_text())
    assert environment["status"] == "finished"
    assert environment["dispatch"] == "scan"
    assert environment["jax"] == jax.__version__
    assert environment["data"]["checksum"] == load("ring", 0, 1).checksum
    assert "tiny" in (whole / "report.html").read_text()


def test_running_a_finished_run_again_changes_nothing(tiny, whole):
    before, state = log_of(whole), final_digest(whole)
    train(tiny, whole)
    assert log_of(whole) == before
    assert final_digest(whole) == state


def test_a_finished_run_continues_for_more_steps(tiny, whole, no_report, tmp_path):
    train(replace(tiny, steps=12), tmp_path / "run")
    train(tiny, tmp_path / "run")
    assert log_of(tmp_path / "run") == log_of(whole)
    assert final_digest(tmp_path / "run") == final_digest(whole)
    with pytest.raises(InputError, match=r"another config .steps: 24 -> 12"):
        train(replace(tiny, steps=12), tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text(config_json(replace(tiny, g_lr_final=0.0)))
    with pytest.raises(
        InputError, match=r"steps: 24 -> 36.*; or continue after the end of its schedules with --schedule_steps 24"
    ):
        train(replace(tiny, g_lr_final=0.0, steps=36), tmp_path / "run")


class Killed(BaseException):
    pass


@pytest.mark.parametrize(("moment", "lives"), [("log", (2, 3, 4)), ("save", (2, 2, 2)), ("show", (3, 2))])
def test_interrupted_anywhere_and_resumed_a_run_is_the_same(tiny, whole, no_report, tmp_path, monkeypatch, moment, lives):
    """Each process dies at its n-th call of a function that writes to disk; the same command resumes each time."""
    owner = Checkpoints if moment == "save" else RunDir
    original = getattr(owner, moment)
    for life in lives:
        calls = []

        def die(*arguments, life=life, calls=calls):
            calls.append(1)
            if len(calls) == life:
                raise Killed
            return original(*arguments)

        monkeypatch.setattr(owner, moment, die)
        with pytest.raises(Killed):
            train(tiny, tmp_path / "run")
        monkeypatch.setattr(owner, moment, original)
    train(tiny, tmp_path / "run")
    assert log_of(tmp_path / "run") == log_of(whole)
    assert final_digest(tmp_path / "run") == final_digest(whole)


def test_a_partial_line_in_the_log_is_dropped(tiny, whole, no_report, tmp_path, monkeypatch):
    def die(*_):
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Checkpoints, "save", lambda self, state, shards, save=Checkpoints.save: (
            die() if int(state.step) == 18 else save(self, state, shards)))  # fmt: skip
        train(tiny, tmp_path / "run")
    with open(tmp_path / "run" / "metrics.jsonl", "a") as log:
        log.write('{"step": 20, "d/lo')
    train(tiny, tmp_path / "run")
    assert log_of(tmp_path / "run") == log_of(whole)


def command(*flags, script="train.py"):
    """A command as a user types it, on the ring at the size of `tiny`."""
    sizes = "--batch 16 --g_width 8 --d_width 8 --g_depth 1 --d_depth 1 --eval_samples 100"
    recipe = [str(ROOT / "experiments/toy/ring.py"), *sizes.split()] if script == "train.py" else []
    return [sys.executable, str(ROOT / "experiments" / script), *recipe, *map(str, flags)]


def run(*flags, script="train.py"):
    return subprocess.run(command(*flags, script=script), capture_output=True, text=True, cwd=ROOT, timeout=120)


@pytest.mark.parametrize(
    ("signals", "ends"),
    [(["SIGTERM"], RunError), (["SIGHUP", "SIGHUP"], RunError), (["SIGINT", "SIGINT"], KeyboardInterrupt)],
)
def test_a_signal_during_a_save(tiny, whole, tmp_path, monkeypatch, signals, ends):
    """One signal waits for the save; a second Ctrl-C does not. In both cases the same command resumes to the same result."""

    to_come = list(signals)

    def interrupted(self, *states, save=Checkpoints.save):
        save(self, *states)
        while to_come:
            os.kill(os.getpid(), signal.Signals[to_come.pop()])

    with monkeypatch.context() as patch, pytest.raises(ends):
        patch.setattr(Checkpoints, "save", interrupted)
        train(tiny, tmp_path / "run")
    assert not list((tmp_path / "run" / "checkpoints").glob("*tmp*"))
    train(tiny, tmp_path / "run")
    assert log_of(tmp_path / "run") == log_of(whole)
    assert final_digest(tmp_path / "run") == final_digest(whole)


def test_a_clock_set_back_changes_nothing(tiny, whole, no_report, tmp_path, monkeypatch):
    hours = itertools.count(4e9, -3600)
    monkeypatch.setattr(time, "time", lambda: next(hours))
    train(tiny, tmp_path / "run")
    assert log_of(tmp_path / "run") == log_of(whole)
    assert final_digest(tmp_path / "run") == final_digest(whole)
    seconds = [json.loads(line)["seconds"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert seconds == sorted(seconds) and 0 < seconds[-1] < 600


def test_a_clock_set_forward_during_a_save_loses_at_most_that_save(tiny, whole, no_report, tmp_path, monkeypatch):
    """Orbax waits for its threads by wall-clock time: after such a jump it may give them up."""
    jumps = np.random.default_rng(0)
    with monkeypatch.context() as patch, suppress(RunError):
        patch.setattr("gan_jax.runs.run_dir.try_saving", lambda path: None)  # would be refused
        patch.setattr(time, "time", lambda: float(jumps.uniform(0, 4e9)))
        train(tiny, tmp_path / "run")
    train(tiny, tmp_path / "run")
    assert log_of(tmp_path / "run") == log_of(whole)
    assert final_digest(tmp_path / "run") == final_digest(whole)


def test_a_full_disk_is_one_line_and_the_run_can_be_resumed(tiny, whole, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for owner, moment in ((RunDir, "log"), (RunDir, "show"), (checkpoint, "write_checksums")):
        with monkeypatch.context() as patch, pytest.raises(RunError, match="No space left on device"):
            patch.setattr(owner, moment, full)
            train(tiny, tmp_path / "run")
    train(tiny, tmp_path / "run")
    assert log_of(tmp_path / "run") == log_of(whole)
    assert final_digest(tmp_path / "run") == final_digest(whole)


def test_a_directory_that_cannot_be_written(tiny, tmp_path):
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=100k", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a read-only disk, and only root can write everywhere else")
    try:
        for run_dir in (tmp_path, tmp_path / "run"):
            with pytest.raises(InputError, match=r"cannot write in .*: Read-only file system; choose another --run_dir"):
                train(tiny, run_dir)
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_divergence_stops_at_its_step_and_keeps_the_last_good_checkpoint(tiny, tmp_path):
    """The loss becomes NaN at the tenth step; checkpoints are saved at 6, 12, ..."""
    loss = tmp_path / "mine.py"
    loss.write_text("def f(real, fake):\n    return (real - fake).mean(), -fake.mean() * 1e38\n")
    broken = replace(tiny, loss=f"{loss}:f", penalty=None, g_lr=1e3, save_every=1)
    with pytest.raises(RunError) as error:
        train(broken, tmp_path / "run")
    step = int(str(error.value).split("step ")[1].split(":")[0])
    with Checkpoints(tmp_path / "run", read_only=True) as checkpoints:
        assert max(checkpoints.steps(), default=0) == step - 1
    assert "g/" in str(error.value) or "d/" in str(error.value)
    assert "training broke" in json.loads((tmp_path / "run" / "environment.json").read_text())["status"]
    *lines, last = log_of(tmp_path / "run")
    assert all(np.isfinite(list(line.values())).all() for line in lines)
    assert last["step"] == step and " is " in last["broken"]
    assert [diagnosis.name for diagnosis in diagnose([*lines, last])] == ["not finite"]


def test_a_directory_of_another_config_is_refused_and_untouched(tiny, whole):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    with pytest.raises(InputError, match=r"another config .g_lr: 0.001 -> 0.5.; choose another --run_dir, or --fork_from"):
        train(replace(tiny, g_lr=0.5), whole)
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*")} == before


def test_other_data_under_the_same_name_is_refused(tiny, tmp_path):
    np.savez(tmp_path / "d.npz", images=np.arange(60 * 64, dtype=np.uint8).reshape(60, 8, 8))
    config = replace(tiny, data=str(tmp_path / "d.npz"))
    begun = RunDir(tmp_path / "run", config, load(config.data, 0, 16))
    begun.note()
    begun.close()
    np.savez(tmp_path / "d.npz", images=np.zeros((60, 8, 8), np.uint8))
    with pytest.raises(InputError, match=r"differs from that with which .* was started"):
        train(config, tmp_path / "run")


def test_two_trainings_in_one_directory(tiny, tmp_path):
    data = load("ring", 0, 16)
    first = RunDir(tmp_path / "run", tiny, data)
    with pytest.raises(InputError, match="another process is training"):
        RunDir(tmp_path / "run", tiny, data)
    first.close()
    RunDir(tmp_path / "run", tiny, data).close()


def test_a_directory_that_is_not_a_run(tiny, tmp_path):
    (tmp_path / "thesis.txt").write_text("do not touch")
    with pytest.raises(InputError, match="not a run directory"):
        train(tiny, tmp_path)
    with pytest.raises(InputError, match="is a file"):
        train(tiny, tmp_path / "thesis.txt")
    with pytest.raises(InputError, match="cannot write"):
        train(tiny, tmp_path / "thesis.txt" / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_run_killed_before_the_config_was_written_can_start(tiny, tmp_path):
    for leftover in ("lock", ".config.json.tmp"):
        (tmp_path / leftover).touch()
    RunDir(tmp_path, tiny, load("ring", 0, 16)).close()
    assert (tmp_path / "config.json").exists()


def test_if_all_checkpoints_are_damaged_the_error_is_one_line(tiny, tmp_path):
    train(replace(tiny, steps=6), tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoints").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    (tmp_path / "config.json").write_text(config_json(replace(tiny, steps=6)))
    ended = subprocess.run(
        [sys.executable, "experiments/train.py", str(tmp_path / "config.json"), "--run_dir", str(tmp_path / "run")],
        capture_output=True, text=True, cwd=ROOT, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "no checkpoint in" in ended.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--loss hing", "unknown loss 'hing': did you mean 'hinge'? known: hinge, jensen_shannon"),
        ("--penalty r1r2", "unknown penalty 'r1r2': did you mean 'r1_r2'?"),
        ("--augment flap", "unknown augment 'flap'"),
        ("--model mpl", "unknown model 'mpl': did you mean 'mlp'? known: "),
        ("--data rign", "unknown data 'rign': did you mean 'ring'?"),
        (
            "--model dcgan",
            "unknown option of dcgan's Generator 'g_depth': did you mean 'g_width'? known: g_condition, g_norm, g_width",
        ),
        ("--augment translation", "translation needs images [B, H, W, C], got (16, 2)"),
        ("--loss nowhere.py:f", "no file nowhere.py"),
        ("--loss nowhere.such:f", "'nowhere.such' cannot be imported"),
        ("--g_norm spectral", "norm must be one of none, batch, layer"),
        ("--d_norm instance", "norm must be one of none, batch, layer, spectral"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(tiny, tmp_path, flags, words):
    (flag, value), run_dir = flags.split(), tmp_path / "run"
    with pytest.raises(InputError) as error:
        train(replace(tiny, **{flag.removeprefix("--"): value}), run_dir)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert not run_dir.exists()


@pytest.mark.filterwarnings("ignore:Frechet distance of")
def test_few_images_are_trained_on_and_their_metrics_marked(tiny, tmp_path):
    """In the log, the environment and the report; a metric that is named but needs more is refused, and nothing written."""
    np.savez(tmp_path / "d.npz", images=np.random.RandomState(0).randint(0, 256, (20, 4, 4), np.uint8))
    config = replace(tiny, data=str(tmp_path / "d.npz"), batch=8, steps=2, eval_every=2, eval_samples=50)
    with pytest.raises(
        InputError, match=r"prdc cannot be measured .*: it needs 6 real images .*, there are 18 .* and 2 held out"
    ):
        train(replace(config, metrics="prdc"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    train(config, tmp_path / "run")
    line = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["eval/few_real"] == 2 and line["eval/fd"] > 0 and "eval/precision" not in line
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    sentence = "too few real images, 2: with fewer than 100, no value of these metrics can be trusted"
    assert environment["protocol"]["caution"] == sentence and "not measured: prdc" in environment["evaluation"]
    assert environment["data"]["notes"] == ["for training, a random tenth is held out: 2 of 20 images"]
    report = (tmp_path / "run" / "report.html").read_text()
    assert sentence in report and "few_real" in report


def test_labels_that_only_one_player_receives(tiny):
    data = load("digits", 0, tiny.batch)
    for changes, words in (
        ({"d_condition": "projection"}, "the generator receives no labels: set --g_condition"),
        ({"auxiliary": "ac_gan"}, "auxiliary ac_gan expects samples of a given label, but the generator receives no labels"),
        ({"g_condition": "concat"}, "nothing compares them: set --d_condition, or --auxiliary"),
    ):
        config = replace(tiny, data="digits", **changes)
        assert words in label_warning(config, build(config, data))
    config = replace(tiny, data="digits", g_condition="concat", d_condition="projection")
    assert label_warning(config, build(config, data)) is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("raise RuntimeError('not today')", ["mine.py:2", "RuntimeError: not today", "(16,), (16,)", "two scalars"]),
        ("return real - fake, fake", ["must return two scalars", "(16,)"]),
        ("return real.mean()", ["must return two scalars", "()"]),
        ("return real.mean() @ fake, 0.0", ["mine.py:2", "two scalars"]),
    ],
)
def test_an_error_in_a_users_loss_names_their_line_and_the_shapes(tiny, tmp_path, body, words):
    (tmp_path / "mine.py").write_text(f"def margin(real, fake):\n    {body}\n")
    with pytest.raises(InputError) as error:
        train(replace(tiny, loss=f"{tmp_path}/mine.py:margin"), tmp_path / "run")
    assert all(word in str(error.value) for word in words), str(error.value)
    assert not (tmp_path / "run").exists()


def test_a_users_own_functions(tiny, tmp_path):
    """A loss and a penalty from a user's file, by one flag each."""
    (tmp_path / "mine.py").write_text(
        "import jax\n"
        "def margin(real, fake):\n    return jax.nn.relu(1 - real + fake).mean(), -fake.mean()\n"
        "def small(critic, real, fake, key):\n    return (critic(real) ** 2).mean()\n"
    )
    config = replace(tiny, loss=f"{tmp_path}/mine.py:margin", penalty=f"{tmp_path}/mine.py:small", steps=4)
    train(config, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["status"] == "finished"


def test_dry_run_describes_the_run_and_writes_nothing(tiny, tmp_path):
    text = describe(prepare(tiny, tmp_path / "run"))
    # G: 2*8 + 8 and 8*2 + 2. D: 2*8 + 8 and 8 + 1.
    assert "generator 42, discriminator 33" in text
    assert list(tmp_path.iterdir()) == []


def test_equal_seeds_give_equal_logs_and_other_seeds_other_logs(tiny, whole, tmp_path):
    for seed in (0, 1):
        train(replace(tiny, seed=seed), tmp_path / str(seed))
    same, words = verify(tmp_path / "0", whole)
    assert same and words.endswith("config: equal\nenvironment: equal"), words
    same, words = verify(tmp_path / "1", whole)
    assert not same and "first difference in line 1, step 4: " in words and "at step 24, " in words, words
    assert words.endswith("config: seed: 1 -> 0\nenvironment: equal")


def test_sample_a_run(whole, tmp_path):
    sampled = run(whole, "--samples", 7, "--out", tmp_path / "samples", script="sample.py")
    assert sampled.returncode == 0, sampled.stderr
    with np.load(tmp_path / "samples" / "samples-seed0.npz") as archive:
        assert archive["samples"].shape == (7, 2)
        assert archive["z"].shape == (7, 2)
    missing = run(tmp_path / "nothing", script="sample.py")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    assert "not a run directory" in missing.stderr


def test_view_a_run(whole, tmp_path):
    paths = view_run(whole, "truncation(values=(0.5, 2.0))", 1, tmp_path)
    assert {path.name for path in paths} == {"truncation-seed1.png", "truncation-seed1.svg"}
    assert all(path.stat().st_size > 1_000 for path in paths)
    with pytest.raises(InputError, match="unknown view 'truncate': did you mean 'truncation'"):
        view_run(whole, "truncate", 1, tmp_path)
    with pytest.raises(InputError, match="neighbours is for images"):
        view_run(whole, "neighbours", 1, tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x = 1", "must define a flax.linen or flax.nnx module named Generator"),
        (
            "import flax.linen as nn\nclass Generator(nn.Module):\n    depth: int = 1",
            "must have the fields num_classes, sample_shape",
        ),
        (
            "import flax.linen as nn\nclass Generator(nn.Module):\n    sample_shape: tuple\n    num_classes: int\n"
            "    width: int = 1\n    depth: int = 1\n"
            "    def __call__(self, z, label, train):\n        return z\nDiscriminator = Generator",
            "model mine.py's Discriminator must return logits (16,)",
        ),
    ],
)
def test_a_users_network_that_does_not_fit(tiny, tmp_path, monkeypatch, content, words):
    (tmp_path / "mine.py").write_text(content)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        train(replace(tiny, model="mine.py"), tmp_path / "run")
    assert words in str(error.value)


def test_debug_shows_the_traceback_and_keeps_the_exit_code(tmp_path):
    ended = run("--loss", "hing", "--run_dir", tmp_path / "run", "--debug")
    assert ended.returncode == 2
    assert "Traceback" in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("error: unknown loss 'hing'")


def test_ctrl_c_saves_first(tmp_path):
    process = subprocess.Popen(
        command("--steps", 1_000_000, "--save_every", 100, "--run_dir", tmp_path / "run"),
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list((tmp_path / "run" / "checkpoints").glob("[0-9]*00")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert error.splitlines()[-1].startswith("error: stopped by SIGINT at step ")
    step = int(error.splitlines()[-1].split("step ")[1].split(",")[0])
    assert int(load_run(tmp_path / "run", print)[3].step) == step


def test_a_reader_that_leaves_does_not_stop_training(tiny, tmp_path):
    """The reader of stderr has gone, and stdout was closed before the start: the run finishes and is whole."""
    (tmp_path / "config.json").write_text(config_json(replace(tiny, steps=6)))
    line = f"exec {sys.executable} {ROOT}/experiments/train.py {tmp_path}/config.json --run_dir {tmp_path}/run >&- 2> >(true)"
    assert subprocess.run(["bash", "-c", line], timeout=120).returncode == 0
    assert [line["step"] for line in log_of(tmp_path / "run")] == [4, 6]
    assert (tmp_path / "run" / "report.html").exists()


def test_output_that_cannot_be_written_is_dropped():
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open(write_end, "w", encoding="ascii", buffering=1) as pipe:
        stream = LossyStream(pipe)
        for _ in range(3):
            assert stream.write("nobody reads this\n") == 18
            stream.flush()
    with tempfile.TemporaryFile("w+", encoding="ascii") as file:
        LossyStream(file).write("café\udce9\n")
        file.seek(0)
        assert file.read() == "caf\\xe9\\udce9\n"


def test_deterministic_is_recorded_but_not_part_of_the_config(tmp_path):
    """An option unknown to this JAX would end the process immediately."""
    ended = run("--steps", 2, "--deterministic", "--run_dir", tmp_path / "run")
    assert ended.returncode == 0, ended.stderr
    flags = json.loads((tmp_path / "run" / "environment.json").read_text())["XLA_FLAGS"]
    assert flags.split()[-2:] == ["--xla_gpu_deterministic_ops=true", "--xla_gpu_autotune_level=0"]
    assert "deterministic" not in (tmp_path / "run" / "config.json").read_text()


def test_resuming_on_another_machine_is_recorded(tiny, tmp_path, monkeypatch):
    """With other versions or devices a run resumes, but perhaps not with the same bits; environment.json records them."""
    data = load("ring", 0, 16)
    for flags in ("", "--xla_a=1", "--xla_a=1", "--xla_b=2"):
        monkeypatch.setenv("XLA_FLAGS", flags)
        begun = RunDir(tmp_path / "run", tiny, data)
        messages = begun.rewind(0)
        begun.close()
    assert len(messages) == 1 and "XLA_FLAGS: --xla_a=1 -> --xla_b=2" in messages[0]
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert environment["earlier"] == [{"XLA_FLAGS": "", "until_step": 0}, {"XLA_FLAGS": "--xla_a=1", "until_step": 0}]
    assert environment["XLA_FLAGS"] == "--xla_b=2"


def test_a_full_disk_at_the_start_is_reported_in_one_line_and_the_directory_is_released(tiny, tmp_path, monkeypatch):
    def full(self, **facts):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(RunDir, "note", full)
        with pytest.raises(RunError, match=r"training stopped: .*No space left on device; the same command resumes"):
            train(tiny, tmp_path / "run")
    RunDir(tmp_path / "run", tiny, load(tiny.data, tiny.seed, tiny.batch)).close()
