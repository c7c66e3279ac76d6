"""Moving averages: power-function averages as weighted sums, any width from two of them, and schedules."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.game import ema
from gan_jax.game.build import _ema_decay, cosine, linear


def profile(steps, sigma):
    """The weights of steps 1, 2, ..., n in a power-function average: (s^(g+1) - (s-1)^(g+1)) / n^(g+1)."""
    return np.diff((np.arange(steps + 1) / steps) ** (ema.exponent(sigma) + 1))


def walk(steps, seed=0):
    """[steps, 64]: parameters that start at a random point and drift as far again."""
    rng = np.random.RandomState(seed)
    return np.sqrt(steps) * rng.normal(size=64) + rng.normal(size=(steps, 64)).cumsum(axis=0)


def distance(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


@pytest.mark.parametrize(
    # Source: Karras et al. 2024, arXiv:2312.02696, section 3.2, for .05 and .10. By hand: g = 1 has sigma^2 = 2 / 36.
    ("sigma", "gamma", "digits"),
    [(0.05, 16.97, 2), (0.10, 6.94, 2), (12**-0.5, 0.0, 10), (18**-0.5, 1.0, 10)],
)
def test_exponent_of_a_known_width(sigma, gamma, digits):
    np.testing.assert_allclose(ema.exponent(sigma), gamma, atol=0.5 * 10**-digits)


@pytest.mark.parametrize("sigma", [0.001, 0.03, 0.15, 0.25, 0.288])
def test_exponent_inverts_the_width(sigma):
    g = ema.exponent(sigma)
    np.testing.assert_allclose(np.sqrt((g + 1) / ((g + 2) ** 2 * (g + 3))), sigma, rtol=1e-10)


@pytest.mark.parametrize("sigma", [0.0, -0.1, 0.289, float("nan")])
def test_invalid_widths_are_refused(sigma):
    with pytest.raises(ValueError, match=r"sigma must be above 0 and at most 0\.2886"):
        ema.exponent(sigma)


@pytest.mark.parametrize("sigma", [*ema.SIGMAS, 0.25])
def test_the_recursion_is_the_weighted_sum(sigma):
    """And the weights have their nominal width: standard deviation over length."""
    path = walk(300)
    average = np.full(64, 1e9)  # which the first step discards
    for step, now in enumerate(path, start=1):
        average = ema.toward({"w": average}, {"w": now}, ema.power_decay(step, sigma))["w"]
    np.testing.assert_allclose(average, profile(300, sigma) @ path, rtol=1e-10)
    share, time = profile(20_000, sigma), (np.arange(20_000) + 0.5) / 20_000
    np.testing.assert_allclose(np.sqrt(share @ time**2 - (share @ time) ** 2), sigma, rtol=1e-5)


def test_the_first_step_discards_the_initial_value():
    after = ema.toward({"w": jnp.full(3, 1e30)}, {"w": jnp.arange(3.0)}, ema.power_decay(jnp.int32(1), 0.05))
    np.testing.assert_array_equal(after["w"], [0, 1, 2])


SAVED = [(step, sigma) for step in range(100, 2001, 100) for sigma in ema.SIGMAS]


@pytest.mark.parametrize(("step", "sigma"), [(2000, 0.05), (2000, 0.10), (700, 0.10)])
def test_a_saved_average_is_recovered(step, sigma):
    """For the width of a saved average, its weight is 1 and all others are 0."""
    weights = ema.weights(*zip(*SAVED, strict=True), step, sigma)
    np.testing.assert_allclose(weights, [float(saved == (step, sigma)) for saved in SAVED], atol=1e-10)


# The bounds are twice the largest error of five seeds, .000045 .00011 .00097 .0076. The .10 average itself lies .04 .07 .14 .23
# away, or more.
@pytest.mark.parametrize(("sigma", "bound"), [(0.07, 1e-4), (0.15, 2.5e-4), (0.20, 2e-3), (0.25, 1.5e-2)])
def test_other_widths_from_the_two_saved_ones(sigma, bound):
    """Compared with averages tracked at that width throughout."""
    weights = ema.weights(*zip(*SAVED, strict=True), 2000, sigma)
    np.testing.assert_allclose(weights.sum(), 1, rtol=1e-12)
    for seed in range(5):
        path = walk(2000, seed)
        averages = [profile(step, kept) @ path[:step] for step, kept in SAVED]
        wanted = profile(2000, sigma) @ path
        combined = ema.combine(({"w": average} for average in averages), weights)["w"]
        assert distance(combined, wanted) < bound
        assert distance(averages[-1], wanted) > 10 * bound


def test_parameters_that_never_changed_are_kept():
    """However few averages are available for a wide one."""
    few = [saved for saved in SAVED if saved[0] % 500 == 0]
    weights = ema.weights(*zip(*few, strict=True), 2000, 0.25)
    np.testing.assert_allclose(ema.combine([{"w": np.full(2, 3.0)}] * len(few), weights)["w"], 3.0, rtol=1e-6)


def test_combine_sums_trees_in_float64():
    trees = [
        {"a": np.float32([1e8]), "b": [np.float32([[1.0, 2.0]])]},
        {"a": np.float32([1.0]), "b": [np.float32([[3.0, 5.0]])]},
    ]
    total = ema.combine([*trees, trees[0]], np.array([1.0, 2.0, -1.0]))
    np.testing.assert_array_equal(total["a"], [2.0])  # in float32, 1e8 + 2 - 1e8 is 0
    np.testing.assert_array_equal(total["b"][0], [[6.0, 10.0]])
    assert {leaf.dtype for leaf in jax.tree.leaves(total)} == {np.dtype(np.float32)}
    with pytest.raises(ValueError, match="zip"):
        ema.combine(trees, np.ones(3))


def decays(config, steps, times, curve=cosine):
    return np.array([_ema_decay(config, steps, curve)(jnp.int32(step)) for step in times], np.float64)


def test_a_half_life_halves_the_weight_of_the_past(tiny):
    """Batches of 16 and a half-life of 160 samples: after 10 steps an old generator counts half."""
    config = replace(tiny, ema_half_life=160.0, ema_ramp=None)
    np.testing.assert_allclose(decays(config, 1000, [0, 5, 999]) ** 10, 0.5, rtol=1e-5)


def test_a_half_life_ramps_up(tiny):
    """At most a 20th of the samples so far, 16 per step: 160 at step 200; the first step discards the initial value."""
    config = replace(tiny, ema_half_life=160.0, ema_ramp=0.05)
    expected = 0.5 ** (16 / np.array([0.8, 80, 160, 160]))
    np.testing.assert_allclose(decays(config, 1000, [1, 100, 200, 900]), expected, rtol=1e-5)
    assert decays(config, 1000, [0]) == 0


def test_a_half_life_goes_to_its_final_value_along_a_cosine(tiny):
    config = replace(tiny, ema_half_life=0.0, ema_half_life_final=160.0, ema_ramp=None)
    np.testing.assert_allclose(decays(config, 1000, [500, 1000, 2000]), 0.5 ** (16 / np.array([80, 160, 160])), rtol=1e-5)
    assert decays(config, 1000, [0]) == 0
    np.testing.assert_allclose(decays(config, 1000, [250], linear), 0.5 ** (16 / 40), rtol=1e-5)


def test_a_start_step_copies_the_generator_until_then(tiny):
    """As in BigGAN's code: decay 0 before the start step, the full one from there on, without a warm-up."""
    np.testing.assert_allclose(decays(replace(tiny, ema=0.9999, ema_start=3), 1000, [0, 2, 3, 4]), [0, 0, 0.9999, 0.9999])
    config = replace(tiny, ema_half_life=160.0, ema_start=3)
    np.testing.assert_allclose(decays(config, 1000, [2, 3]), [0, 0.5**0.1], rtol=1e-5)


def test_only_the_average_of_w_is_copied():
    old = {"params": jnp.float32([4.0]), "batch_stats": jnp.float32([8.0]), "average": jnp.float32([1.0])}
    new = {"params": jnp.float32([0.0]), "batch_stats": jnp.float32([0.0]), "average": jnp.float32([2.0])}
    assert ema.follow(old, new, 0.75) == {"params": 3.0, "batch_stats": 6.0, "average": 2.0}


def test_a_half_life_alone_has_no_ramp(tiny):
    """As in StyleGAN2-ADA's training loop: its configurations set the ramp."""
    np.testing.assert_allclose(decays(replace(tiny, ema_half_life=160.0), 1000, [1]), 0.5**0.1, rtol=1e-5)


def test_a_plain_decay_starts_short(tiny):
    np.testing.assert_allclose(decays(replace(tiny, ema=0.9), 1000, [0, 8, 80, 81, 500]), [0.1, 0.5, 0.9, 0.9, 0.9], rtol=1e-6)
    assert decays(replace(tiny, ema=0.0), 1000, [7]) == 0
