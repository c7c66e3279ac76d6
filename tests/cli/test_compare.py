"""compare.py: its flags, and the README's section on a loss of your own, run as it is written there, for a few steps."""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gan_jax.cli.compare import combine, split_flags, table_file
from gan_jax.cli.flags import parse_seeds
from gan_jax.errors import InputError

ROOT = Path(__file__).parents[2]
RING = str(ROOT / "experiments" / "toy" / "ring.py")
TINY = "--steps 4 --eval_every 4 --log_every 2 --g_width 4 --d_width 4 --g_depth 1 --d_depth 1 --batch 8".split()


def test_config_flags_are_separated_from_those_of_the_command():
    rest, choices = split_flags(["a.py", "--loss", 'hinge,mmd(kernel="gaussian")', "--steps=5", "--seeds", "0:3"])
    assert rest == ["a.py", "--seeds", "0:3"]
    assert choices == {"loss": ["hinge", 'mmd(kernel="gaussian")'], "steps": ["5"]}
    assert split_flags(["--metrics", "frechet,fid10k_test"])[1] == {
        "metrics": ["frechet,fid10k_test"]
    }  # one method, two metrics


@pytest.mark.parametrize(
    ("argv", "words"), [(["--los", "hinge"], "did you mean 'loss'"), (["--loss"], "needs a value"), (["--seed", "1"], "seeds")]
)
def test_a_wrong_flag_is_an_error(argv, words):
    with pytest.raises(InputError, match=words):
        split_flags(argv)


def test_every_combination_is_a_method_with_a_unique_name():
    methods = combine([RING], {"loss": ["hinge", "minimax"], "penalty": ["null", "r1"], "steps": ["5"]}, Path(RING))
    assert list(methods) == ["ring-hinge-null", "ring-hinge-r1", "ring-minimax-null", "ring-minimax-r1"]
    assert [(c.loss, c.penalty, c.steps) for c in methods.values()][1] == ("hinge", "r1", 5)


@pytest.mark.parametrize(("text", "seeds"), [("0:3", [0, 1, 2]), ("4,2", [4, 2]), ("7", [7])])
def test_seeds(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["3:3", "1,1", "-1", "x", "0:2:4", str(2**32)])
def test_wrong_seeds_are_an_error(text):
    with pytest.raises(InputError, match="--seeds"):
        parse_seeds(text)


def test_the_readme_section_on_a_loss_of_your_own(tmp_path):
    """A loss in the user's file is trained on the ring, then compared with a built-in one; then an error is put in it."""
    section = (ROOT / "README.md").read_text().split("## A loss of your own")[1].split("\n## ")[0]
    code = re.search(r"```python\n# mine.py\n(.*?)```", section, re.DOTALL)[1]
    (tmp_path / "mine.py").write_text(code)
    commands = [line.split() for line in re.findall(r"^python .*$", section, re.MULTILINE)]
    assert [Path(command[1]).name for command in commands] == ["train.py", "train.py", "compare.py"]

    def run(command, *more):
        command = [sys.executable, *(str(ROOT / part) if part.startswith("experiments/") else part for part in command[1:])]
        return subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, timeout=300)

    first, _, last = commands
    done = run(first, *TINY)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "margin-ring" / "report.html").exists()

    last[last.index("--loss") + 1] = "hinge,mine.py:margin"
    last[last.index("--seeds") + 1] = "0:2"
    done = run(last, *TINY)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "runs" / "compare" / "comparison.json").read_text())
    assert "margin" in done.stdout
    assert "margin" in json.dumps(result)
    assert (tmp_path / "runs" / "compare" / "comparison.html").stat().st_size > 10_000

    (tmp_path / "mine.py").write_text(code.replace("real_logits + fake_logits", "real_logits @ fake_logits[:3]"))
    done = run(first, "--run_dir", "runs/wrong", *TINY)
    assert done.returncode == 2
    message = done.stderr.strip().splitlines()[-1]
    assert re.search(r"loss mine.py:margin fails at .*mine.py:\d+: .*called with \(8,\), \(8,\)", message), message
    assert not (tmp_path / "runs" / "wrong").exists()


@pytest.mark.parametrize("text", ["recipe.py", "runs/a", "missing/table.csv"])
def test_a_table_never_overwrites_another_kind_of_file(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"must be a file"):
        table_file(".csv")(text)


def test_a_table_never_overwrites_a_run(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(argparse.ArgumentTypeError, match=r"config\.json is part of a run"):
        table_file(".json")(str(tmp_path / "config.json"))
