"""Data: every epoch exactly once, the same numbers for ever, and one clear line for whatever cannot be read."""

import io
import json
import math
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax.data import Split, images, load, plane, stacked, tfds
from gan_jax.errors import InputError
from gan_jax.metrics.features import classifier

SHARED = Path(os.environ.get("GAN_JAX_DATA") or Path(__file__).parents[2] / "shared" / "data")
RANDOM = np.random.default_rng(0)


def png(samples, show) -> np.ndarray:
    (content,) = show(samples).values()
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "PNG"
        return np.asarray(image)


# --- batches -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 64, 449, 898, 1000, 2000])  # 449 and 898 divide the 898 rows; 2,000 exceed them
def test_each_epoch_is_covered_exactly(batch_size):
    feed_at = load("digits", 3, batch_size).feed_at
    epochs = 5
    feeds = [feed_at(t) for t in range(-(-898 * epochs // batch_size))]
    assert all(feed.shape == (batch_size,) and feed.dtype == np.int32 for feed in feeds)
    rows = np.concatenate(feeds)[: 898 * epochs].reshape(epochs, 898)
    np.testing.assert_array_equal(np.sort(rows, axis=1), np.tile(np.arange(898), (epochs, 1)))
    assert len({epoch.tobytes() for epoch in rows}) == epochs  # another order each time


def test_a_batch_is_pure_in_seed_and_step():
    one, same, other = load("digits", 1, 100), load("digits", 1, 100), load("digits", 2, 100)
    forward = [one.feed_at(t) for t in range(40)]
    for t in (39, 0, 17, 8, 9, 26):  # any order, past the cache of two epochs
        np.testing.assert_array_equal(same.feed_at(t), forward[t])
    assert not np.array_equal(other.feed_at(0), forward[0])
    assert one.checksum == other.checksum  # the seed orders the data, it does not change them


def test_the_order_never_changes():
    """Golden: RandomState([seed, epoch]).permutation, whose stream NEP 19 freezes. A change breaks every resumed run."""
    np.testing.assert_array_equal(load("digits", 0, 5).feed_at(0), [761, 156, 213, 83, 557])


def test_decode_is_the_same_inside_jit():
    data = load("digits", 0, 32)
    store = jax.tree.map(jnp.asarray, data.train)
    with jax.numpy_dtype_promotion("strict"):
        batch = jax.jit(data.decode)(store, data.feed_at(4))
    expected = data.batch_at(4)
    assert batch.real.dtype == jnp.float32 and batch.label.dtype == jnp.int32
    np.testing.assert_array_equal(batch.real, expected.real)
    np.testing.assert_array_equal(batch.label, expected.label)
    levels = np.arange(256, dtype=np.uint8)
    np.testing.assert_allclose(jax.jit(images.to_float)(levels), images.to_float(levels), rtol=0, atol=2e-7)
    assert images.to_float(levels)[[0, 255]].tolist() == [-1, 1]


@pytest.mark.parametrize(
    "seed, batch_size, named", [(0, 0, "batch_size"), (0, -3, "batch_size"), (-1, 8, "seed"), (2**32, 8, "seed")]
)
def test_impossible_seed_or_size(seed, batch_size, named):
    with pytest.raises(InputError, match=f"{named} must be .* got {seed if named == 'seed' else batch_size}"):
        load("digits", seed, batch_size)


@pytest.mark.parametrize(
    "name, says",
    [
        ("digit", "unknown data 'digit': did you mean 'digits'"),
        ("two_moon(sigma=1)", "unknown data 'two_moon': did you mean 'two_moons'"),
        ("ring(sigma=)", "'ring(sigma=)' must be NAME or NAME(key=value, ...)"),
        ("ring(sigmas=1)", "unknown option of data ring 'sigmas': did you mean 'sigma'? known: sigma"),
        ("digits(sigma=1)", "unknown option of data digits 'sigma': known: none"),
        ("grid(sigma=0)", "data grid: sigma must be a number from 0.001 to 10, got 0"),
        ("spiral(sigma='a')", "data spiral: sigma must be a number from 0.001 to 10, got 'a'"),
        ("two_moons(sigma=True)", "data two_moons: sigma must be a number from 0.001 to 10, got True"),
        ("stacked:digit", "unknown data 'digit': did you mean 'digits'"),
        ("stacked:ring", "stacked:ring needs grey images [H, W, 1] with classes: ring has (2,), no labels"),
        ("", "unknown data"),
        ("nowhere/", "no such file or folder"),
        ("/nowhere/at.npz", "no such file or folder"),
        (__file__, "neither a folder nor an .npz"),
        ("tfds:", "is called NAME"),
        ("tfds:../../etc", "is called NAME"),
    ],
)
def test_unknown_names(name, says):
    with pytest.raises(InputError, match=re.escape(says)):
        load(name, 0, 8)


def test_importing_data_imports_nothing_heavy():
    modules = "gan_jax.data.images, gan_jax.data.plane, gan_jax.data.stacked, gan_jax.data.tfds, gan_jax.data.digits"
    heavy = "{'sklearn', 'matplotlib', 'tensorflow_datasets', 'PIL', 'tensorflow'}"
    code = f"import sys, {modules}; print(sorted({heavy} & set(sys.modules)))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1]
    )
    assert out.stdout.strip() == "[]"


# --- digits and points in the plane ------------------------------------------------------------------------------------


def test_digits_are_the_file_in_two_halves():
    from sklearn.datasets import load_digits

    data = load("digits", 0, 8)
    assert (data.sample_shape, data.num_classes) == ((8, 8, 1), 10)
    assert data.train.samples.dtype == np.uint8 and data.train.labels.dtype == np.int32
    assert (len(data.train.samples), len(data.test.samples)) == (898, 899)
    rows = [np.column_stack([s.samples.reshape(-1, 64), s.labels]) for s in (data.train, data.test)]
    pixels, label = load_digits(return_X_y=True)
    whole = np.column_stack([pixels, label]).astype(int)
    np.testing.assert_array_equal(np.unique(np.concatenate(rows), axis=0), np.unique(whole, axis=0))
    assert set(np.unique(data.train.samples)) == set(range(17))
    assert data.to_float(np.array([0, 8, 16], np.uint8)).tolist() == [-1, 0, 1]
    # Two samples of one distribution: a difference of class counts has standard deviation sqrt(180) or less; mean grey levels
    # of 898 images, each with a spread of about 0.9, differ by less than five standard errors.
    counts = np.array([np.bincount(s.labels, minlength=10) for s in (data.train, data.test)])
    assert np.abs(counts[0] - counts[1]).max() < 4 * np.sqrt(180)
    means = [s.samples.reshape(-1, 64).mean(axis=1) for s in (data.train, data.test)]
    assert abs(means[0].mean() - means[1].mean()) < 5 * np.sqrt(means[0].var() / 898 + means[1].var() / 899)


@pytest.mark.parametrize(
    "name, modes, sigma", [("ring", 8, 0.02), ("grid", 25, 0.05), ("ring(sigma=0.01)", 8, 0.01), ("grid(sigma=0.1)", 25, 0.1)]
)
def test_mixtures_follow_their_closed_form(name, modes, sigma):
    if "ring" in name:
        centers = np.array([[np.cos(a), np.sin(a)] for a in np.arange(8) * np.pi / 4])
    else:
        centers = np.array([[x, y] for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)], float)
    data = load(name, 0, 8)
    assert (data.sample_shape, data.num_classes, data.train.labels, data.batch_at(0).label) == ((2,), 0, None, None)
    for points, number in ((data.train.samples, 100_000), (data.test.samples, 10_000)):
        assert points.shape == (number, 2) and points.dtype == np.float32
        offset = points[:, None].astype(float) - centers
        nearest = (offset**2).sum(-1).argmin(1)
        offset = offset[np.arange(number), nearest] / sigma  # standard normal, and modes are far apart
        se = 1 / np.sqrt(number)
        assert np.abs(offset.mean(0)).max() < 5 * se
        np.testing.assert_allclose(np.cov(offset.T), np.eye(2), atol=4 * np.sqrt(2) * se)
        assert abs((np.hypot(*offset.T) <= 3).mean() - (1 - np.exp(-4.5))) < 5 * np.sqrt(0.011 * 0.989) * se  # Rayleigh
        share = np.bincount(nearest, minlength=modes) / number
        assert np.abs(share - 1 / modes).max() < 5 * np.sqrt(1 / modes) * se
    assert load(name, 9, 8).checksum == data.checksum  # the points do not depend on the run's seed
    assert not np.isin(data.test.samples[:, 0], data.train.samples[:, 0]).all()
    described = data.evaluator(data).description
    assert described == f"the {modes} modes of {name}, standard deviation {sigma}"


def even(share: np.ndarray) -> bool:
    """Whether shares in [0, 1] are as many in each of 20 parts as independent uniform ones are."""
    counts = np.histogram(share, 20, (0, 1))[0]
    return np.abs(counts - len(share) / 20).max() < 5 * math.sqrt(len(share) / 20)


def test_the_spiral_follows_its_closed_form():
    x, y = load("spiral(sigma=0.001)", 0, 8).train.samples.T.astype(float)
    # r = b phi from pi to 5 pi, where phi - pi is the angle; its length is b / 2 (phi sqrt(1 + phi^2) + asinh phi).
    b, radius = 0.2 / math.pi, np.hypot(x, y)
    turned = (radius / b - math.pi - np.arctan2(y, x) + math.pi) % (2 * math.pi) - math.pi
    off = b * turned * np.cos(np.arctan(b / radius))  # radially off the curve, so much less at a right angle to it
    assert off.std() == pytest.approx(0.001, rel=0.02) and abs(off.mean()) < 1e-5 and np.abs(off).max() < 0.006

    def length(phi):
        return phi * np.sqrt(1 + phi**2) + np.arcsinh(phi)

    low, high = length(np.array([math.pi, 5 * math.pi]))
    assert even(((length(radius / b) - low) / (high - low)).clip(0, 1))


def test_the_moons_are_those_of_scikit_learn_about_their_mean():
    from sklearn.datasets import make_moons

    points = load("two_moons(sigma=0.001)", 0, 8).train.samples.astype(float)
    moons = make_moons(200)[0]
    moons -= moons.mean(axis=0)
    assert max(np.hypot(*(points - moon).T).min() for moon in moons) < 0.003
    centres = np.array([[-0.5, -0.25], [0.5, 0.25]])  # of the circles whose upper and lower halves they are
    offsets = points[:, None] - centres
    off = np.linalg.norm(offsets, axis=2) - 1
    off[offsets[..., 1] * [1, -1] < -0.006] = 9
    lower = np.abs(off).argmin(axis=1)
    assert np.abs(off).min(axis=1).max() < 0.006 and abs(lower.mean() - 0.5) < 5 * math.sqrt(0.25 / len(points))
    x, y = offsets[np.arange(len(points)), lower].T
    angle = (np.arctan2(np.where(lower, -y, y), x) / math.pi + 0.5) % 2 - 0.5
    assert even(angle.clip(0, 1)) and angle.min() > -0.002 and angle.max() < 1.002


@pytest.mark.parametrize("name, sigma", [("spiral", 0.02), ("two_moons", 0.05)])
def test_curves_measure_as_what_they_are(name, sigma):
    data = load(name, 0, 8)
    assert (data.sample_shape, data.num_classes, data.train.samples.dtype) == ((2,), 0, np.float32)
    measure = data.evaluator(data)
    assert measure.description == f"the 20 pieces of equal length of {name}, standard deviation {sigma}"
    found = measure(data.test.samples, None)
    n, share = 10_000, math.erf(3 / math.sqrt(2))
    assert found["modes"] == 20
    assert found["high_quality"] == pytest.approx(share, abs=4 * math.sqrt(share * (1 - share) / n))
    assert found["reverse_kl"] == pytest.approx(19 / (2 * n), rel=1)
    density = math.exp(-4.5) / math.sqrt(2 * math.pi)  # of N(0, 1) at 3, where the rest is cut off
    assert found["spread"] == pytest.approx(math.sqrt(1 - 6 * density / share), abs=0.02)
    half = measure(data.test.samples[data.test.samples[:, 1] > 0.1], None)
    assert 4 < half["modes"] < 16 and half["reverse_kl"] > 0.3
    assert measure(data.test.samples + 4 * np.float32(sigma), None)["high_quality"] < 0.8


def test_checksums_tell_data_apart(tmp_path):
    checksums = {name: load(name, 0, 8).checksum for name in ("digits", "ring", "grid", "ring(sigma=0.03)", "spiral")}
    digits = load("digits", 0, 8)
    for changed in ("same", "pixel", "label", "shape"):
        train, test = (Split(s.samples.copy(), s.labels.copy()) for s in (digits.train, digits.test))
        if changed == "pixel":
            test.samples[5, 5, 5] ^= 1
        if changed == "label":
            train.labels[0] = (train.labels[0] + 1) % 10
        if changed == "shape":
            train, test = (Split(s.samples.reshape(-1, 4, 16, 1), s.labels) for s in (train, test))
        keys = {"train_images": train.samples, "train_labels": train.labels}
        np.savez(tmp_path / f"{changed}.npz", **keys, test_images=test.samples, test_labels=test.labels)
        checksums[changed] = load(str(tmp_path / f"{changed}.npz"), 0, 8).checksum
    assert len(set(checksums.values())) == len(checksums)  # "same" too: its bytes are read on another scale than digits'
    assert all(re.fullmatch("[0-9a-f]{64}", checksum) for checksum in checksums.values())
    os.rename(tmp_path / "same.npz", tmp_path / "moved.npz")
    assert load(str(tmp_path / "moved.npz"), 1, 9).checksum == checksums["same"]


# --- pictures ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "number, side, channels, rows, columns, factor",
    [
        (64, 8, 1, 8, 8, 9),
        (64, 28, 1, 8, 8, 3),
        (100, 32, 3, 10, 10, 2),
        (12, 16, 3, 3, 4, 9),
        (7, 8, 1, 3, 3, 25),
        (1, 800, 3, 1, 1, 1),
    ],
)
def test_show_draws_each_image_in_its_place(number, side, channels, rows, columns, factor):
    stored = RANDOM.integers(0, 256, (number, side, side, channels), np.uint8)
    drawn = png(images.to_float(stored), images.show)
    pitch = side * factor + 2
    assert drawn.shape[:2] == (rows * pitch + 2, columns * pitch + 2)
    drawn = drawn.reshape(*drawn.shape[:2], channels)
    for i in (0, number // 2, number - 1):
        y, x = (2 + pitch * place for place in divmod(i, columns))
        cell = drawn[y : y + side * factor, x : x + side * factor]
        np.testing.assert_array_equal(cell[::factor, ::factor], stored[i])
        np.testing.assert_array_equal(cell[factor - 1 :: factor, factor - 1 :: factor], stored[i])


def test_show_survives_what_a_bad_generator_makes():
    samples = np.array([np.nan, np.inf, -np.inf, 5.0], np.float32).repeat(64).reshape(4, 8, 8, 1)
    drawn = png(samples, images.show)
    centres = [drawn[int(h * (y + 0.5)), int(h * (x + 0.5))] for h in [drawn.shape[0] // 2] for y in (0, 1) for x in (0, 1)]
    assert centres == [0, 255, 0, 255]
    for shape in ((0, 8, 8, 1), (4, 8, 8), (4, 8, 8, 2)):
        with pytest.raises(ValueError, match="samples must be"):
            images.show(np.zeros(shape))


@pytest.mark.parametrize("source", [plane.ring, plane.grid, plane.spiral, plane.two_moons])
def test_points_are_drawn_at_a_readable_size(source):
    data = source()
    good = png(data.test.samples[:1000], data.show)
    bad = png(np.concatenate([data.test.samples[:1000], np.full((500, 2), np.nan), np.full((500, 2), [0.3, -0.1])]), data.show)
    assert good.shape[:2] == bad.shape[:2] == (480, 480)

    def orange(image):
        return ((image[..., 0] > 200) & (image[..., 2] < 120)).sum()

    assert orange(bad) > 3 and (good != bad).any()
    with pytest.raises(ValueError, match=r"\[N, 2\]"):
        data.show(np.zeros((4, 3)))


@pytest.mark.parametrize("name", ["spiral", "two_moons(sigma=0.02)"])
def test_the_outline_of_a_curve_is_where_it_should_be(name):
    """Of no samples: the dark pixels are those just beyond 3 sigma from the curve, in a line of 0.8 points, 1.1 pixels."""
    data = load(name, 0, 8)
    drawn = png(np.zeros((0, 2)), data.show).min(axis=2)
    reach = 1.25 if name == "spiral" else 1.875
    # Inside of the frame of the axes: (0.08, 0.06, 0.89, 0.89) of 480 pixels from below.
    rows, columns = np.nonzero(drawn[30:445, 45:458] < 100)
    x = ((columns + 45.5) / 480 - 0.08) / 0.89 * 2 * reach - reach
    y = ((480 - rows - 30.5) / 480 - 0.06) / 0.89 * 2 * reach - reach
    assert len(x) > 500
    angle = np.linspace(0, 1, 5_000) * math.pi
    if name == "spiral":
        curve = (0.2 + 0.8 * angle / math.pi) * np.exp(4j * angle)
    else:
        curve = np.concatenate([np.exp(1j * angle) - (0.5 + 0.25j), (0.5 + 0.25j) - np.exp(1j * angle)])
    distance = np.array([np.abs(curve - point).min() for point in x + 1j * y])
    beyond = (distance - 0.06) / (2 * reach / (0.89 * 480))
    assert beyond.mean() == pytest.approx(0.55, abs=0.3) and beyond.min() > -1 and beyond.max() < 2


def test_packed_samples_can_be_read_back(tmp_path):
    stored = RANDOM.integers(0, 256, (20, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "samples.npz", **images.pack(images.to_float(stored)))
    train, test = images.read_npz(tmp_path / "samples.npz")
    np.testing.assert_array_equal(train.samples, stored)
    assert test is None and train.labels is None


# --- .npz --------------------------------------------------------------------------------------------------------------

GREY = RANDOM.integers(0, 256, (30, 6, 5), np.uint8)
COLOUR = RANDOM.integers(0, 256, (30, 6, 5, 3), np.uint8)
LABELS = np.arange(30) % 3
HOT = np.stack([LABELS == 0, LABELS > 0, LABELS == 2, LABELS < 3], axis=1).astype(int)  # several classes each


@pytest.mark.parametrize(
    "arrays, shape, classes, sizes",
    [
        ({"images": GREY}, (6, 5, 1), 0, (27, 3)),
        ({"images": COLOUR, "labels": LABELS}, (6, 5, 3), 3, (27, 3)),
        ({"arr_0": GREY[..., None], "arr_1": LABELS.astype(np.uint8)}, (6, 5, 1), 3, (27, 3)),
        ({"x_train": GREY, "y_train": LABELS[:, None], "x_test": GREY[:9], "y_test": LABELS[:9, None]}, (6, 5, 1), 3, (30, 9)),
        ({"train_images": COLOUR, "test_images": COLOUR[:4], "names": np.array(["a", "b"])}, (6, 5, 3), 0, (30, 4)),
        ({"train_images": COLOUR, "train_labels": LABELS}, (6, 5, 3), 3, (27, 3)),
    ],
)
def test_npz_good(tmp_path, arrays, shape, classes, sizes):
    np.savez_compressed(tmp_path / "good.npz", **arrays)
    data = load(str(tmp_path / "good.npz"), 0, 8)
    assert (data.sample_shape, data.num_classes) == (shape, classes)
    assert (len(data.train.samples), len(data.test.samples)) == sizes
    first = next(iter(arrays.values())).reshape(30, *shape)
    known = {image.tobytes(): i for i, image in enumerate(first)}
    rows = [[known[image.tobytes()] for image in split.samples] for split in (data.train, data.test)]
    if sizes[0] == 27:
        assert sorted(rows[1]) == [0, 10, 20] and sorted(rows[0] + rows[1]) == list(range(30))
    if classes:
        for split, row in zip((data.train, data.test), rows, strict=True):
            np.testing.assert_array_equal(split.labels, LABELS[row])


@pytest.mark.parametrize(
    "arrays, says",
    [
        ({}, "found no array; allowed train_images/"),
        ({"pictures": GREY}, "found pictures; allowed train_images/"),
        ({"images": GREY, "x_train": GREY}, "several of the known layouts"),
        ({"images": GREY / np.float32(255)}, "images is float32, must be uint8 0..255: np.uint8(np.round(x * 255))"),
        ({"images": np.full((4, 6, 5), np.nan)}, "images is float64, must be uint8"),
        ({"images": GREY.astype(object)}, "images cannot be read"),
        ({"images": GREY[0, 0]}, "channels last; got (5,)"),
        ({"images": COLOUR.transpose(0, 3, 1, 2)}, "channels last; got (30, 3, 6, 5)"),
        ({"images": GREY[:0]}, "images is empty"),
        ({"images": GREY[:1]}, "at least 2 images"),
        ({"images": GREY, "labels": LABELS[:7]}, "labels is (7,), must be one label for each of 30 images"),
        (
            {"images": GREY, "labels": LABELS.astype(float)},
            "labels is float64 (30,), must be whole numbers 0..K-1 [N], or vectors",
        ),
        ({"images": GREY, "labels": LABELS.astype(str)}, "must be whole numbers 0..K-1 [N], or vectors [N, K]"),
        ({"images": GREY, "labels": LABELS == 1}, "labels is bool (30,), must be whole numbers"),
        ({"images": GREY, "labels": HOT[:, :0]}, "labels is int64 (30, 0), must be whole numbers"),
        ({"images": GREY, "labels": HOT[:, None]}, "labels is int64 (30, 1, 4), must be whole numbers"),
        ({"images": GREY, "labels": 2 * HOT}, "labels (30, 4): vectors of whole numbers must be of 0 and 1, found 0..2"),
        ({"images": GREY, "labels": -HOT}, "of 0 and 1, found -1..0"),
        ({"images": GREY, "labels": HOT * np.nan}, "labels (30, 4) must be finite in float32"),
        ({"images": GREY, "labels": HOT * 1e300}, "labels (30, 4) must be finite in float32"),
        (
            {"x_train": GREY, "y_train": HOT, "x_test": GREY, "y_test": HOT[:, :3]},
            "train and test labels differ in kind: int32 (30, 4) and int32 (30, 3)",
        ),
        ({"x_train": GREY, "y_train": HOT, "x_test": GREY, "y_test": HOT / 2}, "int32 (30, 4) and float32 (30, 4)"),
        ({"x_train": GREY, "y_train": LABELS, "x_test": GREY, "y_test": HOT}, "int32 (30,) and int32 (30, 4)"),
        ({"images": GREY, "labels": LABELS - 1}, "labels must be 0..K-1 for K classes, found -1..1"),
        ({"images": GREY, "labels": LABELS * 10**12}, "labels must be 0..K-1"),
        ({"x_train": GREY, "x_test": COLOUR}, "train and test images differ in shape: (6, 5, 1) and (6, 5, 3)"),
        ({"x_train": GREY, "y_train": LABELS, "x_test": GREY}, "labels are needed for both"),
        ({"x_train": GREY, "y_train": LABELS, "y_test": LABELS}, "y_test without x_test"),
    ],
)
def test_npz_bad(tmp_path, arrays, says):
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=re.escape(says)) as caught:
        load(str(path), 0, 8)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "labels, dtype",
    [
        (HOT, np.int32),
        (HOT.astype(np.uint8), np.int32),
        (HOT == 1, np.int32),
        (HOT / 3, np.float32),
        (HOT[:, :1] / 7, np.float32),
    ],
)
def test_npz_labels_that_are_vectors(tmp_path, labels, dtype):
    np.savez(tmp_path / "vectors.npz", images=GREY, labels=labels)
    data = load(str(tmp_path / "vectors.npz"), 0, 8)
    assert data.num_classes == labels.shape[1]
    known = {image.tobytes(): label.astype(dtype) for image, label in zip(GREY, labels, strict=True)}
    for split in (data.train, data.test):
        assert split.labels.dtype == dtype
        np.testing.assert_array_equal(split.labels, [known[image.tobytes()] for image in split.samples])
    batch = jax.jit(data.decode)(jax.tree.map(jnp.asarray, data.train), data.feed_at(3))
    assert (batch.label.shape, batch.label.dtype) == ((8, labels.shape[1]), dtype)
    np.testing.assert_array_equal(batch.label, data.train.labels[data.feed_at(3)])


def test_what_has_vectors_for_labels_is_measured_by_random_features(tmp_path):
    twice = np.concatenate([GREY, GREY])
    np.savez(tmp_path / "vectors.npz", x_train=twice, y_train=np.tile(HOT, (2, 1)), x_test=GREY, y_test=HOT)
    data = load(str(tmp_path / "vectors.npz"), 0, 8)
    assert data.evaluator(data).description.startswith(f"random features of {data.name}")
    with pytest.raises(ValueError, match=re.escape("has 4 classes (labels (60, 4)), (6, 5, 1)")):
        classifier.load(data)


def test_npz_damaged(tmp_path):
    path = tmp_path / "damaged.npz"
    np.savez(path, images=GREY)
    whole = path.read_bytes()
    middle = len(whole) // 2
    single = io.BytesIO()
    np.save(single, GREY)
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    for content in (b"", b"no zip", whole[:middle], flipped, single.getvalue()):
        path.write_bytes(content)
        with pytest.raises(InputError, match=re.escape(str(path))):
            load(str(path), 0, 8)


# --- folders -----------------------------------------------------------------------------------------------------------


def write(path: Path, mode: str = "L", size=(5, 6), **options) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(RANDOM.integers(0, 256, (size[1], size[0], 3), np.uint8)).convert(mode)
    image.save(path, **options)
    return np.asarray(image)


def test_folder_of_grey_images(tmp_path):
    written = [write(tmp_path / f"{i:02d}.png", "1" if i == 3 else "L") for i in range(11)]
    write(tmp_path / ".hidden.png", size=(9, 9))
    write(tmp_path / ".cache" / "thumbnail.png", size=(9, 9))
    (tmp_path / "README.txt").write_text("not an image")
    (tmp_path / "empty").mkdir()
    source = images.folder(tmp_path)
    assert (source.num_classes, source.train.labels) == (0, None)
    written[3] = written[3].astype(np.uint8) * 255
    np.testing.assert_array_equal(source.test.samples[..., 0], [written[0], written[10]])
    np.testing.assert_array_equal(source.train.samples[..., 0], written[1:10])
    assert load(f"{tmp_path}/", 0, 4).sample_shape == (6, 5, 1)


def test_folder_of_classes_and_kinds(tmp_path):
    write(tmp_path / "cat" / "a.PNG", "L")
    palette = write(tmp_path / "cat" / "deep" / "b.png", "P")
    write(tmp_path / "dog" / "a.jpg", "RGB")
    alpha = write(tmp_path / "dog" / "b.webp", "RGBA", lossless=True)
    frames = [Image.new("RGB", (5, 6), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "dog" / "c.webp", save_all=True, append_images=frames[1:], lossless=True)
    write(tmp_path / "emu" / "a.bmp", "RGB")
    source = images.folder(tmp_path)
    assert source.num_classes == 3
    assert source.test.labels.tolist() == [0] and source.train.labels.tolist() == [0, 1, 1, 1, 2]
    assert source.train.samples.shape == (5, 6, 5, 3) and palette.shape == (6, 5)
    np.testing.assert_array_equal(source.train.samples[2], alpha[..., :3])
    np.testing.assert_array_equal(source.train.samples[3], np.broadcast_to(np.uint8([255, 0, 0]), (6, 5, 3)))


def test_folder_with_its_own_test_split(tmp_path):
    for split, number in (("train", 4), ("test", 2)):
        for name in ("b", "a"):
            for i in range(number):
                write(tmp_path / split / name / f"{i}.png")
    source = images.folder(tmp_path)
    assert source.train.labels.tolist() == [0] * 4 + [1] * 4 and source.test.labels.tolist() == [0, 0, 1, 1]


def test_folder_of_one_class_has_no_labels(tmp_path):
    for i in range(3):
        write(tmp_path / "images" / f"{i}.png")
    assert images.folder(tmp_path).num_classes == 0


def test_folder_bad(tmp_path):
    def says(text, path=tmp_path):
        with pytest.raises(InputError, match=re.escape(text)):
            load(str(path), 0, 8)

    says("no images here (.bmp, .jpeg, .jpg, .png, .webp)")
    write(tmp_path / "a.png")
    says("at least 2 images")
    write(tmp_path / "c.png", size=(7, 6))
    says(f"{tmp_path / 'c.png'} is 7x6 pixels, {tmp_path / 'a.png'} is 5x6")
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    says(f"{tmp_path / 'c.png'}: not a readable image")
    (tmp_path / "c.png").write_text("no image")
    says(f"{tmp_path / 'c.png'}: not a readable image")
    Image.fromarray(np.zeros((6, 5), np.uint16)).save(tmp_path / "c.png")
    says(f"{tmp_path / 'c.png'}: more than 8 bits")
    write(tmp_path / "c.png")
    write(tmp_path / "cats" / "a.png")
    says("both beside and inside class folders (cats)")


# --- stacked -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(stacked, "TRAIN", 2_000)
    monkeypatch.setattr(stacked, "TEST", 500)


def labelled(split: Split) -> dict[bytes, int]:
    return {image.tobytes(): int(label) for image, label in zip(split.samples, split.labels, strict=True)}


def triples(samples: np.ndarray, known: dict[bytes, int]) -> np.ndarray:
    """The classes [N, 3] of the channels of stacked images."""
    return np.array([[known[image[..., c].tobytes()] for c in range(3)] for image in samples])


def test_stacked_digits_are_three_random_digits_each(small):
    data, digits = load("stacked:digits", 0, 8), load("digits", 0, 8)
    assert (data.name, data.sample_shape, data.num_classes, data.shown) == ("stacked:digits", (8, 8, 3), 0, 100)
    assert (data.train.labels, data.test.labels) == (None, None)
    assert (data.train.samples.shape, data.train.samples.dtype) == ((2_000, 8, 8, 3), np.uint8)
    classes = triples(data.train.samples, labelled(digits.train))  # a KeyError: an image of the other split, or of neither
    triples(data.test.samples, labelled(digits.test))
    shares = np.array([np.bincount(channel, minlength=10) for channel in classes.T]) / 2_000
    expected = np.bincount(digits.train.labels, minlength=10) / len(digits.train.labels)
    assert np.abs(shares - expected).max() < 5 * math.sqrt(0.1 * 0.9 / 2_000)
    # Independent: the number of different classes in a triple is that of three throws of a die of ten sides.
    different = np.bincount([len(set(triple)) for triple in classes], minlength=4)[1:] / 2_000
    assert np.abs(different - [0.01, 0.27, 0.72]).max() < 5 * math.sqrt(0.25 / 2_000)
    assert load("stacked:digits", 5, 8).checksum == data.checksum
    assert data.to_float(np.uint8([0, 8, 16])).tolist() == [-1, 0, 1]
    drawn = png(data.to_float(data.test.samples[:4]), data.show)
    assert drawn.ndim == 3 and (drawn[..., 0] != drawn[..., 1]).any()


def test_stacked_digits_are_measured_by_what_their_channels_are(small, monkeypatch):
    digits = load("digits", 0, 8)
    known = labelled(digits.train) | labelled(digits.test)
    loaded = []

    def features(samples):
        """Sure of every image it knows, and of no other."""
        assert samples.shape[1:] == (8, 8, 1) and samples.dtype == np.float32
        stored = np.rint((samples + 1) * 8).astype(np.uint8)
        classes = np.array([known.get(image.tobytes(), -1) for image in stored])
        return None, 30 * (classes[:, None] == np.arange(10)).astype(np.float32)

    def oracle(data):
        loaded.append((data.name, data.checksum))
        return SimpleNamespace(features=features, hash="a" * 64, name="classifier of digits (test accuracy 100.0%)")

    monkeypatch.setattr(classifier, "load", oracle)
    data = load("stacked:digits", 0, 8)
    measure = data.evaluator(data)
    assert loaded == [("digits", digits.checksum)]  # the one that the digits themselves are measured by, hence cached
    for said in ("1,000 combinations", "test accuracy 100.0%", "500 samples", "to uniform"):
        assert said in measure.description

    counts = np.array(list(Counter(map(tuple, triples(data.test.samples, labelled(digits.test)))).values()))
    kl = float((counts / 500 * np.log(counts / 500 * 1000)).sum())
    real = {"modes_real": len(counts), "reverse_kl_real": kl, "confidence_real": 1}
    held_out = data.to_float(data.test.samples)
    found = measure(held_out, None)
    assert found == pytest.approx({"modes": len(counts), "reverse_kl": kl, "confidence": 1} | real)
    assert all(type(value) is float for value in found.values())
    assert measure(np.concatenate([held_out, held_out[:100]])) == found  # no more than there are real ones
    collapsed = measure(np.repeat(held_out[:1], 500, axis=0))
    assert collapsed == pytest.approx({"modes": 1, "reverse_kl": math.log(1000), "confidence": 1} | real)
    noise = measure(RANDOM.uniform(-1, 1, (40, 8, 8, 3)))
    assert noise["confidence"] == pytest.approx(0.1) and noise["modes_real"] <= 40

    with pytest.raises(InputError, match=re.escape("stacked:digits must be (8, 8, 3) each: (5, 8, 8, 1)")):
        measure(np.zeros((5, 8, 8, 1)))
    with pytest.raises(InputError, match=re.escape("(0, 8, 8, 3)")):
        measure(np.zeros((0, 8, 8, 3)))
    with pytest.raises(ValueError, match="finite"):
        measure(np.full((5, 8, 8, 3), np.nan))


def test_what_cannot_be_stacked(tmp_path):
    for arrays, says in (
        ({"images": COLOUR, "labels": LABELS}, "has (6, 5, 3), labels (27,)"),
        ({"images": GREY}, "has (6, 5, 1), no labels"),
        ({"images": GREY, "labels": HOT}, "has (6, 5, 1), labels (27, 4)"),
    ):
        np.savez(tmp_path / "other.npz", **arrays)
        with pytest.raises(InputError, match=re.escape(f"other.npz {says}")) as caught:
            load(f"stacked:{tmp_path}/other.npz", 0, 8)
        assert "\n" not in str(caught.value)


# --- tensorflow-datasets -----------------------------------------------------------------------------------------------

FEATURES = "tensorflow_datasets.core.features"


def prepare(folder: Path, name: str, splits: dict[str, int], feature: str = "image", channels: int = 1) -> np.ndarray:
    """A data set as tensorflow-datasets prepares one, written without TensorFlow: 6x5 images, labels 0, 1, 2, 0, ..."""
    pytest.importorskip("tensorflow_datasets")
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.proto import tf_example_pb2

    where = folder / name / "1.0.0"
    where.mkdir(parents=True)
    shape = {"dimensions": ["6", "5", str(channels)]}
    features = {
        feature: {
            "pythonClassName": f"{FEATURES}.image_feature.Image",
            "image": {"dtype": "uint8", "shape": shape, "encodingFormat": "png"},
        },
        "label": {"pythonClassName": f"{FEATURES}.class_label_feature.ClassLabel", "classLabel": {"numClasses": "3"}},
    }
    info = {"name": name, "version": "1.0.0", "fileFormat": "array_record", "moduleName": "nowhere", "splits": []}
    written = RANDOM.integers(0, 256, (sum(splits.values()), 6, 5, channels), np.uint8)
    rest = iter(written)
    for split, number in splits.items():
        writer = ArrayRecordWriter(str(where / f"{name}-{split}.array_record-00000-of-00001"), "group_size:1")
        for i in range(number):
            content = io.BytesIO()
            Image.fromarray(next(rest).squeeze()).save(content, "PNG")
            example = tf_example_pb2.Example()
            example.features.feature[feature].bytes_list.value.append(content.getvalue())
            example.features.feature["label"].int64_list.value.append(i % 3)
            writer.write(example.SerializeToString())
        writer.close()
        template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
        info["splits"].append({"name": split, "shardLengths": [str(number)], "numBytes": "1", "filepathTemplate": template})
    (where / "dataset_info.json").write_text(json.dumps(info))
    dictionary = {"pythonClassName": f"{FEATURES}.features_dict.FeaturesDict", "featuresDict": {"features": features}}
    (where / "features.json").write_text(json.dumps(dictionary))
    return written


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A folder to prepare data sets in, and an empty cache."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GAN_JAX_DATA", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    return tmp_path / "data" / "tfds"


@pytest.mark.parametrize("channels", [1, 3])
def test_tfds_reads_what_is_prepared(prepared, monkeypatch, channels):
    written = prepare(prepared, "tiny", {"train": 7, "test": 4}, channels=channels)
    source = tfds.tfds("tiny", str(prepared))
    np.testing.assert_array_equal(source.train.samples, written[:7])
    np.testing.assert_array_equal(source.test.samples, written[7:])
    assert (source.num_classes, source.train.labels.tolist()) == (3, [0, 1, 2, 0, 1, 2, 0])
    checksum = load("tfds:tiny", 0, 4, str(prepared.parent)).checksum  # the folder above it will do
    monkeypatch.setenv("GAN_JAX_DATA", str(prepared.parent))
    assert load("tfds:tiny", 0, 4).checksum == checksum
    monkeypatch.delenv("GAN_JAX_DATA")
    monkeypatch.setenv("TFDS_DATA_DIR", str(prepared))
    assert load("tfds:tiny", 0, 4).checksum == checksum


def test_tfds_reads_the_newest_version_and_holds_out(prepared):
    prepare(prepared, "tiny", {"train": 11})
    (prepared / "tiny" / "1.0.0").rename(prepared / "tiny" / "1.10.0")
    prepare(prepared, "tiny", {"train": 5, "validation": 3})
    (prepared / "tiny" / "1.0.0").rename(prepared / "tiny" / "1.9.0")
    source = tfds.tfds("tiny", str(prepared))
    assert (len(source.train.samples), len(source.test.samples)) == (9, 2)
    (prepared / "tiny" / "1.10.0" / "dataset_info.json").unlink()
    source = tfds.tfds("tiny", str(prepared))
    assert (len(source.train.samples), len(source.test.samples)) == (5, 3)


def test_tfds_decodes_once(prepared, tmp_path, monkeypatch):
    prepare(prepared, "tiny", {"train": 7, "test": 4})
    fresh = load("tfds:tiny", 0, 4, str(prepared))
    (cached,) = (tmp_path / "cache").iterdir()
    assert cached.name.startswith("tfds-tiny-1.0.0-")
    whole = cached.read_bytes()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "tensorflow_datasets", None)
        assert load("tfds:tiny", 0, 4, str(prepared)).checksum == fresh.checksum  # from the cache alone
        cached.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InputError, match="needs tensorflow-datasets: pip install tensorflow-datasets"):
            load("tfds:tiny", 0, 4, str(prepared))
    assert load("tfds:tiny", 0, 4, str(prepared)).checksum == fresh.checksum
    assert cached.read_bytes() == whole  # made anew
    for record in (prepared / "tiny" / "1.0.0").glob("*.array_record*"):
        os.utime(record, ns=(1, 1))
    load("tfds:tiny", 0, 4, str(prepared))
    assert len(list((tmp_path / "cache").iterdir())) == 2  # other files, another key
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "file"))
    assert load("tfds:tiny", 0, 4, str(prepared)).checksum == fresh.checksum  # nowhere to cache


