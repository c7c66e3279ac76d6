"""Images: what all image sources share, and the reader of `PATH.npz`."""

import io
import math
from pathlib import Path

import numpy as np

from gan_jax.data.dataset import Data, Measure, Protocol, Source, Split, Stored
from gan_jax.errors import InputError

# What the arrays of an .npz may be called: samples and labels of the train split, then of the test split.
LAYOUTS = (
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("x_train", "y_train", "x_test", "y_test"),
    ("images", "labels"),
    ("x", "y"),
    ("arr_0", "arr_1"),
)


def source(name: str, train: Split, test: Split | None) -> Source:
    """The source of uint8 images [N, H, W, C] with labels 0..K-1 or vectors [N, K] as labels. Without a test split, every tenth
    image is held out: rows 0, 10, 20, ... (of images sorted by class, a tenth of each class).

    Raises `InputError` where the splits do not go together or a label is out of range.
    """
    if test is None:
        held_out = _held_out(name, len(train.samples))
        train, test = train.take(~held_out), train.take(held_out)
    if train.samples.shape[1:] != test.samples.shape[1:]:
        shapes = f"{train.samples.shape[1:]} and {test.samples.shape[1:]}"
        raise InputError(f"{name}: train and test images differ in shape: {shapes}")
    if (train.labels is None) != (test.labels is None):
        raise InputError(f"{name}: labels are needed for both of train and test, or for neither")
    num_classes = 0 if train.labels is None else _num_classes(name, train.labels, test.labels)
    return Source(train, test, num_classes, to_float, show, pack, evaluator)


def streamed(name: str, train: Stored, test: Stored | None, num_classes: int, files: str) -> Source:
    """The same of images that lie on disk, `files` being the sha256 of where."""
    if test is None:
        held_out = _held_out(name, train.count)
        train, test = train.take(np.flatnonzero(~held_out)), train.take(np.flatnonzero(held_out))
    return Source(train, test, num_classes, to_float, show, pack, evaluator, files=files)


def _held_out(name: str, count: int) -> np.ndarray:
    if count < 2:
        raise InputError(f"{name}: at least 2 images are needed, one to train on and one to hold out")
    return np.arange(count) % 10 == 0


def _num_classes(name: str, train: np.ndarray, test: np.ndarray) -> int:
    """K of the labels of both splits: classes 0..K-1, or vectors [N, K]."""
    if (train.dtype, train.shape[1:]) != (test.dtype, test.shape[1:]):
        kinds = " and ".join(f"{labels.dtype} {labels.shape}" for labels in (train, test))
        raise InputError(f"{name}: train and test labels differ in kind: {kinds}")
    if train.ndim == 2:
        return train.shape[1]
    low, high = min(train.min(), test.min()), max(train.max(), test.max())
    if low < 0 or high >= len(train) + len(test):
        raise InputError(f"{name}: labels must be 0..K-1 for K classes, found {low}..{high}")
    return int(high) + 1


def to_float(stored, top: int = 255):
    """Stored levels 0..top -> float32 in [-1, 1]; on NumPy and inside jit."""
    return stored.astype(np.float32) / (top / 2) - 1


def evaluator(data: Data, protocol: Protocol = Protocol()) -> Measure:
    from gan_jax.data.images.metrics import evaluator

    return evaluator(data, protocol)


def pack(samples: np.ndarray) -> dict[str, np.ndarray]:
    """`images` [N, H, W, C] as uint8 0..255, which this package and every other tool reads."""
    return {"images": np.clip(np.rint((samples + 1) * 127.5), 0, 255).astype(np.uint8)}


