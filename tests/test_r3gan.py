"""R3GAN: parameters counted by hand, what it is before the first step, resampling, every size of image."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.models.r3gan import EMBEDDED, Discriminator, Generator, Residual, double, halve

LABEL = jnp.arange(2)


def shapes(module, x, label=None):
    return jax.eval_shape(lambda x: module.init_with_output(jax.random.key(0), x, label, train=True), x)


def count(module, x, label=None):
    return sum(leaf.size for leaf in jax.tree.leaves(shapes(module, x, label)[1]))


@pytest.mark.parametrize(("side", "z_dim", "classes"), [(32, 64, 10), (64, 64, 0)])
def test_parameters_of_the_published_configurations(side, z_dim, classes):
    """768 channels, two blocks a size, 96 groups of 16 channels in the middle of each."""
    sizes = {32: 4, 64: 5}[side]
    block = 768 * 1536 + 1536 + 9 * 16 * 1536 + 1536 + 1536 * 768
    common = 2 * sizes * block + 16 * 768 + 3 * 768
    g = common + (z_dim + (EMBEDDED if classes else 0)) * 768 + EMBEDDED * classes
    d = common + (768 * EMBEDDED + EMBEDDED * classes if classes else 768)
    label = LABEL if classes else None
    generator = Generator((side, side, 3), classes, condition="concat" if classes else "none")
    discriminator = Discriminator((side, side, 3), classes, condition="projection" if classes else "none")
    assert count(generator, jnp.zeros((2, z_dim)), label) == g
    assert count(discriminator, jnp.zeros((2, side, side, 3)), label) == d
    # Of one size more or less, and of twice the groups:
    assert count(Discriminator((side, side, 3), cardinality=192), jnp.zeros((2, side, side, 3))) < d


@pytest.mark.parametrize("shape", [(28, 28, 1), (16, 24, 3), (8, 8, 3)])
def test_every_size(shape):
    x, _ = shapes(Generator(shape, width=8), jnp.zeros((2, 5)))
    (logits, features), _ = shapes(Discriminator(shape, width=8), x)
    assert (x.shape, logits.shape, features.shape) == ((2, *shape), (2,), (2, 8))


def test_blocks_begin_as_the_identity():
    x = jnp.float32(np.random.RandomState(0).randn(2, 4, 4, 64))
    y, variables = Residual(8, 8).init_with_output(jax.random.key(0), x)
    np.testing.assert_array_equal(y, x)
    kernels = {tuple(leaf.shape): leaf for leaf in jax.tree.leaves(variables) if leaf.ndim == 4}
    inner = [kernels[1, 1, 64, 128], kernels[3, 3, 16, 128]]
    for kernel, fan_in in zip(inner, (64, 9 * 16), strict=True):
        # He's, over the fourth root of the number of blocks.
        np.testing.assert_allclose(kernel.std(), (2 / 1.04 / fan_in / 8**0.5) ** 0.5, rtol=0.05)


def test_what_comes_out_before_the_first_step():
    """G's numbers have about unit variance where it does not resample, and D's logits of white noise too."""
    z = jax.random.normal(jax.random.key(0), (64, 64))
    x, _ = Generator((8, 8, 3), width=16, blocks=1).init_with_output(jax.random.key(1), z, None, train=True)
    np.testing.assert_allclose(x[:, 0::2, 0::2].std(), 1, rtol=0.25)  # pixels that interpolation leaves alone
    noise = jax.random.normal(jax.random.key(2), (256, 4, 4, 64))
    basis = jax.random.normal(jax.random.key(3), (4, 4, 64)) / 4
    np.testing.assert_allclose((noise * basis).sum(axis=(1, 2)).std(), 1, rtol=0.1)


def test_resampling():
    """Linear interpolation; and one is the transpose of the other, over two along each axis."""
    x = jnp.float32([[[[0.0], [2.0]], [[4.0], [6.0]]]])
    np.testing.assert_array_equal(double(x)[0, :3, :3, 0], [[0, 1, 2], [2, 3, 4], [4, 5, 6]])
    random = np.random.RandomState(0)
    a, b = jnp.float32(random.randn(1, 3, 4, 2)), jnp.float32(random.randn(1, 6, 8, 2))
    np.testing.assert_allclose((double(a) * b).sum(), 4 * (a * halve(b)).sum(), rtol=1e-5)


def test_the_slope_has_a_derivative():
    """As R1 asks of it, in all parameters: beyond the start, where the last convolutions of all blocks are zero."""
    discriminator = Discriminator((8, 8, 1), 3, width=8, condition="projection", blocks=1)
    x = jax.random.normal(jax.random.key(0), (2, 8, 8, 1))
    params = discriminator.init(jax.random.key(1), x, LABEL, train=True)
    params = jax.tree.map(lambda p: p + 0.1 * jax.random.normal(jax.random.key(2), p.shape), params)

    @jax.jit
    def penalty(params):
        slope = jax.grad(lambda x: discriminator.apply(params, x, LABEL, train=True)[0].sum())(x)
        return jnp.square(slope).sum()

    gradients = jax.tree.leaves(jax.grad(penalty)(params))
    # A bias moves no slope but where it turns a unit on, whose derivative is 0.
    assert all(np.isfinite(g).all() and (np.abs(g).max() > 0) == (g.ndim > 1) for g in gradients)


def test_what_is_refused():
    with pytest.raises(ValueError, match="cardinality must divide twice the width, which is 16, got 3"):
        shapes(Generator((8, 8, 3), width=8, cardinality=3), jnp.zeros((2, 5)))
    with pytest.raises(ValueError, match="norm must be one of none, got 'batch'"):
        shapes(Generator((8, 8, 3), width=8, norm="batch"), jnp.zeros((2, 5)))
