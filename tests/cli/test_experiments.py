"""Every recipe consists of a docstring and a config, and trains two tiny steps."""

import ast
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gan_jax.cli.flags import smoke
from gan_jax.config import load_recipe
from gan_jax.metrics.features import classifier
from gan_jax.training.train import train

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "experiments").glob("*/*.py"))
# Trained in every test run; similar games to the others are trained on other data, or in tests of their own.
QUICK = {"digits", "digits_conditional", "mnist_dcgan", "ring", "ring_founding"}
IMAGES = {"tfds:mnist": (28, 1), "tfds:fashion_mnist": (28, 1), "tfds:cifar10": (32, 3)}
EXTRAS = {"molecules": "rdkit", "selfies": "selfies"}  # optional packages that a recipe's data requires


@pytest.fixture(scope="module", autouse=True)
def quick_classifier(tmp_path_factory):
    """A classifier trained for a few steps, in a cache that no other test uses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAN_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(classifier, "_STEPS", 5)
        yield


def substitute(data, folder):
    """Return a substitute for `data` that needs no download: noise for images that are downloaded or the user's own, and the
    synthetic samples of other domains, which are the default without a path."""
    size, channels = next((shape for name, shape in IMAGES.items() if name in data), (0, 0))
    if "folder(" in data:
        size, channels = min(64, int(re.search(r"side=(\d+)", data)[1])), 3  # larger images take minutes to compile
    if size:
        random, path = np.random.RandomState(0), folder / "noise.npz"
        images = random.randint(0, 256, (1_000, size, size, channels), np.uint8)
        np.savez(path, images=images, labels=random.randint(0, 10, 1_000))
        head = data.partition(":")[0]
        return f"{head}:{path}" if head in ("stacked", "mirrored") else str(path)
    data = re.sub(r'\b(path|test)="[^"]*"(, )?', "", data)
    return re.sub(r"latent\([^)]*\)", "latent(size=8, width=8, epochs=1)", data)


def test_recipes_are_found():
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
def test_a_recipe_trains_at_smoke_size(path, tmp_path):
    recipe = load_recipe(path)
    for word, package in EXTRAS.items():
        if word in recipe.data:
            pytest.importorskip(package, reason=f"needs {package}: pip install 'gan_jax[molecules]'")
    recipe = replace(recipe, data=substitute(recipe.data, tmp_path))
    train(smoke(recipe), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert any(name.startswith("eval/") for name in lines[-1])
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    if path.parent.name == "images":
        spectrum = json.loads((tmp_path / "run" / "samples" / "spectrum.json").read_text())
        assert spectrum["step"] == 2 and len(spectrum["generated"]) == len(spectrum["real"]) > 4
