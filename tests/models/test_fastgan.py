"""FastGAN and Projected GAN: shapes, published numbers of parameters, reconstructions, margins, frozen projections."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import Config
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.game.build import build
from gan_jax.models import projected
from gan_jax.models.fastgan import (
    Discriminator,
    Excitation,
    Generator,
    absolute_distance,
    pooling,
    quarter,
    random_margin_hinge,
    random_quarter,
    reconstruction,
)
from gan_jax.spec.lookup import find_function
from gan_jax.types import Critic

FEATURES = """
import jax.numpy as jnp

def pyramid(x):
    maps = [x]
    for _ in range(2):
        batch, height, width, channels = maps[-1].shape
        maps.append(maps[-1].reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4)))
    return maps

def uneven(x):
    return [x, x]
"""


def shapes(module, x):
    return jax.eval_shape(lambda x: module.init_with_output(jax.random.key(0), x, None, train=True), x)


@pytest.mark.parametrize(
    ("shape", "patches"), [((28, 28, 1), None), ((64, 64, 3), 50), ((56, 112, 3), 550), ((512, 512, 3), 50)]
)
def test_every_image_size(shape, patches):
    """Windows of 4x4 positions on grids of 8x8, 25, or of 14x28, 275; one such grid for each branch of D."""
    x, _ = shapes(Generator(shape, width=8), jnp.zeros((2, 16)))
    assert x.shape == (2, *shape)
    if patches is None:
        with pytest.raises(ValueError, match=r"needs images that can be halved three times, got \(28, 28, 1\)"):
            shapes(Discriminator(shape, width=8), x)
    else:
        (logits, features), _ = shapes(Discriminator(shape, width=8), x)
        assert (logits.shape, features.shape) == ((2, patches), (2, 64 + 1))


def count(variables) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


def excitation(small: int, large: int) -> int:
    return 16 * small * large + large * large


@pytest.mark.parametrize("side", [256, 1024])
def test_parameters_of_the_generator(side):
    """The authors' code, layer by layer: convolutions without biases, two numbers for each channel of a batch norm, twice the
    channels before a gated linear unit, one strength for each noise. Their 1x1 convolution to a small image is absent."""
    _, variables = shapes(Generator((side, side, 3)), jnp.zeros((2, 256)))
    widths = {4: 1024, 8: 512, 16: 256, 32: 128, 64: 128, 128: 64, 256: 32, 512: 16, 1024: 8}
    gates = {64: 4, 128: 8, 256: 16, 512: 32}  # none at 1,024
    expected = 16 * 256 * 2048 + 2 * 2048
    size = 8
    while size <= side:
        before, after = widths[size // 2], widths[size]
        expected += 9 * before * 2 * after + 2 * 2 * after
        if size in (8, 32, 128, 512):
            expected += 9 * after * 2 * after + 2 * 2 * after + 2
        if size in gates:
            expected += excitation(widths[gates[size]], after)
        size *= 2
    assert count(variables) == expected + 9 * widths[side] * 3


@pytest.mark.parametrize("side", [256, 1024])
def test_parameters_of_the_discriminator(side):
    _, variables = shapes(Discriminator((side, side, 3)), jnp.zeros((2, side, side, 3)))
    # To 256 pixels and 16 channels; 1,024 pixels are halved to 512 with 8 channels first, and there is a norm after that.
    expected = 9 * 3 * 16 if side == 256 else 16 * 3 * 8 + 16 * 8 * 16 + 2 * 16
    for before, after in itertools.pairwise([16, 32, 64, 128, 256, 512]):  # a strided 4x4, a 3x3 and, beside them, a 1x1
        expected += (16 + 1) * before * after + 9 * after * after + 3 * 2 * after
    expected += excitation(16, 128) + excitation(32, 256) + excitation(64, 512)
    expected += 512 * 1024 + 2 * 1024 + 16 * 1024  # to the logits
    expected += 16 * 3 * 32 + 16 * 256  # the small image, and to its logits
    for before, after in itertools.pairwise([32, 64, 128, 256]):
        expected += 16 * before * after + 2 * after
    for first in (512, 256, 256):  # the decoders
        for before, after in itertools.pairwise([first, 128, 64, 64, 32]):
            expected += 9 * before * 2 * after + 2 * 2 * after
        expected += 9 * 32 * 3
    assert count(variables) == expected


def test_excitation_gates_are_between_0_and_1():
    x = jax.random.normal(jax.random.key(0), (3, 8, 8, 2))
    gates, _ = jax.jit(lambda x: Excitation(5).init_with_output(jax.random.key(1), x))(x)
    assert gates.shape == (3, 1, 1, 5) and (0 < gates).all() and (gates < 1).all() and gates.std() > 0


def test_pooling_is_adaptive():
    """PyTorch's AdaptiveAvgPool: of 7 values, means of those in [0, 2), [1, 4), [3, 6), [5, 7)."""
    np.testing.assert_allclose(pooling(7) @ np.arange(7.0), [0.5, 2, 4, 5.5])
    np.testing.assert_allclose(pooling(16) @ np.arange(16.0), [1.5, 5.5, 9.5, 13.5])


