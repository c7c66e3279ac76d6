"""What every public loss, penalty and augmentation promises, whoever wrote it: the arguments of types.py, float32 scalars
or the shape it was given, finite gradients, the same numbers under jit, a docstring with its source.

A new module joins by a line in CONTRACTS; a new function in one of them joins by existing.
"""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import augment, losses, penalties
from gan_jax.game import public_functions

KEY = jax.random.key(0)


def check_loss(loss):
    assert_arguments(loss, "real_logits", "fake_logits")
    # A discriminator that is wrong, and within every margin: what each player wants of each logit is then plain.
    logits = jax.random.uniform(KEY, (2, 8), minval=0.1, maxval=0.9)
    real_logits, fake_logits = -logits[0], logits[1]
    values = loss(real_logits, fake_logits)
    assert isinstance(values, tuple)
    assert len(values) == 2
    for value in values:
        assert_float32_scalar(value)
    assert_same_under_jit(loss, real_logits, fake_logits)

    d_gradient, g_gradient = jax.jacobian(loss, argnums=(0, 1))(real_logits, fake_logits)
    assert_finite((d_gradient, g_gradient))
    assert (d_gradient[0] < 0).all()  # D raises the logits of real samples
    assert (d_gradient[1] > 0).all()  # and lowers those of fake ones,
    assert (g_gradient[1] < 0).all()  # which G raises


def check_penalty(penalty):
    assert_arguments(penalty, "critic", "real", "fake", "key")
    real, fake = jax.random.normal(KEY, (2, 8, 5))
    weights = jnp.linspace(-1, 1, 5)

    def value(weights, real, fake, key):
        return penalty(lambda x: jnp.tanh(x @ weights), real, fake, key)

    assert_float32_scalar(value(weights, real, fake, KEY))
    assert_same_under_jit(value, weights, real, fake, KEY)
    gradient = jax.grad(value)(weights, real, fake, KEY)
    assert_finite(gradient)
    assert np.abs(gradient).max() > 1e-3  # it is the discriminator that a penalty moves


def check_augment(augmentation):
    assert_arguments(augmentation, "key", "x", "p")
    x = jax.random.uniform(KEY, (16, 8, 8, 3), minval=-1, maxval=1)
    traced = jax.jit(augmentation)  # p is traced: one program for every p
    np.testing.assert_array_equal(traced(KEY, x, jnp.float32(0)), x)
    np.testing.assert_array_equal(traced(KEY, x.astype(jnp.bfloat16), jnp.float32(0)), x.astype(jnp.bfloat16))
    always = traced(KEY, x, jnp.float32(1))
    assert always.shape == x.shape
    assert np.abs(always - x).max() > 0.01
    assert np.abs(traced(jax.random.key(1), x, jnp.float32(1)) - always).max() > 0.01
    half = jax.eval_shape(augmentation, KEY, x.astype(jnp.bfloat16), jnp.float32(0.5))
    assert (half.shape, half.dtype) == (x.shape, jnp.bfloat16)

    gradient = jax.grad(lambda x: jnp.square(traced(KEY, x, jnp.float32(0.5))).sum())(x)
    assert_finite(gradient)
    assert np.abs(gradient).max() > 0.01


CONTRACTS = {
    losses: check_loss,
    penalties: check_penalty,
    augment: check_augment,
}
MEMBERS = [
    pytest.param(function, check, id=f"{module.__name__.removeprefix('gan_jax.')}.{function.__name__}")
    for module, check in CONTRACTS.items()
    for function in public_functions(module).values()
]


@pytest.mark.parametrize(("function", "check"), MEMBERS)
def test_contract(function, check):
    with jax.numpy_dtype_promotion("strict"):
        check(function)


@pytest.mark.parametrize(("function", "check"), MEMBERS)
def test_docstring_names_its_source(function, check):
    assert function.__doc__, f"{function.__name__} has no docstring"
    assert "Source:" in function.__doc__, f"{function.__name__}'s docstring does not say where it comes from"


def test_no_module_is_empty():
    """The walk above passes over a module in which it finds nothing."""
    for module in CONTRACTS:
        assert public_functions(module), module.__name__


def assert_arguments(function, *names):
    assert tuple(inspect.signature(function).parameters) == names


def assert_float32_scalar(value):
    assert (value.shape, value.dtype) == ((), jnp.float32)
    assert_finite(value)


def assert_finite(tree):
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


def assert_same_under_jit(function, *arguments):
    """Up to the rounding of fused sums."""
    for jitted, plain in zip(*map(jax.tree.leaves, (jax.jit(function)(*arguments), function(*arguments))), strict=True):
        np.testing.assert_allclose(jitted, plain, rtol=1e-5, atol=1e-6)
