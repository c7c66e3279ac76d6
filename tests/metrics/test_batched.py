"""Batched evaluation of any number of rows, with equal results on one and on eight devices."""

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

    total, identity = in_batches(function, 4)(2.0, x, np.arange(count))
    np.testing.assert_array_equal(total, 2 * x["a"].sum(axis=1))
    np.testing.assert_array_equal(identity, np.arange(count)[:, None])
    assert sizes == [4] * -(-count // 4) and type(total) is np.ndarray


def test_a_batch_is_prepared_on_the_host():
    batches = []

    def prepare(batch):
        batches.append(batch)
        return batch.astype(np.uint8)

    result = in_batches(jax.jit(lambda _, x: (x, x.dtype == np.uint8)[0]), 4, prepare)(None, np.arange(6.0))
    assert result.dtype == np.uint8 and result.tolist() == list(range(6)) and [len(batch) for batch in batches] == [4, 2]


CODE = """
import json, jax, numpy as np
from gan_jax.data.images.extractors import random
from gan_jax.data.load import load
from gan_jax.metrics.batched import in_batches
calls = []
def function(weights, x):
    calls.append((len(x), len(x.sharding.device_set), weights.sharding.is_fully_replicated))
    return x @ weights
x, weights = np.random.RandomState(0).randn(21, 5), np.random.RandomState(1).randn(5, 3)
np.testing.assert_allclose(in_batches(function, 10)(weights, x), x @ weights, rtol=1e-5, atol=1e-5)
assert calls == [(16, 8, True), (16, 8, True)], calls
data = load("digits", 0, 8)
print(json.dumps(random(data).features(data.to_float(data.test.samples))[0].mean(axis=0).tolist()))
"""


def test_eight_devices_each_compute_their_rows():
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    out = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, env=environment)
    assert not out.returncode, out.stderr
    data = load("digits", 0, 8)
    expected = extractors.random(data).features(data.to_float(data.test.samples))[0].mean(axis=0)
    np.testing.assert_allclose(json.loads(out.stdout), expected, rtol=1e-4, atol=1e-5)
