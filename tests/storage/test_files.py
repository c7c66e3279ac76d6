"""Files are written atomically, never through links, and never executed when read."""

import ast
import json
import os
import resource
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gan_jax.cli.command import write_json
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.runs.averages import posthoc_average
from gan_jax.runs.load import load_run
from gan_jax.runs.run_dir import RunDir
from gan_jax.storage.cache import cache_path, cached, read_cache, write_cache
from gan_jax.storage.files import (
    RUN_FILES,
    RUN_FOLDERS,
    check_entries,
    open_atomically,
    read_checksums,
    remove_leftovers,
    write_atomically,
    write_checksums,
)
from gan_jax.training.train import train

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "gan_jax").rglob("*.py"), *(ROOT / "experiments").rglob("*.py")])


def test_a_file_replaces_a_link_and_leaves_its_target_alone(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("do not touch")
    inside = tmp_path / "run"
    inside.mkdir()
    for name in ("a.html", ".a.html.tmp", ".a.html.lock"):
        (inside / name).symlink_to(secret)
    write_atomically(inside / "a.html", b"new")
    assert secret.read_text() == "do not touch"
    assert (inside / "a.html").read_text() == "new" and not (inside / "a.html").is_symlink()
    assert os.listdir(inside) == ["a.html"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.json"
    write_atomically(path, b"old")
    with pytest.raises(KeyError), open_atomically(path) as file:
        file.write(b"half of the ne")
        raise KeyError
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.json"]
    long = tmp_path / ("é" * 120 + ".json")  # 245 bytes, near the limit of 255
    write_atomically(long, b"1")
    assert long.read_bytes() == b"1"


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    """The limit on the size of files makes the kernel refuse to write, as on a full disk."""
    write_json(tmp_path / "evaluation.json", {"fd": 1})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(InputError, match="File too large"):
            write_json(tmp_path / "evaluation.json", {"fd": [1] * 100_000})
        write_cache(tmp_path / "a.npz", {"x": np.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert json.loads((tmp_path / "evaluation.json").read_text()) == {"fd": 1}
    assert os.listdir(tmp_path) == ["evaluation.json"] and read_cache(tmp_path / "a.npz") is None


def test_results_are_also_written_to_pipes_and_through_links(tmp_path):
    (tmp_path / "there.json").write_text("")
    (tmp_path / "link.json").symlink_to("there.json")
    write_json(tmp_path / "link.json", [1])
    assert json.loads((tmp_path / "there.json").read_text()) == [1] and (tmp_path / "link.json").is_symlink()
    device = os.stat("/dev/null")
    write_json(Path("/dev/null"), [1])
    assert os.stat("/dev/null").st_rdev == device.st_rdev != 0


WRITER = """
import os, sys, time
from pathlib import Path
from gan_jax.storage.files import open_atomically
with open_atomically(Path(sys.argv[1])) as file:
    file.write(b"theirs")
    file.flush()
    print("writing", flush=True)
    sys.stdin.readline()
"""


def writer(path):
    """A process that has begun to write a file, and goes on after a line from us."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n"
    return process


def test_what_a_killed_process_leaves_is_removed_and_a_living_one_is_waited_for(tmp_path):
    path = tmp_path / "report.html"
    killed = writer(path)
    during = [".report.html.lock", ".report.html.tmp"]
    assert sorted(os.listdir(tmp_path)) == during
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == during, "it is being written"
    killed.kill()
    killed.communicate()
    assert sorted(os.listdir(tmp_path)) == during
    write_atomically(path, b"ours")
    assert os.listdir(tmp_path) == ["report.html"] and path.read_bytes() == b"ours"
    living = writer(path)
    ours = threading.Thread(target=write_atomically, args=(path, b"after it"))
    ours.start()
    ours.join(0.2)
    assert ours.is_alive() and path.read_bytes() == b"ours"
    living.communicate("go on\n")
    ours.join(10)
    assert path.read_bytes() == b"after it" and os.listdir(tmp_path) == ["report.html"]
    (tmp_path / ".step-00000012.png.tmp").touch()
    (tmp_path / ".step-00000012.png.lock").touch()
    (tmp_path / ".hidden").touch()
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".hidden", "report.html"]


def test_a_temporary_file_that_is_a_link_or_unreadable_is_replaced(tmp_path):
    (tmp_path / "precious").write_text("do not touch")
    os.link(tmp_path / "precious", tmp_path / ".a.tmp")
    write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "precious").read_text() == "do not touch" and (tmp_path / "a").read_bytes() == b"new"
    (tmp_path / ".a.tmp").touch(mode=0)
    write_atomically(tmp_path / "a", b"newer")
    assert sorted(os.listdir(tmp_path)) == ["a", "precious"]


def test_without_a_home_directory_nothing_is_cached_and_nothing_fails(tmp_path, monkeypatch):
    def homeless(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    monkeypatch.setenv("GAN_JAX_CACHE", "")
    path = cache_path("a.npz")
    write_cache(path, {"x": np.ones(2)})
    assert read_cache(path) is None and not path.exists()
    (array,) = cached("a.npz", ["x"], lambda: [np.ones(2)])
    np.testing.assert_array_equal(array, np.ones(2))
    monkeypatch.setenv("GAN_JAX_CACHE", "~nobody/cache")
    with pytest.raises(InputError, match=r"GAN_JAX_CACHE=~nobody/cache: .*set it to another directory"):
        cache_path("a.npz")


def test_every_file_is_written_by_one_function():
    """What opens a file for writing, or receives the name of one, is listed here with the reason."""
    allowed = {
        "gan_jax/storage/files.py": 1,  # the function
        "gan_jax/runs/run_dir.py": 1,  # lines that are appended to the log
        "gan_jax/storage/weights.py": 1,  # a download, which is resumed and verified
        "gan_jax/training/progress.py": 2,  # /dev/null
        "gan_jax/cli/command.py": 1,  # to devices and pipes
        "gan_jax/cli/benchmark_metrics.py": 1,  # in a temporary folder
        "gan_jax/benchmark/accelerator_use.py": 1,  # in a temporary folder
        "gan_jax/benchmark/checks.py": 2,  # in a temporary folder
        "gan_jax/cli/benchmark_accelerator.py": 1,  # what a part prints, in a temporary folder
    }
    for path in SOURCES:
        writes = 0
        for name, call in calls_with_arguments(ast.parse(path.read_text())):
            mode = next(
                (a.value for a in call.args[:2] if isinstance(a, ast.Constant) and a.value in ("w", "a", "wb", "xb")), None
            )
            conditional = name.endswith("open") and any(isinstance(a, ast.IfExp) for a in call.args)
            in_memory = call.args and ast.unparse(call.args[0]) in ("out", "archive", "arrays", "animation", "file", "target")
            writes += name.split(".")[-1] in ("write_text", "write_bytes", "NamedTemporaryFile", "mkstemp")
            writes += name.split(".")[-1] == "open" and (mode is not None or conditional) and not in_memory
            writes += name in ("np.save", "np.savez", "np.savez_compressed", "json.dump") and not in_memory
        where = path.relative_to(ROOT).as_posix()
        assert writes == allowed.get(where, 0), f"{where} writes {writes} files without open_atomically"


@pytest.mark.parametrize("name", (*RUN_FOLDERS, *RUN_FILES))
def test_a_run_directory_containing_a_link_is_refused(tiny, tmp_path, name):
    outside, run_dir = tmp_path / "outside", tmp_path / "run"
    outside.mkdir()
    (outside / "precious").write_text("do not touch")
    RunDir(run_dir, tiny, load("ring", 0, 16)).close()
    target = outside if name in ("samples", "checkpoints", "averages") else outside / "precious"
    if (run_dir / name).is_dir():
        (run_dir / name).rmdir()
    (run_dir / name).unlink(missing_ok=True)
    (run_dir / name).symlink_to(target)
    if name == "config.json":  # must be parsable, so that the link is what causes the error
        (outside / "precious").write_text("{}")
    before = (outside / "precious").read_text()
    for use in (lambda: train(tiny, run_dir), lambda: load_run(run_dir, print)):
        with pytest.raises(InputError, match=rf"{name} is a link to .*only inside its own directory"):
            use()
    assert os.listdir(outside) == ["precious"] and (outside / "precious").read_text() == before


@pytest.mark.parametrize("name", (*RUN_FOLDERS, *RUN_FILES))
def test_an_entry_of_another_kind_is_refused_before_training(tiny, tmp_path, name):
    run_dir = tmp_path / "run"
    RunDir(run_dir, tiny, load("ring", 0, 16)).close()
    if (run_dir / name).is_dir():
        (run_dir / name).rmdir()
    (run_dir / name).unlink(missing_ok=True)
    (run_dir / name).touch() if name in RUN_FOLDERS else (run_dir / name).mkdir()
    before = sorted(run_dir.rglob("*"))
    with pytest.raises(InputError, match=rf"{name} is not a (file|folder)|holds? no config.json|has no config.json"):
        train(tiny, run_dir)
    assert sorted(run_dir.rglob("*")) == before


def test_a_run_directory_may_itself_be_a_link(tiny, tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "scratch")
    check_entries(tmp_path / "run")
    RunDir(tmp_path / "run", tiny, load("ring", 0, 16)).close()
    assert (tmp_path / "scratch" / "config.json").exists()


def test_checksums_are_read_as_written(tmp_path):
    sha256 = {"checkpoints/1/a  b": "00", "checkpoints/1/c": "11"}
    write_checksums(tmp_path / "sums", sha256)
    assert read_checksums(tmp_path / "sums") == sha256
    assert read_checksums(tmp_path / "missing") == {}


def calls_with_arguments(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def calls(tree):
    for name, node in calls_with_arguments(tree):
        yield name, {keyword.arg: keyword.value for keyword in node.keywords}


def test_no_source_loads_pickles_or_executes_what_it_reads():
    """Two files use pickle, the readers of PyTorch weights and of statistics of features. Their unpicklers build only
    dictionaries of arrays."""
    loads = 0
    for path in SOURCES:
        tree, where = ast.parse(path.read_text()), path.relative_to(ROOT).as_posix()
        modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        modules |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        readers = ("gan_jax/storage/pytorch.py", "gan_jax/storage/statistics.py")
        allowed = {"pickle", "pickletools"} if where in readers else set()
        assert not modules & {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "yaml"} - allowed, where
        if allowed:
            uses = {ast.unparse(n) for n in ast.walk(tree) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "pickle"}
            assert uses <= {"pickle.Unpickler", "pickle.UnpicklingError"}, uses
        for name, keywords in calls(tree):
            assert name not in ("eval", "exec", "torch.load", "pickle.load", "pickle.loads", "os.system"), f"{where}: {name}"
            assert "allow_pickle" not in keywords or ast.literal_eval(keywords["allow_pickle"]) is False, where
            if name in ("np.load", "np.lib.format.read_array"):
                loads += 1
                assert "allow_pickle" in keywords, f"{where}: {name} without allow_pickle=False"
    assert loads >= 1, "this test no longer finds calls of np.load"


class Trap:
    """Unpickling an instance creates a directory."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_an_untrusted_npz_executes_nothing(tmp_path, tiny):
    trap = np.array([Trap(tmp_path / "sprung")], object)
    np.savez(tmp_path / "data.npz", images=trap)
    with pytest.raises(InputError):
        load(str(tmp_path / "data.npz"), 0, 16)
    (tmp_path / "averages").mkdir()
    for sigma in ("0.05", "0.10"):
        np.savez(tmp_path / "averages" / f"00000004-{sigma}.npz", **{"params/Dense_0/bias": trap})
    with pytest.raises(InputError, match="holds Python objects"):
        posthoc_average(tmp_path, replace(tiny, posthoc_ema=True), type("State", (), {"step": 4}), 0.05)
    assert not (tmp_path / "sprung").exists()
