"""Fuzz: for any arguments and any file contents, a command ends, reports errors in one line, and damages no files."""

import contextlib
import io
import json
import shutil
import sys
import tempfile
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gan_jax.benchmark.measure import record
from gan_jax.cli import benchmark, benchmark_accelerator, benchmark_data, benchmark_metrics, benchmark_scaling
from gan_jax.config import Config, config_json
from gan_jax.errors import InputError
from gan_jax.reports import serve
from gan_jax.runs import hosts, trust
from gan_jax.spec.lookup import load_file
from gan_jax.storage import weights
from gan_jax.training import estimate, experiment
from gan_jax.training import train as training
from gan_jax.training.train import train

ROOT = Path(__file__).parents[2]
BENCHMARKS = ("benchmark", "benchmark_data", "benchmark_metrics", "benchmark_scaling")
NAMES = ("train", "compare", "sample", "evaluate", "temperatures", "report", "weights", *BENCHMARKS)
COMMANDS = {name: load_file(ROOT / "experiments" / f"{name}.py") for name in NAMES}
FIELDS = [field.name for field in fields(Config)]
# No slash and no dot: random paths must not lead out of the test directory.
TEXT = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="/.\0"), max_size=12)
WORDS = st.sampled_from(
    ["", "0", "1", "-1", "7", "1e9", "1e400", "nan", "-inf", "0.5", "null", "true", "[1, 2]", "{}", "{", "99999999999999999999",
     "hinge", "r1", "r1 + nope", "mmd(kernel=1)", "hinge(", "(((", "math:sqrt", "os:nope", "mine.py:f", "mine.py:none",
     "mine.py",
     "ring", "rign", "grid", "spiral", "data.npz", "folder", "thesis.txt", "stacked:ring", "sgd", "adam(b1=2)", "batch",
     "cutout + flip", "lecam * 2", "0:3", "all", "scan", "pmap", "eval/fd plateau(patience=5)", "d/loss < 0", "4096",
     "spectral", "inception", "jensen_shannon", "layer", "random", "--", "-", "\u00e9\n\t", "1e308", "1e39", "1000000000000",
     "-1e308", "0:99999999999999999999", "5:1:1", "x" * 300, "(" * 3000, "r1 + " * 3000,
     "walk", "math:sqrt(x=1)", "mine.py:f(x=1)", "exits.py:f", "exits.py", "builtins:print", "os:getcwd", "interpolation",
     "walk(seconds='x')", "truncation(values='no')", "langevin(steps='x')", "rejection", "kid", "fid", "1,0.5", "9" * 5000]
)  # fmt: skip
UNREADABLE = st.sampled_from(["~no_such_user/x", "mirrored:" * 3000 + "ring"])  # names of data, or paths
SMALL = st.integers(-2, 40).map(str)
OTHER_FLAGS = [
    "run_dir", "data_dir", "fork_from", "distributed", "coordinator", "processes", "rank", "dry_run", "smoke",
    "deterministic", "help", "verify", "seeds", "out", "samples", "label", "ema", "metrics", "extractor", "errors", "step",
    "generator", "doctor", "standing_statistics", "sampler", "path_length", "view", "temperatures", "to", "truncation",
    "trust", "json", "repeats", "cases", "growth", "markdown", "results", "check", "width", "size", "batches", "images", "n",
    "small_n", "dim", "tools", "python", "attained", "png", "cost", "no_compilation_cache", "accelerator", "minutes",
    "inception", "parts", "log", "profile", "serve", "port", "learning_rate", "batch-size", "no_doctor", "g-lr",
]  # fmt: skip
PLACES = st.sampled_from(
    [
        "run",
        "new",
        "thesis.txt",
        "folder",
        "config.json",
        "run/config.json",
        "fuzz.json",
        "mine.py",
        "no/no",
        "exits.py",
        "fuzz.npz",
        "fuzz.pth",
        "zip.pth",
    ]
)
DEEP = b"deeper than a parser can go"  # a placeholder for content that is too long to be printed
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | TEXT | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


