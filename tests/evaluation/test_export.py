"""Exported generators: read back bit for bit, and run in a process that cannot import this package."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest

import gan_jax
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.evaluation.export import PLATFORMS, load_export, serialise
from gan_jax.evaluation.generator import LoadedGenerator
from gan_jax.evaluation.model_card import licence
from gan_jax.game.build import build
from gan_jax.game.state import init_state

pytest.importorskip("flatbuffers")
pytest.importorskip("safetensors")

# In front of the card's code: this package cannot be imported.
BLOCKED = "import sys\nsys.modules['gan_jax'] = None\n"


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    """A conditional generator with batch norm."""
    path = tmp_path_factory.mktemp("export")
    images = np.random.default_rng(0).integers(0, 256, (900, 8, 8), np.uint8)
    np.savez(path / "squares.npz", images=images, labels=np.arange(900) % 2)
    network = {"g_norm": "batch", "g_condition": "concat", "extractor": "random"}
    config = replace(tiny, data=str(path / "squares.npz"), eval_samples=200, steps=6, eval_every=6, **network)
    return gan_jax.train(config, path / "run").directory


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    return gan_jax.export(run, tmp_path_factory.mktemp("export") / "folder")


def test_what_is_read_back_is_equal_bit_for_bit(run, exported):
    before, after = gan_jax.load(run), gan_jax.load(exported)
    assert np.array_equal(before.generate(0, 7), after.generate(0, 7))
    assert np.array_equal(before(1, 7, label=1), after(1, 7, label=1))
    weights = [loaded._loaded.variables for loaded in (before, after)]
    assert jax.tree.structure(weights[0]) == jax.tree.structure(weights[1])
    assert all(np.array_equal(x, y) for x, y in zip(*map(jax.tree.leaves, weights), strict=True))
    assert not set(exported.iterdir()) & set(run.iterdir())


def test_the_code_of_the_card_runs_without_this_package(run, exported, tmp_path):
    card = (exported / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    code += f"\nnp.savez({str(tmp_path / 'samples.npz')!r}, samples=samples, z=z, label=label, platforms=program.platforms)"
    command = [sys.executable, "-I", "-c", BLOCKED + code]
    subprocess.run(command, cwd=exported, check=True, env={"JAX_PLATFORMS": "cpu"}, capture_output=True)
    results = np.load(tmp_path / "samples.npz")
    expected = gan_jax.load(run).sample(results["z"], results["label"])
    np.testing.assert_allclose(results["samples"], expected, rtol=1e-5, atol=1e-6)
    assert results["label"].tolist() == [0, 1] * 8
    assert tuple(results["platforms"]) == PLATFORMS


def test_the_card_states_data_metrics_and_config(run, exported):
    card = (exported / "README.md").read_text()
    assert "| licence | unknown |" in card and "license: unknown" in card
    assert "after 6 steps" in card and "| Fréchet distance ↓ |" in card and "real data" in card
    assert "| g_norm | `batch` |" in card and "d_norm" not in card
    environment = json.loads((run / "environment.json").read_text())
    assert environment["data"]["checksum"] in card
    assert licence("digits").startswith("CC BY 4.0") and licence("tfds:fashion_mnist") == "MIT"
    assert licence("ring(sigma=0.1)") == licence("text(length=9)") and licence('text(path="x")') == "unknown"


def test_a_damaged_or_foreign_folder_is_one_line(run, exported, tmp_path):
    with pytest.raises(InputError, match="is not empty: export to a new folder"):
        gan_jax.export(run, exported)
    with pytest.raises(InputError, match="step, generator, ema, seed and sweep choose from a run directory"):
        gan_jax.load(exported, step=6)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("config.json", "description.npz", "generator.safetensors"):
        (copy / name).write_bytes((exported / name).read_bytes())
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"g_width": 9}))
    with pytest.raises(InputError, match=r"does not fit mlp: \w+/.* is float32\[.*\], must be float32\["):
        gan_jax.load(copy)
    (copy / "config.json").write_text(json.dumps(config | {"loss": "stolen.py:f"}))
    load_export(copy)  # a loss is not needed to sample
    (copy / "config.json").write_text(json.dumps(config | {"model": "stolen.py"}))
    with pytest.raises(InputError, match="names code that would run with your permissions"):
        load_export(copy)
    (copy / "description.npz").unlink()
    with pytest.raises(InputError, match=r"has no description\.npz"):
        load_export(copy)


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ("text(length=8)", {"model": "text_resnet"}),
        ("molecules(atoms=4)", {"model": "molgan", "g_depth": 1}),
        ("table(name='iris')", {"model": "ctgan", "z_dim": 151}),
    ],
)
def test_every_kind_of_sample_is_exported_for_any_number_of_rows(tiny, data, options):
    config = replace(tiny, data=data, loss="hinge", penalty=None, **{"g_depth": None, "d_depth": None} | options)
    loaded_data = load(data, 0, 16)
    game = build(config, loaded_data)
    variables = jax.jit(lambda: init_state(game, jax.random.key(0)).ema)()
    generator = LoadedGenerator(config, loaded_data, game, variables, None, *jax.random.split(jax.random.key(0)))
    program, rows = serialise(generator)
    assert rows is None
    restored = jax.export.deserialize(bytearray(program))
    assert restored.platforms == PLATFORMS
    samples = jax.tree.unflatten(restored.out_tree, restored.out_avals)
    assert type(samples) is dict or samples.ndim == 3  # no type of this package
