"""The gradient penalties on critics with known gradients: linear, quadratic, constant; on single arrays and pytrees.
`lecam` and `orthogonal` by hand. The consistency penalties are in test_consistency.py.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import penalties
from gan_jax.types import Critic

PENALTIES = [
    penalties.r1,
    penalties.r2,
    penalties.r1_r2,
    penalties.gradient_penalty,
    penalties.dragan,
    penalties.max_gradient_penalty,
]
ONE_CENTRED = (penalties.gradient_penalty, penalties.dragan)
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
        (partial(penalties.gradient_penalty, center=0.0), 25),
        (partial(penalties.gradient_penalty, center=7.0), 4),
        (penalties.dragan, 16),
        (partial(penalties.dragan, center=0.0), 25),
        (penalties.max_gradient_penalty, 25),
    ],
)
def test_linear_critic(penalty, expected):
    value = penalty(lambda x: x @ jnp.array([3.0, 4.0]), REAL, FAKE, KEY)
    np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_quadratic_critic():
    """x^T S x / 2 + b.x: E |grad|^2 = tr(S C S) + |S mu + b|^2, with the samples' mean mu and covariance C."""
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


@each_penalty
def test_constant_critic_has_finite_gradients(penalty):
    """A zero-initialised last layer makes D constant, and the square root in the norm has no derivative at 0."""

    def loss(params):
        hidden, last = params
        return penalty(lambda x: jnp.tanh(x @ hidden) @ last, REAL, FAKE, KEY)

    value, gradients = jax.value_and_grad(loss)((jnp.eye(2), jnp.zeros(2)))
    # (0 - 1)^2, except that the floor makes the norm 1e-6 instead of 0, which changes the square by 2e-6.
    np.testing.assert_allclose(value, 1.0 if penalty in ONE_CENTRED else 0.0, atol=2.1e-6)
    for gradient in gradients:
        np.testing.assert_array_equal(gradient, jnp.zeros_like(gradient))


def wavy(x):
    """A critic of samples [B, n] whose gradient mixes all of their values."""
    return jnp.sin(x @ jnp.arange(1.0, x.shape[1] + 1)) + half_square(x)


@each_penalty
def test_leaves_count_as_one_sample(penalty):
    real, fake = jax.random.normal(KEY, (2, 8, 5))
    if penalty is penalties.dragan:  # its perturbations depend on the standard deviation of each leaf
        penalty = partial(penalty, spread=0.0)

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


def test_patches_are_averaged_before_the_gradient():
    """Patches w.x and 3 w.x have the mean 2 w.x, with half a squared gradient of 4 |w|^2 / 2; LeCam takes them one by one."""
    w = jnp.array([3.0, 4.0])
    critic = Critic(lambda x: jnp.stack([x @ w, 3 * (x @ w)], axis=1), memory=penalties.lecam.memory)
    np.testing.assert_allclose(penalties.r1(critic, REAL, FAKE, KEY), 50, rtol=1e-5)
    real, fake = (np.concatenate([x @ w, 3 * (x @ w)]) for x in (REAL, FAKE))
    expected = np.square(real - fake.mean()).mean() + np.square(real.mean() - fake).mean()
    np.testing.assert_allclose(penalties.lecam(critic, REAL, FAKE, KEY, one_sided=False)[0], expected, rtol=1e-5)


def test_scalar_samples():
    """Samples without further axes, [B]: the gradient of x^2 is 2x, and R1 is 2 E x^2."""
    x = REAL[:, 0]
    np.testing.assert_allclose(penalties.r1(jnp.square, x, x, KEY), 2 * np.square(x).mean(), rtol=1e-6)


def evaluation_points(penalty, real, fake, key):
    """The samples at which a penalty evaluates the critic."""
    recorded = []

    def critic(x):
        jax.debug.callback(lambda x: recorded.append(jax.tree.map(np.asarray, x)), x)
        return sum(leaf.reshape(len(leaf), -1).sum(-1) for leaf in jax.tree.leaves(x))

    penalty(critic, real, fake, key)
    jax.effects_barrier()
    assert len(recorded) == 1
    return recorded[0]


