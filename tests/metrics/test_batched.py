"""Blocks of rows: any number of them, whatever the size of a block, and the same on eight devices as on one."""

import json
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from gan_jax.data.images import extractors
from gan_jax.data.load import load
from gan_jax.metrics.batched import in_batches


@pytest.mark.parametrize("count", [1, 4, 5, 9])
def test_any_number_of_rows(count):
    x = {"a": np.arange(3.0 * count).reshape(count, 3), "b": None}
    sizes = []

    def function(scale, x, y):
        sizes.append(len(y))
        return x["a"].sum(axis=1) * scale, y[:, None]

    total, same = in_batches(function, 4)(2.0, x, np.arange(count))
    np.testing.assert_array_equal(total, 2 * x["a"].sum(axis=1))
    np.testing.assert_array_equal(same, np.arange(count)[:, None])
    assert sizes == [4] * -(-count // 4) and type(total) is np.ndarray


def test_a_block_is_prepared_on_the_host():
    seen = []

    def prepare(block):
        seen.append(block)
        return block.astype(np.uint8)

    found = in_batches(jax.jit(lambda _, x: (x, x.dtype == np.uint8)[0]), 4, prepare)(None, np.arange(6.0))
    assert found.dtype == np.uint8 and found.tolist() == list(range(6)) and [len(block) for block in seen] == [4, 2]


CODE = """
import json, jax, numpy as np
from gan_jax.metrics.batched import in_blocks
from gan_jax.data import load
from gan_jax.metrics.features import random
places = []
def function(weights, x):
    places.append((len(x), len(x.sharding.device_set), weights.sharding.is_fully_replicated))
    return x @ weights
x, weights = np.random.RandomState(0).randn(21, 5), np.random.RandomState(1).randn(5, 3)
np.testing.assert_allclose(in_blocks(function, 10)(weights, x), x @ weights, rtol=1e-5, atol=1e-5)
assert places == [(16, 8, True), (16, 8, True)], places
data = load("digits", 0, 8)
print(json.dumps(extractors.random(data).features(data.to_float(data.test.samples))[0].mean(axis=0).tolist()))
"""


def test_eight_devices_each_compute_their_rows():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    out = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environment)
    assert not out.returncode, out.stderr
    data = load("digits", 0, 8)
    expected = extractors.random(data).features(data.to_float(data.test.samples))[0].mean(axis=0)
    np.testing.assert_allclose(json.loads(out.stdout), expected, rtol=1e-4, atol=1e-5)
