"""Fork: a new run that begins with another's weights, and needs the other no more from then on."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.run_dir import RunDir, load_run
from gan_jax.runs.verify import verify
from gan_jax.spec.lookup import load_file
from gan_jax.storage.files import digest
from gan_jax.training.experiment import dry_run
from gan_jax.training.train import train

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def forked(tiny):
    """What is trained from the origin's weights: another optimiser, rate and length."""
    return replace(tiny, g_optimizer="lookahead", g_lr=5e-4, steps=12, seed=3, posthoc_ema=True)


@pytest.fixture(scope="module")
def origin(tiny, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("origin") / "run"
    train(tiny, run_dir)
    return run_dir


@pytest.fixture(scope="module")
def whole(forked, origin, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("fork") / "run"
    train(forked, run_dir, fork_from=origin)
    return run_dir


def test_it_begins_with_the_weights_and_with_nothing_else(origin, whole):
    there, here = load_run(origin, print)[3], load_run(whole, print, step=0)[3]
    for player in ("g", "d"):
        assert digest(getattr(here, player).params) == digest(getattr(there, player).params)
        assert digest(getattr(here, player).stats) == digest(getattr(there, player).stats)
    assert digest(here.ema) == digest(there.ema)
    assert digest(here.ema) != digest({"params": here.g.params}), "the average is not the last weights"
    assert all(digest(average) == digest({"params": there.g.params}) for average in here.posthoc)
    assert here.step == 0
    # Adam's moments are zero, and what lookahead keeps of the weights is of these weights.
    assert digest(here.g.opt_state.slow) == digest(there.g.params)
    moments = [x for x in jax.tree.leaves(here.d.opt_state) if x.shape]
    assert moments and not any(np.any(x) for x in moments)
    environment = json.loads((whole / "environment.json").read_text())
    assert environment["forked_from"] == {"run_dir": str(origin), "step": 24, "sha256": digest(there)}
    assert environment["status"] == "finished"


class Killed(BaseException):
    pass


@pytest.mark.parametrize(("moment", "life"), [("show", 1), ("save", 1), ("save", 2)])
def test_killed_and_resumed_it_is_the_same_run(forked, origin, whole, tmp_path, monkeypatch, moment, life):
    """In the first pictures, in the checkpoint of step 0, in that of step 6: after which the origin may be gone."""
    home, owner, calls = tmp_path / "origin", Checkpoints if moment == "save" else RunDir, []
    original = getattr(owner, moment)
    shutil.copytree(origin, home)

    def die(*arguments):
        calls.append(1)
        if len(calls) == life:
            raise Killed
        return original(*arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(owner, moment, die)
        train(forked, tmp_path / "run", fork_from=home)
    if life == 2:
        shutil.rmtree(home)
    # Without --fork_from too: environment.json tells.
    train(forked, tmp_path / "run", fork_from=home if moment == "save" else None)
    same, words = verify(tmp_path / "run", whole)
    assert same, words
    assert "forked_from.run_dir" in words


def test_what_does_not_fit_together_is_one_line_and_nothing_written(tiny, forked, origin, whole, tmp_path):
    run_dir = tmp_path / "run"
    for config, fork_from, where, words in (
        (
            replace(tiny, g_width=9),
            origin,
            run_dir,
            "g/params/Dense_0/bias is float32[8] there and float32[9] here (and 2 more)",
        ),
        (replace(tiny, d_depth=2), origin, run_dir, "d/params/Dense_1/bias is float32[1] there and float32[8] here"),
        (replace(tiny, g_norm="layer"), origin, run_dir, "g/params/Dense_0/bias is float32[8] there and absent here"),
        (tiny, tmp_path / "nothing", run_dir, "is not a run directory"),
        (tiny, origin, origin, "is also the --run_dir"),
        (tiny, whole, origin, "was started from random weights: leave off --fork_from"),
        (forked, tmp_path / "other", whole, f"was forked from {origin}: leave off --fork_from"),
    ):
        for start in (train, dry_run):
            with pytest.raises(InputError) as error:
                start(config, where, fork_from=fork_from)
            assert words in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(InputError, match="one seed"):
        train(tiny, run_dir, seeds=[0, 1], fork_from=origin)
    assert os.listdir(tmp_path) == []


def test_the_command_takes_the_origins_config_where_no_recipe_is_given(origin, tmp_path, monkeypatch, capsys):
    command, flags = load_file(ROOT / "experiments" / "train.py"), ["--run_dir", str(tmp_path / "run"), "--dry_run"]
    monkeypatch.setattr("sys.argv", ["train.py", "--fork_from", str(origin), "--g_lr", "0.5", *flags])
    command.main()
    told = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines() if len(line.split(None, 1)) == 2)
    assert (told["name"], told["g_width"], told["g_lr"]) == ("tiny", "8", "0.5")
    assert told["forked"].split() == ["from", f"{origin},", "step", "24"]
    # The origin gone, a fork that has begun is named by --run_dir.
    monkeypatch.setattr("sys.argv", ["train.py", "--fork_from", str(tmp_path / "gone"), "--run_dir", str(origin), "--dry_run"])
    with pytest.raises(InputError, match="was started from random weights"):
        command.main()
    monkeypatch.setattr("sys.argv", ["train.py", "--fork_from", str(tmp_path / "gone"), *flags])
    with pytest.raises(InputError, match="gone is not a run directory"):
        command.main()