def test_three_reconstructions_of_the_images_that_d_receives():
    """The targets: every second pixel, twice, and a quarter. `perceptual` returns numbers that only the target decides."""
    x = jax.random.uniform(jax.random.key(0), (4, 32, 32, 1))

    def second_mean(image, target):
        assert image.shape == target.shape == (4, 16, 16, 1)
        return target.mean(axis=(1, 2, 3))

    @jax.jit
    def errors(x):
        (_, features), _ = Discriminator((32, 32, 1), width=4, perceptual=second_mean).init_with_output(
            jax.random.key(1), x, None, train=True
        )
        return features[:, -1]

    index = np.asarray(random_quarter(x))
    means = [x[i, 16 * (q // 2) :, 16 * (q % 2) :][:16, :16].mean() for i, q in enumerate(index)]
    values = errors(x)
    np.testing.assert_allclose(values, 2 * x[:, ::2, ::2].mean(axis=(1, 2, 3)) + np.array(means), rtol=1e-5)
    critic = Critic(lambda x: x, features=lambda x: jnp.stack([jnp.ones(4), values], axis=1))
    np.testing.assert_allclose(reconstruction(critic, x, x, None), values.mean(), rtol=1e-6)
    np.testing.assert_allclose(absolute_distance(x, x + jnp.arange(4.0)[:, None, None, None]), np.arange(4.0), atol=1e-6)


def test_quarters_are_drawn_evenly():
    """For images that differ in two pixels only, of 256 and of 4 levels."""
    number, x = np.arange(1024), np.zeros((1024, 8, 8, 1), np.float32)
    x[:, 3, 2, 0], x[:, 5, 5, 0] = number // 4 / 127.5 - 1, number % 4 / 127.5
    fractions = np.bincount(random_quarter(jnp.asarray(x)), minlength=4) / 1024
    assert np.abs(fractions - 0.25).max() < 4 * np.sqrt(0.25 * 0.75 / 1024)
    parts = quarter(jnp.arange(16.0).reshape(1, 4, 4, 1).repeat(4, axis=0), jnp.arange(4))[..., 0]
    np.testing.assert_array_equal(parts[:, 0, 0], [0, 2, 8, 10])
    np.testing.assert_array_equal(parts[1], [[2, 3], [6, 7]])


def test_random_margins_in_expectation():
    """The mean over margins from .8 to 1, at 2,000 midpoints."""
    real, fake = np.linspace(-1, 2, 12).reshape(4, 3), np.linspace(-2, 0.5, 12).reshape(4, 3)
    margin = (0.8 + 0.2 * (np.arange(2_000) + 0.5) / 2_000)[:, None, None]
    expected = np.maximum(0, margin - real).mean() + np.maximum(0, margin + fake).mean()
    d_loss, g_loss = random_margin_hinge(jnp.float32(real), jnp.float32(fake))
    np.testing.assert_allclose([d_loss, g_loss], [expected, -fake.mean()], rtol=1e-5)


def test_reconstruction_as_a_penalty_of_a_game():
    config = Config(
        model="fastgan", batch=4, z_dim=4, g_width=2, d_width=2, penalty="gan_jax.models.fastgan:reconstruction",
        loss="gan_jax.models.fastgan:random_margin_hinge", g_optimizer="sgd", d_optimizer="sgd",
    )  # fmt: skip
    assert build(config, load("blank(side=32, planes=1)", 0, 4)).penalty is not None


@pytest.fixture
def features(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FEATURES)
    return path


def test_a_projected_discriminator(features):
    """On an image pyramid as features: the random projections are constant, and are not parameters."""
    discriminator = projected.Discriminator((16, 16, 1), width=4, features=find_function("features", f"{features}:pyramid", {}))
    x = jax.random.normal(jax.random.key(0), (2, 16, 16, 1))
    (logits, pooled), variables = jax.jit(lambda x: discriminator.init_with_output(jax.random.key(1), x, None, train=True))(x)
    # Maps of 16, 8 and 4 pixels end as 4 x 4, 4 x 4 and 2 x 2 patches.
    assert logits.shape == (2, 16 + 16 + 4) and pooled.shape == (2, 3 * 8)
    assert {leaf.shape for leaf in jax.tree.leaves(variables["params"])} == {(4, 4, 4, 8), (4, 4, 8, 8), (8,), (8, 1), (1,)}
    maps = projected.project_features([x, x[:, ::2, ::2]], 4)
    assert [y.shape for y in maps] == [(2, 16, 16, 4), (2, 8, 8, 4)]
    np.testing.assert_array_equal(maps[0], projected.project_features([x, x[:, ::2, ::2]], 4)[0])
    # Coarse maps are mixed into finer ones, not the reverse.
    other = projected.project_features([x, 2 * x[:, ::2, ::2]], 4)
    assert np.abs(other[0] - maps[0]).max() > 0.1
    np.testing.assert_array_equal(projected.project_features([2 * x, x[:, ::2, ::2]], 4)[1], maps[1])


def test_invalid_feature_networks(features):
    data = load("digits", 0, 8)
    for option, message in (
        ("", "needs a feature network"),
        (f'features="{features}:none"', "none"),
        (f'features="{features}:uneven"', "each feature map must be half as high and wide as the one before"),
    ):
        with pytest.raises(InputError, match=message):
            build(Config(model=f"projected({option})", batch=8, g_width=4, d_width=4), data)
