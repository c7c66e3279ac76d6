"""The contract of every public loss, penalty, augmentation, ...: the arguments of types.py, float32 scalars or outputs of the
input's shape, finite gradients, the same values under jit, and a docstring that names its source.

To cover a new module, add a line to CONTRACTS; a new function in a covered module is tested automatically.
"""

import inspect
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import augment, auxiliary, deceive, g_penalties, losses, penalties
from gan_jax.spec.lookup import public_functions
from gan_jax.types import Critic, Synthesis

KEY = jax.random.key(0)


def check_loss(loss):
    labelled = "label" in inspect.signature(loss).parameters
    assert_arguments(loss, "real_logits", "fake_logits", *["label"] * labelled)
    label = jnp.arange(8) % 3

    def class_logits(logits):
        """K + 1 logits per sample: `logits` for the sample's class and minus `logits` for the last class, "fake"."""
        one_hot = jax.nn.one_hot(label, 3, dtype=jnp.float32)
        return jnp.concatenate([one_hot * logits[:, None], -logits[:, None]], axis=1)

    def play(real_logits, fake_logits):
        if labelled:
            return loss(class_logits(real_logits), class_logits(fake_logits), label)
        return loss(real_logits, fake_logits)

    # For a discriminator that is wrong and within every margin, the sign of each gradient is known.
    logits = jax.random.uniform(KEY, (2, 8), minval=0.1, maxval=0.9)
    real_logits, fake_logits = -logits[0], logits[1]
    values = play(real_logits, fake_logits)
    assert isinstance(values, tuple)
    assert len(values) == 2
    for value in values:
        assert_float32_scalar(value)
    assert_same_under_jit(play, real_logits, fake_logits)

    d_gradient, g_gradient = jax.jacobian(play, argnums=(0, 1))(real_logits, fake_logits)
    assert_finite((d_gradient, g_gradient))
    if loss in TWO_SAMPLE_TESTS:
        assert_widens_and_closes_gap(play, real_logits, fake_logits, d_gradient, g_gradient)
        return
    assert (d_gradient[0] < 0).all()  # D raises the logits of real samples
    assert (d_gradient[1] > 0).all()  # and lowers those of fake ones,
    assert (g_gradient[1] < 0).all()  # which G raises


# These losses measure whether real and fake logits differ, not which are larger; the gradient of a logit depends on the others.
TWO_SAMPLE_TESTS = {losses.mmd}


def assert_widens_and_closes_gap(play, real_logits, fake_logits, d_gradient, g_gradient):
    """A step of D widens the gap between real and fake logits, which increases G's loss; a step of G decreases both."""

    def gap(real_logits, fake_logits):
        return fake_logits.mean() - real_logits.mean()  # the fake logits are larger

    before = gap(real_logits, fake_logits)
    wider = (real_logits - 0.1 * d_gradient[0], fake_logits - 0.1 * d_gradient[1])
    assert gap(*wider) > before + 1e-3
    assert play(*wider)[1] > play(real_logits, fake_logits)[1] + 1e-3
    closer = fake_logits - 0.1 * g_gradient[1]
    assert gap(real_logits, closer) < before - 1e-3
    assert play(real_logits, closer)[1] < play(real_logits, fake_logits)[1] - 1e-3


def check_penalty(penalty):
    assert_arguments(penalty, "critic", "real", "fake", "key")
    real, fake = jax.random.normal(KEY, (2, 8, 5))

    def value(kernel, memory, real, fake, key):
        generator = Synthesis(lambda z: jnp.concatenate([z, jnp.cos(z[:, :2])], axis=1), real[:, :3])
        critic = Critic(
            lambda x: jnp.tanh(x @ kernel).sum(axis=1), params={"kernel": kernel}, synthesis=generator, memory=memory
        )
        return penalty(critic, real, fake, key)

    assert_regulariser(penalty, value, jnp.linspace(-1, 1, 10).reshape(5, 2), real, fake, KEY)


