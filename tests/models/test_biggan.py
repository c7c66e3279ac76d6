"""BigGAN and self-attention: initialisation, supported image sizes, the effect of z and label, values by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.models.attention import SelfAttention
from gan_jax.models.biggan import Discriminator, Generator

LABEL = jnp.array([0, 1])


def test_class_tables_start_orthogonal():
    """Without a shared embedding too, and without spectral norm, as in the authors' code: rows of norm one, no two alike."""
    generator = Generator((8, 8, 1), 2, width=2, attention=0, hierarchy=False)
    variables = jax.jit(lambda z: generator.init(jax.random.key(0), z, LABEL, train=True))(jnp.zeros((2, 6)))
    tables = [layer["kernel"] for layer in variables["params"].values() if "kernel" in layer and layer["kernel"].shape[0] == 2]
    assert len(tables) == 4
    for table in tables:
        np.testing.assert_allclose(table @ table.T, np.eye(2), atol=1e-6)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 24, 3), (64, 64, 3), (64, 96, 3)])
def test_every_image_size(shape):
    generator = Generator(shape, 3, width=2, attention=32)
    discriminator = Discriminator(shape, 3, width=2, attention=32)
    x, _ = jax.eval_shape(lambda z: generator.init_with_output(jax.random.key(0), z, LABEL, train=True), jnp.zeros((2, 12)))
    (logits, features), _ = jax.eval_shape(
        lambda x: discriminator.init_with_output(jax.random.key(0), x, LABEL, train=True), jnp.zeros((2, *shape))
    )
    assert x.shape == (2, *shape) and logits.shape == (2,) and features.shape[0] == 2


def test_unsupported_sizes():
    with pytest.raises(ValueError, match=r"z is split into 4 chunks: set z_dim to at least that, not 3"):
        jax.eval_shape(lambda z: Generator((32, 32, 3), 2).init(jax.random.key(0), z, LABEL, train=True), jnp.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"biggan needs images that can be halved 4 to 7 times, got \(56, 56, 1\)"):
        jax.eval_shape(
            lambda x: Discriminator((56, 56, 1), 2).init(jax.random.key(0), x, LABEL, train=True), jnp.zeros((2, 56, 56, 1))
        )


def test_each_chunk_of_z_and_the_label_change_the_image():
    generator = Generator((8, 8, 1), 2, width=2, attention=0)
    z = jax.random.normal(jax.random.key(1), (2, 6))
    variables = jax.jit(lambda z: generator.init(jax.random.key(0), z, LABEL, train=True))(z)

    @jax.jit
    def generate(z, label):
        return generator.apply(variables, z, label, train=False)

    image = generate(z, LABEL)
    assert not np.allclose(image[0], generate(z, jnp.array([1, 1]))[0])
    for start in (0, 3):  # the chunks of the grid and of the block
        assert not np.allclose(image, generate(z.at[:, start : start + 3].add(1.0), LABEL))


def test_attention_by_hand():
    """Initially it is the identity; with a nonzero gain it agrees with NumPy."""
    x = jax.random.normal(jax.random.key(0), (2, 4, 4, 8))
    attention = SelfAttention()
    variables = attention.init(jax.random.key(1), x)
    np.testing.assert_array_equal(attention.apply(variables, x), x)

    variables = {"params": variables["params"] | {"gain": jnp.float32(0.5)}, "spectral": variables["spectral"]}

    def kernel(name):
        matrix = np.asarray(variables["params"][name]["kernel"], np.float64)[0, 0]
        left = np.asarray(variables["spectral"][name]["left"], np.float64)
        right = matrix @ left / np.linalg.norm(matrix @ left)
        return matrix / (right @ matrix @ (right @ matrix / np.linalg.norm(right @ matrix)))

    flat = np.asarray(x, np.float64).reshape(2, 16, 8)
    pooled = [(flat @ kernel(n)).reshape(2, 2, 2, 2, 2, -1).max(axis=(2, 4)).reshape(2, 4, -1) for n in ("phi", "g")]
    scores = np.exp(np.einsum("bic,bjc->bij", flat @ kernel("theta"), pooled[0]))
    attended = np.einsum("bij,bjc->bic", scores / scores.sum(axis=-1, keepdims=True), pooled[1])
    expected = flat + 0.5 * attended @ kernel("o")
    np.testing.assert_allclose(attention.apply(variables, x), expected.reshape(x.shape), rtol=1e-4, atol=1e-5)
