"""StyleGAN2: resampling by hand, styles, noise, mixing and truncation."""

import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.game import update
from gan_jax.game.state import Player, apply
from gan_jax.models import conv, fir
from gan_jax.models.fir import double, halve
from gan_jax.models.mapping import styles, synthesize
from gan_jax.models.stylegan2 import Generator, Styled

Z = jax.random.normal(jax.random.key(1), (4, 8))


def filtered(x, up):
    """Resample by loops: with `up` zeros between pixels, then the filter [1, 3, 3, 1] x [1, 3, 3, 1] / 16; otherwise the filter
    / 64 at every second pixel."""
    taps = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / (16 if up else 64)
    height, width = x.shape
    signal = np.zeros((2 * height, 2 * width)) if up else x
    if up:
        signal[::2, ::2] = x
    padded = np.pad(signal, 2)
    out = np.zeros_like(signal)
    for i in range(signal.shape[0]):
        for j in range(signal.shape[1]):
            first = 0 if up else 1  # of the window, which is centred on a pixel if up, else on the corner of four pixels
            out[i, j] = (padded[i + first : i + first + 4, j + first : j + first + 4] * taps).sum()
    return out if up else out[::2, ::2]


def test_resampling_by_hand():
    x = np.random.RandomState(0).randn(6, 8)
    for function, up in ((double, True), (halve, False)):
        np.testing.assert_allclose(function(jnp.float32(x)[None, :, :, None])[0, :, :, 0], filtered(x, up), atol=1e-6)


def test_fused_resampling_agrees_with_separate_steps():
    """Away from the border, where the padding differs."""
    x = jax.random.normal(jax.random.key(0), (1, 8, 8, 2))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 2, 3))
    inner = np.s_[:, 3:-3, 3:-3]
    up = conv.convolve(double(x), kernel[::-1, ::-1])
    np.testing.assert_allclose(fir.convolve(x, kernel, doubling=True)[inner], up[inner], atol=1e-5)
    down, inner = halve(conv.convolve(x, kernel)), np.s_[:, 1:-1, 1:-1]
    np.testing.assert_allclose(fir.convolve(x, kernel, halving=True)[inner], down[inner], atol=1e-5)


def test_demodulation():
    """On independent inputs of unit variance, outputs have unit variance whatever the style."""
    x = jax.random.normal(jax.random.key(0), (4, 16, 16, 32))
    layer = Styled(16)
    variables = layer.init(jax.random.key(1), x, jnp.ones((4, 512)))
    style = 10 * jax.random.normal(jax.random.key(2), (4, 512))
    y = layer.apply(variables, x, style) / math.sqrt(2)
    linear = jnp.where(y < 0, 5 * y, y)  # undo the leaky ReLU
    np.testing.assert_allclose(linear[:, 1:-1, 1:-1].var(), 1.0, rtol=0.1)


@pytest.fixture(scope="module")
def tiny():
    """A generator with noise, and its variables."""
    generator = Generator((8, 8, 1), width=4, mapping=2)
    shapes = jax.eval_shape(lambda z: generator.init(jax.random.key(0), z, None, train=True), Z)
    leaves, tree = jax.tree.flatten(shapes)
    values = [jax.random.normal(jax.random.key(i), leaf.shape) for i, leaf in enumerate(leaves)]
    variables = jax.tree.unflatten(tree, values)
    variables["params"]["Mapping_0"] = jax.tree.map(
        lambda x: 100 * x, variables["params"]["Mapping_0"]
    )  # the scale of its initialisation
    return generator, variables


def test_the_same_z_gives_the_same_image(tiny):
    generator, variables = tiny
    generate = jax.jit(lambda z: apply(generator, variables, z, None, train=True)[0])
    x = generate(Z)
    np.testing.assert_allclose(
        generate(Z[::-1]), x[::-1], atol=1e-4
    )  # noise and mixing depend on z, not on the position in the batch
    assert x.shape == (4, 8, 8, 1)


