"""tensorflow-datasets: image data sets that were prepared as array_record files, read without TensorFlow.

Where a set is looked for: the folder `--data_dir` names, else the one `GAN_JAX_DATA` names (either may be the TFDS
folder or have it below it as `tfds/`), else TFDS's own `TFDS_DATA_DIR`, else `~/tensorflow_datasets`.

We look before we call: TFDS with nothing prepared and no network tries to download for minutes, and told not to, it
complains about a file format instead. What was decoded is cached as an .npz under `GAN_JAX_CACHE` (`~/.cache/gan_jax`).
A set that is too large for memory is streamed: then its records are decoded as they are needed.
"""

import contextlib
import hashlib
import json
import logging
import math
import os
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data.dataset import Source, Split, Stored
from gan_jax.data.images import pixels
from gan_jax.data.stream import remembered, too_large
from gan_jax.errors import InputError, RunError
from gan_jax.storage.cache import cache_path, write_cache


class _Records(NamedTuple):
    """A split of a prepared set."""

    source: Any  # of tensorflow-datasets: `__getitems__` of row numbers is their examples
    files: list[str]
    ends: list[int]  # the row after the last one of each file
    shape: tuple[int, int, int]
    labelled: bool
    num_classes: int  # that the set knows; 0 where it knows of none


