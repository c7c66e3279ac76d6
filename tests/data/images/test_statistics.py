"""Frechet distances to statistics in files, by the command."""

import json

import numpy as np
import pytest

from gan_jax.cli import evaluate
from gan_jax.errors import InputError

ROWS = "[[1.0, 0], [0, 1], [1, 1]]"  # features: the means of the two halves of an image, and their sum
EXTRACTOR = f"""
import numpy as np


def features(samples):
    halves = samples.reshape(len(samples), 2, -1).mean(axis=2)
    return halves @ np.array({ROWS}).T
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Files of images, real and fake, with an extractor, in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(EXTRACTOR)
    random = np.random.RandomState(0)
    for name, high in (("real", 200), ("fake", 256)):
        np.savez(f"{name}.npz", images=random.randint(0, high, (60, 4, 4, 1)).astype(np.uint8))
    return tmp_path


def run(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["evaluate.py", *arguments, "--extractor", "mine.py:features", "--no_compilation_cache"])
    evaluate.main()


def features(name):
    with np.load(name) as file:
        halves = (file["images"].astype(np.float64) / 127.5 - 1).reshape(60, 2, -1).mean(axis=2)
    return halves @ np.array(json.loads(ROWS)).T


def frechet(x, y):
    """The formula, with the matrix root by eigenvalues: those of a product of covariances are not negative."""
    (m, c), (n, d) = ((f.mean(axis=0), np.cov(f, rowvar=False)) for f in (x, y))
    roots = np.sqrt(np.maximum(np.linalg.eigvals(c @ d).real, 0)).sum()
    return np.square(m - n).sum() + np.trace(c + d) - 2 * roots


def test_statistics_are_saved_and_measured_against(folder, monkeypatch, capsys):
    run(monkeypatch, "real.npz", "--save_statistics", "stats.npz")
    assert capsys.readouterr().out.startswith("mu and sigma of all images of real.npz (60), mine.py:features\n")
    with np.load("stats.npz") as stored:
        np.testing.assert_allclose(stored["mu"], features("real.npz").mean(axis=0), rtol=1e-5)
        np.testing.assert_allclose(stored["sigma"], np.cov(features("real.npz"), rowvar=False), rtol=1e-4, atol=1e-8)
    run(monkeypatch, "fake.npz", "stats.npz")
    result = json.loads((folder / "evaluation.json").read_text())
    assert set(result["metrics"]) == {"fd", "fd_error"}
    assert result["metrics"]["fd"] == pytest.approx(frechet(features("real.npz"), features("fake.npz")), rel=1e-4)
    assert result["measured on"] == "mine.py:features: all samples against the statistics in stats.npz"
    assert result["facts"]["statistics"] == "stats.npz" and result["facts"]["count"] == 60


def test_statistics_of_one_split(folder, monkeypatch, capsys):
    run(monkeypatch, "real.npz", "--save_statistics", "stats.npz", "--split", "train")
    assert "mu and sigma of the train split of real.npz (54)" in capsys.readouterr().out


def test_statistics_that_do_not_fit_are_refused(folder, monkeypatch):
    np.savez("wide.npz", mu=np.zeros(4), sigma=np.eye(4))
    with pytest.raises(InputError, match=r"statistics of 4 dimensions, but there are 3 features of mine.py:features"):
        run(monkeypatch, "fake.npz", "wide.npz")
    with pytest.raises(InputError, match=r"--metrics does not apply: wide.npz holds statistics"):
        run(monkeypatch, "fake.npz", "wide.npz", "--metrics", "kernel")
    with pytest.raises(InputError, match="omit REAL"):
        run(monkeypatch, "fake.npz", "wide.npz", "--save_statistics", "stats.npz")
    with pytest.raises(InputError, match=r"must name an .npz file, got stats.pkl"):
        run(monkeypatch, "fake.npz", "--save_statistics", "stats.pkl")
    assert not (folder / "evaluation.json").exists()
