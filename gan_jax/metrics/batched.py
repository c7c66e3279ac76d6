"""Evaluation of a function of many rows in batches of one shape, so that it compiles once, split across the local devices."""

from collections import deque
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from tqdm import tqdm


def in_batches(function: Callable[..., Any], size: int, prepare: Callable[[Any], Any] = lambda x: x) -> Callable[..., Any]:
    """Extend `function(variables, *arguments)`, compiled for `size` rows, to any number N > 0 of rows.

    The arguments are pytrees of arrays [N, ...] on the host, and so are the results. `prepare` converts each host array of a
    batch before it is transferred. If this host has several devices, each computes its part of a batch; if their number does
    not divide `size`, batches are slightly larger. At most two batches are on the devices at a time.

    The last batch is padded with rows of zeros, whose results are dropped: `function` must treat each row independently.
    """

    def call(variables: Any, *arguments: Any) -> Any:
        mesh = Mesh(np.array(jax.local_devices()), ("rows",))
        replicated, sharded = (
            (NamedSharding(mesh, PartitionSpec(*axis)) if mesh.size > 1 else None) for axis in ((), ("rows",))
        )
        rows = -(-size // mesh.size) * mesh.size
        count = len(jax.tree.leaves(arguments)[0])
        variables = jax.device_put(variables, replicated)
        pending, results = deque(), []
        for start in tqdm(range(0, count, rows), "batches of samples", leave=False, disable=None, delay=2):
            batch = jax.tree.map(lambda x, i=start: _padded(prepare(np.asarray(x[i : i + rows])), rows), arguments)
            pending.append(function(variables, *jax.device_put(batch, sharded)))
            if len(pending) > 1:
                results.append(jax.device_get(pending.popleft()))
        results += jax.device_get(list(pending))
        return jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *results)

    return call


def _padded(x: np.ndarray, rows: int) -> np.ndarray:
    return np.concatenate([x, np.zeros((rows - len(x), *x.shape[1:]), x.dtype)])
