"""BigGAN-deep: published parameter counts, supported image sizes, the effect of z and label."""

import math
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.game.state import apply
from gan_jax.models.biggan_deep import Discriminator, Generator

LABEL = jnp.array([0, 1])


def init(module, x):
    return jax.eval_shape(lambda x: module.init_with_output(jax.random.key(0), x, LABEL, train=True), x)


def count(module, x):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(init(module, x)[1]["params"]))


def g_parameters(*features):
    """Count the embedding, the first layer, two blocks per doubling, attention at 256 or 512 channels, the last norm and
    layer."""

    def block(channels, out):
        inner = channels // 4
        norms = 2 * 256 * (channels + 3 * inner)  # gain and bias, linear in z and the embedding
        return norms + (channels * inner + inner) + 2 * (9 * inner**2 + inner) + (inner * out + out)

    total = 1000 * 128 + 256 * 16 * features[0] + 16 * features[0]
    total += sum(block(channels, channels) + block(channels, out) for channels, out in pairwise(features))
    attended = features[4]  # at 64 x 64
    total += attended * (2 * (attended // 8) + attended // 2) + attended // 2 * attended + 1
    return total + 2 * features[-1] + 9 * features[-1] * 3 + 3


@pytest.mark.parametrize(
    ("size", "multiples", "g", "d"),
    [
        (128, (16, 16, 8, 4, 2, 1), 50_244_484, 34_590_210),  # printed by the authors' PyTorch code
        (256, (16, 16, 8, 8, 4, 2, 1), 55_736_708, 38_247_426),
        pytest.param(512, (16, 16, 8, 8, 4, 2, 1, 1), 56_019_780, 38_301_122, marks=pytest.mark.slow),
    ],
)
def test_parameters_as_published(size, multiples, g, d):
    """G has the parameters of the PyTorch port (`pytorch-pretrained-biggan`) without the 125 channels that its last layer
    computes and discards."""
    assert g_parameters(*(128 * multiple for multiple in multiples)) == g
    assert count(Generator((size, size, 3), 1000), jnp.zeros((2, 128))) == g
    assert count(Discriminator((size, size, 3), 1000), jnp.zeros((2, size, size, 3))) == d


@pytest.mark.parametrize("shape", [(28, 28, 1), (64, 96, 3)])
def test_every_image_size(shape):
    x, _ = init(Generator(shape, 3, width=2, attention=32), jnp.zeros((2, 5)))
    (logits, features), _ = init(Discriminator(shape, 3, width=2, attention=32), jnp.zeros((2, *shape)))
    assert x.shape == (2, *shape) and logits.shape == (2,) and features.shape[0] == 2


def test_z_and_the_label_change_the_image_through_the_norms():
    """The kernel of the first layer is zero, so that both act through the norms alone."""
    generator = Generator((8, 8, 1), 2, width=4, attention=0, spectral=False)
    z, random = np.float32([[1, 2, 3], [-1, 0, 1]]), np.random.RandomState(0)
    shapes = init(generator, z)[1]
    params = jax.tree.map(lambda x: 0.1 * random.rand(*x.shape).astype(np.float32), shapes["params"])
    stats = jax.tree_util.tree_map_with_path(
        lambda path, x: np.full(x.shape, path[-1].key == "var", np.float32), shapes["batch_stats"]
    )
    variables = {"params": params, "batch_stats": stats}
    variables["params"]["Dense_0"]["kernel"] *= 0
    generate = jax.jit(lambda z, label: apply(generator, variables, z, label, train=False)[0])
    image = generate(z, LABEL)
    assert not np.allclose(image[0], generate(z, jnp.array([1, 1]))[0], atol=1e-3)
    assert not np.allclose(image, generate(z + 1.0, LABEL), atol=1e-3)
