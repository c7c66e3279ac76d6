"""WaveGAN: the paper's shapes and parameters, phases that are shuffled by the sample's own bits, labels."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.models.wavegan import Discriminator, Generator, sample_keys, phase_shuffle, num_stages

Z = jnp.ones((2, 100))


def count(network, x, label=None):
    variables = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, label, train=True), x)
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))


def test_parameters_of_the_paper():
    """The tables in its appendix, with d = 64, c = 1: kernels [25, in, out] and biases, dense layers at the short end."""
    wide = [1_024, 512, 256, 128, 64, 1]
    convolutions = sum(25 * a * b for a, b in itertools.pairwise(wide))
    generator = 100 * 16_384 + 16_384 + convolutions + sum(wide[1:])
    assert generator == 19_065_345 == count(Generator((16_384, 1)), Z)
    discriminator = convolutions + sum(wide[:-1]) + 16_384 + 1
    assert discriminator == count(Discriminator((16_384, 1)), jnp.ones((2, 16_384, 1)))


@pytest.mark.parametrize(("length", "stages"), [(16_384, 5), (8_192, 5), (2_048, 4), (32, 1), (36, 1), (40, 1)])
def test_how_often_a_wave_is_cut(length, stages):
    assert num_stages((length, 1)) == stages
    x = jax.eval_shape(lambda z: Generator((length, 1), width=2).init_with_output(jax.random.key(0), z, None, True)[0], Z)
    assert x.shape == (2, length, 1)


@pytest.mark.parametrize("shape", [(30, 1), (31,), (34, 1), (8, 8, 1)])
def test_what_is_no_wave(shape):
    with pytest.raises(ValueError, match="wavegan needs"):
        num_stages(shape)


def test_phases_are_moved_by_each_number_of_places():
    """Every move of -2 to 2, about as often, with the end reflected; and its gradient is that of the move alone."""
    x = np.arange(1, 9, dtype=np.float32)[None, :, None] + 10 * np.arange(500, dtype=np.float32)[:, None, None]

    @jax.jit
    def play(x):
        keys = jax.random.split(jax.random.key(0), 500)
        moved, pull_back = jax.vjp(lambda x: phase_shuffle(keys, x, 2), x)
        return moved, pull_back(jnp.ones_like(moved))[0]

    moved, gradient = map(np.asarray, play(x))
    places = np.pad(np.arange(8), 2, mode="reflect")
    rows = np.stack([places[s : s + 8] for s in range(5)])
    found = (moved[:, :, 0] - x[:, :1, 0]).astype(int)
    times = [(found == row).all(axis=1).sum() for row in rows]
    assert sum(times) == 500 and min(times) > 70
    np.testing.assert_array_equal(gradient[:, :, 0], [np.bincount(row, minlength=8) for row in found])


def test_keys_are_of_the_sample_alone():
    x = np.random.RandomState(0).randn(3, 16, 2).astype(np.float32)
    key_data = jax.jit(lambda x: jax.random.key_data(sample_keys(x)))
    changed = x.copy()
    changed[0, 3, 1] *= 1 + 2e-7  # one bit
    changed[1] = x[1, ::-1]  # an order
    keys = key_data(x)
    assert (key_data(changed) == keys).all(axis=1).tolist() == [False, False, True]
    np.testing.assert_array_equal(key_data(x[[2, 2, 0]]), keys[jnp.array([2, 2, 0])])


@pytest.mark.slow
def test_both_players_learn():
    """A gradient for each weight of D through a gradient penalty, and for each of G through that; labels reach both."""
    label, x = jnp.array([0, 2]), jnp.sin(jnp.arange(256.0)).reshape(2, 128, 1)
    generator = Generator((128, 1), 3, width=2, condition="concat")
    discriminator = Discriminator((128, 1), 3, width=2, condition="projection")

    def drawn(network, x):
        shapes = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, label, train=True), x)["params"]
        return jax.tree.map(lambda leaf: 0.3 * jnp.sin(jnp.arange(1.0, 1 + leaf.size)).reshape(leaf.shape), shapes)

    @jax.jit
    def gradients(d_params, g_params):
        def penalty(d_params, g_params):
            x = generator.apply({"params": g_params}, Z[:, :3], label, True)
            logits, pull_back = jax.vjp(lambda x: discriminator.apply({"params": d_params}, x, label, True)[0], x)
            return jnp.square(pull_back(jnp.ones_like(logits))[0]).sum() + jnp.square(logits).sum()

        return jax.grad(penalty, argnums=(0, 1))(d_params, g_params)

    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients(drawn(discriminator, x), drawn(generator, Z[:, :3]))):
        assert np.isfinite(leaf).all() and np.abs(leaf).max() > 0, path


def test_what_is_refused():
    with pytest.raises(ValueError, match="shuffles phases by 0 to 7 places, got 8"):
        Discriminator((128, 1), shuffle=8).init(jax.random.key(0), jnp.ones((2, 128, 1)), None, True)
