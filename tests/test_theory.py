"""The meaning of the losses' values: divergences at the optimal discriminator, bounds elsewhere, and the gradient of G.

The closed forms have p = N(0, 1) (real) and q = N(m, s^2) (fake), integrated over x on a grid. Most losses are a mean over real
logits plus a mean over fake ones, so the losses of single samples, weighted with p and q, give the loss of the two
distributions. For smooth integrands the trapezoidal rule converges faster than any power of the step, so the remaining error is
the rounding of the losses' float32.
"""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, ndtr

from gan_jax import losses

X = np.linspace(-15, 15, 30_001)
# Each term has a relative error of a few times 6e-8, of either sign. Largest error measured: 1.3e-7, for a derivative of 7.
TOLERANCE = 5e-7

each_fake = pytest.mark.parametrize(("m", "s"), [(1.0, 1.0), (-0.7, 0.9), (0.5, 1.5)])


def loss_id(loss) -> str:
    if isinstance(loss, partial):
        return f"{loss.func.__name__}-{'-'.join(map(str, loss.keywords))}"
    return loss.__name__


def density(m: float, s: float) -> np.ndarray:
    return np.exp(-(((X - m) / s) ** 2) / 2) / (s * np.sqrt(2 * np.pi))


def integral(y: np.ndarray) -> float:
    return float(np.trapezoid(y, X))


def log_ratio(x: np.ndarray, m: float, s: float) -> np.ndarray:
    """log p/q at x: the logit of the optimal discriminator D* = p / (p + q)."""
    return np.log(s) + (x - m) ** 2 / (2 * s**2) - x**2 / 2


@cache
def _single_samples(loss):
    @jax.jit
    @jax.vmap
    def single(v):
        def real(v):
            return jnp.stack(loss(v[None], jnp.zeros(1))) - jnp.stack(loss(jnp.zeros(1), jnp.zeros(1)))

        def fake(v):
            return jnp.stack(loss(jnp.zeros(1), v[None]))

        return real(v), fake(v), jax.jacfwd(real)(v), jax.jacfwd(fake)(v)

    return single


def single_samples(loss, logits: np.ndarray) -> list[np.ndarray]:
    """Return the contribution of a real sample with each logit to (d_loss, g_loss), that of a fake one, and the derivatives of
    both with respect to the logit: [2, N] each. The two contributions add up to the loss; its constant is in the fake one."""
    return [np.asarray(leaf, np.float64).T for leaf in _single_samples(loss)(jnp.asarray(logits, jnp.float32))]


def play(loss, logits: np.ndarray, m: float, s: float) -> tuple[float, float]:
    """Return (d_loss, g_loss) of the critic that has these logits on X."""
    real, fake, *_ = single_samples(loss, logits)
    d_loss, g_loss = (integral(density(0, 1) * real[i] + density(m, s) * fake[i]) for i in (0, 1))
    return d_loss, g_loss


def g_gradient(loss, critic, m: float, s: float) -> float:
    """Return d(g_loss)/dm of the generator m + s z for a fixed discriminator: E_q of the loss's slope times the critic's slope,
    the latter by a complex step, which has no rounding error."""
    slopes = single_samples(loss, critic(X))[3]
    return integral(density(m, s) * slopes[1] * critic(X + 1e-20j).imag * 1e20)


def derivative(f, m: float, s: float, h: float = 1e-4) -> float:
    """Return df/dm by central differences, with an error of order h^2 = 1e-8."""
    return (f(m + h, s) - f(m - h, s)) / (2 * h)


# Divergences of p = N(0, 1) and q = N(m, s^2)


def kl(m: float, s: float) -> float:
    return np.log(s) + (1 + m**2) / (2 * s**2) - 0.5


def reverse_kl(m: float, s: float) -> float:
    return -np.log(s) + (s**2 + m**2) / 2 - 0.5


def pearson(m: float, s: float) -> float:
    """Finite for s^2 > 1/2; exp(m^2) - 1 at s = 1."""
    return s**2 / np.sqrt(2 * s**2 - 1) * np.exp(m**2 / (2 * s**2 - 1)) - 1


