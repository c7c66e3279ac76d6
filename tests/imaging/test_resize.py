"""Resizing as Pillow and PyTorch do it. TensorFlow's is tested with the Inception network and with VGG-16, in tests/metrics."""

import jax
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from gan_jax.imaging.resize import pillow_bicubic, pillow_bicubic_unrounded, pillow_bilinear, pytorch_bilinear


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


@pytest.mark.parametrize("shape", [(32, 32), (28, 61)])
def test_bilinear_growth_equals_pytorch(shape):
    """Where an image grows, JAX's own resize has the same half-pixel centres and borders; PyTorch's is not always installed."""
    images = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), np.uint8)
    resized = pytorch_bilinear(images, 299, 64)
    np.testing.assert_allclose(resized, jax.image.resize(images.astype(np.float32), (2, 299, 64, 3), "linear"), atol=1e-3)
    torch = pytest.importorskip("torch")
    theirs = torch.nn.functional.interpolate(torch.from_numpy(images).permute(0, 3, 1, 2).float(), (299, 64), mode="bilinear")
    np.testing.assert_allclose(resized, theirs.permute(0, 2, 3, 1), atol=1e-3)


def test_bilinear_shrinking_is_not_antialiased():
    """Every third pixel of 9 is the centre of a third: pixels 1, 4 and 7."""
    row = np.array([5, 1, 9, 2, 7, 3, 8, 4, 6], np.float32)
    np.testing.assert_allclose(pytorch_bilinear(row[None, None, :, None], 1, 3).ravel(), row[1::3], atol=1e-5)
