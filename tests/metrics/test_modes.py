"""Mode coverage of perfect and of collapsed samplers."""

import itertools
import math
from functools import partial

import numpy as np
import pytest

from gan_jax.metrics.modes import class_modes, modes, nearest_centers

CENTERS = np.array(list(itertools.product([-4, -2, 0, 2, 4], repeat=2)), float)
CEILING = 1 - math.exp(-4.5)  # the mass of a Gaussian in the plane within 3 sigma


def test_modes_of_a_perfect_sampler():
    rng, n, sigma = np.random.RandomState(10), 100_000, 0.05
    result = modes(CENTERS[rng.randint(25, size=n)] + sigma * rng.normal(size=(n, 2)), CENTERS, sigma)
    assert CEILING == pytest.approx(0.98889, abs=1e-5)
    assert result["modes"] == 25
    assert result["high_quality"] == pytest.approx(CEILING, abs=4 * math.sqrt(CEILING * (1 - CEILING) / n))
    assert result["reverse_kl"] == pytest.approx(24 / (2 * n * CEILING), rel=1)  # chi-squared: mean 12, std 3.5
    assert result["spread"] == pytest.approx(math.sqrt(1 - 4.5 * math.exp(-4.5) / CEILING), abs=0.005)


def test_modes_of_collapsed_samplers():
    single = modes(np.tile(CENTERS[3], (50, 1)), CENTERS, 0.05)
    assert single == pytest.approx({"modes": 1, "high_quality": 1, "reverse_kl": math.log(25), "spread": 0})
    none = modes(np.ones((50, 2)), CENTERS, 0.05)
    assert none == pytest.approx({"modes": 0, "high_quality": 0, "reverse_kl": math.log(25), "spread": 0})
    # Three quarters in one mode and one quarter in another, at +-s around a point next to the centre; and as many samples far
    # from all modes.
    s, point = 0.02, CENTERS[[3] * 30 + [7] * 10] + [0.03, 0]
    samples = np.concatenate([point + s * np.where(np.arange(40) % 2, 1, -1)[:, None], np.ones((40, 2))])
    two = modes(samples, CENTERS, 0.05)
    kl = 0.75 * math.log(0.75 * 25) + 0.25 * math.log(0.25 * 25)
    spread = math.sqrt(40 / 38) * s / 0.05
    assert two == pytest.approx({"modes": 2, "high_quality": 0.5, "reverse_kl": kl, "spread": spread})


LINE = np.stack([(np.arange(100) + 0.5) / 100, np.zeros(100)], axis=1)  # from (0, 0) to (1, 0)


def test_modes_of_a_curve():
    halves = np.arange(100) // 50
    samples = np.array([[0.255, 0.1], [0.305, -0.2], [0.755, 0.25], [0.255, 0.4], [7, 7]])
    result = modes(samples, LINE, 0.1, halves)
    kl = 2 / 3 * math.log(2 / 3 * 2) + 1 / 3 * math.log(1 / 3 * 2)
    spread = math.sqrt((0.1**2 + 0.2**2 + 0.25**2) / 3) / 0.1
    assert result == pytest.approx({"modes": 2, "high_quality": 0.6, "reverse_kl": kl, "spread": spread})
    single = modes(LINE[:20], LINE, 0.1, halves)
    assert single == pytest.approx({"modes": 1, "high_quality": 1, "reverse_kl": math.log(2), "spread": 0})
    none = modes(LINE + 3, LINE, 0.1, halves)
    assert none == pytest.approx({"modes": 0, "high_quality": 0, "reverse_kl": math.log(2), "spread": 0})


def test_nearest_centers_over_several_blocks(monkeypatch):
    monkeypatch.setattr("gan_jax.metrics.modes._BLOCK", 250)
    samples = np.random.RandomState(12).normal(size=(41, 2)) * 4
    distance, center = nearest_centers(samples, CENTERS)
    for i, sample in enumerate(samples):
        distances = [math.dist(sample, other) for other in CENTERS]
        assert (distance[i], center[i]) == (pytest.approx(min(distances)), distances.index(min(distances)))


def test_class_modes():
    combinations = np.array(list(itertools.product(range(2), repeat=3)))
    assert class_modes(combinations, 2) == pytest.approx({"modes": 8, "reverse_kl": 0})
    assert class_modes(combinations[[5] * 9], 3) == pytest.approx({"modes": 1, "reverse_kl": math.log(27)})
    kl = 0.75 * math.log(0.75 * 8) + 0.25 * math.log(0.25 * 8)
    assert class_modes(combinations[[1, 1, 4, 1]], 2) == pytest.approx({"modes": 2, "reverse_kl": kl})


def test_class_modes_of_a_perfect_sampler():
    n = 26_000
    result = class_modes(np.random.RandomState(13).randint(10, size=(n, 3)), 10)
    assert result["modes"] == 1000
    # 2N times this is approximately chi-squared with 999 degrees of freedom; at 26 samples per mode, the next order adds 1/6 of
    # 1/26 of it.
    assert result["reverse_kl"] == pytest.approx(999 / (2 * n), rel=4 * math.sqrt(2 / 999))


def test_errors_state_the_shapes_of_bad_arguments():
    points = np.zeros((10, 2))
    for call in (
        partial(modes, points[:, 0], CENTERS, 0.1),
        partial(modes, np.zeros((10, 3)), CENTERS, 0.1),
        partial(modes, points * np.nan, CENTERS, 0.1),
        partial(modes, points, CENTERS, 0.0),
        partial(modes, points, np.zeros((0, 2)), 0.1),
        partial(modes, points, CENTERS, 0.1, np.zeros(24, int)),
        partial(modes, points, CENTERS, 0.1, np.zeros(25)),
        partial(modes, points, CENTERS, 0.1, np.arange(25) - 1),
        partial(class_modes, np.zeros(3, int), 10),
        partial(class_modes, np.zeros((0, 3), int), 10),
        partial(class_modes, np.zeros((5, 3)), 10),
        partial(class_modes, np.full((5, 3), 10), 10),
        partial(class_modes, np.full((5, 3), -1), 10),
    ):
        with pytest.raises(ValueError, match=r"\("):
            call()


def test_samples_beyond_every_number_belong_to_no_mode():
    """Their distances overflow, which is not an error: a diverged generator has no sample of high quality."""
    result = modes(np.full((10, 2), 1e200), np.array([[0.0, 1.0], [1.0, 0.0]]), 0.1)
    assert result == {"modes": 0.0, "high_quality": 0.0, "reverse_kl": pytest.approx(np.log(2)), "spread": 0.0}
