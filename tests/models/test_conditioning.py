"""Conditioning and minibatch layers against NumPy: conditional norms, projection, concatenation, minibatch statistics."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.models.conditioning import MinibatchDiscrimination, discriminator_head, label_vector, stddev, with_label
from gan_jax.models.layers import normalise

LABEL = jnp.array([2, 0, 1, 2])
RNG = np.random.default_rng(0)


class Calls(nn.Module):
    """A module that calls one function, so that the function can create layers."""

    function: Any

    @nn.compact
    def __call__(self, *arguments):
        return self.function(*arguments)


def randomised(variables, seed=0):
    """Replace all parameters by random ones: those of norms are initially constant."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype), variables)


def test_label_vector():
    np.testing.assert_array_equal(label_vector(LABEL, 3), np.eye(3)[LABEL])
    multi_hot = jnp.array([[1, 0, 1], [0, 0, 0]])
    assert label_vector(multi_hot, 3).dtype == jnp.float32
    np.testing.assert_array_equal(label_vector(multi_hot, 3), multi_hot)
    np.testing.assert_array_equal(label_vector(multi_hot.astype(float) * 0.5, 3), multi_hot.astype(float) * 0.5)
    for invalid in (multi_hot[:, :2], multi_hot[..., None], jnp.array([0.5, 1.0])):
        with pytest.raises(ValueError, match=r"int \[B\] or a vector \[B, 3\]"):
            label_vector(invalid, 3)


