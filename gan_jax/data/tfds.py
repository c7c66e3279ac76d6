"""tensorflow-datasets: data sets prepared as array_record files, read without TensorFlow.

`tfds` reads images; `texts`, `columns` and `sounds` serve other domains.

See `prepared.py` for where data sets are searched for. Decoded images are cached as an .npz under `GAN_JAX_CACHE`
(`~/.cache/gan_jax`). A data set too large for memory is streamed: its records are then decoded when a step needs them.
"""

import contextlib
import hashlib
import json
import math
import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data.dataset import Source, Split, Stored
from gan_jax.data.images import pixels
from gan_jax.data.prepared import find_prepared, how_to_prepare, input_errors, open_prepared, quiet, tfds_folder
from gan_jax.data.reading import listed
from gan_jax.data.stream import cached_facts, should_stream
from gan_jax.errors import InputError, RunError, needs
from gan_jax.storage.cache import cache_path, write_cache


class _Records(NamedTuple):
    """A split of a prepared data set."""

    source: Any  # a tensorflow-datasets source: `__getitems__(row numbers)` returns their examples
    files: list[str]
    ends: list[int]  # for each file, one more than its last row number
    undecoded: Any  # the same, without decoding images
    shape: tuple[int, int, int]
    labelled: bool
    num_classes: int  # as the data set states; 0 if it does not


