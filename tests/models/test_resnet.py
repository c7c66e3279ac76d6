"""The residual networks: supported image sizes, resampling, initialisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.models.layers import Conv, double, halve
from gan_jax.models.resnet import Discriminator, Generator, discriminator_blocks


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


@pytest.mark.parametrize("window", [(3, 3), (1, 1), (5, 1), (3,)], ids=str)
@pytest.mark.parametrize("spectral", [False, True])
def test_resampling_convolutions_are_the_two_operations_in_turn(window, spectral):
    """A convolution of the upsampled signal, and the average of a convolution, each at once and one after the other, with the
    stock convolution of `lax`."""
    random = np.random.default_rng(0)
    size = (6, 8)[: len(window)]
    x = random.standard_normal((2, *size, 3)).astype(np.float32)

    def repeat(x):
        for axis in range(1, x.ndim - 1):
            x = x.repeat(2, axis)
        return x

    def average(y):
        for axis in range(1, y.ndim - 1):
            y = (y.take(range(0, y.shape[axis], 2), axis) + y.take(range(1, y.shape[axis], 2), axis)) / 2
        return y

    def convolved(x, kernel, bias):
        letters = "HW"[: len(window)]
        layout = (f"N{letters}C", f"{letters}IO", f"N{letters}C")
        y = jax.lax.conv_general_dilated(x, kernel, (1,) * len(window), "SAME", dimension_numbers=layout)
        return np.asarray(y) + bias

    for resample in ("double", "halve"):
        layer = Conv(4, window, resample=resample, spectral=spectral)
        variables = layer.init(jax.random.key(0), x)
        kernel, bias = variables["params"]["kernel"], random.standard_normal(4).astype(np.float32)
        if spectral:  # one power iteration
            matrix = np.asarray(kernel).reshape(-1, 4)
            right = matrix @ np.asarray(variables["spectral"]["left"])
            left = right @ matrix
            kernel = kernel / (right @ matrix @ left / np.linalg.norm(right) / np.linalg.norm(left))
        variables = variables | {"params": variables["params"] | {"bias": bias}}
        expected = convolved(repeat(x), kernel, bias) if resample == "double" else average(convolved(x, kernel, bias))
        np.testing.assert_allclose(layer.apply(variables, x), expected, atol=2e-5)
