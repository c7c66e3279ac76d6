"""The command `gan_jax`, and what a wheel brings: its commands, and the recipes by name."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import gan_jax
from gan_jax.cli import main as cli
from gan_jax.cli.recipes import row, short, table
from gan_jax.config import load_recipe
from gan_jax.errors import InputError
from gan_jax.runs.code import package_digest
from gan_jax.spec import recipes
from gan_jax.spec.recipes import find_recipe, recipe_files

ROOT = Path(__file__).parents[2]
RING = ROOT / "experiments" / "toy" / "ring.py"


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["gan_jax", *arguments])
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        cli.main()
    except SystemExit as ended:
        return ended.code or 0
    return 0


def test_every_command_and_every_script_is_a_module_with_a_main():
    modules = {path.stem for path in (ROOT / "gan_jax" / "cli").glob("*.py") if "\ndef main() -> None:" in path.read_text()}
    assert cli.COMMANDS.keys() == modules - {"main", "benchmark_accelerator"}  # the last is a part of benchmark
    scripts = {path.stem for path in (ROOT / "experiments").glob("*.py") if "gan_jax.cli" in path.read_text()}
    assert scripts <= cli.COMMANDS.keys()


def test_help_and_version(monkeypatch, capsys):
    for arguments in ([], ["--help"], ["-h"]):
        assert run(monkeypatch, *arguments) == 0
        assert re.findall(r"^  (\w+) ", capsys.readouterr().out, re.MULTILINE) == list(cli.COMMANDS)
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"gan_jax {gan_jax.__version__}\n"
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert gan_jax.__version__ == version


def test_an_unknown_command_is_one_line(monkeypatch, capsys):
    assert run(monkeypatch, "trian") == 2
    assert capsys.readouterr().err.startswith("error: unknown command 'trian': did you mean 'train'? known: benchmark, ")


def test_a_command_receives_its_own_arguments(monkeypatch, capsys):
    assert run(monkeypatch, "recipes", "toy/ring") == 0
    assert capsys.readouterr().out.startswith(f"{RING}\n\n8 Gaussians on a ring")
    assert run(monkeypatch, "recipes", "--help") == 0
    assert capsys.readouterr().out.startswith("usage: gan_jax recipes ")


def test_a_file_without_a_description_is_refused(monkeypatch, capsys, tmp_path):
    (tmp_path / "config.json").write_text('{"loss": null}')
    (tmp_path / "notes.py").write_text('"""Notes."""')
    for name, message in (
        ("config.json", "is a config without a description: `gan_jax train "),
        ("notes.py", "must define CONFIG"),
    ):
        assert run(monkeypatch, "recipes", str(tmp_path / name)) == 2
        assert message in capsys.readouterr().err


def test_recipes_have_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("toy/ring", "ring", "ring.py", "experiments/toy/ring.py", Path("toy/ring"), RING, str(RING)):
        assert find_recipe(name) == RING
    assert load_recipe("ring") == load_recipe(RING)
    assert load_recipe("grid").name == "grid"
    (tmp_path / "ring").mkdir()  # of the user, who has data of that name
    assert find_recipe("ring") == RING
    (tmp_path / "ring.py").write_text("")
    assert find_recipe("ring.py") == Path("ring.py")


def test_the_names_of_recipes_are_unique_without_their_folder():
    names = [name.rpartition("/")[2] for name in recipe_files()]
    assert len(names) == len(set(names)) > 40


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rign", "^no recipe rign: did you mean toy/ring\\? `gan_jax recipes` lists all; or give the path of a RECIPE.py"),
        ("toy/gird.py", "did you mean toy/grid\\?"),
        ("images/digits_conditionl", "did you mean images/digits_conditional\\?"),
        ("xyzzy", "known: audio/.*, images/digits, .*toy/two_moons; or give the path"),
        ("mine.json", "or of a run's config.json$"),
        ("run", "^run is a run directory, not a recipe: did you mean run/config.json\\?"),
        ("", "^no recipe : known"),
        ("x" * 300, "cannot be read: File name too long"),
    ],
)
def test_an_unknown_recipe(name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    with pytest.raises(InputError, match=message):
        find_recipe(name)


def test_a_name_in_two_folders_is_ambiguous(tmp_path, monkeypatch):
    for folder in ("images", "text"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.py").touch()
    monkeypatch.setattr(recipes, "RECIPES", tmp_path)
    with pytest.raises(InputError, match="recipe 'same' is ambiguous: images/same or text/same"):
        find_recipe("same")
    assert find_recipe("text/same") == tmp_path / "text" / "same.py"


RECIPE = '''"""A recipe.

    gan_jax train mine