@pytest.mark.parametrize(
    ("penalty", "expected_value"),
    [
        (penalties.r1, lambda norms: np.mean(norms**2) / 2),
        (penalties.gradient_penalty, lambda norms: np.mean((norms - 1) ** 2)),
        (partial(penalties.gradient_penalty, center=0.0), lambda norms: np.mean(norms**2)),
        (penalties.dragan, lambda norms: np.mean((norms - 1) ** 2)),
        (penalties.max_gradient_penalty, lambda norms: np.max(norms) ** 2),
    ],
)
def test_value_and_double_backward(penalty, expected_value):
    """The critic v.tanh(x W), whose gradient is W (v (1 - tanh^2)), against float64 at the same points, with finite differences
    of 1e-5 for the gradient with respect to the parameters."""
    params = np.array([[0.5, -1.0, 0.8], [0.7, 0.4, -0.6], [1.5, -0.7, 1.1]])  # W [2, 3], then v
    x = np.float64(evaluation_points(penalty, REAL, FAKE, KEY))

    def reference(params):
        w, v = params[:2], params[2]
        return expected_value(np.linalg.norm((v * (1 - np.tanh(x @ w) ** 2)) @ w.T, axis=1))

    steps = 1e-5 * np.eye(9).reshape(9, 3, 3)
    expected = [(reference(params + step) - reference(params - step)) / 2e-5 for step in steps]

    @jax.value_and_grad
    def value_and_gradient(p):
        return penalty(lambda x: jnp.tanh(x @ p[:2]) @ p[2], REAL, FAKE, KEY)

    value, gradient = value_and_gradient(jnp.float32(params))
    np.testing.assert_allclose(value, reference(params), rtol=1e-5)
    np.testing.assert_allclose(gradient.ravel(), expected, rtol=1e-4, atol=1e-5)


def test_interpolation_draws_one_fraction_per_sample():
    real, fake = ({"a": jnp.full((64, 3, 2), value), "b": jnp.full((64, 5), 10 * value)} for value in (5.0, 1.0))
    x = evaluation_points(penalties.gradient_penalty, real, fake, KEY)
    fraction_a, fraction_b = (x["a"].reshape(64, -1) - 1) / 4, (x["b"] - 10) / 40
    # float32 rounds the points at 5 and 50, relative to segments of 4 and 40: a few 1e-7.
    np.testing.assert_allclose(fraction_a, np.broadcast_to(fraction_a[:, :1], fraction_a.shape), atol=1e-6)
    np.testing.assert_allclose(fraction_b, np.broadcast_to(fraction_a[:, :1], fraction_b.shape), atol=1e-6)
    # Uniform on [0, 1]: 64 fractions all differ, and come within 0.2 of both ends except with probability 1e-6.
    fractions = np.sort(fraction_a[:, 0])
    assert len(np.unique(fractions)) == 64
    assert -1e-6 < fractions[0] < 0.2
    assert 0.8 < fractions[-1] < 1 + 1e-6


