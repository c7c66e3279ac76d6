"""The doctor at the bedside: trainings that were made ill in one way each, and healthy ones in which no alarm may ring."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gan_jax.config import load_recipe
from gan_jax.errors import RunError
from gan_jax.reports.doctor import diagnose
from gan_jax.runs.run_dir import read_log
from gan_jax.training.train import train

RECIPES = Path(__file__).parents[2] / "experiments"
SHORT = {"steps": 1500, "eval_every": 300, "log_every": 50, "save_every": 1500, "eval_samples": 500, "doctor": True}
BARE = {"penalty": None, "g_lr_final": None, "d_lr_final": None}  # the ring without what keeps it well
STRONG_D = {**BARE, "d_steps": 5, "d_lr": 4e-3}

HEALTHY = {
    "toy/ring": {"steps": 2000},
    "toy/grid": {"steps": 2000},
    "toy/two_moons": {"steps": 2000},
    "images/digits": {"steps": 3000, "eval_every": 600},
}
# name: (recipe, changes, alarms that must ring at the end)
ILL = {
    "collapse of the founding game": ("toy/ring_founding", {"steps": 3000}, {"narrow samples", "low rank"}),
    "D too strong": ("toy/ring", {**STRONG_D, "loss": "minimax", "g_lr": 1e-4}, {"D saturates", "runaway logits"}),
    "clipped to death": ("toy/ring", {**BARE, "loss": "wasserstein", "d_clip": 1e-3}, {"vanishing gradients"}),
    "both rates too high": ("toy/ring", {**BARE, "g_lr": 0.3, "d_lr": 0.3}, {"runaway logits", "duplicates"}),
    "G's rate too high": ("toy/ring", {**BARE, "g_lr": 0.03, "penalty": "r1_r2"}, {"duplicates", "narrow samples"}),
    "no Lipschitz bound": ("toy/ring", {**BARE, "loss": "wasserstein"}, {"exploding gradients"}),
    "momentum": (
        "toy/ring",
        {**BARE, "loss": "wasserstein", "d_clip": 0.1, "b1": 0.9, "g_lr": 5e-3, "d_lr": 5e-3},
        {"circling"},
    ),
    "a rate beyond all bounds": (
        "toy/ring",
        {**BARE, "loss": "wasserstein", "g_optimizer": "sgd", "d_optimizer": "sgd", "g_lr": 1e2, "d_lr": 1e2},
        {"not finite"},
    ),
}


def rings(recipe, changes, path):
    with suppress(RunError):
        train(replace(load_recipe(RECIPES / f"{recipe}.py"), **SHORT | changes), path)
    return {found.name for found in diagnose(read_log(path / "metrics.jsonl"))}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", HEALTHY)
def test_no_alarm_rings_for_the_healthy(recipe, tmp_path):
    assert rings(recipe, HEALTHY[recipe], tmp_path / "run") == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", ILL)
def test_alarms_ring_for_the_ill(name, tmp_path):
    recipe, changes, expected = ILL[name]
    assert rings(recipe, changes, tmp_path / "run") >= expected
