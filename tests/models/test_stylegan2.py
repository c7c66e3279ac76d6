"""StyleGAN2's networks: sizes as published, resampling by hand, styles, noise, mixing and truncation."""

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
from gan_jax.models.stylegan2 import Discriminator, Generator, Styled

Z = jax.random.normal(jax.random.key(1), (4, 8))


def count(module, x):
    variables = jax.eval_shape(lambda x: module.init(jax.random.key(0), x, None, train=True), x)
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize(
    ("side", "base", "g", "d"),
    [
        (1024, 32_768, 30_370_060, 29_012_513),  # configuration F
        (256, 16_384, 24_767_458, 24_001_089),
        (256, 32_768, 30_034_338, 28_864_129),
    ],
)
def test_parameters_as_published(side, base, g, d):
    """What the authors' code prints of these configurations."""
    assert count(Generator((side, side, 3), base=base), jnp.zeros((2, 512))) == g
    assert count(Discriminator((side, side, 3), base=base), jnp.zeros((4, side, side, 3))) == d


def test_parameters_for_cifar10():
    """Layer by layer: 512 channels throughout, two layers of mapping, no residual connections."""
    dense, conv = 512**2 + 512, 9 * 512**2 + 512
    styled, picture = dense + conv + 1, dense + 512 * 3 + 3
    g = 2 * dense + 16 * 512 + 7 * styled + 4 * picture
    d = (3 * 512 + 512) + 6 * conv + (9 * 513 * 512 + 512) + (16 * 512 * 512 + 512) + 513
    assert count(Generator((32, 32, 3), base=32_768, mapping=2, mixing=0.0), jnp.zeros((2, 512))) == g
    assert count(Discriminator((32, 32, 3), base=32_768, residual=False), jnp.zeros((4, 32, 32, 3))) == d


def filtered(x, up):
    """Zeros between pixels and [1, 3, 3, 1] x [1, 3, 3, 1] / 16, or the filter / 64 at every second pixel: by loops."""
    taps = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / (16 if up else 64)
    height, width = x.shape
    wide = np.zeros((2 * height, 2 * width)) if up else x
    if up:
        wide[::2, ::2] = x
    padded = np.pad(wide, 2)
    out = np.zeros_like(wide)
    for i in range(wide.shape[0]):
        for j in range(wide.shape[1]):
            first = 0 if up else 1  # the window lies about the pixel, or about the middle of four
            out[i, j] = (padded[i + first : i + first + 4, j + first : j + first + 4] * taps).sum()
    return out if up else out[::2, ::2]


def test_resampling_by_hand():
    x = np.random.RandomState(0).randn(6, 8)
    for function, up in ((double, True), (halve, False)):
        np.testing.assert_allclose(function(jnp.float32(x)[None, :, :, None])[0, :, :, 0], filtered(x, up), atol=1e-6)


def test_a_convolution_that_resamples_is_both_one_after_the_other():
    """Away from the border, where what is cut off differs."""
    x = jax.random.normal(jax.random.key(0), (1, 8, 8, 2))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 2, 3))
    inner = np.s_[:, 3:-3, 3:-3]
    up = conv.convolve(double(x), kernel[::-1, ::-1])
    np.testing.assert_allclose(fir.convolve(x, kernel, doubling=True)[inner], up[inner], atol=1e-5)
    down, inner = halve(conv.convolve(x, kernel)), np.s_[:, 1:-1, 1:-1]
    np.testing.assert_allclose(fir.convolve(x, kernel, halving=True)[inner], down[inner], atol=1e-5)


def test_outputs_keep_unit_variance_whatever_the_style():
    """Demodulation, on independent inputs of unit variance."""
    x = jax.random.normal(jax.random.key(0), (4, 16, 16, 32))
    layer = Styled(16)
    variables = layer.init(jax.random.key(1), x, jnp.ones((4, 512)))
    strong = 10 * jax.random.normal(jax.random.key(2), (4, 512))
    y = layer.apply(variables, x, strong) / math.sqrt(2)
    linear = jnp.where(y < 0, 5 * y, y)  # the leaky ReLU undone
    np.testing.assert_allclose(linear[:, 1:-1, 1:-1].var(), 1.0, rtol=0.1)


@pytest.fixture(scope="module")
def tiny():
    """A generator with noise, and its variables."""
    generator = Generator((8, 8, 1), width=4, mapping=2)
    shapes = jax.eval_shape(lambda z: generator.init(jax.random.key(0), z, None, train=True), Z)
    leaves, tree = jax.tree.flatten(shapes)
    drawn = [jax.random.normal(jax.random.key(i), leaf.shape) for i, leaf in enumerate(leaves)]
    variables = jax.tree.unflatten(tree, drawn)
    variables["params"]["Mapping_0"] = jax.tree.map(lambda x: 100 * x, variables["params"]["Mapping_0"])  # as it begins
    return generator, variables


