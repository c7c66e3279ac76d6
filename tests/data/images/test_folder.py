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
    source = folder.folder(None, path=str(tmp_path))
    assert (source.num_classes, source.train.labels) == (0, None)
    written[3] = written[3].astype(np.uint8) * 255
    held_out = np.random.RandomState(0).permutation(11)[:1]
    np.testing.assert_array_equal(source.test.samples[..., 0], np.array(written)[held_out])
    np.testing.assert_array_equal(source.train.samples[..., 0], np.delete(written, held_out, axis=0))
    assert "files that are not read as images: 1 .txt" in source.notes
    assert "images are 5x6 pixels, grey; modes of the files: L (10), 1 (1)" in source.notes
    assert load(f"{tmp_path}/", 0, 4).sample_shape == (6, 5, 1)


def test_folder_of_classes_and_formats(tmp_path):
    write(tmp_path / "cat" / "a.PNG", "L")
    palette = write(tmp_path / "cat" / "deep" / "b.png", "P")
    write(tmp_path / "dog" / "a.jpg", "RGB")
    alpha = write(tmp_path / "dog" / "b.webp", "RGBA", lossless=True)
    frames = [Image.new("RGB", (5, 6), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "dog" / "c.webp", save_all=True, append_images=frames[1:], lossless=True)
    write(tmp_path / "emu" / "a.bmp", "RGB")
    source = folder.folder(None, path=str(tmp_path))
    assert source.num_classes == 3 and source.classes == ("cat", "dog", "emu")
    assert sorted(source.test.labels.tolist() + source.train.labels.tolist()) == [0, 0, 1, 1, 1, 2]
    assert source.test.labels.tolist() == [0, 1] and palette.shape == (6, 5)  # of each class with two images
    samples = np.concatenate([source.train.samples, source.test.samples])
    opacity = alpha[..., 3:] / 255
    over_white = alpha[..., :3] * opacity + 255 * (1 - opacity)
    assert min(np.abs(image - over_white).max() for image in samples) <= 1
    assert (samples == np.uint8([255, 0, 0])).all(axis=(1, 2, 3)).sum() == 1
    assert source.notes[0] == "6 images in 3 classes: cat (2), dog (3), emu (1)"
    assert "files of several pictures, of which the first is used: 1 (dog/c.webp)" in source.notes
    assert "classes without held-out images: emu" in source.notes
    assert "1 grey beside 5 colour images, all of which become RGB; grey: cat/a.PNG" in source.notes


def test_folder_with_its_own_test_split(tmp_path):
    for split, number in (("train", 4), ("test", 2)):
        for name in ("b", "a"):
            for i in range(number):
                write(tmp_path / split / name / f"{i}.png")
    source = folder.folder(None, path=str(tmp_path))
    assert source.train.labels.tolist() == [0] * 4 + [1] * 4 and source.test.labels.tolist() == [0, 0, 1, 1]


def test_folder_of_one_class_has_no_labels(tmp_path):
    for i in range(3):
        write(tmp_path / "images" / f"{i}.png")
    source = folder.folder(None, path=str(tmp_path))
    assert (source.num_classes, source.classes) == (0, ())


def test_invalid_folders(tmp_path):
    def assert_error(text, path=tmp_path):
        with pytest.raises(InputError, match=re.escape(text)) as caught:
            load(str(path), 0, 8)
        assert "\n" not in str(caught.value)

    write(tmp_path / "a.heic", format="png")
    assert_error(f"{tmp_path}: no images here (.avif, .bmp, .gif, ")
    assert_error("; found 1 .heic")
    write(tmp_path / "a.png")
    assert_error("at least 2 images")
    write(tmp_path / "c.png", size=(7, 6))
    assert_error(f"{tmp_path / 'c.png'} is 7x6 pixels, {tmp_path / 'a.png'} is 5x6")
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    assert_error(f"{tmp_path / 'c.png'}: not a readable image")
    (tmp_path / "c.png").write_text("no image")
    assert_error(f"{tmp_path / 'c.png'}: not a readable image")
    assert_error('damaged="drop" drops such files')
    Image.fromarray(np.zeros((6, 5), np.int32)).save(tmp_path / "c.png", format="tiff")
    assert_error(f"{tmp_path / 'c.png'}: 32 bits per channel")
    write(tmp_path / "c.png")
    write(tmp_path / "cats" / "a.png")
    assert_error("both outside (2) and inside (1) class folders (cats)")


@pytest.mark.parametrize("stream", ["never", "always"])
def test_damaged_files_are_dropped_on_request(tmp_path, monkeypatch, stream):
    """Including those whose header is intact, and in both splits."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    written = {}
    for i in range(8):
        file = tmp_path / "data" / ("train", "test")[i % 2] / f"{i}.png"
        written[i] = write(file, size=(40, 40))
        if i in (2, 3):
            file.write_bytes(file.read_bytes()[:600])
    source = folder.folder(None, stream, path=str(tmp_path / "data"), damaged="drop")
    assert "damaged files that are dropped: 2 (train/2.png, test/3.png)" in source.notes
    for split, rows in ((source.train, [0, 4, 6]), (source.test, [1, 5, 7])):
        images = split.samples if stream == "never" else split.read(np.arange(split.count)).samples
        np.testing.assert_array_equal(images[..., 0], [written[i] for i in rows])


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
    every = np.concatenate([data.train.samples, data.test.samples])
    assert (every == np.uint8([10, 20, 30])).all(axis=(1, 2, 3)).sum() == 1
    assert "resampled from the centres of images of 12x9 to 12x18 pixels" in data.notes  # by area
    streamed = load(f'folder(path="{tmp_path}/all", side=4)', 0, 4, stream="always")
    np.testing.assert_array_equal(streamed.test.samples, data.test.samples)
    assert load(f'folder(path="{tmp_path}/all", side=6)', 0, 4, stream="always").sample_shape == (6, 6, 3)
    for name, message in (
        (f'folder(path="{tmp_path}/all", side=0)', "side must be a whole number from 1 to 16384, got 0"),
        (f'folder(path="{tmp_path}/all", side=4, background="whit")', "background must be a colour such as black"),
        (f'folder(path="{tmp_path}/all", side=4, damaged="skip")', 'damaged must be "refuse" or "drop"'),
        (f'folder(path="{tmp_path}/all")', "images must have one size, or be cropped to one"),
        (f'folder(path="{tmp_path}/none")', "no file or folder"),
        (f'folder(path="{tmp_path}/all/1.png")', "is neither a folder nor a zip"),
    ):
        with pytest.raises(InputError, match=message):
            load(name, 0, 4)
