"""Closed forms of the sliced Wasserstein distance."""

import math

import numpy as np
import pytest

from gan_jax.metrics import sliced
from gan_jax.metrics.sliced import sliced_wasserstein


@pytest.mark.parametrize(("scale", "shift"), [(1, 0), (1e-3, 0), (1, 1e4)])
def test_on_a_line_it_is_the_mean_difference_of_sorted_samples(scale, shift):
    real, fake = scale * np.random.RandomState(0).normal(size=(2, 1000, 1)) + shift
    distance, error = sliced_wasserstein(real, fake, projections=4)
    expected = np.abs(np.sort(real[:, 0]) - np.sort(fake[:, 0])).mean()
    assert distance == pytest.approx(expected, rel=1e-12)
    assert error < 1e-12 * distance  # +1 or -1 are all directions there are


@pytest.mark.parametrize(("n", "m"), [(6, 4), (3, 7), (12, 4), (5, 5)])
def test_unequal_numbers_are_as_equal_ones_repeated(n, m):
    rng = np.random.RandomState(1)
    real, fake = rng.normal(size=(n, 1)), rng.normal(size=(m, 1))
    common = math.lcm(n, m)
    many = [np.sort(np.repeat(x[:, 0], common // len(x))) for x in (real, fake)]
    assert sliced_wasserstein(real, fake, 2)[0] == pytest.approx(np.abs(many[0] - many[1]).mean(), rel=1e-12)


def test_of_a_shift_it_is_the_mean_of_its_projection():
    """E|s.u| = |s| Gamma(D/2) / (sqrt(pi) Gamma((D + 1)/2)), within the error that it gives, which has a closed form too."""
    d, projections = 5, 2000
    real = np.random.RandomState(2).normal(size=(60, d))
    shift = np.array([0.3, -1.0, 2.0, 0.0, 0.5])
    distance, error = sliced_wasserstein(real, real + shift, projections)
    length = np.linalg.norm(shift)
    mean = length * math.gamma(d / 2) / (math.sqrt(math.pi) * math.gamma((d + 1) / 2))
    assert error == pytest.approx(math.sqrt((length**2 / d - mean**2) / projections), rel=0.05)
    assert distance == pytest.approx(mean, abs=3 * error)


def test_the_error_of_two_projections_is_half_their_difference():
    """A shift along an axis is seen as |cos| of each direction's angle, one along the other axis as |sin|."""
    real = np.random.RandomState(5).normal(size=(6, 2))
    mean, error = sliced_wasserstein(real, real + np.array([1, 0]), 2)
    sines = np.sqrt(1 - np.square([mean - error, mean + error]))
    other_mean, other_error = sliced_wasserstein(real, real + np.array([0, 1]), 2)
    assert (other_mean, other_error) == (pytest.approx(sines.mean()), pytest.approx(abs(sines[0] - sines[1]) / 2))


def test_of_one_gaussian_twice_as_wide_it_is_the_difference_of_the_widths():
    """W1 of N(0, 1) and N(0, s^2) is |1 - s| sqrt(2 / pi); of the same sample scaled, |1 - s| E|x|, in every direction."""
    rng = np.random.RandomState(3)
    real = rng.normal(size=(4000, 3))
    distance, _ = sliced_wasserstein(real, 2 * real, 50)
    assert distance == pytest.approx(math.sqrt(2 / math.pi), rel=0.03)
    assert sliced_wasserstein(real, real, 50) == (0, 0)


def test_blocks_do_not_show_and_a_seed_is_kept(monkeypatch):
    rng = np.random.RandomState(4)
    real, fake = rng.normal(size=(40, 3)), rng.normal(size=(30, 3))
    whole = sliced_wasserstein(real, fake, 11)
    assert whole == sliced_wasserstein(real, fake, 11)
    assert whole != sliced_wasserstein(real, fake, 11, seed=1)
    monkeypatch.setattr(sliced, "_BLOCK", 4 * 70)
    assert sliced_wasserstein(real, fake, 11) == pytest.approx(whole, rel=1e-12)


def test_one_projection_has_no_error_and_is_refused():
    with pytest.raises(ValueError, match=r"projections >= 2, got 1 for \(4, 2\)"):
        sliced_wasserstein(np.eye(4)[:, :2], np.eye(4)[:, :2], 1)
    with pytest.raises(ValueError, match="dimension"):
        sliced_wasserstein(np.eye(4), np.eye(4)[:, :2])
