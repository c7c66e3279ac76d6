"""What the headers of all files of a data set say: their common shape, and what decoding changes, counted and named."""

import json
from collections import Counter
from collections.abc import Sequence

import numpy as np

from gan_jax.data.images.decoding import Form, Header, read_header, read_levels
from gan_jax.data.images.files import File
from gan_jax.data.reading import listed
from gan_jax.errors import InputError

VERSION = 2  # of the notes and of everything that decides how a file is decoded: raise it when either changes
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
    notes = [f"damaged files that are dropped: {len(damaged):,} ({_names(damaged)})"] if damaged else []
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

    modes = listed([f"{mode} ({number:,})" for mode, number in Counter(header.mode for header in headers).most_common()])
    kind = "grey" if shape[2] == 1 else "RGB"
    notes = [f"images are {shape[1]}x{shape[0]} pixels, {kind}; modes of the files: {modes}"]
    sizes = [header.size for header in headers]
    smallest, largest = (f"{w}x{h}" for w, h in (min(sizes, key=np.prod), max(sizes, key=np.prod)))
    if form.side is not None and {*sizes} != {(form.side, form.side)}:
        notes.append(f"resampled from the centres of images of {smallest} to {largest} pixels")
        if enlarged := sum(min(size) < form.side for size in sizes):
            notes.append(f"enlarged, because they are smaller: {enlarged:,} of {len(files):,} images")
    if (grey := those("grey")) and shape[2] == 3:
        if colour := [file for file in files if file not in set(grey)]:
            few, what = (grey, "grey") if len(grey) <= len(colour) else (colour, "colour")
            notes.append(
                f"{len(grey):,} grey beside {len(colour):,} colour images, all of which become RGB; {what}: {_names(few)}"
            )
    red, green, blue = form.background
    over = f"composited over #{red:02x}{green:02x}{blue:02x} (option background)"
    for name, text in (
        ("transparent", f"images with an alpha channel or a transparent colour, {over}"),
        ("oriented", "images rotated or mirrored as their EXIF orientation says"),
        ("several", "files of several pictures, of which the first is used"),
        ("profile", "images with another colour profile or gamma than sRGB, which is not applied"),
    ):
        if matching := those(name):
            notes.append(f"{text}: {len(matching):,} ({_names(matching)})")
    return notes + ([_levels_note(deep, form)] if (deep := those("deep")) else [])


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
    return f"images of 16-bit grey, in which level {white:,} becomes 255: {len(deep):,}; the largest level is {largest:,}"


def _names(files: Sequence[File]) -> str:
    return listed(["/".join(file.parts) for file in files], 3)
