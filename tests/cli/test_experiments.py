"""Every recipe consists of a docstring and a config, and trains two tiny steps."""

import ast
import json
import re

import pytest
from recipes import RECIPES, offline, parameters

from gan_jax.metrics.features import classifier
from gan_jax.training.train import train

# Trained in every test run; similar games to the others are trained on other data, or in tests of their own.
QUICK = {"digits", "digits_conditional", "mnist_dcgan", "ring", "ring_founding"}


@pytest.fixture(scope="module", autouse=True)
def quick_classifier(tmp_path_factory):
    """A classifier trained for a few steps, in a cache that no other test uses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAN_JAX_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(classifier, "_STEPS", 5)
        yield


def test_recipes_are_found():
    assert {path.stem for path in RECIPES} >= {"digits", "mnist_dcgan", "ring", "grid"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_docstring_of_a_recipe_holds_its_command_its_time_and_its_result(path):
    text = ast.get_docstring(ast.parse(path.read_text()))
    assert f"    gan_jax train{'' if path.stem == 'digits' else f' {path.parent.name}/{path.stem}'}" in text
    lines = re.findall(r"^(Time|Measured|Published): \S.*$", text, re.MULTILINE)
    assert lines in (["Time"], ["Time", "Measured"], ["Time", "Published"]), "what `gan_jax recipes` lists"


@pytest.mark.parametrize("path", parameters(QUICK))
def test_a_recipe_trains_at_smoke_size(path, tmp_path):
    train(offline(path, tmp_path), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2]
    assert any(name.startswith("eval/") for name in lines[-1])
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    if path.parent.name == "images":
        spectrum = json.loads((tmp_path / "run" / "samples" / "spectrum.json").read_text())
        assert spectrum["step"] == 2 and len(spectrum["generated"]) == len(spectrum["real"]) > 4
