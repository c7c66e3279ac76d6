"""Mirrored images: twice the train split, and no mirror images of held-out or validation images."""

import re
from dataclasses import replace

import numpy as np
import pytest

from gan_jax.data.dataset import Protocol
from gan_jax.data.load import load
from gan_jax.errors import InputError


def pixels(samples: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in samples}


def test_each_image_occurs_plain_and_mirrored_with_its_label():
    data, single = load("mirrored:digits", 0, 8), load("digits", 0, 8)
    assert (data.num_train, data.num_classes, data.sample_shape) == (2 * single.num_train, 10, (8, 8, 1))
    both = np.concatenate([single.train.samples, single.train.samples[:, :, ::-1]])
    expected = sorted(zip([x.tobytes() for x in both], 2 * single.train.labels.tolist(), strict=True))
    assert sorted(zip([x.tobytes() for x in data.train.samples], data.train.labels.tolist(), strict=True)) == expected
    np.testing.assert_array_equal(data.test.samples, single.test.samples)
    assert data.checksum != single.checksum
    epoch = np.concatenate([data.feed_at(step) for step in range(data.num_train // 4)])
    assert np.array_equal(np.bincount(epoch), np.full(data.num_train, 2))


def test_validation_images_have_no_mirror_image_in_the_train_split():
    data = load("mirrored:digits", 0, 8, validation=0.2)
    validation = data.validation.samples
    assert data.num_train == 2 * (898 - len(validation)) and len(validation) == 180
    np.testing.assert_array_equal(validation, load("digits", 0, 8, validation=0.2).validation.samples)
    assert not pixels(data.train.samples) & (pixels(validation) | pixels(validation[:, :, ::-1]))
    with pytest.raises(InputError, match=r"validation 0\.9999 of 898 training samples of digits leaves one split empty"):
        load("mirrored:digits", 0, 8, validation=0.9999)


@pytest.mark.parametrize("validation", [0.0, 0.2])
def test_samples_are_measured_as_for_the_plain_data(validation):
    protocol = Protocol(extractor="random", metrics=("frechet",))
    results = []
    for name in ("digits", "mirrored:digits"):
        data = load(name, 0, 8, validation=validation)
        if validation:
            data = replace(data, test=data.validation, checksum=f"{data.checksum} validation")
        measure = data.evaluator(data, protocol)
        results.append((measure.facts, measure(data.to_float(data.test.samples[:100]), None)))
    assert results[0] == results[1] and results[0][0]["held_out"] == (180 if validation else 899)


@pytest.mark.parametrize(
    "name, message",
    [
        ("mirrored:ring", "mirrored:ring needs images [H, W, C]: a sample of ring is (2,)"),
        ("mirrored:molecules", "mirrored:molecules needs images [H, W, C]: a sample of molecules is ()"),
        ("mirrored:digit", "unknown data 'digit': did you mean 'digits'"),
    ],
)
def test_data_that_cannot_be_mirrored(name, message):
    with pytest.raises(InputError, match=re.escape(message)):
        load(name, 0, 8)
