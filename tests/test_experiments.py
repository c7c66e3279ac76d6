"""Every recipe is found, reads as a recipe should, and trains two tiny steps."""

import ast
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gan_jax.config import load_recipe
from gan_jax.metrics.features import classifier
from gan_jax.train import train

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "experiments").glob("*/*.py"))
# Trained in every test run; the others play their games on other data, or have one like theirs in tests of their own.
QUICK = {"digits", "digits_conditional", "mnist_dcgan", "ring", "ring_founding", "ring_pacgan", "spiral", "coco_characters"}
EXTRAS = {"molecules": "rdkit", "selfies": "selfies"}  # what a recipe's data need beyond what is always installed


@pytest.fixture(scope="module", autouse=True)
def quick_classifier(tmp_path_factory):
    """A classifier of a few steps, in a cache that no other test sees."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAN_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(classifier, "_STEPS", 5)
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """28x28 images of ten classes, in place of a data set that has to be downloaded."""
    path = tmp_path_factory.mktemp("data") / "noise.npz"
    random = np.random.RandomState(0)
    np.savez(path, images=random.randint(0, 256, (1_000, 28, 28, 1), np.uint8), labels=random.randint(0, 10, 1_000))
    return path


def test_there_are_recipes():
    assert {path.stem for path in RECIPES} >= {"digits", "mnist_dcgan", "ring", "grid"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_is_a_docstring_and_a_config(path):
    tree = ast.parse(path.read_text())
    assert f"python experiments/train.py{'' if path.stem == 'digits' else f' {path.relative_to(ROOT)}'}" in ast.get_docstring(
        tree
    )
    assert len(path.read_text().splitlines()) <= 30


@pytest.mark.parametrize(
    "path", [pytest.param(path, id=path.stem, marks=[] if path.stem in QUICK else [pytest.mark.slow]) for path in RECIPES]
)
def test_a_recipe_trains_two_tiny_steps(path, tmp_path, images):
    recipe = load_recipe(path)
    for word, package in EXTRAS.items():
        if word in recipe.data:
            pytest.importorskip(package, reason=f"needs {package}: pip install 'gan_jax[molecules]'")
    config = replace(recipe, steps=2, batch=8 * recipe.pack, g_width=4, d_width=4, eval_samples=200, log_every=1)
    # Without a path, a domain has samples of our own making.
    config = replace(config, data=re.sub(r'\b(path|test)="[^"]*"(, )?', "", config.data.replace("tfds:mnist", str(images))))
    config = replace(config, data=re.sub(r"latent\([^)]*\)", "latent(size=8, width=8, epochs=1)", config.data))
    train(config, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert any(name.startswith("eval/") for name in lines[-1])
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
