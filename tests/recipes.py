"""The recipes in experiments/, and data for them that need no download."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gan_jax.cli.flags import smoke
from gan_jax.config import load_recipe

ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "experiments").glob("*/*.py"))
IMAGES = {"tfds:mnist": (28, 1), "tfds:fashion_mnist": (28, 1), "tfds:cifar10": (32, 3)}
EXTRAS = {"molecules": "rdkit", "selfies": "selfies"}  # optional packages that a recipe's data requires


def parameters(quick):
    """The paths of all recipes, to parametrize a test with: those whose names are not in `quick` are marked slow."""
    return [pytest.param(path, id=path.stem, marks=[] if path.stem in quick else [pytest.mark.slow]) for path in RECIPES]


def offline(path, folder, **changes):
    """The config of a recipe at smoke size on data that needs no download, written to `folder`. Skips the test if an optional
    package is missing."""
    recipe = load_recipe(path)
    for word, package in EXTRAS.items():
        if word in recipe.data:
            pytest.importorskip(package, reason=f"needs {package}: pip install 'gan_jax[molecules]'")
    return smoke(replace(recipe, data=substitute(recipe.data, folder), **changes))


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
