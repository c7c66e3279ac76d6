"""Image data: image grids, and valid and invalid .npz files."""

import io
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from made import COLOUR, GREY, HOT, LABELS, RANDOM, png

from gan_jax.data.images import extractors, pixels
from gan_jax.data.load import load
from gan_jax.errors import InputError


@pytest.mark.parametrize(
    "number, size, channels, rows, columns, factor",
    [
        (64, 8, 1, 8, 8, 9),
        (64, 28, 1, 8, 8, 3),
        (100, 32, 3, 10, 10, 2),
        (12, 16, 3, 3, 4, 9),
        (7, 8, 1, 3, 3, 25),
        (1, 800, 3, 1, 1, 1),
    ],
)
def test_show_draws_each_image_in_its_cell(number, size, channels, rows, columns, factor):
    stored = RANDOM.integers(0, 256, (number, size, size, channels), np.uint8)
    drawn = png(pixels.to_float(stored), pixels.show)
    pitch = size * factor + 2
    assert drawn.shape[:2] == (rows * pitch + 2, columns * pitch + 2)
    drawn = drawn.reshape(*drawn.shape[:2], channels)
    for i in (0, number // 2, number - 1):
        y, x = (2 + pitch * index for index in divmod(i, columns))
        cell = drawn[y : y + size * factor, x : x + size * factor]
        np.testing.assert_array_equal(cell[::factor, ::factor], stored[i])
        np.testing.assert_array_equal(cell[factor - 1 :: factor, factor - 1 :: factor], stored[i])


def test_show_accepts_values_that_are_not_finite_or_out_of_range():
    samples = np.array([np.nan, np.inf, -np.inf, 5.0], np.float32).repeat(64).reshape(4, 8, 8, 1)
    drawn = png(samples, pixels.show)
    centres = [drawn[int(h * (y + 0.5)), int(h * (x + 0.5))] for h in [drawn.shape[0] // 2] for y in (0, 1) for x in (0, 1)]
    assert centres == [0, 255, 0, 255]
    for shape in ((0, 8, 8, 1), (4, 8, 8), (4, 8, 8, 2)):
        with pytest.raises(ValueError, match="samples must be"):
            pixels.show(np.zeros(shape))


def test_packed_samples_can_be_read(tmp_path):
    stored = RANDOM.integers(0, 256, (20, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "samples.npz", **pixels.pack(pixels.to_float(stored)))
    train, test = pixels.read_npz(tmp_path / "samples.npz")
    np.testing.assert_array_equal(train.samples, stored)
    assert test is None and train.labels is None


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
def test_valid_npz(tmp_path, arrays, shape, classes, sizes):
    np.savez_compressed(tmp_path / "valid.npz", **arrays)
    data = load(str(tmp_path / "valid.npz"), 0, 8)
    assert (data.sample_shape, data.num_classes) == (shape, classes)
    assert (len(data.train.samples), len(data.test.samples)) == sizes
    first = next(iter(arrays.values())).reshape(30, *shape)
    row_of_image = {image.tobytes(): i for i, image in enumerate(first)}
    rows = [[row_of_image[image.tobytes()] for image in split.samples] for split in (data.train, data.test)]
    if sizes[0] == 27:
        assert sorted(rows[0] + rows[1]) == list(range(30))
    if classes and sizes[0] == 27:
        assert sorted(LABELS[rows[1]]) == [0, 1, 2]
    if classes:
        for split, row in zip((data.train, data.test), rows, strict=True):
            np.testing.assert_array_equal(split.labels, LABELS[row])


def test_the_held_out_images_of_an_npz_are_a_tenth_of_each_class(tmp_path):
    """Also of a file that is sorted by class; classes that cannot be in both splits are named."""
    labels = np.repeat([0, 1, 2, 4], [40, 20, 9, 1])
    np.savez(tmp_path / "sorted.npz", images=RANDOM.integers(0, 256, (70, 4, 4), np.uint8), labels=labels)
    data = load(str(tmp_path / "sorted.npz"), 0, 8)
    assert np.bincount(data.test.labels).tolist() == [4, 2, 1] and data.num_classes == 5
    assert data.notes == (
        "for training, a random tenth of each class is held out: 7 of 70 images",
        "classes without images: 3",
        "classes without held-out images: 4",
    )
    np.savez(tmp_path / "few.npz", images=GREY[:3])
    assert [
        split.count for split in (load(str(tmp_path / "few.npz"), 0, 1).train, load(str(tmp_path / "few.npz"), 0, 1).test)
    ] == [2, 1]


@pytest.mark.parametrize(
    "arrays, message",
    [
        ({}, "found no array; allowed train_images/"),
        ({"pictures": GREY}, "found pictures; allowed train_images/"),
        ({"images": GREY, "x_train": GREY}, "several of the known layouts"),
        ({"images": GREY / np.float32(255)}, "images is float32, must be uint8 0..255: np.uint8(np.round(x * 255))"),
        ({"images": np.full((4, 6, 5), np.nan)}, "images is float64, must be uint8"),
        ({"images": GREY.astype(object)}, "images holds Python objects"),
        ({"images": GREY[0, 0]}, "channels last; got (5,)"),
        ({"images": COLOUR.transpose(0, 3, 1, 2)}, "channels last; got (30, 3, 6, 5)"),
        ({"images": GREY[:0]}, "images is empty"),
        ({"images": GREY[:1]}, "at least 2 images"),
        ({"images": GREY, "labels": LABELS[:7]}, "labels is (7,), must be one label for each of 30 images"),
        (
            {"images": GREY, "labels": LABELS.astype(float)},
            "labels is float64 (30,), must be integers 0..K-1 [N], or vectors",
        ),
        ({"images": GREY, "labels": LABELS.astype(str)}, "must be integers 0..K-1 [N], or vectors [N, K]"),
        ({"images": GREY, "labels": LABELS == 1}, "labels is bool (30,), must be integers"),
        ({"images": GREY, "labels": HOT[:, :0]}, "labels is int64 (30, 0), must be integers"),
        ({"images": GREY, "labels": HOT[:, None]}, "labels is int64 (30, 1, 4), must be integers"),
        ({"images": GREY, "labels": 2 * HOT}, "labels (30, 4): integer vectors must contain only 0 and 1, found 0..2"),
        ({"images": GREY, "labels": -HOT}, "only 0 and 1, found -1..0"),
        ({"images": GREY, "labels": HOT * np.nan}, "labels (30, 4) must be finite in float32"),
        ({"images": GREY, "labels": HOT * 1e300}, "labels (30, 4) must be finite in float32"),
        (
            {"x_train": GREY, "y_train": HOT, "x_test": GREY, "y_test": HOT[:, :3]},
            "train and test labels differ in type or shape: int32 (30, 4) and int32 (30, 3)",
        ),
        ({"x_train": GREY, "y_train": HOT, "x_test": GREY, "y_test": HOT / 2}, "int32 (30, 4) and float32 (30, 4)"),
        ({"x_train": GREY, "y_train": LABELS, "x_test": GREY, "y_test": HOT}, "int32 (30,) and int32 (30, 4)"),
        ({"images": GREY, "labels": LABELS - 1}, "labels must be 0..K-1 for K classes, found -1..1"),
        (
            {"x_train": GREY, "y_train": LABELS // 2, "x_test": GREY, "y_test": LABELS},
            "no training image has these classes of held-out images: 2",
        ),
        ({"images": GREY, "labels": LABELS * 10**12}, "labels must be 0..K-1"),
        ({"x_train": GREY, "x_test": COLOUR}, "train and test images differ in shape: (6, 5, 1) and (6, 5, 3)"),
        ({"x_train": GREY, "y_train": LABELS, "x_test": GREY}, "labels are needed for both"),
        ({"x_train": GREY, "y_train": LABELS, "y_test": LABELS}, "y_test without x_test"),
    ],
)
def test_invalid_npz(tmp_path, arrays, message):
    path = tmp_path / "invalid.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=re.escape(message)) as caught:
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
def test_npz_with_vector_labels(tmp_path, labels, dtype):
    np.savez(tmp_path / "vectors.npz", images=GREY, labels=labels)
    data = load(str(tmp_path / "vectors.npz"), 0, 8)
    assert data.num_classes == labels.shape[1]
    label_of_image = {image.tobytes(): label.astype(dtype) for image, label in zip(GREY, labels, strict=True)}
    for split in (data.train, data.test):
        assert split.labels.dtype == dtype
        np.testing.assert_array_equal(split.labels, [label_of_image[image.tobytes()] for image in split.samples])
    batch = jax.jit(data.decode)(jax.tree.map(jnp.asarray, data.train), data.feed_at(3))
    assert (batch.label.shape, batch.label.dtype) == ((8, labels.shape[1]), dtype)
    np.testing.assert_array_equal(batch.label, data.train.labels[data.feed_at(3)])


def test_data_with_vector_labels_is_measured_with_random_features(tmp_path):
    twice = np.concatenate([GREY, GREY])
    np.savez(tmp_path / "vectors.npz", x_train=twice, y_train=np.tile(HOT, (2, 1)), x_test=GREY, y_test=HOT)
    data = load(str(tmp_path / "vectors.npz"), 0, 8)
    assert data.evaluator(data).description.startswith(f"random features of {data.name}")
    with pytest.raises(ValueError, match=re.escape("has 4 classes (labels (60, 4))")):
        extractors.classifier(data)


def test_damaged_npz(tmp_path):
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
