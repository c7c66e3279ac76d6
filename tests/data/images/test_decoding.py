"""What an image file displays: orientation, transparency, bit depth; against the definitions of the formats."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made import RANDOM
from PIL import Image

from gan_jax.data.images.decoding import Form, read_header, read_pixels
from gan_jax.data.images.files import File
from gan_jax.data.load import load
from gan_jax.errors import InputError

PLAIN = Form(None, (255, 255, 255), None)
STORED = RANDOM.integers(0, 256, (3, 4), np.uint8)
# The EXIF standard (CIPA DC-008), tag 274: which sides of the displayed image the stored row 0 and column 0 are.
DISPLAYED = {
    1: STORED,  # top, left
    2: STORED[:, ::-1],  # top, right
    3: STORED[::-1, ::-1],  # bottom, right
    4: STORED[::-1],  # bottom, left
    5: STORED.T,  # left, top
    6: STORED.T[:, ::-1],  # right, top
    7: STORED.T[::-1, ::-1],  # right, bottom
    8: STORED.T[::-1],  # left, bottom
}


def file(content: bytes) -> File:
    return File(("image",), "image", lambda: io.BytesIO(content))


def pixels(content: bytes, form: Form = PLAIN) -> np.ndarray:
    header = read_header(file(content))
    channels = 1 if header.grey and (not header.transparent or form.grey_background) else 3
    return read_pixels(file(content), (*header.size[::-1], channels), form)


def saved(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, bits: int, colour: int, rows: list[bytes], before: bytes = b"", after: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), bits, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + before + body + after + chunk(b"IEND", b"")


@pytest.mark.parametrize("orientation", DISPLAYED)
@pytest.mark.parametrize("kind", ["PNG", "PNG, after the pixels", "TIFF", "WEBP", "JPEG"])
def test_orientation(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    if kind == "PNG, after the pixels":
        content = png(
            4, 8, 0, [row.tobytes() for row in STORED], after=chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
        )
    elif kind == "WEBP":
        content = saved(Image.fromarray(STORED).convert("RGB"), kind, exif=exif, lossless=True)
    else:
        smooth = {"quality": 100} if kind == "JPEG" else {}
        content = saved(Image.fromarray(STORED), kind, exif=exif, **smooth)
    header, displayed = read_header(file(content)), DISPLAYED[orientation]
    assert header.size == displayed.shape[::-1] and header.oriented == (orientation > 1 and kind != "TIFF")
    np.testing.assert_allclose(pixels(content)[..., 0].astype(int), displayed, atol=4 if kind == "JPEG" else 0)


def test_sizes_are_compared_as_displayed(tmp_path):
    upright, sideways = Image.Exif(), Image.Exif()
    sideways[0x0112] = 6
    for i in range(6):
        shape, exif = ((4, 2), sideways) if i % 2 else ((2, 4), upright)
        Image.new("L", shape, 40 * i).save(tmp_path / f"{i}.jpg", exif=exif)
    data = load(str(tmp_path), 0, 1)
    assert data.sample_shape == (4, 2, 1)
    assert "images rotated or mirrored as their EXIF orientation says: 3 (1.jpg, 3.jpg, 5.jpg)" in data.notes


@pytest.mark.parametrize("background", ["white", "black", "#204080"])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "PA"])
def test_transparency_is_composited_over_the_background(tmp_path, mode, background):
    colour = np.array({"white": (255,) * 3, "black": (0,) * 3, "#204080": (32, 64, 128)}[background])
    stored = RANDOM.integers(0, 256, (3, 4, 4), np.uint8)
    stored[0, :, 3] = (0, 64, 128, 255)
    if mode in ("P", "PA"):  # a palette of 12 colours, each with its opacity
        image = Image.fromarray(np.arange(12, dtype=np.uint8).reshape(3, 4), "L").convert("P")
        image.putpalette(stored[..., :3].tobytes())
        transparency = bytes(stored[..., 3].ravel())
        content = saved(image, "PNG", transparency=transparency)
    else:
        stored[..., :3] = stored[..., :1] if mode == "LA" else stored[..., :3]
        content = saved(Image.fromarray(stored).convert(mode), "PNG")
    opacity = stored[..., 3:] / 255
    expected = stored[..., :3] * opacity + colour * (1 - opacity)
    decoded = pixels(content, Form(None, tuple(map(int, colour)), None))
    assert decoded.shape[2] == (1 if mode == "LA" and background != "#204080" else 3)
    assert np.abs(decoded - expected).max() <= 1
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(content)
    data = load(f'folder(path="{tmp_path}", background="{background}")', 0, 1)
    np.testing.assert_array_equal(data.train.samples[0], decoded)
    written = "#%02x%02x%02x" % tuple(colour)  # noqa: UP031
    assert any(f"composited over {written} (option background): 2 (0.png, 1.png)" in note for note in data.notes)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_transparent_grey_level(bits):
    """The PNG standard, 11.3.2.1: pixels of the level in tRNS are transparent; levels are those of the file's bit depth."""
    levels = [0, 2**bits - 1]
    row = np.packbits([[int(bit) for bit in f"{level:0{bits}b}"] for level in levels]).tobytes()
    content = png(2, bits, 0, [row], before=chunk(b"tRNS", struct.pack(">H", levels[1])))
    assert pixels(content, Form(None, (77, 77, 77), None)).ravel().tolist() == [0, 77]