def squared_hellinger(m: float, s: float) -> float:
    return 2 - 2 * np.sqrt(2 * s / (1 + s**2)) * np.exp(-(m**2) / (4 * (1 + s**2)))


def jensen_shannon(m: float, s: float) -> float:
    p, q, log_p_q = density(0, 1), density(m, s), log_ratio(X, m, s)
    p_half = integral(p * (np.log(2) - np.logaddexp(0, -log_p_q)))
    q_half = integral(q * (np.log(2) - np.logaddexp(0, log_p_q)))
    return (p_half + q_half) / 2


def total_variation(m: float, s: float) -> float:
    return integral(np.abs(density(0, 1) - density(m, s))) / 2


# f-GAN: the divergence that each loss estimates, and the optimal logit as a function of log p/q.
F_GAN = {
    losses.kl: (kl, lambda log_p_q: 1 + log_p_q),
    losses.reverse_kl: (reverse_kl, lambda log_p_q: log_p_q),
    losses.pearson: (pearson, lambda log_p_q: 2 * (np.exp(log_p_q) - 1)),
    losses.squared_hellinger: (squared_hellinger, lambda log_p_q: log_p_q / 2),
    losses.jensen_shannon: (lambda m, s: 2 * jensen_shannon(m, s), lambda log_p_q: log_p_q),
    losses.total_variation: (total_variation, lambda log_p_q: 20 * np.sign(log_p_q)),  # tanh(20) is 1
}
each_f_gan = pytest.mark.parametrize("loss", F_GAN, ids=loss_id)


@pytest.mark.parametrize("m", [1.0, -0.3])
def test_references(m):
    """The integrals and formulas above against closed forms for s = 1."""
    np.testing.assert_allclose(total_variation(m, 1.0), 2 * ndtr(abs(m) / 2) - 1, atol=1e-6)
    np.testing.assert_allclose([kl(m, 1.0), reverse_kl(m, 1.0)], m**2 / 2, atol=1e-12)
    np.testing.assert_allclose(pearson(m, 1.0), np.exp(m**2) - 1, atol=1e-12)
    np.testing.assert_allclose(log_ratio(X, m, 1.0), m**2 / 2 - m * X, atol=1e-12)
    np.testing.assert_allclose(expit(log_ratio(X, m, 1.0)) * (density(0, 1) + density(m, 1)), density(0, 1), atol=1e-12)


@each_fake
@each_f_gan
def test_f_gan_equals_its_divergence_at_the_optimal_critic(loss, m, s):
    divergence, optimal = F_GAN[loss]
    d_loss, _ = play(loss, optimal(log_ratio(X, m, s)), m, s)
    np.testing.assert_allclose(-d_loss, divergence(m, s), atol=TOLERANCE)


OTHER_LOG_RATIOS = {
    "shifted": lambda log_p_q: log_p_q + 0.3,
    "flatter": lambda log_p_q: 0.5 * log_p_q - 0.2,
    "wavy": lambda log_p_q: log_p_q + 0.4 * np.sin(2 * X),
    "constant": lambda log_p_q: 0 * log_p_q,
}


@pytest.mark.parametrize("other", OTHER_LOG_RATIOS)
@each_f_gan
def test_f_gan_is_below_its_divergence_at_other_critics(loss, other, m=1.0, s=1.0):
    divergence, optimal = F_GAN[loss]
    d_loss, _ = play(loss, optimal(OTHER_LOG_RATIOS[other](log_ratio(X, m, s))), m, s)
    assert -d_loss < divergence(m, s) - 1e-3
    if other == "constant":
        assert abs(d_loss) < TOLERANCE  # a critic for p = q finds no difference


@each_fake
@pytest.mark.parametrize("loss", [loss for loss in F_GAN if loss is not losses.total_variation], ids=loss_id)
def test_f_gan_generator_descends_the_divergence(loss, m, s):
    """At the optimal critic, by the envelope theorem. Total variation is excluded: its optimal critic is flat."""
    divergence, optimal = F_GAN[loss]
    gradient = g_gradient(loss, lambda x: optimal(log_ratio(x, m, s)), m, s)
    np.testing.assert_allclose(gradient, derivative(divergence, m, s), atol=TOLERANCE)