def test_tfds_bad_sets(prepared):
    prepare(prepared, "sound", {"train": 3}, feature="spectrogram")
    with pytest.raises(InputError, match=r"tfds:sound: a feature `image` of 8-bit images is needed, it has label, spectrogram"):
        load("tfds:sound", 0, 4, str(prepared))
    prepare(prepared, "damaged", {"train": 300})
    where = prepared / "damaged" / "1.0.0"
    record = where / "damaged-train.array_record-00000-of-00001"
    record.write_bytes(record.read_bytes()[:100])
    with pytest.raises(InputError, match=r"tfds:damaged: .* is damaged .*download_and_prepare"):
        load("tfds:damaged", 0, 4, str(prepared))
    (where / "features.json").write_text("{")
    with pytest.raises(InputError, match=r"tfds:damaged: .* is damaged") as caught:
        load("tfds:damaged", 0, 4, str(prepared))
    assert "\n" not in str(caught.value)
    record.rename(where / "damaged-train.tfrecord-00000-of-00001")
    with pytest.raises(InputError, match=r"is not in the array_record format.*file_format='array_record'"):
        load("tfds:damaged", 0, 4, str(prepared))


def test_tfds_not_prepared_is_said_at_once(prepared):
    (prepared / "tiny" / "1.0.0").mkdir(parents=True)
    (prepared / "tiny" / "1.0.0" / "dataset_info.json").write_text("{}")
    for data_dir, there in ((prepared, "tiny"), (prepared.parent, "tiny"), (prepared / "tiny", "nothing"), (None, "nothing")):
        start = time.perf_counter()
        with pytest.raises(InputError) as caught:
            load("tfds:cifar10", 0, 4, data_dir and str(data_dir))
        assert time.perf_counter() - start < 1
        says = str(caught.value)
        folder = os.environ["TFDS_DATA_DIR"] if data_dir is None else prepared if there == "tiny" else data_dir
        assert says.startswith(f"tfds:cifar10 is not prepared in {folder} (prepared there: {there});") and "\n" not in says
        assert "pip install '.[prepare]'" in says and "--data_dir" in says and "GAN_JAX_DATA" in says
        assert f"tfds.builder('cifar10', data_dir='{folder}', file_format='array_record').download_and_prepare()" in says