def test_key_decides_the_interpolation():
    first, repeated, other = (
        evaluation_points(penalties.gradient_penalty, REAL, FAKE, jax.random.key(seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, repeated)
    assert np.abs(first - other).max() > 0.1


def test_dragan_adds_at_most_half_a_standard_deviation_to_real_samples():
    """It adds u v std / 2: v is drawn per value, so a sample's mean perturbation is half its maximum; u is drawn per sample."""
    real = 10 + 3 * jax.random.normal(KEY, (64, 400))
    perturbation = (evaluation_points(penalties.dragan, real, real, KEY) - real) / np.std(real)
    maxima = np.sort(perturbation.max(axis=1))
    # Rounding at 10 is 1e-6. The mean of 400 uniform numbers is 0.5 +- 0.0144, their maximum 0.9975 +- 0.0025.
    assert perturbation.min() > -1e-6
    np.testing.assert_allclose(perturbation.mean(axis=1) / perturbation.max(axis=1), 0.5, atol=0.08)
    assert 0 < maxima[0] < 0.1
    assert 0.4 < maxima[-1] < 0.5 + 1e-6


@pytest.mark.parametrize(("penalty", "ignored"), [(penalties.r1, "fake"), (penalties.r2, "real"), (penalties.dragan, "fake")])
def test_other_samples_are_ignored(penalty, ignored):
    samples = {"real": REAL, "fake": FAKE}
    value = penalty(wavy, **samples, key=KEY)
    np.testing.assert_array_equal(penalty(wavy, **{**samples, ignored: jnp.nan * REAL}, key=KEY), value)
    assert np.isfinite(value)


@each_penalty
def test_bfloat16_samples_are_summed_in_float32(penalty):
    """The gradient is 1,001 ones; bfloat16 can represent 1,000 and 1,004 but nothing in between."""
    x = jnp.ones((2, 1001), jnp.bfloat16)
    value = penalty(lambda x: x.sum(-1), x, x, KEY)
    assert value.dtype == jnp.float32
    expected = {
        penalties.r1: 500.5,
        penalties.r2: 500.5,
        penalties.r1_r2: 1001.0,
        penalties.gradient_penalty: (np.sqrt(1001) - 1) ** 2,
        penalties.dragan: (np.sqrt(1001) - 1) ** 2,
        penalties.max_gradient_penalty: 1001.0,
    }
    np.testing.assert_allclose(value, expected[penalty], rtol=1e-6)


@pytest.mark.parametrize("penalty", [penalties.gradient_penalty, penalties.max_gradient_penalty])
@pytest.mark.parametrize("fake_shape", [(1, 2), (4, 2), (8, 3)])
def test_unpaired_shapes_are_rejected(penalty, fake_shape):
    with pytest.raises(ValueError, match=penalty.__name__) as error:  # [1, 2] would broadcast silently
        penalty(half_square, REAL, jnp.zeros(fake_shape), KEY)
    assert str(REAL.shape) in str(error.value)
    assert str(fake_shape) in str(error.value)


@pytest.mark.parametrize("penalty", [*PENALTIES, penalties.lecam], ids=lambda penalty: penalty.__name__)
def test_several_outputs_are_rejected(penalty):
    with pytest.raises(ValueError) as error:
        penalty(Critic(lambda x: jnp.stack([x[:, 0]] * 3, axis=1), outputs=3), REAL, FAKE, KEY)
    line = f"{penalty.__name__} needs one logit per sample, D returns (8, 3): set d_outputs to 1 or use spectral norm"
    assert str(error.value) == line


@pytest.mark.parametrize(
    ("penalty", "options"),
    [
        (penalties.gradient_penalty, {"center": -1.0}),
        (penalties.dragan, {"center": -1.0}),
        (penalties.dragan, {"spread": -0.5}),
        (penalties.lecam, {"decay": 1.0}),
    ],
)
def test_invalid_options_are_rejected(penalty, options):
    with pytest.raises(ValueError) as error:
        penalty(Critic(half_square), REAL, FAKE, KEY, **options)
    (option, value), line = *options.items(), str(error.value)
    assert all(part in line for part in (penalty.__name__, option, str(value)))
    assert "\n" not in line


def lecam_over(batches, memory=penalties.lecam.memory, **options):
    """LeCam's values and running means (real, fake), as its memory holds them, over batches of (real, fake) logits."""
    values, means = [], []
    for real, fake in batches:
        critic = Critic(lambda x: x, memory=memory)
        value, memory = penalties.lecam(critic, jnp.float32(real), jnp.float32(fake), KEY, **options)
        values.append(value)
        means.append((memory["real_logit"], memory["fake_logit"]))
    return np.array(values), np.array(means)


LECAM_BATCHES = [([1.0, 3.0], [-2.0, 0.0]), ([-1.0, 3.0], [-3.0, 1.0])]


def test_lecam_is_one_sided_and_debiased():
    """Batch means: real 2, fake -1, then 1 and -1. The authors' code for StyleGAN2 (zero_debias) divides the mean from zero by
    1 - decay^t: after one step 2 and -1, after two (.09 * 2 + .1 * 1) / .19 = 28/19 and -1."""
    values, _ = lecam_over(LECAM_BATCHES, decay=0.9)
    first = (2**2 + 4**2) / 2 + (4**2 + 2**2) / 2
    # Real -1 lies at the fake mean: 0 and 4. Fake 1 lies below the real mean by 9/19.
    second = (0 + 4**2) / 2 + ((28 / 19 + 3) ** 2 + (9 / 19) ** 2) / 2
    np.testing.assert_allclose(values, [first, second], rtol=1e-5)
    # Real logits below the fake mean, and fake ones above the real mean, count only in the paper's formula.
    swapped = [([-3.0], [1.0]), ([-2.0], [0.0])]
    np.testing.assert_array_equal(lecam_over(swapped)[0], 0)
    a_real, a_fake = (0.09 * -3 + 0.1 * -2) / 0.19, (0.09 * 1 + 0.1 * 0) / 0.19
    two_sided = [4**2 + 4**2, (-2 - a_fake) ** 2 + (a_real - 0) ** 2]
    np.testing.assert_allclose(lecam_over(swapped, decay=0.9, one_sided=False)[0], two_sided, rtol=1e-5)


def test_lecam_may_start_late():
    """As the authors' code for BigGAN: before update number `start` the means are those of the latest batch, after it the
    penalty applies."""
    batches = [([7.0], [5.0]), *LECAM_BATCHES, ([4.0], [-4.0])]
    values, means = lecam_over(batches, decay=0.9, start=3)
    np.testing.assert_allclose(means, [(7, 5), (2, -1), (1.9, -1), (2.11, -1.3)], rtol=1e-5)
    np.testing.assert_allclose(values, [0, 0, 0, (4 + 1.3) ** 2 + (2.11 + 4) ** 2], rtol=1e-5)


def test_lecam_treats_its_memory_as_constant():
    """d/dc of E (c x - a_fake)^2 + E (a_real - c y)^2 at c = 1, with the first batch above: a_fake = -1, a_real = 2."""
    real, fake = map(jnp.array, LECAM_BATCHES[0])

    def value(c):
        return penalties.lecam(Critic(lambda x: c * x, memory=penalties.lecam.memory), real, fake, KEY, decay=0.9)[0]

    np.testing.assert_allclose(jax.grad(value)(1.0), (2 * 1 + 4 * 3) + (4 * 2), rtol=1e-6)


def test_orthogonal_ignores_the_norms_of_filters():
    """[[1, 2], [3, 4]] has W^T W = [[10, 14], [14, 20]]: 2 * 14^2. The window of a convolution is part of its filter."""
    square = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    orthogonal = jnp.array([[3.0, 0.0, 0.0], [0.0, 5.0, 0.0]])
    params = {"a": {"kernel": square, "bias": jnp.ones(2)}, "b": [square.reshape(2, 1, 1, 2)], "c": orthogonal}
    value, gradient = jax.value_and_grad(lambda p: penalties.orthogonal(Critic(half_square, params=p), REAL, FAKE, KEY))(params)
    np.testing.assert_allclose(value, 2 * 392, rtol=1e-6)
    # d/dw_1 of 2 (w_1.w_2)^2 is 4 * 14 w_2.
    np.testing.assert_allclose(gradient["a"]["kernel"], 56 * square[:, ::-1], rtol=1e-6)
    # BigGAN-PyTorch adds 2 (W W^T * (1 - I)) W for filters in rows.
    rows = square.T
    added = 2 * ((rows @ rows.T) * (1 - np.eye(2))) @ rows
    np.testing.assert_allclose(gradient["a"]["kernel"].T, 2 * added, rtol=1e-6)
    np.testing.assert_array_equal(gradient["c"], jnp.zeros((2, 3)))


@pytest.mark.parametrize("critic", [half_square, Critic(half_square), Critic(half_square, params={"bias": jnp.ones(2)})])
def test_orthogonal_needs_kernels(critic):
    with pytest.raises(ValueError, match="orthogonal needs the parameters of the network, including kernels"):
        penalties.orthogonal(critic, REAL, FAKE, KEY)
