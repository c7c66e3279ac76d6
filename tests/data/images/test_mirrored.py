"""Mirrored images: twice the train split, nothing of what is held out or set aside."""

import re
from dataclasses import replace

import numpy as np
import pytest

from gan_jax.data.dataset import Protocol
from gan_jax.data.load import load
from gan_jax.errors import InputError


def pixels(samples: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in samples}


def test_each_image_comes_as_it_is_and_mirrored_with_its_label():
    data, single = load("mirrored:digits", 0, 8), load("digits", 0, 8)
    assert (data.rows, data.num_classes, data.sample_shape) == (2 * single.rows, 10, (8, 8, 1))
    both = np.concatenate([single.train.samples, single.train.samples[:, :, ::-1]])
    expected = sorted(zip([x.tobytes() for x in both], 2 * single.train.labels.tolist(), strict=True))
    assert sorted(zip([x.tobytes() for x in data.train.samples], data.train.labels.tolist(), strict=True)) == expected
    np.testing.assert_array_equal(data.test.samples, single.test.samples)
    assert data.checksum != single.checksum
    epoch = np.concatenate([data.feed_at(step) for step in range(data.rows // 4)])
    assert np.array_equal(np.bincount(epoch), np.full(data.rows, 2))


def test_what_is_set_aside_has_no_mirror_image_in_the_rest():
    data = load("mirrored:digits", 0, 8, validation=0.2)
    aside = data.validation.samples
    assert data.rows == 2 * (898 - len(aside)) and len(aside) == 180
    np.testing.assert_array_equal(aside, load("digits", 0, 8, validation=0.2).validation.samples)
    assert not pixels(data.train.samples) & (pixels(aside) | pixels(aside[:, :, ::-1]))
    with pytest.raises(InputError, match=r"validation 0\.9999 of 898 training samples of digits leaves one side empty"):
        load("mirrored:digits", 0, 8, validation=0.9999)


@pytest.mark.parametrize("share", [0.0, 0.2])
def test_samples_are_measured_as_those_of_the_data_that_are_not_mirrored(share):
    protocol = Protocol(extractor="random", metrics=("frechet",))
    found = []
    for name in ("digits", "mirrored:digits"):
        data = load(name, 0, 8, validation=share)
        if share:
            data = replace(data, test=data.validation, checksum=f"{data.checksum} validation")
        measure = data.evaluator(data, protocol)
        found.append((measure.facts, measure(data.to_float(data.test.samples[:100]), None)))
    assert found[0] == found[1] and found[0][0]["held_out"] == (180 if share else 899)


@pytest.mark.parametrize(
    "name, says",
    [
        ("mirrored:ring", "mirrored:ring needs images [H, W, C]: a sample of ring is (2,)"),
        ("mirrored:molecules", "mirrored:molecules needs images [H, W, C]: a sample of molecules is ()"),
        ("mirrored:digit", "unknown data 'digit': did you mean 'digits'"),
    ],
)
def test_what_has_no_mirror_image(name, says):
    with pytest.raises(InputError, match=re.escape(says)):
        load(name, 0, 8)
