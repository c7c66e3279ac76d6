"""R3GAN: initialisation, resampling, both networks in NumPy, bfloat16, supported image sizes."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.models.fir import double, halve
from gan_jax.models.r3gan import Discriminator, Generator, Residual

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
    pixels = np.stack([resample(row, 2) for row in np.eye(4)], axis=1)
    expected = (pixels**2).sum(axis=1).mean() ** 2
    np.testing.assert_allclose(x.var(), expected, rtol=0.15)


def resample(x: np.ndarray, up: int = 1, down: int = 1) -> np.ndarray:
    """The authors' filter along one axis: [1, 2, 1] * [1, 1], of sum 1, with `up` - 1 zeros after each number, which the factor
    `up` makes good, and zeros beyond the border."""
    kernel = np.convolve([1, 2, 1], [1, 1]) / 8
    spread = np.zeros(up * len(x))
    spread[::up] = x
    return up * np.convolve(spread, kernel)[down : down + len(spread) : down]


def along_both(x: np.ndarray, **options) -> np.ndarray:
    for axis in (1, 2):
        x = np.apply_along_axis(resample, axis, x, **options)
    return x


def test_resampling():
    """Symmetric about the image: a delta at 4 comes out centred on 8.5, between the two pixels that its own becomes."""
    delta = np.eye(8)[4]
    np.testing.assert_array_equal(resample(delta, up=2)[6:12], [0, 0.25, 0.75, 0.75, 0.25, 0])
    doubled = np.asarray(double(jnp.float32(delta)[None, :, None, None] * jnp.ones((1, 8, 8, 1))))[0, :, 8, 0]
    assert doubled @ np.arange(16) / doubled.sum() == 8.5
    x = np.random.RandomState(0).randn(1, 6, 4, 2)
    np.testing.assert_allclose(double(jnp.float32(x)), along_both(x, up=2), atol=1e-6)
    np.testing.assert_allclose(halve(jnp.float32(x)), along_both(x, down=2), atol=1e-6)


def test_embeddings():
    """Of 256 classes: G's as inputs of a linear layer, D's divided by the root of its size as well."""
    label, z, x = jnp.arange(2), jnp.zeros((2, 64)), jnp.zeros((2, 8, 8, 3))
    _, g = initialised(Generator((8, 8, 3), 256, width=8, condition="concat"), z, label, train=True)
    _, d = initialised(Discriminator((8, 8, 3), 256, width=64, condition="projection"), x, label, train=True)
    np.testing.assert_allclose(g["params"]["embedding"]["kernel"].std(), 256**-0.5, rtol=0.03)
    np.testing.assert_allclose(d["params"]["embedding"]["kernel"].std(), (256 * 64) ** -0.5, rtol=0.03)


def convolution(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """x [B, H, W, C], kernel [k, k, C / groups, F], zeros beyond the border."""
    margin, groups = len(kernel) // 2, x.shape[3] // kernel.shape[2]
    padded = np.pad(x, [(0, 0), (margin, margin), (margin, margin), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(1, 2))  # [B, H, W, C, k, k]
    parts = zip(np.split(windows, groups, axis=3), np.split(kernel, groups, axis=3), strict=True)
    return np.concatenate([np.einsum("bhwckl,klcf->bhwf", *part) for part in parts], axis=3)


def residual(x: np.ndarray, block: dict) -> np.ndarray:
    h = x
    for layer in (block["Conv_0"], block["Conv_1"]):
        h = convolution(h, layer["kernel"]) + layer["bias"]
        h = np.where(h > 0, h, 0.2 * h)
    return x + convolution(h, block["Conv_2"]["kernel"])


def test_both_networks_in_numpy():
    """Two sizes of one block each, of which the larger has half the channels; all parameters random."""
    random, label = np.random.RandomState(0), np.array([2, 0])
    z, x = random.randn(2, 5), random.randn(2, 8, 8, 3)
    options = {"width": 8, "blocks": 1, "group": 4, "taper_above": 4}
    generator = Generator((8, 8, 3), 3, condition="concat", **options)
    discriminator = Discriminator((8, 8, 3), 3, condition="projection", **options)

    def with_random_parameters(network, x):
        shape = shapes(network, jnp.float32(x), jnp.asarray(label))[1]["params"]
        params = jax.tree.map(lambda leaf: np.float32(random.randn(*leaf.shape)) / 3, shape)
        return params, jax.jit(lambda x: network.apply({"params": params}, x, jnp.asarray(label), train=True))(jnp.float32(x))

    g, samples = with_random_parameters(generator, z)
    inputs = np.concatenate([z, g["embedding"]["kernel"][label]], axis=1)
    h = residual(g["basis"][None] * (inputs @ g["Dense_0"]["kernel"])[:, None, None], g["Residual_0"])
    h = residual(along_both(convolution(h, g["Conv_0"]["kernel"]), up=2), g["Residual_1"])
    np.testing.assert_allclose(samples, convolution(h, g["Conv_1"]["kernel"]), rtol=1e-4, atol=1e-4)

    d, (logits, _) = with_random_parameters(discriminator, x)
    h = residual(convolution(x, d["Conv_0"]["kernel"]), d["Residual_0"])
    h = residual(convolution(along_both(h, down=2), d["Conv_1"]["kernel"]), d["Residual_1"])
    mapped = (h * d["basis"][None]).sum(axis=(1, 2)) @ d["Dense_0"]["kernel"]
    np.testing.assert_allclose(logits, (mapped * d["embedding"]["kernel"][label]).sum(axis=1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("network", [Generator, Discriminator])
def test_the_largest_sizes_in_bfloat16(network):
    """Of three sizes, the two larger ones: convolutions at 16 and 8 pixels in bfloat16, at 4 in float32; parameters, outputs
    and gradients are float32."""
    x = jnp.zeros((2, 5) if network is Generator else (2, 16, 16, 3))
    module = network((16, 16, 3), width=8, blocks=1, bfloat16=2)
    _, variables = shapes(module, x)

    def output(variables, x):
        y = module.apply(variables, x, None, train=True)
        return (y if network is Generator else y[0]).sum()

    results = jax.eval_shape(jax.value_and_grad(output, argnums=(0, 1)), variables, x)
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, results))} == {jnp.dtype("float32")}
    program = str(jax.make_jaxpr(output)(variables, x))
    computed = set(re.findall(r":(\w+)\[2,(\d+),\d+,\d+\] = conv_general_dilated", program))
    assert computed == {("f32", "4"), ("bf16", "8"), ("bf16", "16")}
    with pytest.raises(ValueError, match="0 to 3 here, got 4"):
        shapes(module.clone(bfloat16=4), x)


def test_unsupported_norm():
    with pytest.raises(ValueError, match="norm must be one of none, got 'batch'"):
        shapes(Generator((8, 8, 3), width=8, norm="batch"), jnp.zeros((2, 5)))
