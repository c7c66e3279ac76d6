"""Folders of image files: which files are read or ignored, and errors that name the file."""

import re

import numpy as np
import pytest
from made import write
from PIL import Image

from gan_jax.data.images import folder
from gan_jax.data.load import load
from gan_jax.errors import InputError


def test_folder_of_grey_images(tmp_path):
    written = [write(tmp_path / f"{i:02d}.png", "1" if i == 3 else "L") for i in range(11)]
    write(tmp_path / ".hidden.png", size=(9, 9))
    write(tmp_path / ".cache" / "thumbnail.png", size=(9, 9))
    (tmp_path / "README.txt").write_text("not an image")
    (tmp_path / "empty").mkdir()
    source = folder.folder(tmp_path)
    assert (source.num_classes, source.train.labels) == (0, None)
    written[3] = written[3].astype(np.uint8) * 255
    np.testing.assert_array_equal(source.test.samples[..., 0], [written[0], written[10]])
    np.testing.assert_array_equal(source.train.samples[..., 0], written[1:10])
    assert load(f"{tmp_path}/", 0, 4).sample_shape == (6, 5, 1)


def test_folder_of_classes_and_formats(tmp_path):
    write(tmp_path / "cat" / "a.PNG", "L")
    palette = write(tmp_path / "cat" / "deep" / "b.png", "P")
    write(tmp_path / "dog" / "a.jpg", "RGB")
    alpha = write(tmp_path / "dog" / "b.webp", "RGBA", lossless=True)
    frames = [Image.new("RGB", (5, 6), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "dog" / "c.webp", save_all=True, append_images=frames[1:], lossless=True)
    write(tmp_path / "emu" / "a.bmp", "RGB")
    source = folder.folder(tmp_path)
    assert source.num_classes == 3 and source.classes == ("cat", "dog", "emu")
    assert source.test.labels.tolist() == [0] and source.train.labels.tolist() == [0, 1, 1, 1, 2]
    assert source.train.samples.shape == (5, 6, 5, 3) and palette.shape == (6, 5)
    np.testing.assert_array_equal(source.train.samples[2], alpha[..., :3])
    np.testing.assert_array_equal(source.train.samples[3], np.broadcast_to(np.uint8([255, 0, 0]), (6, 5, 3)))


def test_folder_with_its_own_test_split(tmp_path):
    for split, number in (("train", 4), ("test", 2)):
        for name in ("b", "a"):
            for i in range(number):
                write(tmp_path / split / name / f"{i}.png")
    source = folder.folder(tmp_path)
    assert source.train.labels.tolist() == [0] * 4 + [1] * 4 and source.test.labels.tolist() == [0, 0, 1, 1]


def test_folder_of_one_class_has_no_labels(tmp_path):
    for i in range(3):
        write(tmp_path / "images" / f"{i}.png")
    source = folder.folder(tmp_path)
    assert (source.num_classes, source.classes) == (0, ())


def test_invalid_folders(tmp_path):
    def assert_error(text, path=tmp_path):
        with pytest.raises(InputError, match=re.escape(text)):
            load(str(path), 0, 8)

    assert_error("no images here (.bmp, .jpeg, .jpg, .png, .webp)")
    write(tmp_path / "a.png")
    assert_error("at least 2 images")
    write(tmp_path / "c.png", size=(7, 6))
    assert_error(f"{tmp_path / 'c.png'} is 7x6 pixels, {tmp_path / 'a.png'} is 5x6")
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    assert_error(f"{tmp_path / 'c.png'}: not a readable image")
    (tmp_path / "c.png").write_text("no image")
    assert_error(f"{tmp_path / 'c.png'}: not a readable image")
    Image.fromarray(np.zeros((6, 5), np.uint16)).save(tmp_path / "c.png")
    assert_error(f"{tmp_path / 'c.png'}: more than 8 bits")
    write(tmp_path / "c.png")
    write(tmp_path / "cats" / "a.png")
    assert_error("both outside and inside class folders (cats)")


def test_images_of_any_size_are_cropped_to_one(tmp_path, monkeypatch):
    """To the central square, so one that is constant stays constant; streamed images are the same."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    for i in range(10):
        write(tmp_path / "all" / f"{i}.png", size=(12, 9 + i))
    wide = np.zeros((8, 24, 3), np.uint8)
    wide[:, 4:20] = (10, 20, 30)
    Image.fromarray(wide).save(tmp_path / "all" / "wide.png")
    data = load(f'folder(path="{tmp_path}/all", side=4)', 0, 4)
    assert data.sample_shape == (4, 4, 3)
    assert (data.test.samples == np.uint8([10, 20, 30])).all(axis=(1, 2, 3)).sum() == 1
    streamed = load(f'folder(path="{tmp_path}/all", side=4)', 0, 4, stream="always")
    np.testing.assert_array_equal(streamed.test.samples, data.test.samples)
    assert load(f'folder(path="{tmp_path}/all", side=6)', 0, 4, stream="always").sample_shape == (6, 6, 3)
    for name, message in (
        (f'folder(path="{tmp_path}/all", side=0)', "side must be a whole number of at least 1, got 0"),
        (f'folder(path="{tmp_path}/none")', "no file or folder"),
        (f'folder(path="{tmp_path}/all/1.png")', "is not a folder"),
    ):
        with pytest.raises(InputError, match=message):
            load(name, 0, 4)
