"""The residual networks: published parameter counts, supported image sizes, resampling, initialisation."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.models.resnet import Discriminator, Generator, discriminator_blocks, double, halve


def count(module, x):
    variables = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, None, train=True), x)
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))


def test_parameters_of_sngan_for_cifar10():
    """Counted by layer, from tables 4 and 5 of the paper; biases in every layer, gain and bias in every norm."""
    block = 2 * (2 * 256 + 9 * 256**2 + 256) + 256**2 + 256
    g = 129 * 4096 + 3 * block + 2 * 256 + 9 * 256 * 3 + 3
    conv, skip = 9 * 128**2 + 128, 128**2 + 128
    d = (9 * 3 * 128 + 128) + conv + (3 * 128 + 128) + 2 * conv + skip + 4 * conv + 129
    assert (g, d) == (4_276_739, 1_053_825)  # as quoted in the literature
    assert count(Generator((32, 32, 3)), jnp.zeros((2, 128))) == g
    assert count(Discriminator((32, 32, 3)), jnp.zeros((2, 32, 32, 3))) == d


def test_parameters_of_sagan_for_cifar10():
    """SNGAN's, plus one self-attention at 16x16 in each player: four maps without bias, and a gain."""

    def attention(channels):
        return 2 * channels * channels // 8 + 2 * channels * channels // 2 + 1

    g = Generator((32, 32, 3), attention=16, spectral=True)
    assert count(g, jnp.zeros((2, 128))) == 4_276_739 + attention(256)
    assert count(Discriminator((32, 32, 3), attention=16), jnp.zeros((2, 32, 32, 3))) == 1_053_825 + attention(128)
    states = jax.eval_shape(lambda z: g.init(jax.random.key(0), z, None, train=True), jnp.zeros((2, 128)))["spectral"]
    assert len(jax.tree.leaves(states)) == 1 + 3 * 3 + 4 + 1  # one for each dense layer, convolution and map


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((28, 28, 1), [(2, True), (2, True), (2, False), (2, False)]),
        ((48, 48, 3), [(1, True), (2, True), (4, True), (8, True), (16, False)]),
        ((64, 64, 3), [(1, True), (2, True), (4, True), (8, True), (16, True)]),
        ((128, 128, 3), [(1, True), (2, True), (4, True), (8, True), (16, True), (16, False)]),
        ((64, 96, 3), [(1, True), (2, True), (4, True), (8, True), (16, True)]),
    ],
)
def test_every_image_size(shape, expected):
    assert discriminator_blocks(shape) == expected
    generator, discriminator = Generator(shape, width=2), Discriminator(shape, width=2)
    x, _ = jax.eval_shape(lambda z: generator.init_with_output(jax.random.key(0), z, None, train=True), jnp.zeros((2, 8)))
    (logits, features), _ = jax.eval_shape(
        lambda x: discriminator.init_with_output(jax.random.key(0), x, None, train=True), jnp.zeros((2, *shape))
    )
    assert x.shape == (2, *shape) and logits.shape == (2,)
    assert features.shape == (2, 2 * expected[-1][0])


def test_doubling_and_halving():
    x = jnp.arange(24.0).reshape(1, 2, 4, 3)
    np.testing.assert_array_equal(halve(double(x)), x)
    np.testing.assert_array_equal(double(x)[0, :, :, 0], np.kron(x[0, :, :, 0], np.ones((2, 2))))
    np.testing.assert_allclose(halve(x)[0, 0, 0], (x[0, :2, :2]).mean(axis=(0, 1)))


def test_initial_images_neither_vanish_nor_saturate():
    generator = Generator((32, 32, 3), width=8)
    x, _ = jax.jit(lambda z: generator.init_with_output(jax.random.key(0), z, None, train=True))(
        jax.random.normal(jax.random.key(1), (16, 32))
    )
    assert 0.2 < float(jnp.std(x)) < 0.9
