"""What the headers of all files of a data set say: their common shape, and what decoding changes, counted and named."""

import json
from collections import Counter
from collections.abc import Sequence

import numpy as np

from gan_jax.data.images.decoding import Form, Header, read_header, read_levels
from gan_jax.data.images.files import File
from gan_jax.data.reading import listed
from gan_jax.errors import InputError

VERSION = 1  # of the notes and of everything that decides how a file is decoded: raise it when either changes
_DARK = 65535 // 4  # 16-bit images without a level above it would be nearly black


def survey(files: Sequence[File], form: Form, drop_damaged: bool = False) -> dict[str, np.ndarray]:
    """Read the headers of all files. Return `shape`, the common shape [H, W, C] of the images; `kept`, the row numbers of the
    files that are images; `notes`, a JSON list of sentences. `drop_damaged` decodes the files too, and drops those that fail.

    Raises InputError naming the first file that is incompatible with the others."""
    headers: list[Header] = []
    kept: list[int] = []
    damaged: list[File] = []
    for row, file in enumerate(files):
        try:
            headers.append(read_header(file, whole=drop_damaged))
            kept.append(row)
        except InputError as error:
            if not drop_damaged:
                raise InputError(f'{error}; damaged="drop" drops such files') from error
            damaged.append(file)
    if not headers:
        raise InputError(f"none of {len(files):,} files is an image that can be read, such as {files[0].place}")
    files = [files[row] for row in kept]
    notes = [f"{len(damaged):,} damaged files are dropped: {_names(damaged)}"] if damaged else []
    shape = common_shape(files, headers, form)
    notes += _notes(files, headers, shape, form)
    return {"shape": np.array(shape), "kept": np.array(kept), "notes": np.array(json.dumps(notes))}


def common_shape(files: Sequence[File], headers: Sequence[Header], form: Form) -> tuple[int, int, int]:
    """Return the shape [H, W, C] of all images. Images are grey if all files are, and the background too, if it is visible."""
    first = headers[0].size
    for file, header in zip(files, headers, strict=True):
        if form.side is None and header.size != first:
            sizes = f"{header.size[0]}x{header.size[1]} pixels, {files[0].place} is {first[0]}x{first[1]}"
            raise InputError(
                f"{file.place} is {sizes}: images must have one size, or be cropped to one: "
                "--data 'folder(path=\"...\", side=64)'"
            )
    grey = all(header.grey and (not header.transparent or form.grey_background) for header in headers)
    width, height = first if form.side is None else (form.side, form.side)
    return height, width, 1 if grey else 3


def _notes(files: Sequence[File], headers: Sequence[Header], shape: tuple[int, int, int], form: Form) -> list[str]:
    def those(name: str) -> list[File]:
        return [file for file, header in zip(files, headers, strict=True) if getattr(header, name)]

    sizes = [header.size for header in headers]
    smallest, largest = min(sizes, key=np.prod), max(sizes, key=np.prod)
    notes = [f"images are {shape[1]}x{shape[0]} pixels, {'grey' if shape[2] == 1 else 'RGB'}"]
    if form.side is not None and {smallest, largest} != {(form.side, form.side)}:
        enlarged = sum(min(size) < form.side for size in sizes)
        notes[0] += f", resampled from the centre of {_size(smallest)} to {_size(largest)}"
        notes[0] += f"; {enlarged:,} are smaller and enlarged" if enlarged else ""
    if (grey := those("grey")) and len(grey) < len(files):
        colour = [file for file, header in zip(files, headers, strict=True) if not header.grey]
        few, what = (grey, "grey") if len(grey) <= len(colour) else (colour, "colour")
        notes.append(f"{len(grey):,} grey and {len(colour):,} colour images: all become RGB; {what}: {_names(few)}")
    if transparent := those("transparent"):
        colour = "#%02x%02x%02x" % form.background
        notes.append(
            f"{len(transparent):,} images with an alpha channel or a transparent colour are composited over {colour} "
            f"(folder option background): {_names(transparent)}"
        )
    if oriented := those("oriented"):
        notes.append(f"{len(oriented):,} images are rotated or mirrored as their EXIF orientation says: {_names(oriented)}")
    if several := those("several"):
        notes.append(f"{len(several):,} files hold several pictures, of which the first is used: {_names(several)}")
    if deep := those("deep"):
        notes.append(_levels_note(deep, form))
    others = Counter(
        header.mode for header in headers if header.mode not in ("1", "L", "LA", "RGB", "RGBA", "P") and not header.deep
    )
    for mode, number in others.items():
        profile = ", without their colour profile" if mode == "CMYK" else ""
        notes.append(f"{number:,} images of mode {mode} are converted to 8-bit {'grey' if shape[2] == 1 else 'RGB'}{profile}")
    return notes


def _levels_note(deep: Sequence[File], form: Form) -> str:
    """Return the note on 16-bit grey. Raises InputError if the levels do not fit `max_level`, or all are so low that the
    largest level of the files may not be white."""
    largest, file = max(((read_levels(file), file) for file in deep), key=lambda pair: pair[0])
    white = form.max_level or 65535
    if largest > white:
        raise InputError(f"{file.place} has level {largest:,} of 16-bit grey, above max_level={white}")
    if form.max_level is None and largest <= _DARK:
        raise InputError(
            f"{file.place}: the largest level of {len(deep):,} images of 16-bit grey is {largest:,}, nearly black: "
            f"set max_level to the level of white, such as {2 ** largest.bit_length() - 1}, or 65535 to keep them dark"
        )
    return f"{len(deep):,} images of 16-bit grey are scaled to 8 bits: level {white:,} becomes 255 (the largest is {largest:,})"


def _names(files: Sequence[File]) -> str:
    return listed(["/".join(file.parts) for file in files], 3)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
