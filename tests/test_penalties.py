"""The penalties on critics whose gradients are known: linear, quadratic, constant; of one array and of several."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import penalties

PENALTIES = [penalties.r1, penalties.r2, penalties.r1_r2, penalties.gradient_penalty]
each_penalty = pytest.mark.parametrize("penalty", PENALTIES, ids=lambda penalty: penalty.__name__)

KEY = jax.random.key(0)
REAL = jax.random.normal(jax.random.key(1), (8, 2))
FAKE = 2 * jax.random.normal(jax.random.key(2), (8, 2)) + 1


def half_square(x):
    """|x|^2 / 2, whose gradient is x."""
    return jnp.square(x).reshape(len(x), -1).sum(-1) / 2


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        (penalties.r1, 12.5),  # |w|^2 / 2; 25 with gamma = 2
        (penalties.r2, 12.5),
        (penalties.r1_r2, 25),
        (penalties.gradient_penalty, 16),  # (|w| - 1)^2; 160 with WGAN-GP's lambda = 10
    ],
)
def test_linear_critic(penalty, expected):
    value = penalty(lambda x: x @ jnp.array([3.0, 4.0]), REAL, FAKE, KEY)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_quadratic_critic():
    """x^T S x / 2 + b.x: E |grad|^2 = tr(S C S) + |S mu + b|^2, with the moments of the samples at hand."""
    s, b = np.array([[2.0, -1.0], [-1.0, 0.5]]), np.array([0.3, -0.7])

    def critic(x):
        return jnp.einsum("bi,ij,bj->b", x, s, x) / 2 + x @ jnp.float32(b)

    def closed_form(x):
        x = np.asarray(x, np.float64)
        return (np.trace(s @ np.cov(x.T, bias=True) @ s) + np.sum((s @ x.mean(0) + b) ** 2)) / 2

    r1, r2 = closed_form(REAL), closed_form(FAKE)
    assert abs(r1 - r2) > 1
    np.testing.assert_allclose(penalties.r1(critic, REAL, FAKE, KEY), r1, rtol=1e-5)
    np.testing.assert_allclose(penalties.r2(critic, REAL, FAKE, KEY), r2, rtol=1e-5)
    np.testing.assert_allclose(penalties.r1_r2(critic, REAL, FAKE, KEY), r1 + r2, rtol=1e-5)


def test_gradient_penalty_takes_a_norm_a_sample():
    """Where real is fake the segments are points, and the critic |x|^2 / 2 makes E (|x| - 1)^2."""
    expected = np.mean((np.linalg.norm(REAL, axis=1) - 1) ** 2)
    np.testing.assert_allclose(penalties.gradient_penalty(half_square, REAL, REAL, KEY), expected, rtol=1e-5)


def test_double_backward_of_r1():
    """R1 of c |x|^2 / 2 is c^2 E|x|^2 / 2; its derivative in the critic's parameter is c E|x|^2."""
    gradient = jax.grad(lambda c: penalties.r1(lambda x: c * half_square(x), REAL, FAKE, KEY))(3.0)
    np.testing.assert_allclose(gradient, 3 * np.square(REAL).sum(1).mean(), rtol=1e-5)


def test_double_backward_of_gradient_penalty():
    """(c|x| - 1)^2 where real is fake; its derivative is 2 E (c|x| - 1)|x|."""
    gradient = jax.grad(lambda c: penalties.gradient_penalty(lambda x: c * half_square(x), REAL, REAL, KEY))(3.0)
    norm = np.linalg.norm(REAL, axis=1)
    np.testing.assert_allclose(gradient, np.mean(2 * (3 * norm - 1) * norm), rtol=1e-5)


@each_penalty
def test_constant_critic_has_finite_gradients(penalty):
    """A zero-initialised last layer makes D constant: the norm's square root has no derivative there."""

    def loss(params):
        hidden, last = params
        return penalty(lambda x: jnp.tanh(x @ hidden) @ last, REAL, FAKE, KEY)

    value, gradients = jax.value_and_grad(loss)((jnp.eye(2), jnp.zeros(2)))
    # (0 - 1)^2, but for the floor of 1e-6 under the norm, which is felt twice.
    np.testing.assert_allclose(value, 1.0 if penalty is penalties.gradient_penalty else 0.0, atol=2.1e-6)
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, jnp.zeros_like(gradient))


def wavy(x):
    """A critic of [B, n] samples whose gradient mixes all of their numbers."""
    return jnp.sin(x @ jnp.arange(1.0, x.shape[1] + 1)) + half_square(x)