@pytest.mark.parametrize(("norm", "axes"), [("batch", (0, 1, 2)), ("instance", (1, 2)), ("layer", (1, 2, 3))])
def test_conditional_norm_is_an_affine_map_for_each_class(norm, axes):
    """Conditional batch norm and AdaIN: normalised as by the plain norm, then scaled and shifted by the sample's class."""
    x = RNG.normal(2, 3, (4, 5, 6, 2))
    module = Calls(lambda x, style: normalise(norm, x, train=True, style=style))
    variables = module.init(jax.random.key(0), jnp.float32(x), jax.nn.one_hot(LABEL, 3))
    params = randomised(variables["params"])
    y, _ = module.apply(variables | {"params": params}, jnp.float32(x), jax.nn.one_hot(LABEL, 3), mutable=True)

    plain = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    table = np.asarray(params["Affine_0"]["label"]["kernel"] + params["Affine_0"]["label"]["bias"][None], np.float64)
    for i, label in enumerate(LABEL):
        gain, bias = np.split(table[label], 2)
        np.testing.assert_allclose(y[i], (1 + gain) * plain[i] + bias, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("norm", ["batch", "instance", "layer"])
def test_conditional_norm_is_initially_the_plain_one(norm):
    """Bitwise: gain 1 and bias 0."""
    x, style = jnp.float32(RNG.normal(2, 3, (4, 5, 6, 2))), jax.nn.one_hot(LABEL, 3)
    plain, conditional = (Calls(lambda x, s=s: normalise(norm, x, train=True, style=s)) for s in (None, style))
    (y, _), (z, _) = (module.init_with_output(jax.random.key(0), x) for module in (plain, conditional))
    np.testing.assert_array_equal(y, z)


def test_instance_norm():
    """Each channel of each sample has mean 0 and variance 1; it has the gain and bias parameters of the other norms."""
    x = jnp.float32(RNG.normal(size=(3, 8, 8, 2)) * [1, 10] + RNG.normal(size=(3, 1, 1, 2)))
    module = Calls(lambda x: normalise("instance", x, train=True))
    variables = module.init(jax.random.key(0), x)
    y = module.apply(variables, x)
    np.testing.assert_allclose(y.mean(axis=(1, 2)), np.zeros((3, 2)), atol=1e-5)
    np.testing.assert_allclose(y.var(axis=(1, 2)), np.ones((3, 2)), atol=1e-3)
    assert jax.tree.map(jnp.shape, variables["params"]) == {"InstanceNorm_0": {"scale": (2,), "bias": (2,)}}
    with pytest.raises(ValueError, match=r"needs images \[B, H, W, C\], got activations of shape \(3, 2\)"):
        module.init(jax.random.key(0), x[:, 0, 0])


@pytest.mark.parametrize("shape", [(4, 5), (4, 3, 2, 5)])
def test_concatenated_label_is_the_same_at_each_position(shape):
    x = jnp.float32(RNG.normal(size=shape))
    module = Calls(lambda x, label: with_label(x, label, 3, 7))
    y, variables = module.init_with_output(jax.random.key(0), x, LABEL)
    layer = variables["params"]["label"]
    np.testing.assert_array_equal(y[..., :5], x)
    for i, label in enumerate(LABEL):
        expected = layer["kernel"][label] + layer["bias"]
        np.testing.assert_allclose(y[i, ..., 5:], np.broadcast_to(expected, (*shape[1:-1], 7)), rtol=1e-6)


@pytest.mark.parametrize("spectral", [False, True])
@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize(
    "label", [LABEL, jnp.array([[1, 0, 1], [0, 0, 1], [0, 0, 0], [1, 1, 1]])], ids=["classes", "multi-hot"]
)
def test_projection_is_the_inner_product_of_label_and_features(label, outputs, spectral):
    """Miyato and Koyama's eq. 3, y V phi(x) + psi(phi(x)), with V divided by its largest singular value if `spectral`."""
    x = jnp.float32(RNG.normal(size=(4, 2, 2, 3)))
    options = {"outputs": outputs, "spectral": spectral}
    module = Calls(lambda x, label: discriminator_head(x, label, 3, condition="projection", **options))
    variables = module.init(jax.random.key(0), x, label)
    step = jax.jit(lambda variables: module.apply(variables, x, label, mutable=["spectral"]))
    for _ in range(40):  # for the power iteration to converge
        (logits, features), stats = step(variables)
        variables = variables | stats

    def matrix(name):
        kernel = np.asarray(variables["params"][name]["kernel"], np.float64)
        return kernel / np.linalg.norm(kernel, 2) if spectral else kernel

    phi = np.asarray(x, np.float64).reshape(4, 12)
    vectors = np.eye(3)[label] if label.ndim == 1 else np.asarray(label)
    v = (vectors @ matrix("projection")).reshape(4, outputs, 12)
    expected = (v * phi[:, None]).sum(axis=-1) + phi @ matrix("Dense_0") + np.asarray(variables["params"]["Dense_0"]["bias"])
    np.testing.assert_allclose(logits, expected[:, 0] if outputs == 1 else expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(features, x.reshape(4, 12))


@pytest.mark.parametrize(("batch", "group"), [(8, 4), (4, 4), (6, 6), (2, 2), (1, 1)])
@pytest.mark.parametrize("shape", [(3,), (2, 2, 3)])
def test_stddev_over_groups(batch, group, shape):
    """Group m of M is samples m, m + M, m + 2 M and m + 3 M, as StyleGAN2's code reshapes a batch to [4, M]; the whole batch if
    four does not divide its size."""
    x = np.float32(RNG.normal(size=(batch, *shape)))
    y = stddev(jnp.asarray(x))
    assert y.shape == (batch, *shape[:-1], 4)
    np.testing.assert_array_equal(y[..., :3], x)
    for i in range(batch):
        groups = batch // group
        expected = np.float64(x[i % groups :: groups]).std(axis=0).mean()
        np.testing.assert_allclose(y[i, ..., 3], np.full(shape[:-1], expected), rtol=1e-5, atol=2e-4)


def test_minibatch_discrimination_by_hand():
    x = np.float32(RNG.normal(size=(3, 4)))
    module = MinibatchDiscrimination(kernels=2, dims=5)
    y, variables = module.init_with_output(jax.random.key(0), jnp.asarray(x))
    tensor = np.asarray(variables["params"]["tensor"]["kernel"], np.float64).reshape(4, 2, 5)
    np.testing.assert_array_equal(y[:, :4], x)
    for i in range(3):
        for b in range(2):
            rows = [x[j] @ tensor[:, b] for j in range(3)]
            np.testing.assert_allclose(y[i, 4 + b], sum(np.exp(-np.abs(rows[i] - row).sum()) for row in rows), rtol=1e-5)


@pytest.mark.parametrize("minibatch", ["stddev", "discrimination"])
@pytest.mark.parametrize("collapsed", [False, True])
def test_minibatch_layers_have_second_derivatives(minibatch, collapsed):
    """R1 differentiates the gradient, even if all samples are equal, as from a collapsed generator."""
    x = jnp.float32(RNG.normal(size=(4, 3)))
    x = jnp.broadcast_to(x[:1], x.shape) if collapsed else x
    module = Calls(lambda x: discriminator_head(x, None, 0, minibatch=minibatch)[0])
    variables = module.init(jax.random.key(0), x)

    def r1(params, x):
        gradient = jax.grad(lambda x: module.apply({"params": params}, x).sum())(x)
        return jnp.square(gradient).sum()

    gradients = jax.jit(jax.grad(r1, argnums=(0, 1)))(variables["params"], x)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    assert np.abs(gradients[0]["Dense_0"]["kernel"]).max() > 0


@pytest.mark.parametrize("minibatch", ["stddev", "discrimination"])
def test_minibatch_layers_use_the_other_samples(minibatch):
    """With a minibatch layer the logit of a sample depends on the rest of its batch; without, it does not."""
    x = jnp.float32(RNG.normal(size=(4, 3)))
    for option, depends in (("none", False), (minibatch, True)):
        module = Calls(lambda x, option=option: discriminator_head(x, None, 0, minibatch=option)[0])
        variables = module.init(jax.random.key(0), x)
        jacobian = jax.jit(jax.jacobian(lambda x, m=module, v=variables: m.apply(v, x)))(x)
        others = np.abs(jacobian).max(axis=2) * (1 - np.eye(4))
        assert bool((others > 0).any()) == depends
