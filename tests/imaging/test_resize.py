"""Resizing as Pillow does it. TensorFlow's is tested with the Inception network and with VGG-16, in tests/metrics."""

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from gan_jax.imaging.resize import pillow_bicubic, pillow_bicubic_unrounded, pillow_bilinear


def horizontally_first(image: Image.Image, height: int, width: int, filter: Image.Resampling) -> np.ndarray:
    """In two calls: in a single one, Pillow 13 chooses the order."""
    return np.asarray(image.resize((width, image.height), filter).resize((width, height), filter))


def test_bicubic_equals_pillow_bit_for_bit():
    rng = np.random.default_rng(0)
    shapes = [(28, 28), (64, 64), (1, 5), (300, 250)]
    for image in [load_sample_image("china.jpg"), *(rng.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes)]:
        resized = np.asarray(pillow_bicubic(image[None], 224, 224))[0]
        pillow = Image.fromarray(image)
        np.testing.assert_array_equal(resized, horizontally_first(pillow, 224, 224, Image.Resampling.BICUBIC))
        if image.shape[0] <= image.shape[1]:  # every version of Pillow resizes horizontally first
            np.testing.assert_array_equal(resized, np.asarray(pillow.resize((224, 224), Image.Resampling.BICUBIC)))
    image = rng.integers(0, 256, (48, 31, 3), np.uint8)
    expected = horizontally_first(Image.fromarray(image), 40, 90, Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(np.asarray(pillow_bicubic(image[None], 40, 90))[0], expected)


@pytest.mark.parametrize("shape", [(28, 28), (300, 260), (5, 90)])
@pytest.mark.parametrize("resize", [pillow_bilinear, pillow_bicubic_unrounded])
def test_resize_equals_pillow_for_numbers_that_are_not_rounded(shape, resize):
    """The bicubic one is that of clean-fid, which passes the channels one by one in Pillow's mode F."""
    image = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    kernel = Image.Resampling.BILINEAR if resize is pillow_bilinear else Image.Resampling.BICUBIC
    expected = horizontally_first(Image.fromarray(image), 40, 50, kernel)
    np.testing.assert_allclose(resize(image[None, :, :, None], 40, 50)[0, :, :, 0], expected, atol=1e-4)
