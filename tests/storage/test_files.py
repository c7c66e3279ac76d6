"""Files are written atomically, never through links, and never executed when read."""

import ast
import os
from pathlib import Path

import numpy as np
import pytest

from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.runs.run_dir import RunDir, load_run, posthoc_average
from gan_jax.storage.files import RUN_ENTRIES, read_checksums, refuse_links, write_atomically, write_checksums
from gan_jax.training.train import train

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "gan_jax").rglob("*.py"), *(ROOT / "experiments").rglob("*.py")])


def test_a_file_replaces_a_link_and_leaves_its_target_alone(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("do not touch")
    inside = tmp_path / "run"
    inside.mkdir()
    for name in ("a.html", ".a.html.tmp"):
        (inside / name).symlink_to(secret)
    write_atomically(inside / "a.html", b"new")
    assert secret.read_text() == "do not touch"
    assert (inside / "a.html").read_text() == "new" and not (inside / "a.html").is_symlink()
    assert os.listdir(inside) == ["a.html"]


@pytest.mark.parametrize("name", RUN_ENTRIES)
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


def test_a_run_directory_may_itself_be_a_link(tiny, tmp_path):
    (tmp_path / "scratch").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "scratch")
    refuse_links(tmp_path / "run")
    RunDir(tmp_path / "run", tiny, load("ring", 0, 16)).close()
    assert (tmp_path / "scratch" / "config.json").exists()


def test_checksums_are_read_as_written(tmp_path):
    sha256 = {"checkpoints/1/a  b": "00", "checkpoints/1/c": "11"}
    write_checksums(tmp_path / "sums", sha256)
    assert read_checksums(tmp_path / "sums") == sha256
    assert read_checksums(tmp_path / "missing") == {}


def calls(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), {keyword.arg: keyword.value for keyword in node.keywords}


def test_no_source_loads_pickles_or_executes_what_it_reads():
    """A single file uses pickle: the reader of PyTorch weights, whose unpickler builds only dictionaries of tensors."""
    loads = 0
    for path in SOURCES:
        tree, where = ast.parse(path.read_text()), path.relative_to(ROOT).as_posix()
        modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        modules |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        allowed = {"pickle", "pickletools"} if where == "gan_jax/storage/pytorch.py" else set()
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
    assert loads >= 4, "this test no longer finds calls of np.load"


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
    np.savez(tmp_path / "averages" / "00000004-0.05.npz", **{"params/Dense_0/bias": trap})
    with pytest.raises(InputError, match="cannot read"):
        posthoc_average(tmp_path, type("State", (), {"step": 4}), 0.05)
    assert not (tmp_path / "sprung").exists()
