"""The Python API: train, Run, load and Generator, on a run whose data is gone."""

import json
import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pytest

import gan_jax
from gan_jax.data import load as load_module
from gan_jax.errors import InputError
from gan_jax.evaluation.sample_run import sample_run


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """8x8 images of three classes."""
    path = tmp_path_factory.mktemp("data") / "squares.npz"
    random = np.random.default_rng(0)
    np.savez(path, images=random.integers(0, 256, (900, 8, 8), np.uint8), labels=np.arange(900) % 3)
    return path


@pytest.fixture(scope="module")
def run(tiny, images, tmp_path_factory):
    """A run of a conditional generator, from which the command has written samples; its data is then deleted."""
    config = replace(tiny, name="", data=str(images), g_condition="concat", eval_samples=200, extractor="random", steps=12)
    run = gan_jax.train(config, tmp_path_factory.mktemp("api") / "run")
    sample_run(run.directory, 5, 3, run.directory.parent / "samples")
    images.unlink()
    return run


def test_importing_the_package_does_not_import_jax():
    code = "import sys, gan_jax; gan_jax.Config; assert 'jax' not in sys.modules; print(dir(gan_jax))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(repr(name) in result.stdout for name in gan_jax.__all__)
    with pytest.raises(AttributeError, match="module 'gan_jax' has no attribute 'trian'"):
        gan_jax.trian  # noqa: B018


def test_every_public_name_is_found_and_documented():
    for name in gan_jax.__all__:
        assert getattr(gan_jax, name).__doc__, name


def test_a_run_has_metrics_and_a_page(run):
    assert run.config.name == "squares"
    rows = run.metrics()
    assert [row["step"] for row in rows] == [4, 6, 8, 12]
    assert all(isinstance(value, float) for row in rows for name, value in row.items() if name != "step")
    assert "eval/fd" in rows[-1]
    page = run._repr_html_()
    assert page.startswith("<iframe") and page.endswith("</iframe>") and 'sandbox="allow-scripts"' in page
    assert "<script" not in page and "squares" in page  # escaped
    assert "Run(" in repr(run)


def test_a_diverged_run_has_nan_where_it_broke(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"data": "ring"}))
    (tmp_path / "metrics.jsonl").write_text('{"step": 4, "d/loss": NaN}\n{"step": 5, "broken": "d/loss is nan"}\n')
    rows = gan_jax.Run(tmp_path).metrics()
    assert rows[0]["step"] == 4 and np.isnan(rows[0]["d/loss"])
    assert rows[1] == {"step": 5, "broken": "d/loss is nan"}


