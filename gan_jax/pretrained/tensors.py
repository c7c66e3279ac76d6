"""Map the named tensors of a file to the variables of our networks: use every tensor, and fill every variable."""

from collections.abc import Callable, Container
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from gan_jax.errors import InputError

Transform = Callable[[np.ndarray], np.ndarray]


class Tensors:
    """The tensors of a file that are still unused, and the variables filled from the others, by path. Its error messages
    continue a sentence that starts with the file's name."""

    def __init__(self, unused: dict[str, np.ndarray]):
        self.unused = unused
        self._filled: dict[str, tuple[str, np.ndarray]] = {}

    def names(self, start: str, end: str = "") -> list[str]:
        """Return the names of unused tensors that start with `start` and end with `end`."""
        return [name for name in self.unused if name.startswith(start) and name.endswith(end)]

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of an unused tensor. Raises InputError if there is no such tensor."""
        if name not in self.unused:
            raise InputError(f"has no {name}")
        return self.unused[name].shape

    def take(self, name: str) -> np.ndarray:
        """Return an unused tensor and mark it as used. Raises InputError if there is no such tensor."""
        self.shape(name)
        return self.unused.pop(name)

    def fill(self, path: str, name: str, transform: Transform = lambda x: x) -> None:
        """Fill our variable `path` with the transformed tensor `name`."""
        self.put(path, name, transform(self.take(name)))

    def put(self, path: str, name: str, tensor: np.ndarray) -> None:
        """Fill our variable `path` with `tensor`, which was computed from the tensor `name`."""
        self._filled[path] = (name, np.asarray(tensor, np.float32, order="C"))

    def variables(self, player: str, abstract: Any) -> Any:
        """Return the tree of a player's filled variables, whose paths start with `player`, or None if none is filled.
        `abstract` is the tree of expected shapes. Raises InputError at the first mismatch."""
        expected = flatten_dict(abstract, sep="/")
        start = f"{player}/"
        filled = {path.removeprefix(start): x for path, x in self._filled.items() if path.startswith(start)}
        for path in dict.fromkeys([*expected, *filled]) if filled else ():
            variable = f"{path} {list(expected[path].shape)}" if path in expected else f"no {path}"
            if path not in filled:
                raise InputError(f"has no tensor for {variable}")
            name, tensor = filled[path]
            if path not in expected or expected[path].shape != tensor.shape:
                raise InputError(f"has {name}, converted to shape {list(tensor.shape)}, but the network has {variable}")
            if not np.isfinite(tensor).all():
                raise InputError(f"has values in {name} that are not finite")
        return unflatten_dict({path: tensor for path, (_, tensor) in filled.items()}, sep="/") if filled else None


def count_consecutive(names: Container[str], start: str, end: str = "") -> int:
    """Return how many of the names START0END, START1END, ... are present before the first that is missing."""
    count = 0
    while f"{start}{count}{end}" in names:
        count += 1
    return count