@each_penalty
def test_leaves_count_as_one_sample(penalty):
    real, fake = jax.random.normal(KEY, (2, 8, 5))

    def split(x):
        return {"points": x[:, :2], "edges": x[:, 2:].reshape(-1, 3, 1)}

    def critic(tree):
        return wavy(jnp.concatenate([tree["points"], tree["edges"].reshape(-1, 3)], axis=1))

    np.testing.assert_allclose(penalty(critic, split(real), split(fake), KEY), penalty(wavy, real, fake, KEY), rtol=1e-5)


@each_penalty
@pytest.mark.parametrize("shape", [(6, 2), (3, 2, 2)])
def test_rank_does_not_matter(penalty, shape):
    real, fake = jax.random.normal(KEY, (2, 8, 12))
    value = penalty(lambda x: wavy(x.reshape(8, 12)), real.reshape(8, *shape), fake.reshape(8, *shape), KEY)
    np.testing.assert_allclose(value, penalty(wavy, real, fake, KEY), rtol=1e-5)


def test_numbers_are_samples_too():
    """Samples without an axis of their own, [B]: the gradient of x^2 is 2x, and R1 is 2 E x^2."""
    x = REAL[:, 0]
    np.testing.assert_allclose(penalties.r1(jnp.square, x, x, KEY), 2 * np.square(x).mean(), rtol=1e-6)


def interpolates(real, fake, key):
    """The points at which gradient_penalty asks the critic."""
    seen = []

    def critic(x):
        jax.debug.callback(lambda x: seen.append(jax.tree.map(np.asarray, x)), x)
        return sum(leaf.reshape(len(leaf), -1).sum(-1) for leaf in jax.tree.leaves(x))

    penalties.gradient_penalty(critic, real, fake, key)
    jax.effects_barrier()
    assert len(seen) == 1
    return seen[0]


def test_interpolation_is_one_share_a_sample():
    real, fake = ({"a": jnp.full((64, 3, 2), number), "b": jnp.full((64, 5), 10 * number)} for number in (5.0, 1.0))
    points = interpolates(real, fake, KEY)
    share_a, share_b = (points["a"].reshape(64, -1) - 1) / 4, (points["b"] - 10) / 40
    # float32 rounds the points at 5 and 50, relative to segments of 4 and 40: a few 1e-7.
    np.testing.assert_allclose(share_a, np.broadcast_to(share_a[:, :1], share_a.shape), atol=1e-6)
    np.testing.assert_allclose(share_b, np.broadcast_to(share_a[:, :1], share_b.shape), atol=1e-6)
    # Uniform on [0, 1]: 64 shares are all different, and reach within 0.2 of both ends but for a chance of 1e-6.
    share = np.sort(share_a[:, 0])
    assert len(np.unique(share)) == 64
    assert -1e-6 < share[0] < 0.2
    assert 0.8 < share[-1] < 1 + 1e-6


def test_key_decides_the_interpolation():
    here, again, there = (interpolates(REAL, FAKE, jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(here, again)
    assert np.abs(here - there).max() > 0.1


@pytest.mark.parametrize(("penalty", "ignored"), [(penalties.r1, "fake"), (penalties.r2, "real")])
def test_only_its_own_samples_count(penalty, ignored):
    samples = {"real": REAL, "fake": FAKE}
    value = penalty(wavy, **samples, key=KEY)
    np.testing.assert_array_equal(penalty(wavy, **{**samples, ignored: jnp.nan * REAL}, key=KEY), value)
    assert np.isfinite(value)


@each_penalty
def test_bfloat16_samples_are_summed_in_float32(penalty):
    """The gradient is 1,001 ones; bfloat16 has 1,000 and 1,004, and nothing between."""
    x = jnp.ones((2, 1001), jnp.bfloat16)
    value = penalty(lambda x: x.sum(-1), x, x, KEY)
    assert value.dtype == jnp.float32
    expected = {
        penalties.r1: 500.5,
        penalties.r2: 500.5,
        penalties.r1_r2: 1001.0,
        penalties.gradient_penalty: (np.sqrt(1001) - 1) ** 2,
    }
    np.testing.assert_allclose(value, expected[penalty], rtol=1e-6)


@pytest.mark.parametrize("fake_shape", [(1, 2), (4, 2), (8, 3)])
def test_gradient_penalty_refuses_what_cannot_be_paired(fake_shape):
    with pytest.raises(ValueError) as error:  # [1, 2] would broadcast in silence
        penalties.gradient_penalty(half_square, REAL, jnp.zeros(fake_shape), KEY)
    assert str(REAL.shape) in str(error.value)
    assert str(fake_shape) in str(error.value)
