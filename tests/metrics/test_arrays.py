"""Properties shared by the metrics of features: precision, independence of blocks and devices, input errors."""

import json
import os
import re
import subprocess
import sys
from functools import partial

import jax
import numpy as np
import pytest

from gan_jax.metrics.frechet import frechet_distance, frechet_distance_infinity, gaussian_frechet_distance
from gan_jax.metrics.inception_score import inception_score
from gan_jax.metrics.kernel import kernel_distance, squared_mmd
from gan_jax.metrics.memorisation import nearest_distances
from gan_jax.metrics.prdc import prdc
from gan_jax.metrics.sliced import sliced_wasserstein

PAIRWISE = [frechet_distance, frechet_distance_infinity, squared_mmd, partial(kernel_distance, subsets=4), prdc]


def every_metric(dtype=np.float64) -> list[float]:
    """All values of all metrics, for real and fake features of similar distributions."""
    rng = np.random.RandomState(0)
    real = rng.normal(size=(151, 6)) @ rng.normal(size=(6, 6)) + 3
    fake = rng.normal(size=(132, 6)) + 2.5
    numbers = [jax.tree.leaves(metric(real.astype(dtype), fake.astype(dtype))) for metric in PAIRWISE]
    return [inception_score(real.astype(dtype)), *(float(number) for values in numbers for number in values)]


@pytest.fixture(scope="module")
def numbers() -> list[float]:
    return every_metric()


def test_results_do_not_depend_on_the_block_size(monkeypatch, numbers):
    monkeypatch.setattr("gan_jax.metrics.arrays.BLOCK", 64)
    assert every_metric() == pytest.approx(numbers, rel=1e-11)


def test_float32_features_give_the_same_results(numbers):
    assert every_metric(np.float32) == pytest.approx(numbers, rel=1e-6)


def test_half_precision_and_integers_are_accepted():
    x = np.arange(40).reshape(20, 2) % 7
    expected = frechet_distance(x.astype(np.float64), x[::2] + 1.0)
    assert frechet_distance(x.astype(np.float16), x[::2] + 1) == pytest.approx(expected, rel=1e-6)
    assert frechet_distance(x.tolist(), jax.numpy.asarray(x[::2] + 1)) == pytest.approx(expected, rel=1e-6)


def test_the_higher_of_two_precisions_is_used():
    real, fake = np.random.RandomState(1).normal(size=(2, 50, 4))
    real = real.astype(np.float32)
    expected = squared_mmd(real.astype(np.float64), fake)
    assert squared_mmd(real, fake) == pytest.approx(expected, rel=1e-12)
    assert squared_mmd(fake, real) == pytest.approx(expected, rel=1e-12)


def test_several_devices_give_the_same_results(numbers):
    """Three devices: not a power of two."""
    script = "import json, jax, test_arrays; print(json.dumps([jax.device_count(), *test_arrays.every_metric()]))"
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=3"
    environment = os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": os.path.dirname(__file__)}
    process = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120)
    assert process.returncode == 0, process.stderr
    devices, *results = json.loads(process.stdout.splitlines()[-1])
    assert devices == 3
    assert results == pytest.approx(numbers, rel=1e-11)


@pytest.mark.parametrize("metric", PAIRWISE)
def test_errors_state_the_shape_of_bad_features(metric):
    good = np.random.RandomState(11).normal(size=(20, 3))
    for bad in (good[:, :2], good[:, 0], good[:1], good[None]):
        with pytest.raises(ValueError, match=re.escape(str(bad.shape))):
            metric(good, bad)
        with pytest.raises(ValueError, match=re.escape(str(bad.shape))):
            metric(bad, good)
    with_nan = np.where(np.arange(20)[:, None] == 3, np.nan, good)
    with pytest.raises(ValueError, match=r"fake features \(20, 3\) must be finite: 1 rows"):
        metric(good, with_nan)


def test_errors_state_the_shapes_of_bad_logits_and_moments():
    for call in (
        partial(inception_score, np.zeros(5)),
        partial(inception_score, np.full((5, 2), np.inf)),
        partial(gaussian_frechet_distance, np.zeros(3), np.eye(3), np.zeros(2), np.eye(2)),
        partial(gaussian_frechet_distance, np.zeros(3), np.eye(3), np.zeros(3), np.nan * np.eye(3)),
    ):
        with pytest.raises(ValueError, match=r"\("):
            call()


METRICS = [*PAIRWISE, partial(sliced_wasserstein, projections=20), lambda real, fake: nearest_distances(fake, real)[0]]


@pytest.mark.parametrize(
    "metric", [m for m in METRICS if m is not squared_mmd and getattr(m, "func", m) is not kernel_distance]
)
def test_squares_that_overflow_in_float32_do_not_matter(metric):
    """All but the kernel are homogeneous: of degree 0 (prdc), 1 or 2 (Frechet). Powers of two scale exactly."""
    rng = np.random.RandomState(12)
    real, fake = (rng.normal(size=(60, 3)).astype(np.float32) for _ in range(2))
    scale = 2.0**80  # squares are about 2^160, beyond float32's 2^128
    expected = jax.tree.leaves(metric(real.astype(np.float64), fake.astype(np.float64)))
    degree = 0 if metric is prdc else 2 if metric in PAIRWISE else 1
    scaled = jax.tree.leaves(metric(real * np.float32(scale), fake * np.float32(scale)))
    for value, unscaled in zip(scaled, expected, strict=True):
        np.testing.assert_allclose(np.asarray(value) / scale**degree, unscaled, rtol=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_values_whose_squares_overflow_are_refused(metric):
    real, fake = np.random.RandomState(13).normal(size=(2, 60, 3)) * 1e200
    with pytest.raises(ValueError, match=r"with values of \de\+200 are too large|with values of \d\.\d+e\+200 are too large"):
        metric(real, fake)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_kernel_that_overflows_is_refused(dtype):
    """It holds sixth powers: 1e30 is too large in either precision, 1e15 is not."""
    real, fake = np.random.RandomState(14).normal(size=(2, 60, 3)).astype(dtype)
    for metric in (squared_mmd, partial(kernel_distance, subsets=4)):
        with pytest.raises(ValueError, match=r"\(60, 3\) with values of [\d.]+e\+30 are too large: the kernel overflows"):
            metric(real * dtype(1e30), fake * dtype(1e30))
        assert np.isfinite(metric(real * dtype(1e15), fake * dtype(1e15))).all()