def tfds(name: str, data_dir: str | None = None, stream: str = "auto") -> Source:
    """Read the prepared data set NAME or NAME/CONFIG: its newest version, the features `image` and, for classes, `label`.

    The splits are `train` and `test`, or else `validation`; if there is only one, part of it is held out (`pixels.source`). The
    number of classes is one more than the largest label, or for streamed images the number that the data set states.
    Raises `InputError` within a second if nothing is prepared, and if the data set does not consist of 8-bit images.
    """
    if not re.fullmatch(r"\w+(/[\w.+-]+)?", name):
        raise InputError(f"tfds:{name}: a data set is called NAME or NAME/CONFIG, such as tfds:mnist")
    folder = tfds_folder(data_dir)
    prepared = find_prepared(name, folder)
    files = sorted(prepared.glob("*.array_record*"))
    if not files:
        raise InputError(f"tfds:{name}: {prepared} is not in the array_record format; {how_to_prepare(name, folder)}")
    if should_stream(_decoded_size(prepared), stream):
        splits = _prepared(name, folder, prepared)
        facts = cached_facts(prepared, [prepared / "features.json", *files], lambda: _labels_to_split(name, prepared, *splits))
        with quiet(), contextlib.suppress(Exception):  # TFDS logs its advice at the first image; errors are reported below
            _read(splits[0], [0])
        if splits[0].labelled and not splits[0].num_classes:
            raise InputError(f"tfds:{name} does not state its number of classes, so it cannot be streamed: set --stream never")
        labels = [facts.get("labels"), None]
        train, test = (
            s and Stored(s.ends[-1], s.shape, _reader(name, s), known) for s, known in zip(splits, labels, strict=True)
        )
        num_classes, sha256 = splits[0].num_classes, str(facts["sha256"])
        return pixels.source(f"tfds:{name}", train, test, _class_names(prepared), num_classes, sha256)
    stamp = [name, prepared.name, *((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files)]
    digest = hashlib.sha256(json.dumps(stamp).encode()).hexdigest()[:16]
    cache = cache_path(f"tfds-{name.replace('/', '-')}-{prepared.name}-{digest}.npz")
    splits = None
    with contextlib.suppress(InputError):  # missing or damaged: decode again
        splits = pixels.read_npz(cache)
    if splits is None:
        splits = _decode(name, folder, prepared)
        keys = ("train_images", "train_labels", "test_images", "test_labels")
        arrays = zip(keys, (*splits[0], *(splits[1] or (None, None))), strict=True)
        write_cache(cache, {key: array for key, array in arrays if array is not None})
    return pixels.source(f"tfds:{name}", *splits, _class_names(prepared))


def _class_names(prepared: Path) -> tuple[str, ...]:
    path = prepared / "label.labels.txt"
    return tuple(path.read_text().splitlines()) if path.is_file() else ()


def texts(name: str, data_dir: str | None = None, feature: str = "text") -> list[str]:
    """Return a text feature of a prepared data set, the examples of a split joined by newlines: of the training split
    and, if it exists, of the test or validation split. Raises InputError as `tfds` does, and if there is no such feature."""
    with _opened(name, data_dir) as builder:
        features, splits = sorted(builder.info.features), list(builder.info.splits)
        feature = next((name for name in features if name.lower() == feature.lower()), feature)
        if feature not in features:
            raise InputError(f"tfds:{name}: a feature `{feature}` is needed, it has {', '.join(features)}")
        train = "train" if "train" in splits else splits[0]
        test = next((split for split in ("test", "validation") if split in splits and split != train), None)
        sources = [builder.as_data_source(split) for split in (train, test) if split]
        return ["\n".join(bytes(row[feature]).decode("utf-8") for row in source) for source in sources]


def columns(name: str, data_dir: str | None = None) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Return the columns of a prepared data set's training split, as text, and notes on what was left out. Columns are the
    features that are a single number, class or text; the declared prediction target comes last. Raises InputError as `tfds`
    does, and if there is no such feature."""
    with _opened(name, data_dir) as builder:
        split = "train" if "train" in builder.info.splits else next(iter(builder.info.splits))
        kinds = dict(_leaves(builder.info.features))
        target = next((key for key in builder.info.supervised_keys or () if key in kinds), None)
        names = [key for key in kinds if kinds[key].shape == () and key != target] + ([target] if target else [])
        rows = [dict(_leaves(row)) for row in builder.as_data_source(split)]
        if not names:
            raise InputError(f"tfds:{name}: no feature is a number, a class or a text: {', '.join(kinds)}")
        others = [key for key in kinds if key not in names]
        notes = (f"features that are no single number, class or text are left out: {listed(others)}",) if others else ()
        if other_splits := [other for other in builder.info.splits if other != split]:
            notes += (f"the rows are those of the split {split}; not read: {listed(other_splits)}",)
        return {key: [_cell(kinds[key], row[key]) for row in rows] for key in names}, notes


class Recording(NamedTuple):
    """A sound of a prepared data set."""

    name: str  # SPLIT-SHARD-NUMBER
    split: str
    word: str | None  # its class; "" if unknown, None without classes
    channels: np.ndarray  # samples [T, C]
    rate: int | None  # samples per second; None if not stated


def sounds(name: str, data_dir: str | None = None) -> Iterator[Recording]:
    """Yield the sounds of a prepared data set. TFDS itself needs TensorFlow to decode them, but its records hold the plain
    samples. Raises InputError as `tfds` does, and if there is no such feature."""
    prepared = find_prepared(name, folder := tfds_folder(data_dir))
    with input_errors(name, folder, prepared):
        from array_record.python.array_record_data_source import ArrayRecordDataSource
        from tensorflow_datasets.proto import tf_example_pb2

        features = json.loads((prepared / "features.json").read_text())["featuresDict"]["features"]
        key = next((key for key, kind in features.items() if "audio" in kind and not kind["audio"].get("lazyDecode")), None)
        if key is None:
            raise InputError(f"tfds:{name}: a feature of decoded sounds is needed, it has {', '.join(sorted(features))}")
        rate = int(features[key]["audio"].get("sampleRate", 0)) or None
        channels = math.prod(int(size) for size in features[key]["audio"]["shape"]["dimensions"][1:])
        words = _class_names(prepared)
        if not (files := sorted(prepared.glob("*.array_record*"))):
            raise InputError(f"tfds:{name}: {prepared} is not in the array_record format; {how_to_prepare(name, folder)}")
        for file in files:
            split, shard = re.fullmatch(r".*-(\w+)\.array_record-?(\d*).*", file.name).groups()
            source = ArrayRecordDataSource([str(file)])
            for number in range(len(source)):
                example = tf_example_pb2.Example.FromString(source[number]).features.feature
                word = None
                if "label" in features and len(example["label"].int64_list.value) == 1:
                    label = example["label"].int64_list.value[0]  # -1 if unknown
                    word = "" if label < 0 else words[label] if words else str(label)
                samples = example[key].int64_list.value or example[key].float_list.value
                samples = np.fromiter(samples, np.float32, len(samples)).reshape(-1, channels)
                yield Recording(f"{split}-{shard}-{number}", split, word, samples, rate)


@contextlib.contextmanager
def _opened(name: str, data_dir: str | None) -> Iterator[Any]:
    """Open a prepared data set: yield its builder, and turn errors within the block into InputErrors."""
    prepared = find_prepared(name, folder := tfds_folder(data_dir))
    with input_errors(name, folder, prepared), quiet():
        yield open_prepared(name, prepared)


def _leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if hasattr(value, "items"):
            yield from _leaves(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def _cell(feature: Any, value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8")
    if getattr(feature, "names", None):  # classes; -1 means unknown
        return feature.int2str(int(value)) if value >= 0 else ""
    return str(np.asarray(value)[()])  # the digits of a float32, not of a float64


def _decoded_size(prepared: Path) -> int:
    """Return the bytes of all decoded images; 0 if unknown: the error is then reported when they are read."""
    try:
        feature = json.loads((prepared / "features.json").read_text())["featuresDict"]["features"]["image"]
        splits = json.loads((prepared / "dataset_info.json").read_text())["splits"]
        image = math.prod(int(size) for size in feature["image"]["shape"]["dimensions"])
        return image * sum(int(rows) for split in splits for rows in split["shardLengths"])
    except (OSError, ValueError, TypeError, LookupError):
        return 0


def _prepared(name: str, folder: Path, prepared: Path) -> tuple[_Records, _Records | None]:
    """Return the train and the test split, from the folder itself: a look-up by name could access the network."""
    with needs(f"tfds:{name} needs tensorflow-datasets", "tensorflow-datasets"):
        import tensorflow_datasets as tfds
    with quiet():
        with input_errors(name, folder, prepared):
            builder = open_prepared(name, prepared)
            features, splits = builder.info.features, list(builder.info.splits)
        features = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
        image, label = features.get("image"), features.get("label")
        if not isinstance(image, tfds.features.Image) or image.np_dtype != np.uint8:
            raise InputError(
                f"tfds:{name}: a feature `image` of 8-bit images is needed, it has {', '.join(sorted(features)) or 'none'}"
            )
        if None in image.shape or image.shape[-1] not in (1, 3):
            raise InputError(f"tfds:{name}: images must all have one size and 1 or 3 channels, got {image.shape}")
        labelled = isinstance(label, tfds.features.ClassLabel)
        num_classes = label.num_classes or 0 if labelled else 0
        train = "train" if "train" in splits else next(iter(splits), "train")
        test = next((split for split in ("test", "validation") if split in splits and split != train), None)

        def records(split: str) -> _Records:
            shards = builder.info.splits[split].file_instructions
            ends = list(accumulate(shard.take for shard in shards))
            source, files = builder.as_data_source(split), [shard.filename for shard in shards]
            undecoded = builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
            return _Records(source, files, ends, undecoded, tuple(image.shape), labelled, num_classes)

        with input_errors(name, folder, prepared):  # a split or file may be missing
            return records(train), records(test) if test else None


def _decode(name: str, folder: Path, prepared: Path) -> tuple[Split, Split | None]:
    """Read all images and labels into memory."""
    splits = _prepared(name, folder, prepared)
    with input_errors(name, folder, prepared), quiet():  # a file may be truncated or changed
        train, test = (split and _read(split, range(split.ends[-1])) for split in splits)
    return train, test


def _labels_to_split(name: str, prepared: Path, train: _Records, test: _Records | None) -> dict[str, np.ndarray]:
    """Return the labels by which a part of the only split is held out; nothing if there are two splits or no labels."""
    if test is not None or not train.labelled:
        return {}
    try:
        return {"labels": np.fromiter((record["label"] for record in train.undecoded), np.int32, train.ends[-1])}
    except Exception as error:  # see `input_errors`
        raise InputError(f"tfds:{name}: {prepared} is damaged ({' '.join(str(error).split())})") from error


def _reader(name: str, split: _Records) -> Callable[[np.ndarray], Split]:
    def read(rows: np.ndarray) -> Split:
        try:
            samples = _read(split, rows.tolist())
        except Exception:
            raise RunError(_damage(name, split, rows.tolist())) from None
        labels = samples.labels
        if labels is not None and not (0 <= labels.min() and labels.max() < split.num_classes):
            allowed = f"0..{split.num_classes - 1}"
            raise RunError(f"tfds:{name}: labels must be {allowed}, found {labels.min()}..{labels.max()}")
        return samples

    return read


def _damage(name: str, split: _Records, rows: Sequence[int]) -> str:
    """Return a message that names the file with unreadable rows, and why it cannot be read."""
    for row in rows:
        try:
            _read(split, [row])
        except Exception as error:
            reason = " ".join(str(error).split())
            return f"tfds:{name}: {split.files[bisect_right(split.ends, row)]} is damaged ({reason})"
    file = split.files[bisect_right(split.ends, rows[0])]
    return f"tfds:{name}: several records of {file}, or of other files, could not be read together, though each can be alone"


def _read(split: _Records, rows: Sequence[int]) -> Split:
    samples = np.empty((len(rows), *split.shape), np.uint8)
    labels = np.empty(len(rows), np.int32) if split.labelled else None
    for start in range(0, len(rows), 1000):  # blocks are six times as fast as single records
        block = rows[start : start + 1000]
        for row, record in enumerate(split.source.__getitems__(block), start):
            samples[row] = record["image"]
            if labels is not None:
                labels[row] = record["label"]
    return Split(samples, labels)
