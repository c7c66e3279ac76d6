"""The functions of `--deceive`: which samples are replaced or swapped, how often, and that all others stay as they are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import deceive

KEY = jax.random.key(5)
REAL = {"x": jnp.arange(0.0, 800).reshape(400, 2), "n": jnp.arange(400)}
FAKE = {"x": -1 - REAL["x"], "n": -1 - REAL["n"]}


@pytest.mark.parametrize("shift", [1, 0])
def test_apa_replaces_a_fraction_of_the_real_samples(shift):
    real, fake = jax.jit(lambda p: deceive.apa(KEY, REAL, FAKE, p, shift=shift))(0.3)
    jax.tree.map(np.testing.assert_array_equal, fake, FAKE)
    replaced = np.asarray(real["n"]) < 0
    for name in REAL:
        expected = np.array(REAL[name])
        expected[replaced] = np.roll(FAKE[name], shift, axis=0)[replaced]
        np.testing.assert_array_equal(real[name], expected)
    assert abs(replaced.mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 400)


def test_apa_at_one_replaces_all_real_samples():
    real, _ = deceive.apa(KEY, REAL["x"], FAKE["x"], 1.0)
    np.testing.assert_array_equal(real, np.roll(FAKE["x"], 1, axis=0))


@pytest.mark.parametrize(("p", "rate"), [(1.0, 0.2), (0.5, 0.6), (1.0, 1.0)])
def test_noisy_labels_swap_pairs(p, rate):
    real, fake = deceive.noisy_labels(KEY, REAL, FAKE, p, rate=rate)
    swapped = np.asarray(real["n"]) < 0
    for name in REAL:
        mask = swapped.reshape(-1, *(1,) * (REAL[name].ndim - 1))
        np.testing.assert_array_equal(real[name], np.where(mask, FAKE[name], REAL[name]))
        np.testing.assert_array_equal(fake[name], np.where(mask, REAL[name], FAKE[name]))
    assert abs(swapped.mean() - p * rate) <= 4 * np.sqrt(p * rate * (1 - p * rate) / 400)


def test_noisy_labels_swap_one_in_twenty_by_default():
    real, _ = deceive.noisy_labels(KEY, jnp.ones(10_000), jnp.zeros(10_000), 1.0)
    assert abs(real.mean() - 0.95) < 4 * np.sqrt(0.05 * 0.95 / 10_000)


@pytest.mark.parametrize("name", ["apa", "noisy_labels"])
def test_shapes_must_match(name):
    with pytest.raises(ValueError, match=rf"{name} mixes real and fake samples: shapes \(4, 2\) and \(3, 2\) differ"):
        getattr(deceive, name)(KEY, jnp.zeros((4, 2)), jnp.zeros((3, 2)), 1.0)


def test_rate_is_a_probability():
    with pytest.raises(ValueError, match=r"noisy_labels' rate must be in \[0, 1\], got 1.5"):
        deceive.noisy_labels(KEY, REAL, FAKE, 1.0, rate=1.5)
