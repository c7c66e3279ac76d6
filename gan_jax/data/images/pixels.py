"""Images: the functions common to all image sources, and the reader of `PATH.npz`."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gan_jax.data.dataset import Data, Format, Measure, Presentation, Protocol, Source, Split, Stored
from gan_jax.data.reading import listed, split_rows
from gan_jax.errors import InputError
from gan_jax.imaging.grid import grid_columns
from gan_jax.storage.npz import load_headers, load_npz

FORMAT = Format("images", {})
HELD_OUT = 0.1  # fraction of the images
# Accepted array names in an .npz: samples and labels of the train split, then of the test split.
LAYOUTS = (
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
    ("images", "labels"),
    ("x", "y"),
    ("arr_0", "arr_1"),
)


def source(
    name: str,
    train: Split | Stored,
    test: Split | Stored | None,
    classes: tuple[str, ...] = (),
    num_classes: int = 0,
    files_sha256: str = "",
) -> Source:
    """Return the source of uint8 images [N, H, W, C], whose labels are classes 0..K-1, with their names, or vectors [N, K].
    Without a test split, a random tenth of each class is held out, at least one image if the class has two.

    `num_classes` is K of images on disk whose labels are not known before they are read, `files_sha256` that of their files.
    Raises `InputError` if the splits are incompatible or a label is out of range.
    """
    notes: list[str] = []
    random_test = test is None
    if random_test:
        train, test = _hold_out(name, train)
        by_class = "" if train.labels is None or train.labels.ndim > 1 else " of each class"
        notes.append(
            f"for training, a random tenth{by_class} is held out: {test.count:,} of {train.count + test.count:,} images"
        )
    shapes = [split.shape if isinstance(split, Stored) else split.samples.shape[1:] for split in (train, test)]
    if shapes[0] != shapes[1]:
        raise InputError(f"{name}: train and test images differ in shape: {shapes[0]} and {shapes[1]}")
    if (train.labels is None) != (test.labels is None):
        raise InputError(f"{name}: labels are needed for both train and test images, or for neither")
    if train.labels is not None:
        num_classes = max(_num_classes(name, train.labels, test.labels), len(classes))
        notes += _class_notes(name, train.labels, test.labels, classes)
    return Source(
        train,
        test,
        num_classes,
        to_float,
        show,
        pack,
        evaluator,
        classes=classes,
        notes=tuple(notes),
        files_sha256=files_sha256,
        random_test=random_test,
        format=FORMAT,
    )


def presentation() -> Presentation:
    """Return the presentation of all images."""
    return Presentation(show, pack, decode=lambda samples: pack(samples)["images"])


def _hold_out(name: str, images: Split | Stored) -> tuple[Split, Split] | tuple[Stored, Stored]:
    if images.count < 2:
        raise InputError(f"{name}: at least 2 images are needed, one to train on and one to hold out")
    labels = images.labels
    if labels is not None and (labels.ndim > 1 or np.bincount(np.unique(labels, return_inverse=True)[1]).max() < 2):
        labels = None  # nothing to stratify by
    train, test = (images.take(np.sort(rows)) for rows in split_rows(images.count, HELD_OUT, labels))
    return train, test


def _class_notes(name: str, train: np.ndarray, test: np.ndarray, classes: tuple[str, ...]) -> list[str]:
    """Return a note on the classes that are not held out. Raises InputError if there are classes that are not trained on,
    unless each class has a single image."""
    if train.ndim > 1:
        return []
    in_train, in_test = np.unique(train), np.unique(test)

    def names(labels: np.ndarray) -> str:
        return listed([classes[label] if classes else str(label) for label in labels])

    untrained, not_held_out = np.setdiff1d(in_test, in_train), np.setdiff1d(in_train, in_test)
    if len(untrained) and len(in_train) < len(train):
        raise InputError(f"{name}: no training image has these classes of held-out images: {names(untrained)}")
    absent = np.setdiff1d(np.arange(max(in_train.max(), in_test.max()) + 1), np.union1d(in_train, in_test))
    notes = [f"classes without images: {names(absent)}"] if len(absent) else []
    if len(not_held_out):
        notes.append(f"classes without held-out images: {names(not_held_out)}")
    return notes


def _num_classes(name: str, train: np.ndarray, test: np.ndarray) -> int:
    """Return K for the labels of both splits: classes 0..K-1, or vectors [N, K]."""
    if (train.dtype, train.shape[1:]) != (test.dtype, test.shape[1:]):
        kinds = " and ".join(f"{labels.dtype} {labels.shape}" for labels in (train, test))
        raise InputError(f"{name}: train and test labels differ in type or shape: {kinds}")
    if train.ndim == 2:
        return train.shape[1]
    low, high = min(train.min(), test.min()), max(train.max(), test.max())
    if low < 0 or high >= len(train) + len(test):
        raise InputError(f"{name}: labels must be 0..K-1 for K classes, found {low}..{high}")
    return int(high) + 1


def to_float(stored, max_level: int = 255):
    """Convert stored levels 0..max_level to float32 in [-1, 1]; runs on NumPy and inside jit."""
    return stored.astype(np.float32) / (max_level / 2) - 1


def evaluator(data: Data, protocol: Protocol = Protocol()) -> Measure:
    from gan_jax.data.images.protocols import evaluator

    return evaluator(data, protocol)


def pack(samples: np.ndarray) -> dict[str, np.ndarray]:
    """Return `images` [N, H, W, C] as uint8 0..255, the format that this package and other tools read."""
    return {"images": np.clip(np.rint((samples + 1) * 127.5), 0, 255).astype(np.uint8)}


def png_files(images: np.ndarray) -> dict[str, bytes]:
    """Return each of the images, uint8 [N, H, W, 1 or 3], as a PNG file called /00000.png, /00001.png, ..."""
    from PIL import Image

    files = {}
    for number, image in enumerate(images):
        out = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(out, "PNG")
        files[f"/{number:05d}.png"] = out.getvalue()
    return files


def show(samples: np.ndarray, palette: bytes | None = None) -> dict[str, bytes]:
    """Return the images [N, H, W, 1 or 3] in [-1, 1] as one PNG: a grid as close to square as N allows, row by row, each image
    enlarged by an integer factor (nearest neighbour) so that the grid is about 600 pixels wide. NaNs are drawn black. A
    `palette`, 256 colours of 3 bytes, replaces the greys of images with one channel.
    """
    from PIL import Image

    samples = np.asarray(samples, np.float32)
    if samples.ndim != 4 or samples.shape[-1] not in (1, 3) or not samples.size:
        raise ValueError(f"samples must be [N, H, W, 1 or 3] with N > 0, got {samples.shape}")
    number, height, width, channels = samples.shape
    columns = grid_columns(number)
    rows = -(-number // columns)
    factor = max(1, round(600 / (columns * width)))
    gap, gap_level = 2, 96 if palette is None else 0  # a grey, visible next to black and to white; or the first colour
    levels = np.rint((np.nan_to_num(samples.clip(-1, 1), nan=-1) + 1) * 127.5).astype(np.uint8)
    levels = levels.repeat(factor, axis=1).repeat(factor, axis=2)
    cell = (height * factor + gap, width * factor + gap)
    canvas = np.full((rows * columns, *cell, channels), gap_level, np.uint8)
    canvas[:number, gap:, gap:] = levels
    canvas = canvas.reshape(rows, columns, *cell, channels).swapaxes(1, 2).reshape(rows * cell[0], -1, channels)
    canvas = np.pad(canvas, ((0, gap), (0, gap), (0, 0)), constant_values=gap_level)
    picture = Image.fromarray(canvas[..., 0] if channels == 1 else canvas)
    if palette is not None:
        picture.putpalette(palette)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return {".png": out.getvalue()}


def npz(path: Path) -> Source:
    """Read an .npz of images, uint8 [N, H, W] or [N, H, W, C], and their labels, named as in `LAYOUTS`; labels and the test
    split are optional. Only uint8: the range of floats would be ambiguous, and they take four times the memory. Labels are
    integers [N] (classes), multi-hot vectors [N, K] of integers 0 and 1, or vectors [N, K] of real numbers.

    Raises `InputError` naming the file and the key.
    """
    return source(str(path), *read_npz(path))


def read_npz(path: Path) -> tuple[Split, Split | None]:
    """Return the train and test split of an .npz as described in `npz`; None for a missing test split."""
    names = list(load_headers(path))
    layouts = [layout for layout in LAYOUTS if layout[0] in names]
    if len(layouts) != 1:
        which = "several of the known layouts" if layouts else "none of the known layouts"
        allowed = " or ".join("/".join(layout) for layout in LAYOUTS)
        raise InputError(f"{path}: {which} (found {', '.join(names) or 'no array'}; allowed {allowed})")
    keys = [key if key in names else None for key in (*layouts[0], None, None)][:4]
    if keys[3] and not keys[2]:
        raise InputError(f"{path}: {keys[3]} without {layouts[0][2]}")
    arrays = load_npz(path, keys)
    train = _split(arrays, path, keys[0], keys[1])
    return train, _split(arrays, path, keys[2], keys[3]) if keys[2] else None


def _split(arrays: Mapping[str, np.ndarray], path: Path, images_key: str, labels_key: str | None) -> Split:
    images = arrays[images_key]
    if images.dtype != np.uint8:
        raise InputError(
            f"{path}: {images_key} is {images.dtype}, must be uint8 0..255: np.uint8(np.round(x * 255)) converts [0, 1], "
            "np.uint8(np.round((x + 1) * 127.5)) converts [-1, 1]"
        )
    stored = images[..., None] if images.ndim == 3 else images
    if stored.ndim != 4 or stored.shape[-1] not in (1, 3):
        raise InputError(
            f"{path}: {images_key} must be [N, H, W], [N, H, W, 1] or [N, H, W, 3], channels last; got {images.shape}"
        )
    if not stored.size:
        raise InputError(f"{path}: {images_key} is empty: {images.shape}")
    if labels_key is None:
        return Split(stored, None)
    labels = arrays[labels_key]
    if labels.shape[:1] != stored.shape[:1]:
        raise InputError(f"{path}: {labels_key} is {labels.shape}, must be one label for each of {len(stored)} images")
    return Split(stored, as_labels(f"{path}: {labels_key}", labels))


def as_labels(name: str, labels: np.ndarray) -> np.ndarray:
    """Convert labels to the stored form: classes int32 [N], multi-hot vectors int32 [N, K] or vectors float32 [N, K]."""
    kind = labels.dtype.kind
    if kind in "iu" and (labels.ndim == 1 or labels.shape[1:] == (1,)):
        return labels.reshape(-1).astype(np.int64).clip(-1, 2**31 - 1).astype(np.int32)
    if kind not in "iubf" or labels.ndim != 2 or not labels.size:
        allowed = "integers 0..K-1 [N], or vectors [N, K] of 0 and 1 or of real numbers"
        raise InputError(f"{name} is {labels.dtype} {labels.shape}, must be {allowed}")
    if kind == "f":
        with np.errstate(over="ignore"):  # values that are too large become infinite and are reported below
            labels = labels.astype(np.float32)
        if not np.isfinite(labels).all():
            raise InputError(f"{name} {labels.shape} must be finite in float32")
        return labels
    if labels.min() < 0 or labels.max() > 1:
        raise InputError(
            f"{name} {labels.shape}: integer vectors must contain only 0 and 1, found {labels.min()}..{labels.max()}"
        )
    return labels.astype(np.int32)
