"""FastGAN and Projected GAN: shapes, excitation gates, reconstruction, frozen projections."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import Config
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.game.build import build
from gan_jax.models import projected
from gan_jax.models.fastgan import Discriminator, Excitation, Generator, reconstruction, reconstruction_halvings
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


@pytest.mark.parametrize("shape", [(28, 28, 1), (64, 64, 3), (64, 96, 3), (256, 256, 3)])
def test_every_image_size(shape):
    x, _ = shapes(Generator(shape, width=8), jnp.zeros((2, 16)))
    (logits, features), _ = shapes(Discriminator(shape, width=8), x)
    reconstructed = np.prod([size >> reconstruction_halvings(shape) for size in shape[:2]]) * shape[2]
    assert (x.shape, logits.shape) == ((2, *shape), (2,)) and features.shape[1] > reconstructed


def test_parameters_at_256():
    """Counted by layer; layers before a norm have no bias."""
    _, variables = shapes(Generator((256, 256, 3)), jnp.zeros((2, 256)))
    widths = [1024, 512, 256, 128, 128, 64, 32]
    count = 256 * 16 * 2048 + 2 * 2048
    for stage in range(1, 7):
        before, after = widths[stage - 1], widths[stage]
        count += 9 * before * 2 * after + 4 * after
        count += (9 * after * 2 * after + 4 * after) if stage % 2 else 0
        if stage >= 4:  # from the grid four doublings earlier, pooled to 4x4
            count += (16 * widths[stage - 4] + 1) * after + (after + 1) * after
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == count + 9 * 32 * 3


def test_excitation_gates_are_between_0_and_1():
    x = jax.random.normal(jax.random.key(0), (3, 8, 8, 2))
    gates, _ = Excitation(5).init_with_output(jax.random.key(1), x)
    assert gates.shape == (3, 1, 1, 5) and (0 < gates).all() and (gates < 1).all() and gates.std() > 0


def test_reconstruction_by_hand():
    real = jax.random.uniform(jax.random.key(0), (2, 16, 16, 1))
    small = np.asarray(real).reshape(2, 8, 2, 8, 2).mean(axis=(2, 4)).reshape(2, -1)
    assert reconstruction_halvings((16, 16, 1)) == 1
    for error in (0.0, 0.25):
        critic = Critic(lambda x: x, features=lambda x, error=error: jnp.concatenate([jnp.ones((2, 7)), small + error], axis=1))
        np.testing.assert_allclose(reconstruction(critic, real, real, None), error, atol=1e-6)


def test_reconstruction_as_a_penalty_of_a_game():
    config = Config(model="fastgan", batch=4, z_dim=4, g_width=2, d_width=2, penalty="gan_jax.models.fastgan:reconstruction")
    assert build(config, load("digits", 0, 4)).penalty is not None


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
