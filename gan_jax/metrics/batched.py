"""A function of many rows, block by block: each of one shape, so that it compiles once, and dealt out among the devices."""

from collections import deque
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


def in_blocks(function: Callable[..., Any], size: int, prepare: Callable[[Any], Any] = lambda x: x) -> Callable[..., Any]:
    """`function(variables, *arguments)`, compiled for `size` rows, for any number N > 0 of them: the arguments are pytrees of
    arrays [N, ...] on the host, and so is what comes back. Where this host has several devices each computes its part of a
    block, which has a few rows more where `size` does not divide. No more than two blocks are on the devices at a time, and
    `prepare` makes what is sent there of a block's arrays.

    The last block ends in rows of zeros, whose results are left out: `function` must take each row by itself.
    """

    def call(variables: Any, *arguments: Any) -> Any:
        mesh = Mesh(np.array(jax.local_devices()), ("rows",))
        whole, dealt = ((NamedSharding(mesh, PartitionSpec(*axis)) if mesh.size > 1 else None) for axis in ((), ("rows",)))
        rows = -(-size // mesh.size) * mesh.size
        count = len(jax.tree.leaves(arguments)[0])
        variables = jax.device_put(variables, whole)
        under_way, found = deque(), []
        for start in range(0, count, rows):
            block = jax.tree.map(lambda x, at=start: _filled(prepare(np.asarray(x[at : at + rows])), rows), arguments)
            under_way.append(function(variables, *jax.device_put(block, dealt)))
            if len(under_way) > 1:
                found.append(jax.device_get(under_way.popleft()))
        found += jax.device_get(list(under_way))
        return jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *found)

    return call


def _filled(x: np.ndarray, rows: int) -> np.ndarray:
    return np.concatenate([x, np.zeros((rows - len(x), *x.shape[1:]), x.dtype)])