WAVEFORM = (1024, 1)
SAMPLE_SHAPES = {g_penalties.mel_l1: WAVEFORM}  # penalties that do not accept samples [B, 5]


def check_g_penalty(penalty):
    assert_arguments(penalty, "synthesis", "critic", "real", "key")
    shape = SAMPLE_SHAPES.get(penalty, (5,))
    real, z = jax.random.normal(KEY, (8, *shape)), jax.random.normal(jax.random.key(1), (8, 3))
    critic = Critic(lambda x: x.sum(axis=1), jnp.tanh)

    def value(kernel, memory, z, real, key):
        generator = Synthesis(lambda z: jnp.sin(z @ kernel).reshape(-1, *shape), z, {"kernel": kernel}, memory)
        return penalty(generator, critic, real, key)

    size = math.prod(shape)
    assert_regulariser(penalty, value, jnp.linspace(-1, 1, 3 * size).reshape(3, size), z, real, KEY)


def assert_regulariser(function, value, kernel, *arguments):
    """`value` returns a float32 scalar with a non-zero gradient for the player's kernel, and new memory if it takes memory."""
    memory = {name: jnp.float32(initial) for name, initial in getattr(function, "memory", {}).items()}

    def with_memory(kernel, memory, *arguments):
        out = value(kernel, memory, *arguments)
        return out if memory else (out, {})

    scalar, new_memory = with_memory(kernel, memory, *arguments)
    assert new_memory.keys() == memory.keys()
    for number in (scalar, *new_memory.values()):
        assert_float32_scalar(number)
    assert_same_under_jit(with_memory, kernel, memory, *arguments)
    gradient, _ = jax.grad(with_memory, has_aux=True)(kernel, memory, *arguments)
    assert_finite(gradient)
    assert np.abs(gradient).max() > 1e-4


def check_augment(augmentation):
    assert_arguments(augmentation, "key", "x", "p")
    x = jax.random.uniform(KEY, (16, 8, 8, 3), minval=-1, maxval=1)

    @jax.jit
    def traced(key, x, p):  # p is traced: a single compilation for all p
        y, vjp = jax.vjp(lambda x: augmentation(key, x, p), x)
        return y, vjp(y)[0]

    np.testing.assert_array_equal(traced(KEY, x, jnp.float32(0))[0], x)
    x16 = x.astype(jnp.bfloat16)
    np.testing.assert_array_equal(jax.jit(augmentation)(KEY, x16, jnp.float32(0)), x16)
    half = jax.eval_shape(augmentation, KEY, x16, jnp.float32(0.5))
    assert (half.shape, half.dtype) == (x.shape, jnp.bfloat16)
    all_augmented, _ = traced(KEY, x, jnp.float32(1))
    assert all_augmented.shape == x.shape
    assert np.abs(all_augmented - x).max() > 0.01
    assert np.abs(traced(jax.random.key(1), x, jnp.float32(1))[0] - all_augmented).max() > 0.01

    some_augmented, gradient = traced(KEY, x, jnp.float32(0.2))
    augmented = (some_augmented != x).any(axis=(1, 2, 3))
    assert augmented.any()  # drawn independently for each sample
    assert not augmented.all()
    assert_finite(gradient)
    assert np.abs(gradient).max() > 0.01


