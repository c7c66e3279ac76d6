"""Tensors: those of a file by name, on their way to being the variables of a network. Each must be used, each be filled."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from gan_jax.errors import InputError

Change = Callable[[np.ndarray], np.ndarray]


class Tensors:
    """What is left of a file, and what our variables are filled with, by path. Its errors follow upon the file's name."""

    def __init__(self, left: dict[str, np.ndarray]):
        self.left = left
        self._filled: dict[str, tuple[str, np.ndarray]] = {}

    def names(self, start: str, end: str = "") -> list[str]:
        """Those left that begin and end so."""
        return [name for name in self.left if name.startswith(start) and name.endswith(end)]

    def shape(self, name: str) -> tuple[int, ...]:
        """Of one that is left. Raises InputError where it is not."""
        if name not in self.left:
            raise InputError(f"has no {name}")
        return self.left[name].shape

    def take(self, name: str) -> np.ndarray:
        """One, which is then no longer left. Raises InputError where there is none."""
        self.shape(name)
        return self.left.pop(name)

    def fill(self, path: str, name: str, change: Change = lambda x: x) -> None:
        """Our variable `path` with the tensor `name`, changed."""
        self.put(path, name, change(self.take(name)))

    def put(self, path: str, name: str, tensor: np.ndarray) -> None:
        """Our variable `path` with what `name` became."""
        self._filled[path] = (name, np.asarray(tensor, np.float32, order="C"))

    def variables(self, player: str, abstract: Any) -> Any:
        """The tree of variables filled whose paths begin with `player`, in the shapes of the tree `abstract`; None where none
        is. Raises InputError for the first that does not fit."""
        expected = flatten_dict(abstract, sep="/")
        start = f"{player}/"
        filled = {path.removeprefix(start): x for path, x in self._filled.items() if path.startswith(start)}
        for path in dict.fromkeys([*expected, *filled]) if filled else ():
            wanted = f"{path} {list(expected[path].shape)}" if path in expected else f"no {path}"
            if path not in filled:
                raise InputError(f"has nothing for {wanted}")
            name, tensor = filled[path]
            if path not in expected or expected[path].shape != tensor.shape:
                raise InputError(f"has {name}, here {list(tensor.shape)}, where the network has {wanted}")
            if not np.isfinite(tensor).all():
                raise InputError(f"has numbers in {name} that are not finite")
        return unflatten_dict({path: tensor for path, (_, tensor) in filled.items()}, sep="/") if filled else None


def count_consecutive(names: Sequence[str], start: str, end: str = "") -> int:
    """How many of 0, 1, 2, ... stand between `start` and `end` in names, without a gap."""
    count = 0
    while f"{start}{count}{end}" in names:
        count += 1
    return count
