"""Weights stored under PyTorch's names and in its layout, as variables of a Flax network whose layers have these names."""

from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from gan_jax.errors import InputError

_LEAVES = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}  # Flax -> PyTorch


def variables(abstract: dict[str, Any], tensors: dict[str, np.ndarray], path: Path, model: str) -> dict[str, Any]:
    """Return `tensors`, read from `path`, in the structure `abstract`: collections of layers of arrays with shapes, as
    `jax.eval_shape` of a module's init returns them. Values become float32.

    A kernel [height, width, inputs, outputs] is PyTorch's weight [outputs, inputs, height, width], a kernel [inputs, outputs]
    its transpose; other arrays are equal. Counters of batches are ignored. Raises InputError, which says that `path` is not
    `model`, for tensors that are missing, unknown, of another
    shape, not of floating-point numbers or not finite."""
    filled, used = {}, set()
    expected = flatten_dict(abstract)
    names = {key: ".".join((*key[1:-1], _LEAVES.get(key[-1], key[-1]))) for key in expected}
    check_names(path, model, "missing", set(names.values()) - tensors.keys())
    for key, leaf in expected.items():
        tensor = tensors[names[key]]
        used.add(names[key])
        axes = {4: (2, 3, 1, 0), 2: (1, 0)}.get(tensor.ndim) if key[-1] == "kernel" else None
        array = tensor.transpose(axes) if axes else tensor
        if array.dtype.kind != "f":
            raise InputError(f"{path} is not {model}: {names[key]} is of {array.dtype}, not of floating-point numbers")
        if array.shape != leaf.shape or not np.isfinite(array).all():
            raise InputError(f"{path} is not {model}: wrong shape or not finite: {names[key]} {tensor.shape}")
        filled[key] = array.astype(np.float32)
    counters = {name for name in tensors if name.endswith("num_batches_tracked")}
    check_names(path, model, "unknown", tensors.keys() - used - counters)
    return unflatten_dict(filled)


def check_names(path: Path, model: str, problem: str, names: set[str]) -> None:
    """Raise InputError if there are any `names` with the `problem` ("missing" or "unknown")."""
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise InputError(f"{path} is not {model}, {problem}: {', '.join(sorted(names)[:3])}{more}")
