"""tensorflow-datasets: image data sets that were prepared as array_record files, read without TensorFlow.

Where a set is looked for: the folder `--data_dir` names, else the one `GAN_JAX_DATA` names (either may be the TFDS
folder or have it below it as `tfds/`), else TFDS's own `TFDS_DATA_DIR`, else `~/tensorflow_datasets`.

We look before we call: TFDS with nothing prepared and no network tries to download for minutes, and told not to, it
complains about a file format instead. What was decoded is cached as an .npz under `GAN_JAX_CACHE` (`~/.cache/gan_jax`).
"""

import contextlib
import hashlib
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gan_jax.cache import cache_path, write_cache
from gan_jax.data import Source, Split, images
from gan_jax.errors import InputError


def tfds(name: str, data_dir: str | None = None) -> Source:
    """The prepared data set NAME or NAME/CONFIG: its newest version, the features `image` and, as classes, `label`.

    Splits are `train` and `test`, or `validation`; where only one is there, part of it is held out (`images.source`).
    Raises `InputError` within a second where nothing is prepared, and where the set is not one of 8-bit images.
    """
    if not re.fullmatch(r"\w+(/[\w.+-]+)?", name):
        raise InputError(f"tfds:{name}: a data set is called NAME or NAME/CONFIG, such as tfds:mnist")
    folder = _folder(data_dir)
    prepared = _find(name, folder)
    files = sorted(prepared.glob("*.array_record*"))
    if not files:
        raise InputError(f"tfds:{name}: {prepared} is not in the array_record format; {_how_to(name, folder)}")
    stamp = [name, prepared.name, *((f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files)]
    digest = hashlib.sha256(json.dumps(stamp).encode()).hexdigest()[:16]
    cache = cache_path(f"tfds-{name.replace('/', '-')}-{prepared.name}-{digest}.npz")
    splits = None
    with contextlib.suppress(InputError):  # not there yet, or damaged: made anew
        splits = images.read_npz(cache)
    if splits is None:
        splits = _decode(name, folder, prepared)
        keys = ("train_images", "train_labels", "test_images", "test_labels")
        arrays = zip(keys, (*splits[0], *(splits[1] or (None, None))), strict=True)
        write_cache(cache, {key: array for key, array in arrays if array is not None})
    return images.source(f"tfds:{name}", *splits)


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


def _decode(name: str, folder: Path, prepared: Path) -> tuple[Split, Split | None]:
    """All images and labels in memory. Reads the folder itself: no look-up by name, which may go to the network."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise InputError(f"tfds:{name} needs tensorflow-datasets: pip install tensorflow-datasets ({error})") from error
    with _quiet():
        try:
            builder = tfds.builder_from_directory(str(prepared))
            features, splits = builder.info.features, list(builder.info.splits)
        except Exception as error:  # whatever a damaged JSON file provokes in there
            raise InputError(f"tfds:{name}: {prepared} is damaged ({error}); {_how_to(name, folder)}") from error
        features = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
        image = features.get("image")
        if not isinstance(image, tfds.features.Image) or image.np_dtype != np.uint8:
            raise InputError(
                f"tfds:{name}: a feature `image` of 8-bit images is needed, it has {', '.join(sorted(features)) or 'none'}"
            )
        if None in image.shape or image.shape[-1] not in (1, 3):
            raise InputError(f"tfds:{name}: images must be of one size with 1 or 3 channels, they are {image.shape}")
        labelled = isinstance(features.get("label"), tfds.features.ClassLabel)
        train = "train" if "train" in splits else next(iter(splits), "train")
        test = next((split for split in ("test", "validation") if split in splits and split != train), None)
        try:
            read = [_read(builder.as_data_source(split), image.shape, labelled) for split in (train, test) if split]
        except Exception as error:  # a cut-off or changed file: array_record, protobuf and Pillow each raise their own
            raise InputError(f"tfds:{name}: {prepared} is damaged ({error}); {_how_to(name, folder)}") from error
    return read[0], read[1] if test else None


def _read(records, shape: tuple[int, ...], labelled: bool) -> Split:
    samples = np.empty((len(records), *shape), np.uint8)
    labels = np.empty(len(records), np.int32) if labelled else None
    for start in range(0, len(records), 1000):  # read in blocks: six times as fast as one by one
        block = range(start, min(start + 1000, len(records)))
        for row, record in zip(block, records.__getitems__(block), strict=True):
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
