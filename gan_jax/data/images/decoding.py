"""Decode an image file: its orientation, transparency and bit depth as its metadata define them.

Each function opens a file by Pillow, which reads the format from the content, and raises InputError naming the file.
"""

import io
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from gan_jax.data.images.files import File
from gan_jax.errors import InputError

_ORIENTATION = 0x0112  # EXIF tag 274
_GAMMA = 0.45455  # of sRGB, as PNG states it
_GREY = ("1", "L", "LA", "La")
_FORMATS_OF_16_BITS = ("PNG", "PPM")  # whose pixels Pillow may present as 32-bit integers


class Form(NamedTuple):
    """The common form of all images of a data set."""

    side: int | None  # of the square that each image is cropped and resampled to; None keeps the size
    background: tuple[int, int, int]  # RGB, behind transparent pixels
    max_level: int | None  # the level of 16-bit grey that becomes white; None for 65535

    @property
    def grey_background(self) -> bool:
        return len(set(self.background)) == 1


class Header(NamedTuple):
    """What is known about an image before its pixels are decoded."""

    size: tuple[int, int]  # width and height as displayed
    mode: str  # Pillow's, or "RGB of 16 bits"
    grey: bool
    deep: bool  # grey with 16 bits
    transparent: bool  # has an alpha channel or a transparent colour
    oriented: bool  # displayed rotated or mirrored
    profile: bool  # has a colour profile other than sRGB, or the colours of print without one
    several: bool  # holds further pictures, such as the frames of an animation


def read_header(file: File, whole: bool = False) -> Header:
    """Return the header of an image; `whole` decodes its pixels too, so that damage there is an error."""

    def header(image: Any, orientation: int) -> Header:
        deep = _is_deep(image)
        if not deep and image.mode.startswith(("I", "F")):
            raise InputError(f"{file.place}: 32 bits per channel (Pillow mode {image.mode}): convert it to 8 or 16 bits")
        transparent = image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info
        wide = _raw_mode(image).startswith("RGB;16")
        if transparent and (deep or (wide and "transparency" in image.info)):
            raise InputError(f"{file.place}: 16 bits per channel and a transparent colour: convert it to 8 bits")
        size = image.size if orientation < 5 else image.size[::-1]
        grey = deep or image.mode in _GREY
        mode = "RGB of 16 bits" if wide else image.mode
        profile = not grey and (image.mode == "CMYK" or not _is_srgb(image.info.get("icc_profile")))
        if not {"icc_profile", "srgb"} & set(image.info):  # then PNG's own number counts, about 1 / 2.2 for sRGB
            profile |= abs(image.info.get("gamma", _GAMMA) - _GAMMA) > 0.05
        several = bool(getattr(image, "is_animated", False))
        result = Header(size, mode, grey, deep, transparent, orientation > 1, profile, several)
        if whole:
            image.load()
        return result

    return _opened(file, header)


def read_levels(file: File) -> int:
    """Return the largest level of an image."""
    return _opened(file, lambda image, orientation: int(np.asarray(image).max()))


def read_pixels(file: File, shape: tuple[int, int, int], form: Form) -> np.ndarray:
    """Return the image as displayed, uint8 [H, W, C]: cropped and resampled to that shape, or unchanged. Transparent pixels are
    composited over the background."""
    from PIL import Image, ImageOps

    def decode(image: Any, orientation: int) -> np.ndarray:
        if _is_deep(image):
            levels = np.asarray(image).astype(np.float64) * (255 / (form.max_level or 65535))
            image = Image.fromarray(np.rint(levels.clip(0, 255)).astype(np.uint8))
        image = _over_background(image, form).convert("L" if shape[2] == 1 else "RGB")
        if orientation > 1:
            image = image.transpose(_transposition(orientation))
        return np.asarray(ImageOps.fit(image, (shape[1], shape[0]), Image.Resampling.LANCZOS) if form.side else image)

    pixels = _opened(file, decode)
    return pixels.reshape(*pixels.shape[:2], shape[2])


@lru_cache(maxsize=64)
def _is_srgb(profile: bytes | None) -> bool:
    """Whether colours are those of sRGB, which is also assumed without a profile."""
    from PIL import ImageCms

    if not profile:
        return True
    try:
        return "srgb" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile))).lower()
    except (ImageCms.PyCMSError, OSError):  # a damaged profile
        return False


def _over_background(image: Any, form: Form) -> Any:
    from PIL import Image

    if "transparency" in image.info and (raw_mode := _raw_mode(image)) in ("L;2", "L;4"):
        # Pillow scales the pixels of such files to 8 bits, but not their transparent level.
        image.load()
        image.info["transparency"] *= 85 if raw_mode == "L;2" else 17
    if "transparency" not in image.info and image.mode not in ("RGBA", "LA", "PA", "La", "RGBa"):
        return image
    canvas = Image.new("RGBA", image.size, (*form.background, 255))
    straight = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode))
    return Image.alpha_composite(canvas, straight.convert("RGBA")).convert("RGB")


def _transposition(orientation: int) -> Any:
    """Return Pillow's operation for an EXIF orientation, 2 to 8."""
    from PIL import Image

    operations = Image.Transpose
    by_orientation = (
        operations.FLIP_LEFT_RIGHT,
        operations.ROTATE_180,
        operations.FLIP_TOP_BOTTOM,
        operations.TRANSPOSE,
        operations.ROTATE_270,
        operations.TRANSVERSE,
        operations.ROTATE_90,
    )
    return by_orientation[orientation - 2]


def _is_deep(image: Any) -> bool:
    """Whether the image is grey with 16 bits."""
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format in _FORMATS_OF_16_BITS)


def _raw_mode(image: Any) -> str:
    """How the file stores its pixels, as Pillow calls it, such as "L;4"; known before they are decoded."""
    arguments = image.tile[0].args if image.tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _orientation(stream: BinaryIO, image: Any) -> int:
    """Return the EXIF orientation, 1 (or absent) to 8; see the EXIF standard (CIPA DC-008), tag 274."""
    from PIL import Image

    if image.format == "TIFF":
        return 1  # Pillow applies it
    try:
        exif = Image.Image.getexif(image)  # of the base class: PNG's would decode the pixels first
        if image.format == "PNG" and "exif" not in image.info and (content := _exif_after_pixels(stream)):
            exif = Image.Exif()
            exif.load(content)
        value = exif.get(_ORIENTATION, 1)
    except (SyntaxError, ValueError, KeyError, TypeError, struct.error):  # damaged metadata of an intact image
        return 1
    return value if value in range(1, 9) else 1


def _exif_after_pixels(stream: BinaryIO) -> bytes:
    """Return the eXIf chunk of a PNG that may follow its pixels; b"" if there is none."""
    position = stream.tell()
    stream.seek(8)
    try:
        while len(head := stream.read(8)) == 8:
            length = int.from_bytes(head[:4], "big")
            if head[4:] == b"eXIf":
                return stream.read(length)
            stream.seek(length + 4, 1)
        return b""
    finally:
        stream.seek(position)


def _opened(file: File, function: Callable[[Any, int], Any]) -> Any:
    """Return `function(image, orientation)` of the opened image file."""
    from PIL import Image

    try:
        with file.open() as stream, Image.open(stream) as image:
            return function(image, _orientation(stream, image))
    except InputError:
        raise
    except Exception as error:  # Pillow raises many types of errors for damaged files
        raise InputError(f"{file.place}: not a readable image ({error})") from error
