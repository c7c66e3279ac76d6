"""Evaluation of runs and of samples, by command and by function, and stopping rules during training."""

import json
import subprocess
import sys
from argparse import ArgumentTypeError
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import flax.linen as nn
import jax
import numpy as np
import pytest
from made import write
from PIL import Image

from gan_jax.cli.command import seed
from gan_jax.data.dataset import Protocol
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.evaluation.evaluate import _labels_as_in, evaluate_run, evaluate_samples, table
from gan_jax.evaluation.sample import BATCH, latents, standing_statistics
from gan_jax.runs.load import load_run
from gan_jax.training.train import train

ROOT = Path(__file__).parents[2]
QUICK = Protocol(metrics=("kernel", "classes"))


@pytest.fixture(scope="module")
def run_dir(tiny, tmp_path_factory):
    """A run on a ring with modes so wide that any samples hit some, with three checkpoints."""
    path = tmp_path_factory.mktemp("evaluate") / "run"
    train(replace(tiny, data="ring(sigma=0.3)"), path)
    return path


def test_results_record_the_protocol(run_dir):
    result = evaluate_run(run_dir, Protocol(errors=True), 300, seed=3)
    facts = result["facts"]
    assert (facts["count"], facts["seed"], facts["step"], facts["generator"]) == (300, 3, 24, "average generator")
    assert facts["checksum"] == load("ring(sigma=0.3)", 0, 1).checksum
    metrics = result["metrics"]
    assert set(metrics) == {
        "modes", "modes_real", "high_quality", "high_quality_error", "high_quality_real", "reverse_kl", "reverse_kl_error",
        "reverse_kl_real", "spread", "spread_error", "spread_real",
    }  # fmt: skip
    lines = {line.split()[0]: line.split()[1:] for line in table(result).splitlines()[2:]}
    assert lines["spread"] == [f"{metrics[name]:.4f}" for name in ("spread", "spread_error", "spread_real")]
    assert evaluate_run(run_dir, Protocol(errors=True), 300, seed=3) == result  # bit for bit
    assert evaluate_run(run_dir, Protocol(), 300, seed=4)["metrics"]["spread"] != metrics["spread"]


def test_values_below_the_fourth_decimal_are_shown():
    metrics = {"kid50k_full": -7.8e-6, "kid50k_full_error": 3.98e-5, "kid50k_full_real": 0.00042, "fid50k_full": 3.15084}
    rows = [line.split() for line in table({"fake": "a", "measured on": "b", "metrics": metrics}).splitlines()[2:]]
    assert rows == [["kid50k_full", "-7.8e-06", "4e-05", "0.00042"], ["fid50k_full", "3.1508"]]


def test_checkpoint_and_generator_can_be_chosen(run_dir):
    spread = {
        (step, generator): evaluate_run(run_dir, Protocol(), 300, step=step, generator=generator)["metrics"]["spread"]
        for step in (12, 24)
        for generator in ("average", "raw")
    }
    assert len(set(spread.values())) == 4
    assert spread[24, "average"] == evaluate_run(run_dir, Protocol(), 300)["metrics"]["spread"]
    with pytest.raises(InputError, match=r"no checkpoint of step 13 in .*; available: 12, 18, 24"):
        evaluate_run(run_dir, Protocol(), 300, step=13)


class Normed(nn.Module):
    @nn.compact
    def __call__(self, z, label, train):
        x = nn.BatchNorm(use_running_average=not train, momentum=0.7, name="norm")(nn.Dense(3, name="dense")(z))
        return nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.relu(x))


