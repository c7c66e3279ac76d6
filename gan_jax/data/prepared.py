"""Find data sets that tensorflow-datasets prepared, and report what is wrong with them.

A data set is searched for in the folder of `--data_dir`, or else of `GAN_JAX_DATA` (either may be the TFDS folder or contain it
as `tfds/`), or else in TFDS's own `TFDS_DATA_DIR`, or else in `~/tensorflow_datasets`.

We check the folder before calling TFDS: if nothing is prepared and there is no network, TFDS tries to download for minutes, and
if told not to, it complains about a file format instead.
"""

import contextlib
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gan_jax.errors import InputError


def tfds_folder(data_dir: str | None) -> Path:
    """Return the TFDS folder to search; if `data_dir` or GAN_JAX_DATA is set, no other one is searched."""
    root = data_dir or os.environ.get("GAN_JAX_DATA")
    folder = Path(root or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser().absolute()
    return folder / "tfds" if root and (folder / "tfds").is_dir() else folder


def find_prepared(name: str, folder: Path) -> Path:
    """Return the folder of the newest prepared version. Raises InputError listing what is prepared and how to prepare this."""
    versions = [info.parent for info in (folder / name).glob("*.*.*/dataset_info.json")]
    if versions:
        return max(versions, key=lambda path: [int(n) for n in re.findall(r"\d+", path.name)])
    others = [info.parent.parent for depth in ("*", "*/*") for info in folder.glob(f"{depth}/*.*.*/dataset_info.json")]
    known = ", ".join(sorted({str(path.relative_to(folder)) for path in others})) or "nothing"
    raise InputError(f"tfds:{name} is not prepared in {folder} (prepared there: {known}); {how_to_prepare(name, folder)}")


def how_to_prepare(name: str, folder: Path) -> str:
    call = f"tfds.builder({name!r}, data_dir={str(folder)!r}, file_format='array_record').download_and_prepare()"
    return (
        "to prepare it (needs a network): pip install 'gan_jax[prepare]' && "
        f'python -c "import tensorflow_datasets as tfds; {call}"; if it is prepared elsewhere, '
        "set --data_dir or the environment variable GAN_JAX_DATA to that folder"
    )


def open_prepared(name: str, prepared: Path) -> Any:
    """Return TFDS's builder of a prepared data set. Raises InputError for one that names classes of features outside TFDS: it
    would import the modules of those, and data must not run code."""
    import tensorflow_datasets as tfds

    features = prepared / "features.json"
    foreign = [c for c in _feature_classes(json.loads(features.read_text())) if not c.startswith("tensorflow_datasets.")]
    if foreign:
        raise InputError(f"tfds:{name}: {features} names the class {foreign[0]}, which is not of tensorflow_datasets; not read")
    return tfds.builder_from_directory(str(prepared))


def _feature_classes(node: Any) -> Iterator[str]:
    """The Python classes that a features.json names, at any depth."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if key in ("pythonClassName", "python_class_name", "type") and isinstance(value, str):
            yield value
        else:
            yield from _feature_classes(value)


@contextlib.contextmanager
def input_errors(name: str, folder: Path, prepared: Path) -> Iterator[None]:
    """Turn errors within the block into InputErrors."""
    try:
        yield
    except InputError:
        raise
    except ImportError as error:
        if error.name == "tensorflow":  # TFDS needs it for features that it cannot decode otherwise
            raise InputError(f"tfds:{name} holds no images; sounds are read by --data 'audio(path=\"tfds:{name}\")'") from error
        raise InputError(f"tfds:{name} needs tensorflow-datasets: pip install 'tensorflow-datasets' ({error})") from error
    except Exception as error:  # for a damaged file, array_record, protobuf, json and Pillow each raise their own
        raise InputError(f"tfds:{name}: {prepared} is damaged ({error}); {how_to_prepare(name, folder)}") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress TFDS's advice, logged through absl, to install OpenCV."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