def show(samples: np.ndarray) -> dict[str, bytes]:
    """The images [N, H, W, 1 or 3] in [-1, 1] as one PNG: as near to square as N allows, rows first, each enlarged by a
    whole factor (nearest neighbour: pixels stay pixels) to some 600 pixels across. A NaN is drawn black.
    """
    from PIL import Image

    samples = np.asarray(samples, np.float32)
    if samples.ndim != 4 or samples.shape[-1] not in (1, 3) or not samples.size:
        raise ValueError(f"samples must be [N, H, W, 1 or 3] with N > 0, got {samples.shape}")
    number, height, width, channels = samples.shape
    near_square = math.ceil(math.sqrt(number))
    columns = next((c for c in range(near_square, 2 * near_square) if number % c == 0), near_square)
    rows = -(-number // columns)
    factor = max(1, round(600 / (columns * width)))
    gap = 2
    levels = np.rint((np.nan_to_num(samples.clip(-1, 1), nan=-1) + 1) * 127.5).astype(np.uint8)
    levels = levels.repeat(factor, axis=1).repeat(factor, axis=2)
    cell = (height * factor + gap, width * factor + gap)
    canvas = np.full((rows * columns, *cell, channels), 96, np.uint8)  # grey: seen beside black and beside white
    canvas[:number, gap:, gap:] = levels
    canvas = canvas.reshape(rows, columns, *cell, channels).swapaxes(1, 2).reshape(rows * cell[0], -1, channels)
    canvas = np.pad(canvas, ((0, gap), (0, gap), (0, 0)), constant_values=96)
    out = io.BytesIO()
    Image.fromarray(canvas[..., 0] if channels == 1 else canvas).save(out, "PNG")
    return {".png": out.getvalue()}


def npz(path: Path) -> Source:
    """Images from an .npz: uint8 [N, H, W] or [N, H, W, C], and their labels, named as in `LAYOUTS`; the labels and the test
    split may be missing. Only uint8: of floats nobody can tell the range, and they cost four times as much. Labels are
    whole numbers [N] (classes), multi-hot vectors [N, K] of whole numbers 0 and 1, or vectors [N, K] of real numbers.

    Raises `InputError` naming the file and the key.
    """
    return source(str(path), *read_npz(path))


def read_npz(path: Path) -> tuple[Split, Split | None]:
    """The train and test split of an .npz, as `npz` reads them; no test split is None."""
    try:
        stream = open(path, "rb")  # ours to close: np.load leaves it open when it fails
    except OSError as error:
        raise InputError(f"{path}: not a readable .npz file ({error})") from error
    with stream:
        try:
            file = np.load(stream, allow_pickle=False)
        except Exception as error:  # NumPy and zipfile raise half a dozen kinds for a damaged file
            # NumPy's own words advise to load the file unsafely.
            raise InputError(f"{path}: not a readable .npz file of plain arrays") from error
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise InputError(f"{path}: a single array, not an .npz: numpy.savez(FILE, images=..., labels=...) writes one")
        found = [layout for layout in LAYOUTS if layout[0] in file.files]
        if len(found) != 1:
            which = "several of the known layouts" if found else "none of the known layouts"
            allowed = " or ".join("/".join(layout) for layout in LAYOUTS)
            raise InputError(f"{path}: {which} (found {', '.join(file.files) or 'no array'}; allowed {allowed})")
        keys = [key if key in file.files else None for key in (*found[0], None, None)][:4]
        if keys[3] and not keys[2]:
            raise InputError(f"{path}: {keys[3]} without {found[0][2]}")
        train = _split(file, path, keys[0], keys[1])
        return train, _split(file, path, keys[2], keys[3]) if keys[2] else None


def _split(file, path: Path, images_key: str, labels_key: str | None) -> Split:
    images = _member(file, path, images_key)
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
    labels = _member(file, path, labels_key)
    if labels.shape[:1] != stored.shape[:1]:
        raise InputError(f"{path}: {labels_key} is {labels.shape}, must be one label for each of {len(stored)} images")
    return Split(stored, _labels(f"{path}: {labels_key}", labels))


def _labels(what: str, labels: np.ndarray) -> np.ndarray:
    """Labels as they are kept: classes int32 [N], multi-hot vectors int32 [N, K] or vectors float32 [N, K]."""
    kind = labels.dtype.kind
    if kind in "iu" and (labels.ndim == 1 or labels.shape[1:] == (1,)):
        return labels.reshape(-1).astype(np.int64).clip(-1, 2**31 - 1).astype(np.int32)
    if kind not in "iubf" or labels.ndim != 2 or not labels.size:
        allowed = "whole numbers 0..K-1 [N], or vectors [N, K] of 0 and 1 or of real numbers"
        raise InputError(f"{what} is {labels.dtype} {labels.shape}, must be {allowed}")
    if kind == "f":
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is told
            labels = labels.astype(np.float32)
        if not np.isfinite(labels).all():
            raise InputError(f"{what} {labels.shape} must be finite in float32")
        return labels
    if labels.min() < 0 or labels.max() > 1:
        found = f"{labels.min()}..{labels.max()}"
        raise InputError(f"{what} {labels.shape}: vectors of whole numbers must be of 0 and 1, found {found}")
    return labels.astype(np.int32)


def _member(file, path: Path, key: str) -> np.ndarray:
    try:
        return file[key]
    except Exception as error:  # an array of objects, a wrong CRC, a cut-off stream: each its own kind
        raise InputError(f"{path}: {key} cannot be read ({error})") from error