NON_SATURATING_KL, NON_SATURATING_F_GAN = (partial(f, non_saturating=True) for f in (losses.kl, losses.jensen_shannon))


@each_fake
def test_non_saturating_kl_descends_reverse_kl(m, s):
    """G then maximises E_q log p/q: with the alternative loss, the mode-covering game becomes mode-seeking."""
    gradient = g_gradient(NON_SATURATING_KL, lambda x: 1 + log_ratio(x, m, s), m, s)
    np.testing.assert_allclose(gradient, derivative(reverse_kl, m, s), atol=TOLERANCE)


@each_fake
@pytest.mark.parametrize("loss", [losses.minimax, losses.non_saturating])
def test_value_at_the_optimal_discriminator_is_the_jensen_shannon_divergence(loss, m, s):
    d_loss, _ = play(loss, log_ratio(X, m, s), m, s)
    np.testing.assert_allclose(-d_loss, -np.log(4) + 2 * jensen_shannon(m, s), atol=TOLERANCE)


def test_minimax_is_zero_sum():
    """Both players share one V: the derivatives of their losses with respect to fake logits are opposite."""
    *_, slopes = single_samples(losses.minimax, log_ratio(X, 1.0, 1.5))
    np.testing.assert_array_equal(slopes[0], -slopes[1])


@each_fake
def test_saturating_generator_descends_the_jensen_shannon_divergence(m, s):
    gradient = g_gradient(losses.minimax, lambda x: log_ratio(x, m, s), m, s)
    np.testing.assert_allclose(gradient, derivative(lambda m, s: 2 * jensen_shannon(m, s), m, s), atol=TOLERANCE)


@each_fake
@pytest.mark.parametrize("loss", [losses.non_saturating, NON_SATURATING_F_GAN], ids=["non_saturating", "f_gan"])
def test_non_saturating_generator_descends_reverse_kl_less_jensen_shannon(loss, m, s):
    gradient = g_gradient(loss, lambda x: log_ratio(x, m, s), m, s)
    expected = derivative(lambda m, s: reverse_kl(m, s) - 2 * jensen_shannon(m, s), m, s)
    np.testing.assert_allclose(gradient, expected, atol=TOLERANCE)


def smoothed_logit(log_p_q: np.ndarray) -> np.ndarray:
    """Return the logit of (1 - .2) p / (p + q)."""
    return log_p_q + np.log(0.8) - np.log1p(0.2 * np.exp(log_p_q))


SMOOTHED = [partial(loss, smoothing=0.2) for loss in (losses.minimax, losses.non_saturating, losses.least_squares)]
# The optimal logit of each loss as a function of log p/q, if it is unique and finite.
OPTIMAL = {loss: optimal for loss, (_, optimal) in F_GAN.items() if loss is not losses.total_variation} | {
    losses.minimax: lambda log_p_q: log_p_q,
    losses.non_saturating: lambda log_p_q: log_p_q,
    losses.least_squares: expit,
    SMOOTHED[0]: smoothed_logit,
    SMOOTHED[1]: smoothed_logit,
    SMOOTHED[2]: lambda log_p_q: 0.8 * expit(log_p_q),
}
each_optimal = pytest.mark.parametrize(("loss", "optimal"), OPTIMAL.items(), ids=map(loss_id, OPTIMAL))


@each_fake
@each_optimal
def test_loss_is_stationary_at_the_optimal_discriminator(loss, optimal, m, s):
    """p times the slope of a real sample cancels q times that of a fake one at every x, so the loss is stationary in every
    direction."""
    p, q = density(0, 1), density(m, s)
    central = np.abs(X) < 8  # logits stay below 20, so that float32 rounds p/q by 1e-6 at most
    *_, real_slopes, fake_slopes = single_samples(loss, optimal(log_ratio(X, m, s)))
    real_term, fake_term = (p * real_slopes[0] / (p + q))[central], (q * fake_slopes[0] / (p + q))[central]
    np.testing.assert_allclose(real_term + fake_term, 0, atol=2e-6)  # measured: 1e-6
    assert real_term.min() < -0.1


