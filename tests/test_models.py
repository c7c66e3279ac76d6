"""Every network family: shapes, finite gradients for both players, what spectral norm and the norms do."""

import importlib
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import models
from gan_jax.models import dcgan
from gan_jax.models.layers import Conv, Dense
from gan_jax.state import apply

FAMILIES = sorted({module.name for module in pkgutil.iter_modules(models.__path__)} - {"layers", "conv"})


def networks(family, shape, **options):
    module = importlib.import_module(f"gan_jax.models.{family}")
    return module.Generator(shape, width=4, **options), module.Discriminator(shape, width=4, **options)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_every_family_trains(family, norm):
    """A Generator and a Discriminator with the fields and arguments of models/__init__.py, and a gradient for each weight."""
    shape, batch = (16, 16, 1), 4
    generator, discriminator = networks(family, shape, norm=norm)
    z = jax.random.normal(jax.random.key(0), (batch, 3))

    @jax.jit
    def gradients(z):
        g = generator.init(jax.random.key(1), z, None, train=True)
        x, _ = apply(generator, g, z, None, train=True)
        d = discriminator.init(jax.random.key(2), x, None, train=True)

        def score(g_params, d_params):
            x, g_stats = apply(generator, g | {"params": g_params}, z, None, train=True)
            logits, d_stats = apply(discriminator, d | {"params": d_params}, x, None, train=True)
            return (logits * jnp.arange(batch)).sum(), (x, logits, g_stats, d_stats)

        return jax.grad(score, argnums=(0, 1), has_aux=True)(g["params"], d["params"])

    (g_gradient, d_gradient), (x, logits, g_stats, d_stats) = gradients(z)
    assert (x.shape, x.dtype) == ((batch, *shape), jnp.float32)
    assert (logits.shape, logits.dtype) == ((batch,), jnp.float32)
    assert float(jnp.abs(x).max()) <= 1
    for path, leaf in jax.tree_util.tree_leaves_with_path({"g": g_gradient, "d": d_gradient}):
        assert np.isfinite(leaf).all(), path
        assert np.abs(leaf).max() > 0, f"{jax.tree_util.keystr(path)} is dead"
    assert bool(g_stats) == bool(d_stats) == (norm == "batch")


@pytest.mark.parametrize(
    ("shape", "count"),
    [
        ((28, 28, 1), 2),
        ((32, 32, 3), 3),
        ((64, 64, 3), 4),
        ((48, 48, 3), 3),
        ((8, 8, 1), 1),
        ((16, 64, 3), 2),
        ((20, 40, 1), 2),
    ],
)
def test_dcgan_makes_every_size(shape, count):
    assert dcgan.halvings(shape) == count
    z = jax.ShapeDtypeStruct((2, 5), jnp.float32)
    generator, discriminator = networks("dcgan", shape)
    x, _ = jax.eval_shape(lambda z: generator.init_with_output(jax.random.key(0), z, None, train=True), z)
    assert x.shape == (2, *shape)
    logits, _ = jax.eval_shape(lambda x: discriminator.init_with_output(jax.random.key(0), x, None, train=True), x)
    assert logits.shape == (2,)


@pytest.mark.parametrize("shape", [(7, 8, 1), (4, 4, 1), (9, 9, 3), (2,)])
def test_dcgan_says_what_it_cannot_make(shape):
    with pytest.raises(ValueError, match="dcgan needs"):
        dcgan.halvings(shape)


@pytest.mark.parametrize("window", [2, 4, 6])
def test_dcgan_doubles_and_halves_with_every_even_window(window):
    generator, discriminator = networks("dcgan", (12, 20, 1), window=window)
    z = jax.ShapeDtypeStruct((2, 5), jnp.float32)
    x, _ = jax.eval_shape(lambda z: generator.init_with_output(jax.random.key(0), z, None, train=True), z)
    _, variables = jax.eval_shape(lambda x: discriminator.init_with_output(jax.random.key(0), x, None, train=True), x)
    assert x.shape == (2, 12, 20, 1)
    assert variables["params"]["Conv_0"]["kernel"].shape == (window, window, 1, 4)
    with pytest.raises(ValueError, match="even"):
        dcgan.overlap(window + 1)


