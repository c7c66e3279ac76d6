"""The doctor on trainings with one deliberate fault each, and on healthy ones, which must not raise an alarm."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gan_jax.config import load_recipe
from gan_jax.errors import RunError
from gan_jax.reports.doctor import diagnose
from gan_jax.storage.log import read_log
from gan_jax.training.train import train

RECIPES = Path(__file__).parents[2] / "experiments"
SHORT = {"steps": 1500, "eval_every": 300, "log_every": 50, "save_every": 1500, "eval_samples": 500, "doctor": True}
UNSTABILISED = {"penalty": None, "g_lr_final": None, "d_lr_final": None}  # without what stabilises the ring recipe
STRONG_D = {**UNSTABILISED, "d_steps": 5, "d_lr": 4e-3}

HEALTHY = {
    "toy/ring": {"steps": 2000},
    "toy/grid": {"steps": 2000},
    "toy/two_moons": {"steps": 2000},
    "images/digits": {"steps": 3000, "eval_every": 600},
}
# name: (recipe, changes, alarms that must be raised at some time; of those joined by "or", one). These trainings are
# chaotic: with other rounding the same fault takes another course, so the alarms of one moment are not determined.
FAULTY = {
    "collapse of the original GAN": ("toy/ring_founding", {"steps": 3000}, {"narrow samples or low rank"}),
    "D too strong": ("toy/ring", {**STRONG_D, "loss": "minimax", "g_lr": 1e-4}, {"D saturates", "runaway logits"}),
    "tight weight clipping": ("toy/ring", {**UNSTABILISED, "loss": "wasserstein", "d_clip": 1e-3}, {"vanishing gradients"}),
    "both learning rates too high": (
        "toy/ring",
        {**UNSTABILISED, "g_lr": 0.3, "d_lr": 0.3},
        {"runaway logits", "duplicates"},
    ),
    "learning rate of G too high": (
        "toy/ring",
        {**UNSTABILISED, "g_lr": 0.03, "penalty": "r1_r2"},
        {"duplicates", "narrow samples"},
    ),
    "no Lipschitz bound": ("toy/ring", {**UNSTABILISED, "loss": "wasserstein"}, {"exploding gradients"}),
    # Gradient descent circles around the equilibrium of the Wasserstein game: Mescheder et al. 2018, section 2.
    "gradient descent without a penalty": (
        "toy/ring",
        {**UNSTABILISED, "loss": "wasserstein", "d_clip": 0.1, "g_lr": 0.05, "d_lr": 0.05}
        | {"g_optimizer": "sgd", "d_optimizer": "sgd"},
        {"cycling"},
    ),
    "divergence": (
        "toy/ring",
        {**UNSTABILISED, "loss": "wasserstein", "g_optimizer": "sgd", "d_optimizer": "sgd", "g_lr": 1e2, "d_lr": 1e2},
        {"not finite"},
    ),
}


def trained(recipe, changes, path):
    """The lines of the log."""
    with suppress(RunError):
        train(replace(load_recipe(RECIPES / f"{recipe}.py"), **SHORT | changes), path)
    return read_log(path / "metrics.jsonl").lines


def alarms(lines):
    return {diagnosis.name for diagnosis in diagnose(lines)}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", HEALTHY)
def test_healthy_trainings_raise_no_alarm(recipe, tmp_path):
    assert alarms(trained(recipe, HEALTHY[recipe], tmp_path / "run")) == set()


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTY)
def test_faulty_trainings_raise_their_alarms(name, tmp_path):
    recipe, changes, expected = FAULTY[name]
    lines = trained(recipe, changes, tmp_path / "run")
    raised = set().union(*(alarms(lines[:end]) for end in range(1, len(lines) + 1)))
    assert all(raised & set(alternatives.split(" or ")) for alternatives in expected), (raised, expected)