@each_optimal
def test_other_discriminators_are_worse(loss, optimal, m=1.0, s=1.0):
    logits = optimal(log_ratio(X, m, s))
    d_loss, _ = play(loss, logits, m, s)
    for other in (logits + 0.1, logits - 0.1, 0.9 * logits, logits + 0.1 * np.sin(2 * X), logits + 0.1 * np.exp(-(X**2))):
        assert play(loss, other, m, s)[0] > d_loss + 1e-4


@each_fake
def test_hinge_at_its_optimum_is_twice_the_overlap(m, s):
    log_p_q = log_ratio(X, m, s)
    d_loss, _ = play(losses.hinge, np.sign(log_p_q), m, s)
    np.testing.assert_allclose(d_loss, 2 - 2 * total_variation(m, s), atol=TOLERANCE)
    if s == 1:
        np.testing.assert_allclose(d_loss, 4 * ndtr(-abs(m) / 2), atol=TOLERANCE)
    for other in (0.9 * np.sign(log_p_q), 1.1 * np.sign(log_p_q), np.sign(log_p_q + 0.1), np.tanh(log_p_q)):
        assert play(losses.hinge, other, m, s)[0] > d_loss + 1e-4


@each_fake
@pytest.mark.parametrize(("loss", "target"), [(losses.least_squares, 1.0), (SMOOTHED[2], 0.8)], ids=["plain", "smoothed"])
def test_least_squares_at_its_optimum(loss, target, m, s):
    p, q = density(0, 1), density(m, s)
    d_loss, _ = play(loss, target * expit(log_ratio(X, m, s)), m, s)
    np.testing.assert_allclose(d_loss, target**2 * integral(p * q / (p + q)) / 2, atol=TOLERANCE)


@each_fake
def test_relativistic_at_its_optimum_is_the_divergence_between_pairs(m, s):
    """C* = log p/q reaches d_loss = log 2 - JSD(p x q, q x p), integrated over pairs (real x, fake y)."""
    coarse = slice(None, None, 50)
    p, q, log_p_q = density(0, 1)[coarse], density(m, s)[coarse], log_ratio(X, m, s)[coarse]
    cell = (X[50] - X[0]) ** 2
    pq, qp = p[:, None] * q * cell, q[:, None] * p * cell

    @jax.jit
    def pair_losses(logits):
        single = jax.vmap(lambda x, y: jnp.stack(losses.relativistic(x[None], y[None])))
        return jax.vmap(lambda x: single(jnp.full_like(logits, x), logits))(logits)

    def play_pairs(logits):
        return (pq[:, :, None] * np.asarray(pair_losses(jnp.asarray(logits, jnp.float32)), np.float64)).sum((0, 1))

    gap = log_p_q[:, None] - log_p_q  # log (p x q) / (q x p)
    jsd = np.log(2) - (pq * np.logaddexp(0, -gap) + qp * np.logaddexp(0, gap)).sum() / 2
    d_loss, g_loss = play_pairs(log_p_q)
    np.testing.assert_allclose(d_loss, np.log(2) - jsd, atol=TOLERANCE)
    # The generator's loss is the discriminator's with the roles swapped: E softplus(C(x) - C(y)).
    np.testing.assert_allclose(g_loss, (pq * np.logaddexp(0, gap)).sum(), atol=TOLERANCE)
    for other in (0.9 * log_p_q, 1.1 * log_p_q, log_p_q + 0.1 * np.sin(2 * X[coarse])):
        assert play_pairs(other)[0] > d_loss + 1e-4
    np.testing.assert_allclose(play_pairs(log_p_q + 0.5)[0], d_loss, atol=TOLERANCE)