def values(name):
    """Values of a flag, mostly of the right type."""
    if name.endswith("depth"):  # a network of a million layers is valid, but takes too long
        return SMALL
    types = {field.name: get_args(field.type) or (field.type,) for field in fields(Config)}.get(name, ())
    likely = [st.just(str(kind)) for kind in types if isinstance(kind, str)]
    likely += [SMALL] if int in types else []
    likely += [st.floats(-0.1, 1.5).map(str)] if float in types else []
    likely += [st.sampled_from(["true", "false"])] if bool in types else []
    other = WORDS | SMALL | TEXT | PLACES
    return st.one_of(*likely, *likely, *likely, other if name in ("data", "data_dir") else other | UNREADABLE)


@st.composite
def flags(draw):
    """A few flags, mostly existing ones."""
    words = []
    for _ in range(draw(st.integers(0, 3))):
        name = draw(st.sampled_from(FIELDS) | st.sampled_from(FIELDS) | st.sampled_from(OTHER_FLAGS) | TEXT)
        value = draw(values(name))
        form = draw(st.integers(0, 9))  # one flag in ten lacks its value
        words += [f"--{name}={value}"] if form > 4 else [f"--{name}", value][: 2 if form else 1]
    return words


@st.composite
def contents(draw):
    """Content of a JSON file: a config with some wrong values, or anything else."""
    kind = draw(st.sampled_from(["config", "config", "object", "text", "deep"]))
    if kind == "text":
        return draw(st.binary(max_size=40))
    if kind == "deep":
        return DEEP
    if kind == "object":
        return json.dumps(draw(JSON)).encode()
    changes = draw(st.dictionaries(st.sampled_from(FIELDS) | TEXT, JSON, max_size=3))
    sizes = {name: 1 for name in changes if name.endswith("depth") and type(changes[name]) is int}
    return (json.dumps({"changes": changes | sizes})).encode()


@st.composite
def cases(draw):
    command = draw(st.sampled_from(["train", "train", "train", "compare", "sample", "evaluate", *NAMES]))
    usual = {
        "train": ["config.json", "fuzz.json"],
        "compare": ["config.json", "run"],
        "weights": ["fuzz.npz", "fuzz.pth", "zip.pth"],
    }.get(command, ["run"])
    first = st.sampled_from(usual).map(lambda name: [name])
    line = draw(first | first | first | st.lists(PLACES | WORDS, max_size=2)) + draw(flags())
    if command in BENCHMARKS:
        line = line[1:]
    if command == "weights" and draw(st.booleans()):
        line += ["--run_dir", draw(st.sampled_from(["new", "run"]) | PLACES)]
    if command == "train":
        line += ["--run_dir", draw(st.sampled_from(["new", "run"]) | PLACES)] if draw(st.booleans()) else []
    if command == "compare" and draw(st.booleans()):
        line = ["--verify", draw(PLACES), draw(PLACES)]
    damaged = draw(st.none() | st.sampled_from(["config.json", "environment.json", "metrics.jsonl", "checkpoints.sha256"]))
    return command, line, draw(contents()), damaged


@pytest.fixture(scope="module")
def home(tiny, tmp_path_factory):
    """A directory with a run and the other files that a user may have."""
    home = tmp_path_factory.mktemp("home")
    small = replace(tiny, steps=2, log_every=1, eval_every=2, save_every=1, eval_samples=20)
    train(small, home / "run")
    (home / "config.json").write_text(config_json(small))
    (home / "thesis.txt").write_text("do not touch")
    (home / "folder").mkdir()
    (home / "folder" / "notes.txt").write_text("nor this")
    (home / "exits.py").write_text("import sys\n\nsys.exit(3)\n")
    shutil.copy(ROOT / "tests" / "golden" / "zip.pth", home)
    (home / "mine.py").write_text("def f(real, fake):\n    return real.mean(), fake.mean()\n")
    return home, small


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def no_training(loop, *_):
    """A replacement for the training loop that ends immediately."""
    loop.run.rewind(0)


