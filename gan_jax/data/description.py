"""description.npz: what a generator needs to know about its data in order to be sampled, without the data."""

import importlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.data.dataset import Condition, Data, Export, Format, Pack, Presentation, Show
from gan_jax.errors import InputError, reading, unknown
from gan_jax.storage.npz import load_npz
from gan_jax.types import Graph, Sample, Shape

FILE = "description.npz"
MAX_LABELS, MAX_LABEL_NUMBERS = 10_000, 1 << 20  # labels to condition G on that are stored, and numbers in them
# Kind of a `Format` -> the module, in this folder, whose function `presentation` makes a Presentation of its facts.
PRESENTATIONS = {
    "images": "images.pixels",
    "points": "toy",
    "text": "text.corpus",
    "audio": "audio.clips",
    "molecules": "molecules.smiles",
    "table": "tables.rows",
}


@dataclass(frozen=True)
class DataDescription:
    """The fields of a `Data` that do not need its samples. Functions that only sample accept either."""

    name: str
    checksum: str
    sample_shape: Shape
    num_classes: int
    classes: tuple[str, ...]
    label: jax.ShapeDtypeStruct | None  # of one sample
    eval_labels: np.ndarray | None  # the first `MAX_LABELS` of those of the data
    num_shown: int
    format: Format
    presentation: Presentation

    @property
    def show(self) -> Show:
        return self.presentation.show

    @property
    def pack(self) -> Pack:
        return self.presentation.pack

    @property
    def decode(self) -> Callable[[Sample], Any]:
        return self.presentation.decode

    @property
    def export(self) -> Export | None:
        return self.presentation.export

    @property
    def condition(self) -> Callable[[str], Condition] | None:
        return self.presentation.condition


def describe(data: Data) -> DataDescription:
    """Describe data whose format is known. Raises InputError for other data."""
    if data.format is None:
        raise InputError(f"data {data.name} has no format by which samples are decoded without it")
    labels = data.eval_labels
    if labels is not None:
        labels = labels[: max(1, min(MAX_LABELS, MAX_LABEL_NUMBERS // max(1, labels[0].size)))]
    facts = (data.name, data.checksum, data.sample_shape, data.num_classes, data.classes, data.label, labels, data.num_shown)
    return DataDescription(*facts, data.format, _presentation(data.format))


def bytes_of(description: DataDescription) -> bytes:
    """Return the content of a description.npz, which `load_description` reads."""
    label = description.label
    arrays = {f"fact/{name}": x for name, x in description.format.facts.items() if isinstance(x, np.ndarray)}
    record = {
        "name": description.name,
        "checksum": description.checksum,
        "sample_shape": _shape_to_json(description.sample_shape),
        "num_classes": description.num_classes,
        "classes": list(description.classes),
        "label": None if label is None else [list(label.shape), str(label.dtype)],
        "num_shown": description.num_shown,
        "kind": description.format.kind,
        "facts": {name: x for name, x in description.format.facts.items() if not isinstance(x, np.ndarray)},
    }
    labels = {} if description.eval_labels is None else {"labels": description.eval_labels}
    file = io.BytesIO()
    np.savez_compressed(file, record=np.array(json.dumps(record)), **labels, **arrays)
    return file.getvalue()


def load_description(path: Path) -> DataDescription:
    """Read a description.npz. Raises InputError for a file that cannot be read."""
    with reading(str(path)):
        arrays = load_npz(path)
        record = json.loads(str(arrays["record"]))
        facts = {name.removeprefix("fact/"): x for name, x in arrays.items() if name.startswith("fact/")}
        label = None
        if record["label"] is not None:
            label = jax.ShapeDtypeStruct(tuple(record["label"][0]), np.dtype(record["label"][1]))
        format = Format(record["kind"], facts | record["facts"])
        return DataDescription(
            record["name"],
            record["checksum"],
            _shape_from_json(record["sample_shape"]),
            record["num_classes"],
            tuple(record["classes"]),
            label,
            arrays.get("labels"),
            record["num_shown"],
            format,
            _presentation(format),
        )


def _presentation(format: Format) -> Presentation:
    if format.kind not in PRESENTATIONS:
        raise unknown("kind of samples", str(format.kind), PRESENTATIONS)
    return importlib.import_module(f"gan_jax.data.{PRESENTATIONS[format.kind]}").presentation(**format.facts)


def _shape_to_json(shape: Shape) -> Any:
    """The shape of an array as a list, of a `Graph` or a dict of samples as an object."""
    if isinstance(shape, Graph):
        return {"graph": [_shape_to_json(part) for part in shape]}
    if isinstance(shape, dict):
        return {"parts": {name: _shape_to_json(part) for name, part in shape.items()}}
    return list(shape)


def _shape_from_json(value: Any) -> Shape:
    if isinstance(value, list):
        return tuple(value)
    if "graph" in value:
        return Graph(*map(_shape_from_json, value["graph"]))
    return {name: _shape_from_json(part) for name, part in value["parts"].items()}
