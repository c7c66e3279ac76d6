"""Several seeds in one compiled program: each equals the run of that seed alone, all are resumed together, and one that breaks
without the rest.
"""

import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from gan_jax.errors import InputError
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.spec.lookup import load_file
from gan_jax.training.compile import plan_devices
from gan_jax.training.experiment import describe, prepare
from gan_jax.training.train import train

ROOT = Path(__file__).parents[2]
SEEDS = [0, 1, 2]
STEPS = list(range(1, 13))


@pytest.fixture(scope="module")
def config(tiny):
    return replace(tiny, penalty=None, steps=12, log_every=1, eval_every=6, save_every=6)


@pytest.fixture(scope="module", autouse=True)
def no_report():
    """Reports of single runs are tested elsewhere; here they would cost a second each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gan_jax.training.experiment.write_report", lambda run_dir: run_dir)
        yield


@pytest.fixture(scope="module")
def alone(config, tmp_path_factory):
    """seed -> the lines of a run of that seed alone."""
    logs = {}
    for seed in SEEDS:
        run_dir = tmp_path_factory.mktemp("alone") / "run"
        train(replace(config, seed=seed), run_dir)
        logs[seed] = log_of(run_dir)
    return logs


@pytest.fixture(scope="module")
def fragile(config, alone, tmp_path_factory):
    """The same game on two devices -> (its config, the seed that breaks in the first half): its loss is not a number where the
    mean of the real logits is above all that was there before."""
    means = {seed: [line["d/real_logit"] for line in lines] for seed, lines in alone.items()}
    peak, broken = max((mean, seed) for seed in SEEDS for mean in means[seed][:5])
    earlier = means[broken][: means[broken].index(peak)]
    below = max([*earlier, *(mean for seed in SEEDS if seed != broken for mean in means[seed])])
    assert peak > below + 0.01
    loss = tmp_path_factory.mktemp("loss") / "mine.py"
    loss.write_text(
        "import jax.numpy as jnp\n"
        "from gan_jax import losses\n"
        "from gan_jax.types import ComparativeLoss\n"
        "@ComparativeLoss\n"
        "def fragile(real, fake):\n"
        f"    whole = jnp.where(real.mean() > {(peak + below) / 2}, jnp.nan, 1.0)\n"
        "    d_loss, g_loss = losses.relativistic(real, fake)\n"
        "    return whole * d_loss, whole * g_loss\n"
    )
    return replace(config, loss=f"{loss}:fragile", devices=2), broken


@pytest.fixture(scope="module")
def together(fragile, tmp_path_factory):
    """An uninterrupted run of all seeds."""
    run_dir = tmp_path_factory.mktemp("together") / "run"
    assert train(fragile[0], run_dir, seeds=SEEDS).exists()
    return run_dir


def log_of(run_dir):
    """The lines of metrics.jsonl without timestamps."""
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def of_seed(run_dir, seed):
    lines = [line for line in log_of(run_dir) if line["seed"] == seed]
    return [{name: value for name, value in line.items() if name != "seed"} for line in lines]


def test_each_seed_equals_the_run_of_that_seed_alone(alone, fragile, together):
    _, broken = fragile
    for seed in set(SEEDS) - {broken}:
        lines = of_seed(together, seed)
        assert [line["step"] for line in lines] == STEPS
        assert ["eval/modes" in line for line in lines] == [step % 6 == 0 for step in STEPS]
        assert lines == alone[seed]
    losses = np.array([[line["d/loss"] for line in lines] for lines in alone.values()])
    assert (np.ptp(losses, axis=0) > 1e-4).all()  # they are three games


def test_a_seed_that_breaks_does_not_affect_the_others(alone, fragile, together):
    """Until then it equals its run alone; then one line says that it is broken, and none follows."""
    _, broken = fragile
    *before, last = of_seed(together, broken)
    assert before == alone[broken][: len(before)]
    assert set(last) == {"step", "broken"}
    assert last["step"] == len(before) + 1 <= 5
    assert "d/loss is nan" in last["broken"]
    assert json.loads((together / "environment.json").read_text())["status"] == "finished"


def test_the_samples_of_a_run_of_seeds(fragile, together):
    """Samples of each seed; of the broken one, only those before the first step."""
    shown = {"real", f"step-00000000-seed{fragile[1]}"}
    for seed in set(SEEDS) - {fragile[1]}:
        shown |= {f"step-{step:08d}-seed{seed}" for step in (0, 6, 12)} | {f"interpolation-seed{seed}"}
    names = {f"{stem}{suffix}" for stem in shown for suffix in (".png", ".svg")}
    assert {path.name for path in (together / "samples").iterdir()} == names


def test_training_ends_when_every_seed_has_broken(config, tmp_path):
    """It ends there, also if started again, and reports what broke for each seed; a comparison continues with the next
    method."""
    (tmp_path / "mine.py").write_text("def nan(real, fake):\n    return float('nan') * real.mean(), fake.mean()\n")
    config = replace(config, loss=f"{tmp_path}/mine.py:nan", steps=1_000_000)
    for _ in range(2):
        train(config, tmp_path / "run", seeds=SEEDS)
        assert [(line["step"], line["seed"], "broken" in line) for line in log_of(tmp_path / "run")] == [
            (1, seed, True) for seed in SEEDS
        ]


@pytest.mark.parametrize("seeds", [[], [1, 1], [-1], [2**32]])
def test_invalid_seeds_are_refused(config, tmp_path, seeds):
    with pytest.raises(InputError, match=r"^seeds must be different whole numbers from 0 to 2\*\*32 - 1, got \["):
        train(config, tmp_path / "run", seeds=seeds)
    assert not (tmp_path / "run").exists()


class Killed(BaseException):
    pass


def bits(x):
    """The bytes of an array, in which all nan are alike."""
    return (np.where(np.isnan(x), np.nan, x).astype(x.dtype) if x.dtype.kind == "f" else np.asarray(x)).tobytes()


def test_a_stopped_and_resumed_run_is_the_same(fragile, together, tmp_path, monkeypatch):
    """Killed at its last save, when the log is complete and the checkpoints reach only half-way, on one device; resumed on
    two. The seed that had broken by then stays broken."""
    config, _ = fragile
    save = Checkpoints.save
    one_device = partial(plan_devices, replace(config, devices=1))

    def die_at_the_end(self, state, *shards):
        if int(state.step[0]) == config.steps:
            raise Killed
        save(self, state, *shards)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Checkpoints, "save", die_at_the_end)
        patch.setattr("gan_jax.training.experiment.plan_devices", lambda _, runs: one_device(runs))
        train(config, tmp_path / "run", seeds=SEEDS)
    train(config, tmp_path / "run", seeds=SEEDS)
    assert log_of(tmp_path / "run") == log_of(together)
    for step in ("6", "12"):  # the whole state, as it was saved; the sign bit of a broken seed's nan is not defined
        folders = [(run / "checkpoints" / step / "state").absolute() for run in (tmp_path / "run", together)]
        before, after = (jax.tree.leaves(ocp.StandardCheckpointer().restore(folder)) for folder in folders)
        assert [bits(x) for x in before] == [bits(x) for x in after]


@pytest.mark.parametrize("seeds", [[0, 1], [0, 1, 3], [2, 1, 0], None])
def test_other_seeds_in_the_same_directory_are_refused(fragile, together, seeds):
    before = {path: path.stat().st_mtime_ns for path in together.rglob("*")}
    with pytest.raises(InputError, match=r"^\S+ holds a run of the seeds \[0, 1, 2\]; choose another --run_dir$"):
        train(fragile[0], together, seeds=seeds)
    assert {path: path.stat().st_mtime_ns for path in together.rglob("*")} == before


@pytest.mark.parametrize(("text", "seeds", "name"), [("3:6", [3, 4, 5], "seeds3-5"), ("0,7", [0, 7], "seeds0,7")])
def test_the_command_takes_seeds(text, seeds, name, monkeypatch, capsys):
    command = load_file(ROOT / "experiments" / "train.py")
    calls = []
    monkeypatch.setattr("gan_jax.training.train.train", lambda *arguments, **_: calls.append(arguments) or "page.html")
    monkeypatch.setattr("sys.argv", ["train.py", "experiments/toy/ring.py", "--seeds", text])
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=3")
    monkeypatch.chdir(ROOT)
    command.main()
    # Each core counts as a device, unless the user sets the number.
    ours, theirs = os.environ["XLA_FLAGS"].split()
    assert ours.startswith("--xla_force_host_platform_device_count=") and theirs.endswith("=3")
    config, run_dir, _, given, *_ = calls[0]
    assert (config.name, run_dir, given) == ("ring", Path(f"runs/ring-{name}"), seeds)
    assert capsys.readouterr().out == "report: page.html\n"


def test_a_dry_run_of_seeds(config, tmp_path):
    assert "seeds            0, 1, 2, on 2 of the devices" in describe(
        prepare(replace(config, devices=2), tmp_path / "run", seeds=SEEDS)
    )
    with pytest.raises(InputError, match="seeds must be different"):
        describe(prepare(config, tmp_path / "run", seeds=[1, 1]))