def join(*_):
    raise InputError("no other process")


def measure_streams(*_):
    return dict.fromkeys(("stream", "cpu", "memory", "streamed", "waits", "slower"), 1.0)


def no_download(*_):
    raise InputError("no network")


def run_command(command, line):
    """Return (exit code, stderr) of a command line."""
    out, error = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        patch.setattr(sys, "argv", [f"{command}.py", *line])
        patch.setenv("XLA_FLAGS", "")
        patch.setattr(hosts, "join", join)
        patch.setattr(training, "run_loop", no_training)
        patch.setattr(estimate, "time_steps", lambda _: (1.0, 1, 1.0))
        patch.setattr(serve, "serve", lambda *_: None)
        patch.setattr(experiment, "cost", lambda *_: None)
        patch.setattr(experiment, "describe_cost", lambda *_: [])
        patch.setattr(trust, "_accepts_all", False)
        patch.setattr(benchmark, "measure_all", lambda *_: record("benchmark.py"))
        patch.setattr(benchmark_accelerator, "run_all", lambda options: {part: {} for part in options.parts})
        patch.setattr(benchmark_data, "measure", measure_streams)
        patch.setattr(benchmark_metrics, "measure", lambda *_: [])
        patch.setattr(benchmark_scaling, "measure", lambda *_: (1, 1.0, 1.0, 1.0))
        patch.setattr(weights, "download", no_download)
        try:
            COMMANDS[command].command(COMMANDS[command].main)
        except SystemExit as ended:
            return ended.code or 0, error.getvalue()
    return 0, error.getvalue()


def damaged_weights(noise):
    """A PyTorch file with some bytes replaced."""
    content = bytearray((ROOT / "tests" / "golden" / "zip.pth").read_bytes())
    for i, byte in enumerate(noise[:40]):
        content[byte * 7919 * (i + 1) % len(content)] = byte
    return bytes(content)


def check(home, case):
    (command, line, content, damaged), (home, small) = case, home
    content = b"[" * 100_000 if content == DEEP else content
    changes = json.loads(content)["changes"] if content.startswith(b'{"changes": ') else None
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        shutil.copytree(home, folder, dirs_exist_ok=True)
        fuzz = content if changes is None else json.dumps(asdict(small) | changes).encode()
        Path("fuzz.json").write_bytes(fuzz)
        Path("fuzz.npz").write_bytes(b"PK\x03\x04" + fuzz)
        Path("fuzz.pth").write_bytes(damaged_weights(fuzz))
        if damaged is not None:
            Path("run", damaged).write_bytes(fuzz)
        before = files(Path(folder))
        code, error = run_command(command, line)
        assert code in (0, 1, 2)
        assert "Traceback" not in error
        assert "--debug shows where" not in error, f"{command} {line}: {error}"
        if code == 2:
            assert error.splitlines()[-1].startswith("error: ")
            assert files(Path(folder)) == before
        return code


@pytest.mark.parametrize("count", [100, pytest.param(2000, marks=pytest.mark.slow)])
def test_no_arguments_or_files_cause_a_traceback_or_damage(home, count):
    codes = []

    @settings(max_examples=count, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(cases())
    def fuzz(case):
        codes.append(check(home, case))

    fuzz()
    counts = {code: codes.count(code) for code in (0, 1, 2)}
    assert counts[2] > count // 3 and counts[0] > count // 50, f"too few or too many valid cases: {counts}"


@pytest.mark.parametrize("python", ["/nope", "", "a\0b", "/tmp"])
def test_an_interpreter_that_does_not_exist_is_refused_before_the_measurements(home, python):
    code, error = run_command("benchmark_metrics", ["--python", python])
    assert code == 2 and "must be the interpreter of an environment" in error
