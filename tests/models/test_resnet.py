"""The residual networks: supported image sizes, resampling, initialisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.models.resnet import Discriminator, Generator, discriminator_blocks, double, halve


def test_every_layer_of_sagans_generator_has_spectral_norm():
    g = Generator((32, 32, 3), attention=16, spectral=True)
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
