"""Sweeps: each combination of values equals, to rounding, its run alone, and is a method in a comparison."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import Config
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.game import sweep
from gan_jax.game.build import build, with_tuned_values
from gan_jax.game.state import init_state
from gan_jax.reports.load import load_methods
from gan_jax.training.experiment import describe, prepare
from gan_jax.training.train import train

SWEEP = {"g_lr": [0.001, 0.01], "gamma": [0.1, 1.0]}
SEEDS = [3, 4]
ROUNDING = {"rtol": 2e-5, "atol": 2e-6}  # a traced number is not folded into the program like a constant


@pytest.fixture(scope="module")
def config(tiny):
    return replace(tiny, penalty="r1", steps=4, log_every=1, eval_every=4, save_every=2)


@pytest.fixture(scope="module")
def swept(config, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("swept") / "run"
    assert train(config, run_dir, seeds=SEEDS, sweep=SWEEP).suffix == ".html"
    return run_dir


def test_each_member_equals_its_run_alone(config, swept, tmp_path):
    lines = [json.loads(line) for line in (swept / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 4 * 2 * 4
    chosen = {"seed": 4, "g_lr": 0.01, "gamma": 0.1}
    swept_lines = [{k: v for k, v in line.items() if k not in chosen} for line in lines if chosen.items() <= line.items()]
    train(replace(config, seed=4, g_lr=0.01, gamma=0.1), tmp_path / "alone")
    alone = [json.loads(line) for line in (tmp_path / "alone" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in swept_lines] == [line["step"] for line in alone] == [1, 2, 3, 4]
    for a, b in zip(swept_lines, alone, strict=True):
        assert a.keys() == b.keys()
        for name in a.keys() - {"seconds"}:
            np.testing.assert_allclose(a[name], b[name], **ROUNDING, err_msg=f"{name} at step {a['step']}")
    last = [line["eval/high_quality"] for line in lines if line["step"] == 4]
    norms = [line["g/param_norm"] for line in lines if line["step"] == 4]
    assert len(last) == 8 and len(set(norms)) == 8  # eight games


def test_a_comparison_shows_them_as_methods(swept):
    methods, notes = load_methods([swept])
    names = ["gamma 0.1, g_lr 0.001", "gamma 1.0, g_lr 0.001", "gamma 0.1, g_lr 0.01", "gamma 1.0, g_lr 0.01"]
    assert [method.name for method in methods] == names and not notes
    assert [[seed.number for seed in method.seeds] for method in methods] == [SEEDS] * 4
    whole = json.loads((swept / "metrics.jsonl").read_text().splitlines()[-1])["seconds"]
    rounding = 4 * 0.0005  # of four, each to milliseconds
    assert sum(method.seconds for method in methods) == pytest.approx(whole, abs=rounding)
    step, pictures = methods[2].seeds[1].grid()
    names = {f"step-00000004-seed4-g_lr0.01-gamma0.1.{form}" for form in ("png", "svg")}
    assert step == 4 and {path.name for path in pictures} == names


def test_all_fields_can_be_traced(tiny):
    """Every tunable field can be traced, whatever the others are."""
    given = {"gamma": 2.0, "augment_target": 0.5, "d_clip": 0.1, "b2": 0.9, "ema_half_life": 100.0, "ema_ramp": 0.1}
    values = {field: given.get(field, 0.5) for field in sweep.FIELDS}
    config = replace(tiny, augment="noise", **values)
    game = build(config, load(config.data, 0, config.batch))

    def parts(values):
        tuned = with_tuned_values(game, config, values)
        state = init_state(tuned, jax.random.key(0))
        move = tuned.d_tx.update(state.d.params, state.d.opt_state, state.d.params)[0]
        return tuned.gamma(3), tuned.augment_p(3), tuned.ema_decay(3), tuned.g_gamma, jax.tree.leaves(move)[0]

    traced = jax.jit(parts)({field: jnp.float32(value) for field, value in values.items()})
    for a, b in zip(traced, parts({}), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["steps=1,2"], "unknown field of --sweep 'steps'"),
        (["g_lr"], "--sweep must be FIELD=NUMBER"),
        (["g_lr=1,1"], "of different numbers"),
        (["g_lr=a"], "--sweep must be"),
        (["g_lr=1", "g_lr=2"], "each field once"),
    ],
)
def test_invalid_sweeps_are_refused(texts, words):
    with pytest.raises(InputError, match=words):
        sweep.parse_sweep(texts)


def test_values_out_of_bounds_are_refused_before_anything_is_written(config, swept, tmp_path):
    with pytest.raises(InputError, match=r"b1 must be at least 0 and below 1, got 2\.0"):
        train(config, tmp_path / "run", sweep={"b1": [0.0, 2.0]})
    with pytest.raises(InputError, match="--sweep gamma has no effect without a penalty: set --penalty"):
        train(replace(config, penalty=None), tmp_path / "run", sweep={"gamma": [0.1, 1.0]})
    with pytest.raises(InputError, match="duality_gap works with one game only"):
        train(replace(config, duality_gap=5), tmp_path / "run", sweep=SWEEP)
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="holds a run of the sweep"):
        train(replace(config, g_lr=0.001), swept, seeds=SEEDS, sweep={"gamma": [0.1, 1.0]})
    assert "g_lr             0.001, 0.01" in describe(prepare(config, tmp_path / "run", sweep=SWEEP))


def test_a_sweep_is_read_from_flags():
    assert sweep.parse_sweep(["g_lr=1e-4,2e-4", "gamma=1"]) == {"g_lr": [1e-4, 2e-4], "gamma": [1.0]}
    assert set(sweep.FIELDS) <= {field for field in vars(Config())}