def test_dcgan_channels_are_the_papers():
    """64x64: 1024 at 4x4, then 512, 256, 128, and an image (Radford et al. 2016, figure 1)."""
    generator = dcgan.Generator((64, 64, 3), width=128)
    z = jax.ShapeDtypeStruct((1, 100), jnp.float32)
    params = jax.eval_shape(lambda z: generator.init(jax.random.key(0), z, None, train=True), z)["params"]
    kernels = [params[f"Conv_{i}"]["kernel"].shape for i in range(4)]
    assert params["Dense_0"]["kernel"].shape == (100, 4 * 4 * 1024)
    assert kernels == [(4, 4, 1024, 512), (4, 4, 512, 256), (4, 4, 256, 128), (4, 4, 128, 3)]


@pytest.mark.parametrize("layer", [Dense(5, spectral=True), Conv(5, 3, spectral=True), Conv(5, 4, 2, 1, True, spectral=True)])
def test_spectral_norm_converges_to_the_largest_singular_value(layer):
    """Its only random number is where the power iteration starts: after some steps the layer's matrix has norm 1."""
    x = jax.random.normal(jax.random.key(0), (2, 6) if isinstance(layer, Dense) else (2, 6, 6, 3))
    variables = layer.init(jax.random.key(1), x)
    step = jax.jit(lambda variables, x: layer.apply(variables, x, mutable=["spectral"]))
    for _ in range(60):
        y, updated = step(variables, x)
        variables = variables | updated
    matrix = variables["params"]["kernel"]
    sigma = jnp.linalg.norm(matrix.reshape(-1, 5), ord=2)
    plain = layer.clone(spectral=False).apply({"params": {"kernel": matrix / sigma, "bias": variables["params"]["bias"]}}, x)
    np.testing.assert_allclose(y, plain, rtol=1e-3, atol=1e-5)
    # Evaluation uses the vector and does not move it.
    np.testing.assert_allclose(layer.apply(variables, x), y, rtol=1e-3, atol=1e-5)


def test_spectral_norm_of_a_known_matrix():
    """[[3, 0], [4, 5]] has the largest singular value sqrt(45); the error shrinks by (s2 / s1)^4 = 1/81 an iteration."""
    layer = Dense(2, spectral=True, use_bias=False, kernel_init=lambda *_: jnp.array([[3.0, 0.0], [4.0, 5.0]]))
    variables = layer.init(jax.random.key(0), jnp.eye(2))
    errors = []
    for _ in range(3):
        y, updated = layer.apply(variables, jnp.eye(2), mutable=["spectral"])
        variables = variables | updated
        errors.append(abs(3 / float(y[0, 0]) - 45**0.5))
    assert errors[-1] < 2e-6 * 45**0.5
    np.testing.assert_allclose(errors[1] / errors[0], 1 / 81, rtol=0.2)


def test_sigma_is_differentiated_through_the_kernel_alone():
    """d(W / sigma)/dW at the converged vectors is (I - u v^T u v^T) / sigma: scaling W changes nothing."""
    layer = Dense(3, spectral=True, use_bias=False)
    variables = layer.init(jax.random.key(0), jnp.eye(4))
    for _ in range(100):
        variables = variables | layer.apply(variables, jnp.eye(4), mutable=["spectral"])[1]
    weights = jax.random.normal(jax.random.key(1), (4, 3))
    gradient = jax.grad(lambda k: (layer.apply(variables | {"params": {"kernel": k}}, jnp.eye(4)) * weights).sum())
    kernel = variables["params"]["kernel"]
    np.testing.assert_allclose((gradient(kernel) * kernel).sum(), 0, atol=1e-5)