def tfds(name: str, data_dir: str | None = None, stream: str = "auto") -> Source:
    """The prepared data set NAME or NAME/CONFIG: its newest version, the features `image` and, as classes, `label`.

    Splits are `train` and `test`, or `validation`; where only one is there, part of it is held out (`images.source`). Classes
    are those that there are images of, or where images are streamed, those that the set knows.
    Raises `InputError` within a second where nothing is prepared, and where the set is not one of 8-bit images.
    """
    if not re.fullmatch(r"\w+(/[\w.+-]+)?", name):
        raise InputError(f"tfds:{name}: a data set is called NAME or NAME/CONFIG, such as tfds:mnist")
    folder = _folder(data_dir)
    prepared = _find(name, folder)
    files = sorted(prepared.glob("*.array_record*"))
    if not files:
        raise InputError(f"tfds:{name}: {prepared} is not in the array_record format; {_how_to(name, folder)}")
    if too_large(_decoded_size(prepared), stream):
        facts = remembered(prepared, [prepared / "features.json", *files], dict)
        splits = _prepared(name, folder, prepared)
        with _quiet(), contextlib.suppress(Exception):  # it gives its advice at the first image; what is wrong is said below
            _read(splits[0], [0])
        if splits[0].labelled and not splits[0].num_classes:
            raise InputError(f"tfds:{name} does not say how many classes it has, to be streamed: set --stream never")
        train, test = (split and Stored(split.ends[-1], split.shape, _reader(name, split)) for split in splits)
        found = pixels.streamed(f"tfds:{name}", train, test, splits[0].num_classes, str(facts["sha256"]))
        return replace(found, classes=_class_names(prepared))
    stamp = [name, prepared.name, *((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files)]
    digest = hashlib.sha256(json.dumps(stamp).encode()).hexdigest()[:16]
    cache = cache_path(f"tfds-{name.replace('/', '-')}-{prepared.name}-{digest}.npz")
    splits = None
    with contextlib.suppress(InputError):  # not there yet, or damaged: made anew
        splits = pixels.read_npz(cache)
    if splits is None:
        splits = _decode(name, folder, prepared)
        keys = ("train_images", "train_labels", "test_images", "test_labels")
        arrays = zip(keys, (*splits[0], *(splits[1] or (None, None))), strict=True)
        write_cache(cache, {key: array for key, array in arrays if array is not None})
    return replace(pixels.source(f"tfds:{name}", *splits), classes=_class_names(prepared))


def _class_names(prepared: Path) -> tuple[str, ...]:
    path = prepared / "label.labels.txt"
    return tuple(path.read_text().splitlines()) if path.is_file() else ()


def texts(name: str, data_dir: str | None = None, feature: str = "text") -> list[str]:
    """A text feature of a prepared set, all examples of a split after each other: of the training split, and of the test or
    validation split where there is one. Raises InputError as `tfds` does, and where there is no such feature."""
    with _opened(name, data_dir) as builder:
        features, splits = sorted(builder.info.features), list(builder.info.splits)
        if feature not in features:
            raise InputError(f"tfds:{name}: a feature `{feature}` is needed, it has {', '.join(features)}")
        train = "train" if "train" in splits else splits[0]
        test = next((split for split in ("test", "validation") if split in splits and split != train), None)
        sources = [builder.as_data_source(split) for split in (train, test) if split]
        return ["\n".join(bytes(row[feature]).decode("utf-8") for row in source) for source in sources]


def columns(name: str, data_dir: str | None = None) -> dict[str, list[str]]:
    """The features of a prepared set's training split that are one number, class or text an example, as text, a column each;
    that which the set says is to be predicted is the last. Raises InputError as `tfds` does, and for a set without any."""
    with _opened(name, data_dir) as builder:
        split = "train" if "train" in builder.info.splits else next(iter(builder.info.splits))
        kinds = dict(_leaves(builder.info.features))
        target = next((key for key in builder.info.supervised_keys or () if key in kinds), None)
        names = [key for key in kinds if kinds[key].shape == () and key != target] + ([target] if target else [])
        rows = [dict(_leaves(row)) for row in builder.as_data_source(split)]
        if not names:
            raise InputError(f"tfds:{name}: no feature is a number, a class or a text: {', '.join(kinds)}")
        return {key: [_cell(kinds[key], row[key]) for row in rows] for key in names}


def sounds(name: str, data_dir: str | None = None) -> Iterator[tuple[str, np.ndarray, int | None]]:
    """The sounds of a prepared set, (WORD/SPLIT-NUMBER, or SPLIT-NUMBER where none has a label; samples [T]; how many a second,
    None where it does not say). TFDS itself needs TensorFlow for them; what its records hold are the samples as they are.
    Raises InputError as `tfds` does, and where there is no such feature."""
    prepared = _find(name, folder := _folder(data_dir))
    with _told(name, folder, prepared):
        from array_record.python.array_record_data_source import ArrayRecordDataSource
        from tensorflow_datasets.proto import tf_example_pb2

        features = json.loads((prepared / "features.json").read_text())["featuresDict"]["features"]
        key = next((key for key, kind in features.items() if "audio" in kind and not kind["audio"].get("lazyDecode")), None)
        if key is None:
            raise InputError(f"tfds:{name}: a feature of decoded sounds is needed, it has {', '.join(sorted(features))}")
        rate = int(features[key]["audio"].get("sampleRate", 0)) or None
        words = (prepared / "label.labels.txt").read_text().split() if "label" in features else None
        if not (files := sorted(prepared.glob("*.array_record*"))):
            raise InputError(f"tfds:{name}: {prepared} is not in the array_record format; {_how_to(name, folder)}")
        for file in files:
            split, shard = re.fullmatch(r".*-(\w+)\.array_record-?(\d*).*", file.name).groups()
            source = ArrayRecordDataSource([str(file)])
            for number in range(len(source)):
                found = tf_example_pb2.Example.FromString(source[number]).features.feature
                word = f"{words[found['label'].int64_list.value[0]]}/" if words else ""
                samples = found[key].int64_list.value
                yield f"{word}{split}-{shard}-{number}", np.fromiter(samples, np.float32, len(samples)), rate


def _leaves(tree: Any, within: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if hasattr(value, "items"):
            yield from _leaves(value, f"{within}{key}/")
        else:
            yield f"{within}{key}", value


def _cell(feature: Any, value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if getattr(feature, "names", None):  # of classes; -1 is one that is not known
        return feature.int2str(int(value)) if value >= 0 else ""
    return str(np.asarray(value)[()])  # a float32 with its own digits, not those of a float64


@contextlib.contextmanager
def _opened(name: str, data_dir: str | None) -> Iterator[Any]:
    """The builder of a prepared set, whose errors are InputErrors within."""
    prepared = _find(name, folder := _folder(data_dir))
    with _told(name, folder, prepared), _quiet():
        import tensorflow_datasets as tfds

        yield tfds.builder_from_directory(str(prepared))


@contextlib.contextmanager
def _told(name: str, folder: Path, prepared: Path) -> Iterator[None]:
    """What goes wrong within is an InputError."""
    try:
        yield
    except InputError:
        raise
    except ImportError as error:
        if error.name == "tensorflow":  # it describes features that TFDS reads no other way
            raise InputError(f"tfds:{name} holds no images; sounds are read by --data 'audio(path=\"tfds:{name}\")'") from error
        raise InputError(f"tfds:{name} needs tensorflow-datasets: pip install tensorflow-datasets ({error})") from error
    except Exception as error:  # what a damaged file provokes: array_record, protobuf, json and Pillow each raise their own
        raise InputError(f"tfds:{name}: {prepared} is damaged ({error}); {_how_to(name, folder)}") from error


def _folder(data_dir: str | None) -> Path:
    """The TFDS folder to look into. One that was asked for is the only one."""
    asked = data_dir or os.environ.get("GAN_JAX_DATA")
    folder = Path(asked or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser().absolute()
    return folder / "tfds" if asked and (folder / "tfds").is_dir() else folder


def _find(name: str, folder: Path) -> Path:
    """Where the newest prepared version is; `InputError` saying what is prepared, and how to prepare, or find, this."""
    versions = [info.parent for info in (folder / name).glob("*.*.*/dataset_info.json")]
    if versions:
        return max(versions, key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)])
    found = [info.parent.parent for depth in ("*", "*/*") for info in folder.glob(f"{depth}/*.*.*/dataset_info.json")]
    known = ", ".join(sorted({str(path.relative_to(folder)) for path in found})) or "nothing"
    raise InputError(f"tfds:{name} is not prepared in {folder} (prepared there: {known}); {_how_to(name, folder)}")


def _how_to(name: str, folder: Path) -> str:
    call = f"tfds.builder({name!r}, data_dir={str(folder)!r}, file_format='array_record').download_and_prepare()"
    return (
        "to prepare it, with a network: pip install '.[prepare]' && "
        f'python -c "import tensorflow_datasets as tfds; {call}"; where it is prepared elsewhere, '
        "point --data_dir or the environment variable GAN_JAX_DATA at that folder"
    )


def _decoded_size(prepared: Path) -> int:
    """Bytes of all images in memory; 0 where that cannot be told, which is then said by what reads them."""
    try:
        feature = json.loads((prepared / "features.json").read_text())["featuresDict"]["features"]["image"]
        splits = json.loads((prepared / "dataset_info.json").read_text())["splits"]
        image = math.prod(int(side) for side in feature["image"]["shape"]["dimensions"])
        return image * sum(int(rows) for split in splits for rows in split["shardLengths"])
    except (OSError, ValueError, TypeError, LookupError):
        return 0


def _prepared(name: str, folder: Path, prepared: Path) -> tuple[_Records, _Records | None]:
    """Its train and test split. Reads the folder itself: no look-up by name, which may go to the network."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise InputError(f"tfds:{name} needs tensorflow-datasets: pip install tensorflow-datasets ({error})") from error
    with _quiet():
        with _told(name, folder, prepared):
            builder = tfds.builder_from_directory(str(prepared))
            features, splits = builder.info.features, list(builder.info.splits)
        features = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
        image, label = features.get("image"), features.get("label")
        if not isinstance(image, tfds.features.Image) or image.np_dtype != np.uint8:
            raise InputError(
                f"tfds:{name}: a feature `image` of 8-bit images is needed, it has {', '.join(sorted(features)) or 'none'}"
            )
        if None in image.shape or image.shape[-1] not in (1, 3):
            raise InputError(f"tfds:{name}: images must be of one size with 1 or 3 channels, they are {image.shape}")
        labelled = isinstance(label, tfds.features.ClassLabel)
        num_classes = label.num_classes or 0 if labelled else 0
        train = "train" if "train" in splits else next(iter(splits), "train")
        test = next((split for split in ("test", "validation") if split in splits and split != train), None)

        def records(split: str) -> _Records:
            shards = builder.info.splits[split].file_instructions
            ends = list(accumulate(shard.take for shard in shards))
            source, files = builder.as_data_source(split), [shard.filename for shard in shards]
            return _Records(source, files, ends, tuple(image.shape), labelled, num_classes)

        with _told(name, folder, prepared):  # a missing split, or file
            return records(train), records(test) if test else None


def _decode(name: str, folder: Path, prepared: Path) -> tuple[Split, Split | None]:
    """All images and labels in memory."""
    splits = _prepared(name, folder, prepared)
    with _told(name, folder, prepared), _quiet():  # a cut-off or changed file
        train, test = (split and _read(split, range(split.ends[-1])) for split in splits)
    return train, test


def _reader(name: str, split: _Records) -> Callable[[np.ndarray], Split]:
    def read(rows: np.ndarray) -> Split:
        try:
            found = _read(split, rows.tolist())
        except Exception:
            raise RunError(_damage(name, split, rows.tolist())) from None
        if found.labels is not None and not (0 <= found.labels.min() and found.labels.max() < split.num_classes):
            known = f"0..{split.num_classes - 1}"
            raise RunError(f"tfds:{name}: labels must be {known}, found {found.labels.min()}..{found.labels.max()}")
        return found

    return read


def _damage(name: str, split: _Records, rows: Sequence[int]) -> str:
    """Which of the files that hold these rows cannot be read, and why."""
    for row in rows:
        try:
            _read(split, [row])
        except Exception as error:
            reason = " ".join(str(error).split())
            return f"tfds:{name}: {split.files[bisect_right(split.ends, row)]} is damaged ({reason})"
    return f"tfds:{name}: {split.files[bisect_right(split.ends, rows[0])]}, or another file of it, could not be read at once"


def _read(split: _Records, rows: Sequence[int]) -> Split:
    samples = np.empty((len(rows), *split.shape), np.uint8)
    labels = np.empty(len(rows), np.int32) if split.labelled else None
    for start in range(0, len(rows), 1000):  # read in blocks: six times as fast as one by one
        block = rows[start : start + 1000]
        for row, record in enumerate(split.source.__getitems__(block), start):
            samples[row] = record["image"]
            if labels is not None:
                labels[row] = record["label"]
    return Split(samples, labels)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """TFDS advises, through absl's logger, to install OpenCV."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
