"""R3GAN: initialisation, resampling, supported image sizes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.models.r3gan import Discriminator, Generator, Residual, double, halve

LABEL = jnp.arange(2)


def shapes(module, x, label=None):
    return jax.eval_shape(lambda x: module.init_with_output(jax.random.key(0), x, label, train=True), x)


def initialised(module, *args, **options):
    """Return the output of a module at initialisation, and its variables."""
    return jax.jit(lambda key: module.init_with_output(key, *args, **options))(jax.random.key(1))


@pytest.mark.parametrize("shape", [(28, 28, 1), (16, 24, 3), (128, 64, 1)])
@pytest.mark.parametrize("width", [1, 7, 8])
def test_every_image_size(shape, width):
    x, _ = shapes(Generator(shape, width=width), jnp.zeros((2, 5)))
    (logits, features), _ = shapes(Discriminator(shape, width=width, outputs=3), x)
    assert (x.shape, logits.shape, features.shape) == ((2, *shape), (2, 3), (2, width))


def test_blocks_are_initially_the_identity():
    x = jnp.float32(np.random.RandomState(0).randn(2, 4, 4, 64))
    y, variables = initialised(Residual(8, 16), x)
    np.testing.assert_array_equal(y, x)
    kernels = {tuple(leaf.shape): leaf for leaf in jax.tree.leaves(variables) if leaf.ndim == 4}
    inner = [kernels[1, 1, 64, 128], kernels[3, 3, 16, 128]]
    for kernel, fan_in in zip(inner, (64, 9 * 16), strict=True):
        # He initialisation, divided by the fourth root of the number of blocks.
        np.testing.assert_allclose(kernel.std(), (2 / 1.04 / fan_in / 8**0.5) ** 0.5, rtol=0.05)


def test_variance_of_samples_at_initialisation():
    """All blocks are the identity, so that a sample is an interpolated random grid: its variance is that along one axis,
    squared."""
    z = jax.random.normal(jax.random.key(0), (16, 8))
    x, _ = initialised(Generator((8, 8, 3), width=128, blocks=1, group=256), z, None, train=True)
    pixels = np.zeros((8, 4))
    pixels[::2] = np.eye(4)
    pixels[1::2] = (np.eye(4) + np.eye(4, k=1)) / 2  # 0 beyond the border
    expected = (pixels**2).sum(axis=1).mean() ** 2
    np.testing.assert_allclose(x.var(), expected, rtol=0.15)


def test_resampling():
    """`double` interpolates linearly; `halve` is its transpose, divided by two along each axis."""
    x = jnp.float32([[[[0.0], [2.0]], [[4.0], [6.0]]]])
    np.testing.assert_array_equal(double(x)[0, :3, :3, 0], [[0, 1, 2], [2, 3, 4], [4, 5, 6]])
    random = np.random.RandomState(0)
    a, b = jnp.float32(random.randn(1, 3, 4, 2)), jnp.float32(random.randn(1, 6, 8, 2))
    np.testing.assert_allclose((double(a) * b).sum(), 4 * (a * halve(b)).sum(), rtol=1e-5)


def test_unsupported_norm():
    with pytest.raises(ValueError, match="norm must be one of none, got 'batch'"):
        shapes(Generator((8, 8, 3), width=8, norm="batch"), jnp.zeros((2, 5)))