def test_noise_truncation_and_the_average(tiny):
    generator, variables = tiny

    def generate(**options):
        return apply(generator.clone(**options), variables, Z, None, train=False)[0]

    assert not np.allclose(generate(), generate(noise=False), atol=1e-3)
    at_average = generate(truncation=0.0, noise=False)
    np.testing.assert_allclose(at_average, jnp.broadcast_to(at_average[:1], at_average.shape), atol=1e-4)
    _, stats = apply(generator.clone(mixing=0.0), variables, Z, None, train=True)
    increment = stats["average"]["w"] - 0.995 * variables["average"]["w"]
    np.testing.assert_allclose(increment, 0.005 * latents(generator, variables).mean(axis=0), atol=1e-5)


def test_w_as_an_argument_replaces_the_mapping(tiny):
    """z then determines only the noise; constant noise is the same for all z."""
    generator, variables = tiny
    z = Z.at[:2].set(Z[2:])
    w = styles(generator, variables, Z, None)
    np.testing.assert_allclose(w, jnp.broadcast_to(latents(generator, variables)[:, None], (4, 4, 512)), atol=1e-5)
    plain = apply(generator, variables, Z, None, train=False)[0]
    np.testing.assert_allclose(synthesize(generator, variables, Z, None, w), plain, atol=1e-4)
    assert not np.allclose(synthesize(generator, variables, z, None, w)[:2], plain[:2], atol=1e-3)
    # One constant for each layer with noise.
    constant = generator.clone(noise="constant")
    noise = {f"Styled_{i}": {"constant": jnp.ones((size, size))} for i, size in ((0, 4), (2, 8), (3, 8))}
    with_noise = variables | {"noise": noise}
    images = synthesize(constant, with_noise, z, None, w)
    np.testing.assert_array_equal(images, synthesize(constant, with_noise, Z, None, w))
    assert not np.allclose(images, plain, atol=1e-3)


def test_mapping_as_passed_to_penalties(tiny):
    """Penalties receive the w of a training step, with mixing, and the samples generated from it."""
    generator, variables = tiny
    game = SimpleNamespace(generator=generator.clone(mixing=1.0), compute="float32", remat=False)
    stats = {"average": variables["average"]}
    synthesis = update.bind_generator(game, Player(None, stats, None, {}), variables["params"], None)
    w = synthesis.styles(Z)
    assert not np.allclose(w[:, 0], w[:, -1])
    np.testing.assert_allclose(synthesis.from_styles(Z, w), synthesis(Z), atol=1e-5)


def latents(generator, variables):
    """w by NumPy: z normalised to a mean square of one, then dense layers whose weights are scaled by a hundredth."""
    x = np.asarray(Z) / np.sqrt((np.asarray(Z) ** 2).mean(axis=1, keepdims=True) + 1e-8)
    for layer in ("layer0", "layer1"):
        weights = variables["params"]["Mapping_0"][layer]
        x = x @ np.asarray(weights["kernel"]) * (0.01 / math.sqrt(x.shape[1])) + 0.01 * np.asarray(weights["bias"])
        x = math.sqrt(2) * np.where(x > 0, x, 0.2 * x)
    return x


def test_mixing_changes_a_fraction_of_samples(tiny):
    generator, variables = tiny
    z = jax.random.normal(jax.random.key(3), (64, 8))
    images = [apply(generator.clone(mixing=fraction), variables, z, None, train=True)[0] for fraction in (0.0, 0.5)]
    changed = (jnp.abs(images[0] - images[1]) > 1e-3).any(axis=(1, 2, 3)).mean()
    assert 0.25 < changed < 0.75


def test_affine_weights_are_those_of_the_convolutions_and_of_the_last_layer_to_an_image():
    """At 16 pixels: a convolution at 4 pixels, two at 8 and at 16, each size followed by a layer to an image."""
    generator = Generator((16, 16, 1), width=4, mapping=1, mixing=0.0)
    params = jax.eval_shape(lambda z: generator.init(jax.random.key(0), z, None, train=True), Z)["params"]
    params = jax.tree.map(lambda leaf: np.random.RandomState(leaf.size).normal(size=leaf.shape), params)
    for i in range(8):  # distinguish the layers
        params[f"Styled_{i}"]["style"]["kernel"] += i
    expected = np.concatenate([params[f"Styled_{i}"]["style"]["kernel"] for i in (0, 2, 3, 5, 6, 7)], axis=1)
    np.testing.assert_allclose(generator.affine_weights(params), expected, rtol=1e-6)
