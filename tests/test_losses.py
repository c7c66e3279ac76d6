"""The losses against hand-computed values and against the divergences that they are at the optimal discriminator.

The closed forms play p = N(0, 1) (real) against q = N(m, s^2) (fake). The losses average samples of equal weight, so the
"samples" are the midpoint quantiles of p and q: deterministic, and an expectation over them is a midpoint rule in the
probability. The reference values are integrals over x, in float64.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from gan_jax import losses

LOSSES = [
    losses.minimax,
    losses.non_saturating,
    losses.least_squares,
    losses.wasserstein,
    losses.hinge,
    losses.relativistic,
]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
each_fake = pytest.mark.parametrize(("m", "s"), [(1.0, 1.0), (-0.7, 0.6), (0.5, 1.5)])

N = 20_000
# Each outermost quantile stands for 1/N of the mass, where the integrands grow like x^2 / 2 at |x| > 4: an expectation is
# off by a fraction of x^2/N, 8e-4. Measured: 5e-5 at worst, and 1e-4 for the lattice of pairs.
TOLERANCE = 3e-4
QUANTILES = ndtri((np.arange(N) + 0.5) / N)
X = np.linspace(-15, 15, 30_001)


def density(m: float, s: float) -> np.ndarray:
    return np.exp(-(((X - m) / s) ** 2) / 2) / (s * np.sqrt(2 * np.pi))


def integral(y: np.ndarray) -> float:
    return float(np.trapezoid(y, X))


def log_ratio(x, m: float, s: float):
    """log p/q at x: the logit of the optimal discriminator D* = p / (p + q)."""
    return np.log(s) + (x - m) ** 2 / (2 * s**2) - x**2 / 2


def relative_entropy(p: np.ndarray, q: np.ndarray, log_p_q: np.ndarray) -> float:
    """KL(p | (p + q) / 2), from which the Jensen-Shannon divergence is made; log_p_q = log p/q."""
    return integral(p * (np.log(2) - np.logaddexp(0, -log_p_q)))


def jensen_shannon(m: float, s: float) -> float:
    p, q, log_p_q = density(0, 1), density(m, s), log_ratio(X, m, s)
    return (relative_entropy(p, q, log_p_q) + relative_entropy(q, p, -log_p_q)) / 2


def kl_fake_real(m: float, s: float) -> float:
    return integral(-density(m, s) * log_ratio(X, m, s))


def derivative(f, m: float, s: float, h: float = 1e-4) -> float:
    """df/dm by central differences: off by h^2, 1e-8."""
    return (f(m + h, s) - f(m - h, s)) / (2 * h)


def play(loss, critic, m: float, s: float) -> tuple[float, float, float]:
    """d_loss, g_loss and d(g_loss)/dm where the generator m + s z meets a discriminator that holds still."""
    z = jnp.asarray(QUANTILES, jnp.float32)

    def g_loss(m):
        d_loss, g_loss = loss(critic(z), critic(m + s * z))
        return g_loss, d_loss

    (g, d), gradient = jax.jit(jax.value_and_grad(g_loss, has_aux=True))(jnp.float32(m))
    return float(d), float(g), float(gradient)


# By hand from softplus(-1.5) = .2014133, softplus(-1) = .3132617, softplus(0) = .6931472, softplus(.75) = 1.1368710,
# softplus(1) = 1.3132617, softplus(1.75) = 1.9102242 and softplus(-a) = softplus(a) - a. E.g. hinge, d: relu(1 - real) =
# 0, 1, 2, its mean 1; relu(1 + fake) = 2, 0, 1.75, its mean 1.25.
GOLDEN = {
    losses.minimax: (1.594960, -0.883849),
    losses.non_saturating: (1.594960, 0.800515),
    losses.least_squares: (1.635417, 1.052083),
    losses.wasserstein: (-0.25, -0.083333),
    losses.hinge: (2.25, -0.083333),
    losses.relativistic: (0.808300, 1.058300),
}


@each_loss
def test_golden_values(loss):
    real_logits, fake_logits = jnp.array([2.0, 0.0, -1.0]), jnp.array([1.0, -1.5, 0.75])
    np.testing.assert_allclose(loss(real_logits, fake_logits), GOLDEN[loss], atol=1e-6)


@each_fake
@pytest.mark.parametrize("loss", [losses.minimax, losses.non_saturating])
def test_value_at_the_optimal_discriminator_is_the_jensen_shannon_divergence(loss, m, s):
    d_loss, *_ = play(loss, lambda x: log_ratio(x, m, s), m, s)
    np.testing.assert_allclose(-d_loss, -np.log(4) + 2 * jensen_shannon(m, s), atol=TOLERANCE)


@each_fake
def test_minimax_is_zero_sum(m, s):
    """Both players read one V: what the generator gains, up to the term it has no hand in, the discriminator loses."""
    real_logits, fake_logits = log_ratio(jnp.asarray(QUANTILES), m, s), log_ratio(jnp.asarray(m + s * QUANTILES), m, s)
    d_gradient, g_gradient = jax.jacobian(losses.minimax, argnums=1)(real_logits, fake_logits)
    np.testing.assert_array_equal(d_gradient, -g_gradient)


@each_fake
def test_saturating_generator_descends_the_jensen_shannon_divergence(m, s):
    *_, gradient = play(losses.minimax, lambda x: log_ratio(x, m, s), m, s)
    np.testing.assert_allclose(gradient, derivative(lambda m, s: 2 * jensen_shannon(m, s), m, s), atol=TOLERANCE)


@each_fake
def test_non_saturating_generator_descends_reverse_kl_less_jensen_shannon(m, s):
    *_, gradient = play(losses.non_saturating, lambda x: log_ratio(x, m, s), m, s)
    expected = derivative(lambda m, s: kl_fake_real(m, s) - 2 * jensen_shannon(m, s), m, s)
    np.testing.assert_allclose(gradient, expected, atol=TOLERANCE)


@each_fake
def test_hinge_at_its_optimum_is_twice_the_overlap(m, s):
    d_loss, *_ = play(losses.hinge, lambda x: jnp.sign(log_ratio(x, m, s)), m, s)
    overlap = integral(np.minimum(density(0, 1), density(m, s)))
    np.testing.assert_allclose(d_loss, 2 * overlap, atol=TOLERANCE)
    if s == 1:
        np.testing.assert_allclose(d_loss, 4 * ndtr(-abs(m) / 2), atol=TOLERANCE)


@each_fake
def test_least_squares_at_its_optimum(m, s):
    d_loss, *_ = play(losses.least_squares, lambda x: jax.nn.sigmoid(log_ratio(x, m, s)), m, s)
    p, q = density(0, 1), density(m, s)
    np.testing.assert_allclose(d_loss, integral(p * q / (p + q)) / 2, atol=TOLERANCE)


@each_fake
def test_relativistic_at_its_optimum_is_the_divergence_of_the_pairings(m, s):
    """C* = log p/q reaches log 2 - JSD(p x q, q x p). The pair (x, y) runs over a Fibonacci lattice: both margins are
    quantile grids, and the two are independent as far as a smooth integrand can tell."""
    n, generator = 17_711, 10_946
    u = (np.arange(n) + 0.5) / n
    v = (np.arange(n) * generator % n + 0.5) / n
    real, fake = jnp.asarray(ndtri(u)), jnp.asarray(m + s * ndtri(v))
    d_loss, g_loss = losses.relativistic(log_ratio(real, m, s), log_ratio(fake, m, s))

    # The gap C(x) - C(y) is all that matters of a pair; JSD by quadrature over the plane, on every 50th point.
    x, y = X[::50, None], X[None, ::50]
    p, q = density(0, 1)[::50], density(m, s)[::50]
    gap = log_ratio(x, m, s) - log_ratio(y, m, s)
    cell = (X[50] - X[0]) ** 2
    pq, qp = p[:, None] * q * cell, q[:, None] * p * cell
    jsd = np.log(2) - (pq * np.logaddexp(0, -gap) + qp * np.logaddexp(0, gap)).sum() / 2
    np.testing.assert_allclose(-d_loss, -np.log(2) + jsd, atol=TOLERANCE)
    # The generator's loss is the discriminator's with the roles swapped: E softplus(C(x) - C(y)).
    np.testing.assert_allclose(g_loss, (pq * np.logaddexp(0, gap)).sum(), atol=TOLERANCE)


@each_fake
@pytest.mark.parametrize(
    ("loss", "output"),
    [
        (losses.minimax, lambda logit: logit),
        (losses.non_saturating, lambda logit: logit),
        (losses.least_squares, jax.nn.sigmoid),
    ],
)
def test_discriminator_cannot_improve_on_its_optimum(loss, output, m, s):
    """The first variation vanishes at D*, in the directions 1, x and exp(-x^2/2)."""
    real, fake = jnp.asarray(QUANTILES), jnp.asarray(m + s * QUANTILES)

    def d_loss(step):
        def critic(x):
            return output(log_ratio(x, m, s)) + step[0] + step[1] * x + step[2] * jnp.exp(-jnp.square(x) / 2)

        return loss(critic(real), critic(fake))[0]

    np.testing.assert_allclose(jax.grad(d_loss)(jnp.zeros(3)), jnp.zeros(3), atol=TOLERANCE)


@pytest.mark.parametrize("m", [1.0, -0.7])
def test_wasserstein_at_the_dual_potential_of_a_shift(m):
    d_loss, _, gradient = play(losses.wasserstein, lambda x: -np.sign(m) * x, m, 1.0)
    np.testing.assert_allclose(d_loss, -abs(m), atol=1e-5)  # linear, so the grid is exact and only float32 rounds
    np.testing.assert_allclose(gradient, np.sign(m), atol=1e-5)  # d|m|/dm


@pytest.mark.parametrize(("s", "sign"), [(0.6, 1), (1.5, -1)])
def test_wasserstein_at_the_dual_potential_of_a_scale(s, sign):
    d_loss, *_ = play(losses.wasserstein, lambda x: sign * jnp.abs(x), 0.0, s)
    np.testing.assert_allclose(d_loss, -abs(1 - s) * np.sqrt(2 / np.pi), atol=TOLERANCE)


@each_loss
def test_shift_of_all_logits(loss):
    """Only the losses that compare real with fake are blind to a constant in D; the others fix its level."""
    real_logits, fake_logits = jnp.array([2.0, 0.0, -1.0]), jnp.array([1.0, -1.5, 0.75])
    change = float(loss(real_logits + 3, fake_logits + 3)[0] - loss(real_logits, fake_logits)[0])
    if loss in (losses.relativistic, losses.wasserstein):
        assert abs(change) < 1e-6
    else:
        assert abs(change) > 0.1


@each_loss
@pytest.mark.parametrize("real_sign", [1, -1])
@pytest.mark.parametrize("fake_sign", [1, -1])
def test_large_logits_stay_finite(loss, real_sign, fake_sign):
    real_logits, fake_logits = jnp.full(3, 1e4 * real_sign), jnp.full(3, 1e4 * fake_sign)
    values, gradients = loss(real_logits, fake_logits), jax.jacobian(loss, argnums=(0, 1))(real_logits, fake_logits)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((values, gradients)))


# (d_loss, g_loss) where D is sure and wrong, real at -1e4 and fake at 1e4: exactly linear or quadratic in the error, where
# a sigmoid followed by a logarithm would have clipped.
WRONG_AND_SURE = {
    losses.minimax: (2e4, -1e4),
    losses.non_saturating: (2e4, 0),
    losses.least_squares: (1e8, 5e7),
    losses.wasserstein: (2e4, -1e4),
    losses.hinge: (2e4, -1e4),
    losses.relativistic: (2e4, 0),
}


@each_loss
def test_large_errors_are_not_clipped(loss):
    values = loss(jnp.full(3, -1e4), jnp.full(3, 1e4))
    np.testing.assert_allclose(values, WRONG_AND_SURE[loss], rtol=2e-4)  # the margins of 1 and 2 beside 1e4


@each_loss
def test_bfloat16_logits_are_computed_in_float32(loss):
    real_logits, fake_logits = jnp.array([2.0, 0.3, -1.0], jnp.bfloat16), jnp.array([1.0, -1.5, 0.7], jnp.bfloat16)
    values = loss(real_logits, fake_logits)
    assert [value.dtype for value in values] == [jnp.float32, jnp.float32]
    expected = loss(real_logits.astype(jnp.float32), fake_logits.astype(jnp.float32))
    np.testing.assert_array_equal(values, expected)  # bfloat16 arithmetic would be off by 1e-3


@each_loss
@pytest.mark.parametrize(("real_shape", "fake_shape"), [((3, 1), (3,)), ((3,), (3, 1)), ((), (3,)), ((2, 3), (3, 2))])
def test_logits_of_another_rank_are_refused(loss, real_shape, fake_shape):
    with pytest.raises(ValueError) as error:
        loss(jnp.zeros(real_shape), jnp.zeros(fake_shape))
    assert str(real_shape) in str(error.value)
    assert str(fake_shape) in str(error.value)


def test_relativistic_refuses_what_cannot_be_paired():
    with pytest.raises(ValueError, match=r"\(3,\).*\(1,\)"):  # would broadcast in silence
        losses.relativistic(jnp.zeros(3), jnp.zeros(1))


@pytest.mark.parametrize("loss", LOSSES[:-1], ids=lambda loss: loss.__name__)
def test_unpaired_losses_take_batches_of_two_sizes(loss):
    real_logits, fake_logits = jnp.array([2.0, 0.0, -1.0]), jnp.array([1.0, -1.5])
    np.testing.assert_allclose(
        loss(real_logits, fake_logits), loss(jnp.tile(real_logits, 2), jnp.tile(fake_logits, 3)), atol=1e-6
    )