@pytest.mark.parametrize("m", [1.0, -0.7])
def test_wasserstein_at_the_dual_potential_of_a_shift(m):
    d_loss, _ = play(losses.wasserstein, -np.sign(m) * X, m, 1.0)
    np.testing.assert_allclose(d_loss, -abs(m), atol=TOLERANCE)
    np.testing.assert_allclose(g_gradient(losses.wasserstein, lambda x: -np.sign(m) * x, m, 1.0), np.sign(m), atol=TOLERANCE)


@pytest.mark.parametrize(("s", "sign"), [(0.6, 1), (1.5, -1)])
def test_wasserstein_at_the_dual_potential_of_a_scale(s, sign):
    d_loss, _ = play(losses.wasserstein, sign * np.abs(X), 0.0, s)
    np.testing.assert_allclose(d_loss, -abs(1 - s) * np.sqrt(2 / np.pi), atol=TOLERANCE)


SHIFT_INVARIANT = [losses.wasserstein, losses.relativistic, losses.relativistic_average, losses.mmd]
NOT_SHIFT_INVARIANT = [losses.minimax, losses.non_saturating, losses.least_squares, losses.hinge, *F_GAN]


@pytest.mark.parametrize("loss", [*SHIFT_INVARIANT, *NOT_SHIFT_INVARIANT], ids=loss_id)
def test_shift_of_all_logits(loss):
    """Losses that only compare real with fake logits, and their gradients, are invariant to a constant added to D; the others
    are not. (These logits, and their sums with 4, are exact in float32.)"""
    real_logits, fake_logits = jnp.array([2.0, 0.0, -1.0]), jnp.array([1.0, -1.5, 0.75])

    @jax.jit
    def values_and_gradients(shift):
        logits = (real_logits + shift, fake_logits + shift)
        return jnp.stack(loss(*logits)), jnp.array(jax.jacobian(loss, argnums=(0, 1))(*logits))

    (original, gradients), (shifted, shifted_gradients) = values_and_gradients(0.0), values_and_gradients(4.0)
    if loss in SHIFT_INVARIANT:
        np.testing.assert_allclose(shifted_gradients, gradients, atol=1e-6)
        np.testing.assert_allclose(shifted[0], original[0], atol=1e-6)
        if loss is not losses.wasserstein:  # its g_loss omits the term of the real samples
            np.testing.assert_allclose(shifted[1], original[1], atol=1e-6)
    else:
        assert abs(shifted[0] - original[0]) > 0.01


def kernel_value(kernel: str, distance: float) -> float:
    if kernel == "gaussian":
        return sum(np.exp(-(distance**2) / (2 * s**2)) for s in (1, 2, 4, 8, 16))
    return sum((1 + distance**2 / (2 * a)) ** -a for a in (0.2, 0.5, 1, 2, 5))


@pytest.mark.parametrize("kernel", ["rational_quadratic", "gaussian"])
@pytest.mark.parametrize(("p", "q"), [(0.3, 0.8), (0.3, 0.3)])
def test_mmd_is_unbiased(kernel, p, q):
    """Real logits are 3 with probability p and 0 otherwise, fake ones with probability q: MMD^2 = 2 (p - q)^2 (k(0) - k(3)).
    It equals the mean of the estimate over all batches of 2 real and 3 fake samples, weighted by their probabilities. An
    unbiased estimate is sometimes negative."""
    real, fake = np.indices((2,) * 2).reshape(2, -1).T, np.indices((2,) * 3).reshape(3, -1).T
    probability = np.prod(np.where(real, p, 1 - p), axis=1)[:, None] * np.prod(np.where(fake, q, 1 - q), axis=1)

    @jax.jit
    def estimates(real, fake):
        single = partial(losses.mmd, kernel=kernel)
        return jax.vmap(lambda x: jax.vmap(lambda y: single(x, y)[1])(fake))(real)

    values = np.asarray(estimates(jnp.float32(3 * real), jnp.float32(3 * fake)), np.float64)
    expected = 2 * (p - q) ** 2 * (kernel_value(kernel, 0) - kernel_value(kernel, 3))
    np.testing.assert_allclose((probability * values).sum(), expected, atol=TOLERANCE)
    assert values.min() < -0.1