def test_tfds_without_tensorflow_datasets(prepared, monkeypatch):
    (prepared / "tiny" / "1.0.0").mkdir(parents=True)
    for name in ("dataset_info.json", "tiny-train.array_record-00000-of-00001"):
        (prepared / "tiny" / "1.0.0" / name).write_text("{}")
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    start = time.perf_counter()
    with pytest.raises(InputError, match="tfds:tiny needs tensorflow-datasets: pip install tensorflow-datasets"):
        load("tfds:tiny", 0, 4, str(prepared))
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize("name, mean", [("mnist", 0.1307), ("fashion_mnist", 0.2860)])  # the means everyone normalises by
def test_tfds_real(name, mean):
    pytest.importorskip("tensorflow_datasets")
    if not list(SHARED.glob(f"tfds/{name}/*/dataset_info.json")) + list(SHARED.glob(f"{name}/*/dataset_info.json")):
        pytest.skip(f"no {name} prepared under {SHARED}; set GAN_JAX_DATA")
    data = load(f"tfds:{name}", 0, 64, str(SHARED))
    assert (data.sample_shape, data.num_classes) == ((28, 28, 1), 10)
    assert (len(data.train.samples), len(data.test.samples)) == (60_000, 10_000)
    assert abs(data.train.samples.mean() / 255 - mean) < 5e-5
    assert np.bincount(data.test.labels).min() > 850
    assert data.checksum == load(f"tfds:{name}", 1, 8, str(SHARED)).checksum  # from the cache