def check_deceive(deceive_function):
    assert_arguments(deceive_function, "key", "real", "fake", "p")
    # Values identify their sample: real ones are positive, fake ones negative, and the tens are the row in the batch.
    row = 10 * jnp.arange(1, 513)
    real = {"x": (row[:, None] + jnp.arange(3)[None]).astype(jnp.bfloat16), "n": row}
    fake = jax.tree.map(lambda leaf: -leaf, real)
    traced = jax.jit(deceive_function)  # p is traced: a single compilation for all p
    jax.tree.map(np.testing.assert_array_equal, traced(KEY, real, fake, jnp.float32(0)), (real, fake))
    replaced = traced(KEY, real, fake, jnp.float32(1))
    shapes, expected_shapes = (jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), pair) for pair in (replaced, (real, fake)))
    assert shapes == expected_shapes
    assert (replaced[0]["n"] < 0).any()  # some samples passed as real are fake
    for samples in replaced:
        # Each sample is one of the inputs, in all of its leaves.
        index = np.abs(samples["n"]) // 10 - 1
        np.testing.assert_array_equal(samples["x"], np.sign(samples["n"])[:, None] * np.asarray(real["x"], np.float32)[index])
    first, second = (traced(key, real, fake, jnp.float32(0.5))[0]["n"] for key in (KEY, jax.random.key(1)))
    assert (first != second).any()


def check_auxiliary(loss):
    assert_arguments(loss, "real_features", "fake_features", "label", "num_classes")

    class Head(nn.Module):
        @nn.compact
        def __call__(self, real, fake, label):
            return loss(real, fake, label, 3)

    real, fake = jax.random.normal(KEY, (2, 8, 5))
    label = jnp.arange(8) % 3
    variables = jax.jit(Head().init)(KEY, real, fake, label)
    params, stats = variables["params"], {name: tree for name, tree in variables.items() if name != "params"}

    def play(params, real, fake):
        return Head().apply({"params": params, **stats}, real, fake, label)

    for value in play(params, *(x.astype(jnp.bfloat16) for x in (real, fake))):
        assert_float32_scalar(value)
    assert_same_under_jit(play, params, real, fake)
    d_gradient, g_gradient = jax.jit(jax.jacobian(play, argnums=(0, 1, 2)))(params, real, fake)
    assert_finite((d_gradient, g_gradient))
    # D's optimiser trains every layer; G's loss depends on fake samples only.
    assert all(np.abs(leaf).max() > 1e-6 for leaf in jax.tree.leaves(d_gradient[0]))
    np.testing.assert_array_equal(g_gradient[1], jnp.zeros_like(real))
    assert np.abs(g_gradient[2]).max() > 1e-4


CONTRACTS = {
    losses: check_loss,
    penalties: check_penalty,
    g_penalties: check_g_penalty,
    augment: check_augment,
    deceive: check_deceive,
    auxiliary: check_auxiliary,
}
MEMBERS = [
    pytest.param(function, check, id=f"{module.__name__.removeprefix('gan_jax.')}.{function.__name__}")
    for module, check in CONTRACTS.items()
    for function in public_functions(module).values()
]


@pytest.mark.parametrize(("function", "check"), MEMBERS)
def test_contract(function, check):
    check(function)


@pytest.mark.parametrize(("function", "check"), MEMBERS)
def test_docstring_names_its_source(function, check):
    assert function.__doc__, f"{function.__name__} has no docstring"
    assert "Source:" in function.__doc__, f"{function.__name__}'s docstring does not name its source"


def test_no_module_is_empty():
    """The tests above would pass for a module in which no function is found."""
    for module in CONTRACTS:
        assert public_functions(module), module.__name__


def assert_arguments(function, *names):
    """The arguments are `names`, in this order, followed by options: keyword-only, each with a default."""
    parameters = inspect.signature(function).parameters.values()
    options = [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
    assert tuple(parameter.name for parameter in parameters if parameter not in options) == names
    assert all(option.default is not option.empty for option in options)


def assert_float32_scalar(value):
    assert (value.shape, value.dtype) == ((), jnp.float32)
    assert_finite(value)


def assert_finite(tree):
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


def assert_same_under_jit(function, *arguments):
    """Up to the rounding of fused sums."""
    for jitted, plain in zip(*map(jax.tree.leaves, (jax.jit(function)(*arguments), function(*arguments))), strict=True):
        np.testing.assert_allclose(jitted, plain, rtol=1e-5, atol=1e-6)