Time: 3 min
{}

Measured: in another paragraph, after the figures.
"""
from gan_jax.config import Config
CONFIG = Config(data='text(path="a/b.txt", length=32)')
'''


@pytest.mark.parametrize(
    ("line", "result"),
    [("Measured: fd 1.0 (real .9)", "fd 1.0 (real .9)"), ("Published: FID 2.0", "published: FID 2.0"), ("It is new.", "-")],
)
def test_the_list_is_made_from_the_recipes(line, result, tmp_path):
    (tmp_path / "mine.py").write_text(RECIPE.format(line).replace("Measured: in", "Figures: in"))
    assert row("own/mine", tmp_path / "mine.py") == ("own/mine", "text(a/b.txt)", "3 min", result)


def test_data_in_the_list():
    texts = ("digits", "mirrored:tfds:cifar10", "ring(sigma=0.01)", 'mirrored:folder(path="ffhq", side=256, labels="none")')
    assert [short(text) for text in texts] == ["digits", "mirrored:tfds:cifar10", "ring(sigma=0.01)", "mirrored:folder(ffhq)"]


def test_results_are_wrapped_at_the_width_of_the_terminal():
    rows = [("toy/ring", "ring", "1 min", "8 of 8 modes, 99% high quality, of 10 seeds"), ("a", "b", "c", "-")]
    assert table(rows, 200).splitlines() == [
        "recipe    data  time   result",
        "toy/ring  ring  1 min  8 of 8 modes, 99% high quality, of 10 seeds",
        "a         b     c      -",
    ]
    assert table(rows, 63).splitlines()[1:3] == [
        "toy/ring  ring  1 min  8 of 8 modes, 99% high quality, of 10",
        "                       seeds",
    ]
    assert table(rows, 45).splitlines()[2:5] == [
        "toy/ring  ring  1 min",
        "    8 of 8 modes, 99% high quality, of 10",
        "    seeds",
    ]


def test_a_wheel_brings_the_recipes_and_the_command(tmp_path):
    """Build the wheel, unpack it as pip would, and use it in an empty folder."""
    builders = pytest.importorskip("hatchling.builders.wheel", reason="needs hatchling: pip install hatchling")
    (wheel,) = builders.WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    installed, empty = tmp_path / "installed", tmp_path / "empty"
    empty.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    assert {path.name for path in installed.iterdir()} == {"gan_jax", f"gan_jax-{gan_jax.__version__}.dist-info"}
    names = {path.relative_to(installed / "gan_jax" / "recipes") for path in installed.glob("gan_jax/recipes/*/*")}
    assert names == {path.relative_to(ROOT / "experiments") for path in (ROOT / "experiments").glob("*/*.py")}
    assert (installed / "gan_jax" / "py.typed").exists() and (installed / "gan_jax" / "reports" / "report.html").exists()
    (script,) = installed.glob("*.dist-info/entry_points.txt")
    assert "gan_jax = gan_jax.cli.main:main" in script.read_text()

    def output(*arguments):
        command, environment = [sys.executable, *arguments], os.environ | {"PYTHONPATH": str(installed)}
        done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert output("-m", "gan_jax", "recipes", "grid").startswith(
        f"{installed}/gan_jax/recipes/toy/grid.py\n"
    )  # derived from ring.py
    listed = [line.split()[0] for line in output("-m", "gan_jax", "recipes").splitlines() if not line.startswith(" ")]
    assert listed[1:] == [path.with_suffix("").as_posix() for path in sorted(names)]
    assert re.search(r"^name +digits$", output("-m", "gan_jax", "train", "--dry_run"), re.MULTILINE)
    digest = output("-c", "from gan_jax.runs.code import package_digest; print(package_digest())")
    assert digest.strip() == package_digest(), "environment.json would record another source"
    assert list(empty.iterdir()) == []