def test_standing_statistics_average_over_batches():
    """Means of the batches' means and variances, independent of the momentum and of the earlier statistics."""
    game = SimpleNamespace(
        generator=Normed(),
        z_dim=2,
        sample_shape=(3,),
        label=None,
        draw_latents=lambda key, count: jax.random.normal(key, (count, 2)),
    )
    key = jax.random.key(0)
    z = latents(game, jax.random.split(key)[0], 2 * BATCH)
    variables = Normed().init(jax.random.key(1), z, None, train=True)
    variables["batch_stats"] = jax.tree.map(lambda x: x + 5, variables["batch_stats"])
    statistics = standing_statistics(game, None, variables, 2, key)["batch_stats"]["norm"]
    dense = variables["params"]["dense"]
    x = (z @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"])).reshape(2, BATCH, 3)
    np.testing.assert_allclose(statistics["mean"], x.mean(axis=(0, 1)), atol=1e-5)
    np.testing.assert_allclose(statistics["var"], x.var(axis=1).mean(axis=0), rtol=1e-4)
    for bad_variables, batches, message in ((variables, 0, "at least 1, got 0"), ({"params": {}}, 1, "has no batch norm")):
        with pytest.raises(InputError, match=message):
            standing_statistics(game, None, bad_variables, batches, key)


def test_points_accept_no_extractor_and_no_metrics(run_dir):
    for protocol in (Protocol("classifier"), QUICK):
        with pytest.raises(
            InputError, match=r"ring\(sigma=0\.3\) is evaluated by its modes: --extractor and --metrics do not apply"
        ):
            evaluate_run(run_dir, protocol)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Half of the digits as an .npz with labels, the other half as one without."""
    path, data = tmp_path_factory.mktemp("samples"), load("digits", 0, 1)
    images = (np.concatenate([data.train.samples, data.test.samples]) * (255 / 16)).astype(np.uint8)[..., 0]
    np.savez(path / "real.npz", images=images[:900], labels=np.concatenate([data.train.labels, data.test.labels])[:900])
    np.savez(path / "fake.npz", images=images[900:])
    return path


def test_samples_against_samples(files):
    result = evaluate_samples(str(files / "fake.npz"), str(files / "real.npz"), QUICK)
    assert result["facts"]["count"] == 897
    assert result["facts"]["extractor"].startswith("classifier of ")
    assert {"kd_all", "class_min", "class_max"} == set(result["metrics"])  # no image is held out for comparison
    assert "all samples against all 900 real images" in result["measured on"]


@pytest.mark.filterwarnings("ignore:Frechet distance of")
def test_two_sets_of_images_are_compared_whole(tmp_path):
    """The distance is that of Dowson and Landau's formula for all images of both, whatever was held out for training."""
    random = np.random.RandomState(0)
    real, fake = random.randint(0, 256, (130, 3, 3), np.uint8), random.randint(0, 200, (60, 3, 3), np.uint8)
    np.savez(tmp_path / "real.npz", images=real[:90], labels=np.arange(90) % 2)
    np.savez(tmp_path / "split.npz", x_train=real[:70], x_test=real[70:90])
    for i, image in enumerate(fake):
        path = tmp_path / "fake" / f"{i:03d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.repeat(image[..., None], 3, axis=2)).save(path)  # as many programs write grey images
    (tmp_path / "mine.py").write_text("def flat(samples):\n    return samples.reshape(len(samples), -1)\n")
    x, y = (images.reshape(len(images), -1) / 127.5 - 1 for images in (real[:90], fake))
    c1, c2 = np.cov(x.T), np.cov(y.T)
    roots = np.sqrt(np.linalg.eigvals(c1 @ c2).real)
    expected = np.square(x.mean(axis=0) - y.mean(axis=0)).sum() + np.trace(c1 + c2) - 2 * roots.sum()
    for name in ("real.npz", "split.npz"):
        protocol = Protocol(f"{tmp_path}/mine.py:flat", ("frechet",))
        result = evaluate_samples(str(tmp_path / "fake"), str(tmp_path / name), protocol)
        assert set(result["metrics"]) == {"fd_all", "few_real"} and result["metrics"]["few_real"] == 90
        assert result["metrics"]["fd_all"] == pytest.approx(expected, rel=1e-4)
        assert result["facts"]["real"] == 90 and "whose three channels are equal" in result["facts"]["notes"][0]
        with pytest.raises(InputError, match=r"memory cannot be measured on .*: it depends on which real images are held out"):
            evaluate_samples(str(tmp_path / "fake"), str(tmp_path / name), Protocol("random", ("memory",)))
        named = evaluate_samples(str(tmp_path / "fake"), str(tmp_path / name), Protocol("random"))["measured on"]
        assert "not measured: nearest_train (it depends on which real images are held out" in named


def test_images_of_another_size_or_colour_are_refused(tmp_path):
    random = np.random.RandomState(0)
    images = random.randint(0, 256, (20, 4, 4, 3), np.uint8)
    for name, array in (("grey", images[..., 0]), ("colour", images), ("wide", images[:, :, :3])):
        np.savez(tmp_path / f"{name}.npz", images=array)
    grey, colour, wide = (str(tmp_path / f"{name}.npz") for name in ("grey", "colour", "wide"))
    with pytest.raises(InputError, match=r"colour.npz has colour images, .*grey.npz grey ones: convert one of them"):
        evaluate_samples(colour, grey, Protocol("random", ("kernel",)))
    with pytest.raises(InputError, match=r"shape \(4, 3, 3\), those of .*: they must agree: folder\(path=..., side=N\)"):
        evaluate_samples(wide, colour, Protocol("random", ("kernel",)))
    result = evaluate_samples(grey, colour, Protocol("random", ("kernel",)))
    assert result["facts"]["notes"] == [f"grey images are compared with the colour images of {colour}"]


def test_classes_of_fakes_are_matched_by_name(tmp_path):
    for kind, classes in (("real", ("ant", "bee", "cat")), ("fake", ("bee", "cat")), ("other", ("ant", "dog"))):
        for name in classes:
            for i in range(3):
                write(tmp_path / kind / name / f"{i}.png")
    real, fake, other = (load(str(tmp_path / name), 0, 1) for name in ("real", "fake", "other"))
    notes = []
    assert sorted(_labels_as_in(real, fake, notes)) == [1, 1, 1, 2, 2, 2] and not notes
    assert _labels_as_in(real, other, notes) is None and len(notes) == 1


def command(*arguments):
    arguments = [sys.executable, ROOT / "experiments" / "evaluate.py", *map(str, arguments)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=300)


def test_the_command(files, tmp_path):
    out = tmp_path / "result.json"
    process = command(files / "fake.npz", files / "real.npz", "--metrics", "kernel", "--extractor", "random", "--out", out)
    assert process.returncode == 0, process.stderr
    result = json.loads(out.read_text())
    assert {"kd_all", "kd_all_error"} == set(result["metrics"])
    assert process.stdout.splitlines()[-1] == f"written to {out}"
    process = command(files / "fake.npz", files / "real.npz", "--metrics", "kernels", "--extractor", "random")
    assert (process.returncode, process.stderr.splitlines()[-1][:47]) == (2, "error: unknown metric 'kernels': did you mean '")
    process = command(files / "fake.npz", files / "real.npz", "--out", tmp_path / "no" / "result.json")
    message = "error: argument --out: must be a file in an existing directory, got"
    assert process.returncode == 2 and process.stderr.startswith(message)
    for text in ("-1", "x", str(2**32)):
        with pytest.raises(ArgumentTypeError, match="must be a whole number from 0 to"):
            seed(text)
    process = command(files / "fake.npz", "--generator", "mean")
    assert (process.returncode, process.stderr.splitlines()[-1][:32]) == (2, "error: unknown generator 'mean':")
    with pytest.raises(InputError, match="intra_class needs real images with classes, and a generator conditioned on them"):
        evaluate_samples(str(files / "fake.npz"), str(files / "real.npz"), Protocol("random", ("intra_class",)))


def test_a_stopping_rule_ends_a_run_for_good(tiny, tmp_path):
    """Running the same command again does not continue; the last checkpoint and the samples are those of the end."""
    config = replace(tiny, steps=96, stop="reverse_kl > 100 or spread < 1000")
    for _ in range(2):
        train(config, tmp_path / "run")
        log = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
        assert [line["step"] for line in log] == [4, 6, 8, 12]
        environment = json.loads((tmp_path / "run" / "environment.json").read_text())
        assert environment["status"].startswith("finished: eval/spread is ")
    assert int(load_run(tmp_path / "run", print)[3].step) == 12
    assert (tmp_path / "run" / "samples" / "interpolation.png").exists()
    assert "finished: eval/spread is " in (tmp_path / "run" / "report.html").read_text()


def test_a_stopping_rule_on_the_duality_gap_measures_it(tiny, tmp_path):
    train(replace(tiny, steps=12, duality_gap=5, stop="duality_gap < 1000"), tmp_path / "run")
    line = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["eval/duality_gap"] == pytest.approx(line["eval/d_exploitability"] + line["eval/g_exploitability"], abs=1e-6)


def test_stopping_rules_use_the_validation_split(tiny, files, tmp_path):
    config = replace(tiny, data=str(files / "real.npz"), batch=8, steps=2, eval_every=1, eval_samples=50, metrics="kernel")
    with pytest.raises(InputError, match=r"would select on the held-out images: set --validation 0\.1$"):
        train(replace(config, stop="kd < 5"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    train(replace(config, stop="kd < 5", validation=0.2), tmp_path / "run")
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert "the validation split, cut from the training samples" in environment["evaluation"]
    assert environment["protocol"]["held_out"] == 162 and environment["data"]["train"] == 648
    assert "the validation split, cut from the training samples" in (tmp_path / "run" / "report.html").read_text()
    # Evaluation afterwards is against the held-out images.
    assert evaluate_run(tmp_path / "run", QUICK, 50)["facts"]["held_out"] == 90


def test_the_validation_split_is_cut_from_the_train_split(files):
    name = str(files / "real.npz")
    whole, cut = load(name, 0, 8), load(name, 0, 8, validation=0.25)
    np.testing.assert_array_equal(np.concatenate([cut.validation.samples, cut.train.samples]), whole.train.samples)
    np.testing.assert_array_equal(np.concatenate([cut.validation.labels, cut.train.labels]), whole.train.labels)
    np.testing.assert_array_equal(cut.test.samples, whole.test.samples)
    assert cut.checksum != whole.checksum and whole.validation is None
    assert max(cut.feed_at(step).max() for step in range(50)) < len(cut.train.samples)
    with pytest.raises(InputError, match="leaves one split empty"):
        load(name, 0, 8, validation=0.0001)


def test_stopping_rules_need_a_single_seed(tiny, tmp_path):
    with pytest.raises(InputError, match="stop works with one seed only"):
        train(replace(tiny, stop="modes > 7"), tmp_path / "run", seeds=[0, 1])
