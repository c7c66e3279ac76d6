"""Fork: a new run that starts from the weights of another, and does not need it afterwards."""

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

from gan_jax.config import Config
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.game.build import build
from gan_jax.game.state import init_state
from gan_jax.runs import fork
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.load import load_run
from gan_jax.runs.run_dir import RunDir
from gan_jax.runs.verify import verify
from gan_jax.spec.lookup import load_file
from gan_jax.storage.files import digest
from gan_jax.training.experiment import prepare
from gan_jax.training.train import train

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def forked(tiny):
    """The config of the fork: another optimiser, learning rate and length."""
    return replace(tiny, g_optimizer="lookahead", g_lr=5e-4, steps=12, seed=3, posthoc_ema=True)


@pytest.fixture(scope="module")
def origin(tiny, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("origin") / "run"
    train(tiny, run_dir)
    return run_dir


@pytest.fixture(scope="module")
def uninterrupted(forked, origin, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("fork") / "run"
    train(forked, run_dir, fork_from=origin)
    return run_dir


def test_a_fork_inherits_the_weights_and_nothing_else(origin, uninterrupted):
    original, fork = load_run(origin, print)[3], load_run(uninterrupted, print, step=0)[3]
    for player in ("g", "d"):
        assert digest(getattr(fork, player).params) == digest(getattr(original, player).params)
        assert digest(getattr(fork, player).stats) == digest(getattr(original, player).stats)
    assert digest(fork.ema) == digest(original.ema)
    assert digest(fork.ema) != digest({"params": fork.g.params}), "the average must not be the latest weights"
    assert all(digest(average) == digest({"params": original.g.params}) for average in fork.posthoc)
    assert fork.step == 0
    # Adam's moments are zero, and the slow weights of lookahead are these weights.
    assert digest(fork.g.opt_state.slow) == digest(original.g.params)
    moments = [x for x in jax.tree.leaves(fork.d.opt_state) if x.shape]
    assert moments and not any(np.any(x) for x in moments)
    environment = json.loads((uninterrupted / "environment.json").read_text())
    assert environment["forked_from"] == {"run_dir": str(origin), "step": 24, "sha256": digest(original)}
    assert environment["status"] == "finished"


class Killed(BaseException):
    pass


@pytest.mark.parametrize(("method", "fatal_call"), [("show", 1), ("save", 1), ("save", 2)])
def test_a_fork_that_was_killed_and_resumed_is_bitwise_equal(
    forked, origin, uninterrupted, tmp_path, monkeypatch, method, fatal_call
):
    """Killed while saving the first samples, the checkpoint of step 0, or that of step 6; by then the origin may be deleted."""
    copy, owner, calls = tmp_path / "origin", Checkpoints if method == "save" else RunDir, []
    original = getattr(owner, method)
    shutil.copytree(origin, copy)

    def die(*arguments):
        calls.append(1)
        if len(calls) == fatal_call:
            raise Killed
        return original(*arguments)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(owner, method, die)
        train(forked, tmp_path / "run", fork_from=copy)
    if fatal_call == 2:
        shutil.rmtree(copy)
    # Resuming does not require --fork_from, since environment.json records it.
    train(forked, tmp_path / "run", fork_from=copy if method == "save" else None)
    equal, report = verify(tmp_path / "run", uninterrupted)
    assert equal, report
    assert "forked_from.run_dir" in report


def test_an_impossible_fork_raises_a_one_line_error_and_writes_nothing(tiny, forked, origin, uninterrupted, tmp_path):
    run_dir = tmp_path / "run"
    for config, fork_from, target, words in (
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
        (tiny, uninterrupted, origin, "was started from random weights: leave off --fork_from"),
        (forked, tmp_path / "other", uninterrupted, f"was forked from {origin}: leave off --fork_from"),
    ):
        for start in (train, prepare):
            with pytest.raises(InputError) as error:
                start(config, target, fork_from=fork_from)
            assert words in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(InputError, match="one seed"):
        train(tiny, run_dir, seeds=[0, 1], fork_from=origin)
    assert os.listdir(tmp_path) == []


def test_without_a_recipe_the_command_uses_the_config_of_the_original_run(origin, tmp_path, monkeypatch, capsys):
    command, flags = load_file(ROOT / "experiments" / "train.py"), ["--run_dir", str(tmp_path / "run"), "--dry_run"]
    monkeypatch.setattr("sys.argv", ["train.py", "--fork_from", str(origin), "--g_lr", "0.5", *flags])
    command.main()
    table = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines() if len(line.split(None, 1)) == 2)
    assert (table["name"], table["g_width"], table["g_lr"]) == ("tiny", "8", "0.5")
    assert table["forked"].split() == ["from", f"{origin},", "step", "24"]
    # If the original run was deleted, the config is that of the existing --run_dir.
    monkeypatch.setattr("sys.argv", ["train.py", "--fork_from", str(tmp_path / "gone"), "--run_dir", str(origin), "--dry_run"])
    with pytest.raises(InputError, match="was started from random weights"):
        command.main()
    monkeypatch.setattr("sys.argv", ["train.py", "--fork_from", str(tmp_path / "gone"), *flags])
    with pytest.raises(InputError, match="gone is not a run directory"):
        command.main()


# Another number of classes


def labelled(path: Path, classes: int) -> str:
    """Random images of 4 x 4 pixels, 12 of each class."""
    rng = np.random.default_rng(classes)
    label = np.arange(12 * classes) % classes
    np.savez(path, images=rng.integers(0, 256, (len(label), 4, 4, 1), np.uint8), labels=label)
    return str(path)


def conditional(tmp_path, classes: int, **changes):
    fields = {"g_condition": "concat", "d_condition": "projection", "d_norm": "spectral", "auxiliary": "ac_gan", "z_dim": 2}
    fields |= {"g_width": 8, "g_depth": 1, "d_width": 8, "d_depth": 1, "batch": 6, "posthoc_ema": True, "devices": 1}
    config = Config(data=labelled(tmp_path / f"{classes}.npz", classes), **fields | changes)
    return build(config, load(config.data, 0, config.batch))


def flat(tree) -> dict[str, np.ndarray]:
    return {jax.tree_util.keystr(path): np.asarray(x) for path, x in jax.tree_util.tree_leaves_with_path(tree)}


def forking(monkeypatch, tmp_path, source_game, game):
    """The fork of a run of `source_game`, whose parameters are random, and what it says."""
    source = jax.device_get(jax.jit(lambda: init_state(source_game, jax.random.key(1)))())
    source = source.replace(ema=jax.tree.map(lambda x: 2 * x, source.ema))
    monkeypatch.setattr(fork, "load_run", lambda *_: (None, None, source_game, source))
    said = []
    return fork.find_fork(tmp_path / "origin", tmp_path / "run", {}, game, said.append), said


def test_a_fork_to_other_classes_renews_the_arrays_that_depend_on_their_number(tmp_path, monkeypatch):
    source_game, game = conditional(tmp_path, 3), conditional(tmp_path, 5)
    made, said = forking(monkeypatch, tmp_path, source_game, game)
    # G's table of classes, of z_dim numbers each; D's, of its width; AC-GAN's classifier.
    assert made.record["new"] == {
        "g/params/label/kernel": "float32[5, 2]",
        "d/params/projection/kernel": "float32[5, 8]",
        "d/params/auxiliary/classes/kernel": "float32[8, 5]",
        "d/params/auxiliary/classes/bias": "float32[5]",
    }
    assert len(said) == 1 and said[0].startswith(f"fork: 3 classes in {tmp_path}/origin, 5 here: 4 arrays that depend on")

    fresh = jax.device_get(jax.jit(lambda: init_state(game, jax.random.key(2)))())
    begun = jax.device_get(made.begin(game, fresh))
    counted = 0
    for part in (lambda s: (s.g.params, s.g.stats), lambda s: (s.d.params, s.d.stats), lambda s: s.ema):
        source, initial, result = (part(state) for state in (made.state, fresh, begun))
        source, initial, result = flat(source), flat(initial), flat(result)
        assert result.keys() == initial.keys() == source.keys()
        for name, x in result.items():
            renewed = source[name].shape != initial[name].shape
            counted += renewed
            np.testing.assert_array_equal(x, initial[name] if renewed else source[name], err_msg=name)
    assert counted == 5  # G's table in the average too
    assert digest(begun.posthoc[0]) == digest({"params": begun.g.params, **begun.g.stats})


def test_other_differences_are_refused_with_other_classes_too(tmp_path, monkeypatch):
    source_game = conditional(tmp_path, 3)
    for game, message in (
        (conditional(tmp_path, 5, g_width=9), r"g/params/Dense_0/bias is float32\[8\] there and float32\[9\] here"),
        (conditional(tmp_path, 5, auxiliary=None), r"d/params/auxiliary/classes/bias is float32\[3\] there and absent here"),
    ):
        with pytest.raises(InputError, match=message):
            forking(monkeypatch, tmp_path, source_game, game)
    made, said = forking(monkeypatch, tmp_path, source_game, conditional(tmp_path, 3))
    assert "new" not in made.record and said == []
