"""Closed forms of the sliced Wasserstein distance."""

import math

import numpy as np
import pytest

from gan_jax.metrics import sliced
from gan_jax.metrics.sliced import sliced_wasserstein


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (1e-3, 0), (1, 1e4)])
def test_in_one_dimension_it_is_the_mean_difference_of_sorted_samples(scale, shift):
    real, fake = scale * np.random.RandomState(0).normal(size=(2, 1000, 1)) + shift
    distance, error = sliced_wasserstein(real, fake, projections=4)
    expected = np.abs(np.sort(real[:, 0]) - np.sort(fake[:, 0])).mean()
    assert distance == pytest.approx(expected, rel=1e-12)
    assert error < 1e-12 * distance  # +1 and -1 are the only directions


@pytest.mark.parametrize(("n", "m"), [(6, 4), (3, 7), (12, 4), (5, 5)])
def test_unequal_numbers_of_samples_are_equivalent_to_repeated_samples(n, m):
    rng = np.random.RandomState(1)
    real, fake = rng.normal(size=(n, 1)), rng.normal(size=(m, 1))
    common = math.lcm(n, m)
    repeated = [np.sort(np.repeat(x[:, 0], common // len(x))) for x in (real, fake)]
    assert sliced_wasserstein(real, fake, 2)[0] == pytest.approx(np.abs(repeated[0] - repeated[1]).mean(), rel=1e-12)


def test_a_shift_gives_its_mean_projection():
    """E|s.u| = |s| Gamma(D/2) / (sqrt(pi) Gamma((D + 1)/2)), within the reported standard error, which has a closed form."""
    d, projections = 5, 2000
    real = np.random.RandomState(2).normal(size=(60, d))
    shift = np.array([0.3, -1.0, 2.0, 0.0, 0.5])
    distance, error = sliced_wasserstein(real, real + shift, projections)
    length = np.linalg.norm(shift)
    mean = length * math.gamma(d / 2) / (math.sqrt(math.pi) * math.gamma((d + 1) / 2))
    assert error == pytest.approx(math.sqrt((length**2 / d - mean**2) / projections), rel=0.05)
    assert distance == pytest.approx(mean, abs=3 * error)


def test_error_of_two_projections_is_half_their_difference():
    """A shift along one axis is projected to |cos| of each direction's angle, a shift along the other axis to |sin|."""
    real = np.random.RandomState(5).normal(size=(6, 2))
    mean, error = sliced_wasserstein(real, real + np.array([1, 0]), 2)
    sines = np.sqrt(1 - np.square([mean - error, mean + error]))
    other_mean, other_error = sliced_wasserstein(real, real + np.array([0, 1]), 2)
    assert (other_mean, other_error) == (pytest.approx(sines.mean()), pytest.approx(abs(sines[0] - sines[1]) / 2))


def test_scaling_a_gaussian_gives_the_difference_of_the_deviations():
    """W1 of N(0, 1) and N(0, s^2) is |1 - s| sqrt(2 / pi); of a sample and itself times s, |1 - s| E|x| in every direction."""
    rng = np.random.RandomState(3)
    real = rng.normal(size=(4000, 3))
    distance, _ = sliced_wasserstein(real, 2 * real, 50)
    assert distance == pytest.approx(math.sqrt(2 / math.pi), rel=0.03)
    assert sliced_wasserstein(real, real, 50) == (0, 0)


def test_independence_of_the_block_size_and_dependence_on_the_seed(monkeypatch):
    rng = np.random.RandomState(4)
    real, fake = rng.normal(size=(40, 3)), rng.normal(size=(30, 3))
    whole = sliced_wasserstein(real, fake, 11)
    assert whole == sliced_wasserstein(real, fake, 11)
    assert whole != sliced_wasserstein(real, fake, 11, seed=1)
    monkeypatch.setattr(sliced, "_BLOCK", 4 * 70)
    assert sliced_wasserstein(real, fake, 11) == pytest.approx(whole, rel=1e-12)


def test_a_single_projection_is_an_error():
    with pytest.raises(ValueError, match=r"projections >= 2, got 1 for \(4, 2\)"):
        sliced_wasserstein(np.eye(4)[:, :2], np.eye(4)[:, :2], 1)
    with pytest.raises(ValueError, match="dimension"):
        sliced_wasserstein(np.eye(4), np.eye(4)[:, :2])