def test_a_transparent_colour():
    content = png(2, 8, 2, [bytes([1, 2, 3, 1, 2, 4])], before=chunk(b"tRNS", struct.pack(">HHH", 1, 2, 3)))
    assert pixels(content).tolist() == [[[255, 255, 255], [1, 2, 4]]]


@settings(deadline=None, max_examples=20)
@given(arrays(np.uint16, (2, 3)), st.sampled_from(["PNG", "TIFF", "PPM"]))
def test_16_bit_grey_is_divided_by_257(levels, kind):
    content = saved(Image.fromarray(levels), kind)
    np.testing.assert_array_equal(pixels(content)[..., 0], np.rint(levels / 257).astype(np.uint8))


@settings(deadline=None, max_examples=20)
@given(arrays(np.uint8, (2, 3, 3)), st.sampled_from(["PNG", "BMP", "TIFF", "PPM"]))
def test_8_bit_images_are_read_as_they_were_written(stored, kind):
    np.testing.assert_array_equal(pixels(saved(Image.fromarray(stored), kind)), stored)


def test_dark_16_bit_images_need_the_level_of_white(tmp_path):
    """A sensor of 12 bits fills a sixteenth of the range."""
    for i in range(2):
        Image.fromarray(np.uint16([[0, 1000, 4095]])).save(tmp_path / f"{i}.png")
    with pytest.raises(
        InputError, match=r"of 2 images of 16-bit grey is 4,095, nearly black: set max_level to .*, such as 4095"
    ):
        load(str(tmp_path), 0, 1)
    data = load(f'folder(path="{tmp_path}", max_level=4095)', 0, 1)
    assert data.train.samples.ravel().tolist() == [0, round(1000 * 255 / 4095), 255]
    assert "images of 16-bit grey, in which level 4,095 becomes 255: 2; the largest level is 4,095" in data.notes
    with pytest.raises(InputError, match="has level 4,095 of 16-bit grey, above max_level=4000"):
        load(f'folder(path="{tmp_path}", max_level=4000)', 0, 1)


def test_other_depths_are_refused_or_named(tmp_path):
    for image in (Image.fromarray(np.zeros((2, 2), np.float32)), Image.fromarray(np.zeros((2, 2), np.int32))):
        with pytest.raises(InputError, match="32 bits per channel"):
            read_header(file(saved(image, "TIFF")))
    with pytest.raises(InputError, match="16 bits per channel and a transparent colour"):
        read_header(file(png(1, 16, 0, [bytes([1, 2])], before=chunk(b"tRNS", bytes([1, 2])))))
    wide = png(1, 16, 2, [bytes([9, 9, 128, 128, 255, 255])])
    assert read_header(file(wide)).mode == "RGB of 16 bits" and pixels(wide).tolist() == [[[9, 128, 255]]]


def test_colour_profiles_that_are_not_applied_are_named(tmp_path):
    from PIL import ImageCms

    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.new("RGB", (2, 2)).save(tmp_path / "0.png", icc_profile=srgb)
    Image.new("RGB", (2, 2)).save(tmp_path / "1.png", icc_profile=b"another profile")
    Image.new("CMYK", (2, 2)).save(tmp_path / "2.jpg")
    row = [bytes(6)] * 2
    (tmp_path / "3.png").write_bytes(png(2, 8, 2, row, before=chunk(b"gAMA", struct.pack(">I", 100_000))))  # linear
    (tmp_path / "4.png").write_bytes(png(2, 8, 2, row, before=chunk(b"gAMA", struct.pack(">I", 45_455))))
    notes = load(str(tmp_path), 0, 1).notes
    assert "images with another colour profile or gamma than sRGB, which is not applied: 3 (1.png, 2.jpg, 3.png)" in notes
    assert "images are 2x2 pixels, RGB; modes of the files: RGB (4), CMYK (1)" in notes


def test_damaged_metadata_does_not_matter():
    content = png(4, 8, 0, [row.tobytes() for row in STORED], before=chunk(b"eXIf", b"no EXIF"))
    np.testing.assert_array_equal(pixels(content)[..., 0], STORED)