def test_the_same_z_is_the_same_picture(tiny):
    generator, variables = tiny
    picture = jax.jit(lambda z: apply(generator, variables, z, None, train=True)[0])
    x = picture(Z)
    np.testing.assert_allclose(picture(Z[::-1]), x[::-1], atol=1e-4)  # noise and mixing go with a sample, not with its place
    assert x.shape == (4, 8, 8, 1)


def test_noise_truncation_and_the_average(tiny):
    generator, variables = tiny

    def picture(**options):
        return apply(generator.clone(**options), variables, Z, None, train=False)[0]

    assert not np.allclose(picture(), picture(noise=False), atol=1e-3)
    at_average = picture(truncation=0.0, noise=False)
    np.testing.assert_allclose(at_average, jnp.broadcast_to(at_average[:1], at_average.shape), atol=1e-4)
    _, stats = apply(generator.clone(mixing=0.0), variables, Z, None, train=True)
    before = variables["average"]["w"]
    moved = stats["average"]["w"] - 0.998 * before
    np.testing.assert_allclose(moved, 0.002 * latents(generator, variables).mean(axis=0), atol=1e-5)


def test_a_given_w_takes_the_place_of_the_mapping(tiny):
    """z then decides the noise alone; and constant noise is the same for all, but in training."""
    generator, variables = tiny
    z = Z.at[:2].set(Z[2:])
    w = styles(generator, variables, Z, None)
    np.testing.assert_allclose(w, jnp.broadcast_to(latents(generator, variables)[:, None], (4, 4, 512)), atol=1e-5)
    plain = apply(generator, variables, Z, None, train=False)[0]
    np.testing.assert_allclose(synthesize(generator, variables, Z, None, w), plain, atol=1e-4)
    assert not np.allclose(synthesize(generator, variables, z, None, w)[:2], plain[:2], atol=1e-3)
    # As many constants as layers with noise.
    constant = generator.clone(noise="constant")
    noise = {f"Styled_{i}": {"constant": jnp.ones((side, side))} for i, side in ((0, 4), (2, 8), (3, 8))}
    kept = variables | {"noise": noise}
    same = synthesize(constant, kept, z, None, w)
    np.testing.assert_array_equal(same, synthesize(constant, kept, Z, None, w))
    assert not np.allclose(same, plain, atol=1e-3)


def test_what_penalties_see_of_the_mapping(tiny):
    """The w of a step in training, mixed, and what is made of it."""
    generator, variables = tiny
    game = SimpleNamespace(generator=generator.clone(mixing=1.0), compute="float32", remat=False)
    stats = {"average": variables["average"]}
    seen = update.bind_generator(game, Player(None, stats, None, {}), variables["params"], None)
    w = seen.styles(Z)
    assert not np.allclose(w[:, 0], w[:, -1])
    np.testing.assert_allclose(seen.from_styles(Z, w), seen(Z), atol=1e-5)


def latents(generator, variables):
    """w by NumPy: unit length a number, then dense layers whose weights count a hundredth."""
    x = np.asarray(Z) / np.sqrt((np.asarray(Z) ** 2).mean(axis=1, keepdims=True) + 1e-8)
    for layer in ("layer0", "layer1"):
        weights = variables["params"]["Mapping_0"][layer]
        x = x @ weights["kernel"] * (0.01 / math.sqrt(x.shape[1])) + 0.01 * weights["bias"]
        x = math.sqrt(2) * np.where(x > 0, x, 0.2 * x)
    return x


def test_mixing_moves_the_finer_layers(tiny):
    """A share of samples are not what they would be unmixed."""
    generator, variables = tiny
    z = jax.random.normal(jax.random.key(3), (64, 8))
    pictures = [apply(generator.clone(mixing=share), variables, z, None, train=True)[0] for share in (0.0, 0.5)]
    mixed = (jnp.abs(pictures[0] - pictures[1]) > 1e-3).any(axis=(1, 2, 3)).mean()
    assert 0.25 < mixed < 0.75


def test_both_are_alive_and_twice_differentiable():
    """Every parameter has a gradient, also of a gradient penalty."""
    label, x = jnp.array([0, 1, 1, 0]), jax.random.normal(jax.random.key(0), (4, 8, 8, 1))
    discriminator = Discriminator((8, 8, 1), 2, width=4, mapping=1, condition="projection")
    shapes = jax.eval_shape(lambda x: discriminator.init(jax.random.key(0), x, label, train=True), x)
    params = jax.tree.map(lambda s: 0.5 * jnp.sin(jnp.arange(1.0, 1 + s.size)).reshape(s.shape), shapes)

    def penalty(params):
        logits = lambda x: discriminator.apply(params, x, label, train=True)[0].sum()  # noqa: E731
        return (jax.grad(logits)(x) ** 2).sum() + logits(x)

    for path, leaf in jax.tree_util.tree_leaves_with_path(jax.jit(jax.grad(penalty))(params)):
        assert np.isfinite(leaf).all() and np.abs(leaf).max() > 0, path