def test_training_needs_the_data(run):
    """Unlike sampling. The run stays as it is."""
    before = (run.directory / "metrics.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"squares.npz"):  # its data is gone
        gan_jax.train(run.config, run.directory)
    assert (run.directory / "metrics.jsonl").read_bytes() == before


def test_samples_are_those_of_the_command(run):
    G = gan_jax.load(run.directory)
    assert (G.step, G.classes) == (12, ())
    images = G(3, 5)
    assert (images.shape, images.dtype) == ((5, 8, 8, 1), np.uint8)
    archive = np.load(next((run.directory.parent / "samples").glob("samples-*.npz")))
    assert np.array_equal(archive["images"], images)
    assert np.array_equal(archive["z"], G.latents(3, 5))
    assert np.array_equal(G(jax.random.key(3), 3), images[:3])  # more samples only append to fewer
    assert not np.array_equal(G(4, 5), images)
    assert np.array_equal(run.samples(5, key=3), images)


def test_labels_are_chosen(run):
    G = run.generator
    z = G.latents(0, 4)
    for label in (1, "1", [1, 1, 1, 1], np.full(4, 1)):
        assert np.array_equal(G.generate(0, 4, label=label), G.sample(z, np.full(4, 1, np.int32)))
    mixed = G.generate(0, 4, label=[0, 1, 2, 0])
    assert np.array_equal(mixed[1], G.generate(0, 4, label=1)[1])
    assert not np.array_equal(mixed[0], G.generate(0, 4, label=1)[0])
    with pytest.raises(InputError, match="class from 0 to 2, got 3"):
        G(0, 4, label=3)
    with pytest.raises(InputError, match="one label, or 4 of them"):
        G(0, 4, label=[0, 1])
    for n in (0, 2.5, "3"):
        with pytest.raises(InputError, match="n must be a whole number of at least 1"):
            G(0, n)
    with pytest.raises(InputError, match="a seed must be from 0"):
        G(-1, 4)


def test_interpolations_begin_and_end_at_samples(run):
    G = run.generator
    paths = G.interpolate(0, n=2, steps=3, label=[0, 2])
    assert [path.shape for path in paths] == [(3, 8, 8, 1)] * 2
    z = G.latents(0, 4)
    ends = G.sample(z[[0, 1, 2, 3]], np.array([0, 0, 2, 2], np.int32))
    shown = np.stack([paths[0][0], paths[0][-1], paths[1][0], paths[1][-1]]).astype(int)
    assert np.abs(shown - G.decode(ends).astype(int)).max() <= 1
    with pytest.raises(InputError, match="space must be z"):
        G.interpolate(0, space="w")


def test_a_notebook_shows_samples(run):
    picture = run.show(9)
    assert picture._repr_html_().startswith('<img alt="samples"') and "data:image/png;base64," in picture._repr_html_()
    sounds = gan_jax.Picture({"-0.wav": b"RIFF", ".csv": b"a,b", ".txt": b"<a>"})._repr_html_()
    assert sounds.count("<audio") == 1 and "<pre>&lt;a&gt;</pre>" in sounds and "a,b" not in sounds


def test_checkpoints_and_the_raw_generator_are_chosen(run):
    newest, early = gan_jax.load(run.directory), gan_jax.load(run.directory, step=6)
    raw = gan_jax.load(run.directory, generator="raw")
    assert (newest.step, early.step) == (12, 6)
    samples = [G.generate(0, 4) for G in (newest, early, raw)]
    assert not any(np.array_equal(samples[0], other) for other in samples[1:])
    with pytest.raises(InputError, match=r"no checkpoint of step 7 .*available: 6, 12"):
        gan_jax.load(run.directory, step=7)
    with pytest.raises(InputError, match="unknown generator 'avg'"):
        gan_jax.load(run.directory, generator="avg")
    with pytest.raises(InputError, match="was not trained with --posthoc_ema"):
        gan_jax.load(run.directory, ema=0.1)
    with pytest.raises(InputError, match="is not a run directory"):
        gan_jax.load(run.directory / "samples")
    with pytest.raises(InputError, match="holds no run with seed=5: choose one of seed=0"):
        gan_jax.load(run.directory, seed=5)


def test_one_of_several_seeds_is_chosen(tiny, tmp_path):
    """The generator of seed 3 is that of the run of seed 3 alone, up to rounding."""
    config = replace(tiny, steps=2, log_every=2, eval_every=2, save_every=2, eval_samples=10)
    both = gan_jax.train(config, tmp_path / "both", seeds=[0, 3], sweep={"g_lr": [1e-3, 2e-3]})
    alone = gan_jax.train(replace(config, seed=3, g_lr=2e-3), tmp_path / "alone")
    with pytest.raises(InputError, match=r"holds 2 runs with seed=3: choose one of seed=0, g_lr=0.001; seed=3, g_lr=0.001"):
        gan_jax.load(both.directory, seed=3)
    chosen = gan_jax.load(both.directory, seed=3, sweep={"g_lr": 2e-3})
    np.testing.assert_allclose(chosen(0, 5), alone.samples(5), rtol=1e-4, atol=1e-5)
    other = gan_jax.load(both.directory, seed=3, sweep={"g_lr": 1e-3})
    assert np.abs(other(0, 5) - alone.samples(5)).max() > 1e-4


def test_a_run_of_an_earlier_version_loads_its_data(run, monkeypatch):
    """Without description.npz, the data is looked for."""
    description = run.directory / "description.npz"
    content = description.read_bytes()
    description.unlink()
    try:
        with pytest.raises(InputError, match=r"squares.npz"):
            gan_jax.load(run.directory)
    finally:
        description.write_bytes(content)
    monkeypatch.setattr(load_module, "load", None)
    gan_jax.load(run.directory)


def test_mistakes_are_value_errors_and_write_nothing(tiny, tmp_path):
    with pytest.raises(ValueError, match="unknown loss 'hing': did you mean 'hinge'"):
        gan_jax.train(replace(tiny, loss="hing"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="is not a run directory"):
        gan_jax.Run(tmp_path)
