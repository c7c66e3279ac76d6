"""BigGAN-deep: supported image sizes, the effect of z and label."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.game.state import apply
from gan_jax.models.biggan_deep import Discriminator, Generator

LABEL = jnp.array([0, 1])


def init(module, x):
    return jax.eval_shape(lambda x: module.init_with_output(jax.random.key(0), x, LABEL, train=True), x)


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
