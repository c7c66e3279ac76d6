"""Synthetic data for tests, written in the formats of real data sets, and helpers for images."""

import io
import json
import os
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

RANDOM = np.random.default_rng(0)
GREY = RANDOM.integers(0, 256, (30, 6, 5), np.uint8)
COLOUR = RANDOM.integers(0, 256, (30, 6, 5, 3), np.uint8)
LABELS = np.arange(30) % 3
HOT = np.stack([LABELS == 0, LABELS > 0, LABELS == 2, LABELS < 3], axis=1).astype(int)  # multi-hot labels
# Real data sets; tests that want one are skipped where it is absent. An empty variable counts as unset.
REAL_DATA = Path(os.environ.get("GAN_JAX_DATA") or Path(__file__).parents[2] / "shared" / "data")
FEATURES = "tensorflow_datasets.core.features"
# Compile as for users, `jax.jit(..., compiler_options=THOROUGH)`, if the last bits matter: conftest.py disables optimisations.
THOROUGH = {"xla_backend_optimization_level": 3, "xla_llvm_disable_expensive_passes": False}
if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 12):  # as in conftest.py
    THOROUGH["xla_cpu_use_fusion_emitters"] = True


def png(samples, show) -> np.ndarray:
    """Decode the PNG that `show(samples)` returns."""
    with Image.open(io.BytesIO(show(samples)[".png"])) as image:
        assert image.format == "PNG"
        return np.asarray(image)


def write(path: Path, mode: str = "L", size=(5, 6), **options) -> np.ndarray:
    """Write a random image file and return its pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(RANDOM.integers(0, 256, (size[1], size[0], 3), np.uint8)).convert(mode)
    image.save(path, **options)
    return np.asarray(image)


def prepare(
    folder: Path, name: str, splits: dict[str, int], feature: str = "image", channels: int = 1, shards: int = 1
) -> np.ndarray:
    """Write a data set of 6x5 images as tensorflow-datasets prepares it, without TensorFlow, and return its images. Labels are
    0, 1, 2, 0, ...; `splits` maps names to sizes, and each split is divided into `shards` files of equal size."""
    pytest.importorskip("tensorflow_datasets")
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.proto import tf_example_pb2

    directory = folder / name / "1.0.0"
    directory.mkdir(parents=True)
    shape = {"dimensions": ["6", "5", str(channels)]}
    features = {
        feature: {
            "pythonClassName": f"{FEATURES}.image_feature.Image",
            "image": {"dtype": "uint8", "shape": shape, "encodingFormat": "png"},
        },
        "label": {"pythonClassName": f"{FEATURES}.class_label_feature.ClassLabel", "classLabel": {"numClasses": "3"}},
    }
    info = {"name": name, "version": "1.0.0", "fileFormat": "array_record", "moduleName": "nowhere", "splits": []}
    images = RANDOM.integers(0, 256, (sum(splits.values()), 6, 5, channels), np.uint8)
    remaining = iter(images)
    for split, size in splits.items():
        for i in range(size):
            if i % (size // shards) == 0:
                file = f"{name}-{split}.array_record-{i * shards // size:05d}-of-{shards:05d}"
                writer = ArrayRecordWriter(str(directory / file), "group_size:1")
            content = io.BytesIO()
            Image.fromarray(next(remaining).squeeze()).save(content, "PNG")
            example = tf_example_pb2.Example()
            example.features.feature[feature].bytes_list.value.append(content.getvalue())
            example.features.feature["label"].int64_list.value.append(i % 3)
            writer.write(example.SerializeToString())
            if (i + 1) % (size // shards) == 0:
                writer.close()
        template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
        lengths = [str(size // shards)] * shards
        info["splits"].append({"name": split, "shardLengths": lengths, "numBytes": "1", "filepathTemplate": template})
    (directory / "dataset_info.json").write_text(json.dumps(info))
    dictionary = {"pythonClassName": f"{FEATURES}.features_dict.FeaturesDict", "featuresDict": {"features": features}}
    (directory / "features.json").write_text(json.dumps(dictionary))
    return images


def prepare_rows(folder: Path, name: str, features: dict, rows: list[dict], target: str | None = None) -> None:
    """Write a data set of `rows` of numbers and strings as tensorflow-datasets prepares it, without TensorFlow. The name of
    a nested feature is its path: "a/b" is feature b of a."""
    tfds = pytest.importorskip("tensorflow_datasets")
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.proto import tf_example_pb2

    directory = folder / name / "1.0.0"
    directory.mkdir(parents=True)
    writer = ArrayRecordWriter(str(directory / f"{name.split('/')[0]}-train.array_record-00000-of-00001"), "group_size:1")
    for row in rows:
        example = tf_example_pb2.Example()
        for key, value in row.items():
            feature = example.features.feature[key]
            values = value if isinstance(value, list) else [value]
            typed_list = {bytes: feature.bytes_list, float: feature.float_list}.get(type(values[0]), feature.int64_list)
            typed_list.value.extend(values)
        writer.write(example.SerializeToString())
    writer.close()
    split = {"name": "train", "shardLengths": [str(len(rows))], "numBytes": "1"}
    split["filepathTemplate"] = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    info = {"name": name.split("/")[0], "version": "1.0.0", "fileFormat": "array_record", "moduleName": "x", "splits": [split]}
    if target is not None:
        info["supervisedKeys"] = {"tuple": {"items": [{"featureKey": "features"}, {"featureKey": target}]}}
    (directory / "dataset_info.json").write_text(json.dumps(info))
    tfds.features.FeaturesDict(features).save_config(str(directory))
