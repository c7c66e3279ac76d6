"""The Dirac-GAN, the smallest possible game, with our losses and our R1: it must behave as its eigenvalues predict.

The data are at 0, the generator's only sample is at theta, and D_psi(x) = psi x; the equilibrium is (theta, psi) = (0, 0).
There the linearised field has a = f'(0) (1/2 for the logistic losses, 1 for Wasserstein and hinge), and with R1 of weight gamma
its eigenvalues solve l^2 + gamma l + a^2 = 0. A step of size h multiplies an error by |mu|, the largest modulus among the
eigenvalues of the step's Jacobian: below 1 the game converges, above 1 it diverges, at 1 it circles.

A game converges if something damps psi, such as R1, R2 or (where the loss is curved) instance noise. No loss alone does so,
nor does WGAN-GP's penalty, which pulls the slope to 1 although it is 0 at the equilibrium.

Source: Mescheder et al. 2018, arXiv:1801.04406, sections 2 and 3.

Everything runs in float64, so that no tolerance hides a term. The losses cast logits to float32; their derivatives at the
equilibrium, and Wasserstein's everywhere, are 0, 1/2 and 1, which float32 represents exactly.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import losses, penalties

H = 0.1
KEY = jax.random.key(0)  # a linear critic has the same slope at every point of a penalty


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def d_gradient(loss, gamma, theta, psi, penalty):
    real, fake = jnp.zeros((1, 1)), theta.reshape(1, 1)

    def d_loss(psi):
        def critic(x):
            return psi * x[:, 0]

        return loss(critic(real), critic(fake))[0] + gamma * penalty(critic, real, fake, KEY)

    return jax.grad(d_loss)(psi)


def g_gradient(loss, theta, psi):
    return jax.grad(lambda theta: loss(jnp.zeros(1), psi * theta.reshape(1))[1])(theta)


def simultaneous(loss, gamma, y, penalty=penalties.r1):
    theta, psi = y
    return jnp.stack([theta - H * g_gradient(loss, theta, psi), psi - H * d_gradient(loss, gamma, theta, psi, penalty)])


def alternating(loss, gamma, y, penalty=penalties.r1):
    theta, psi = y
    psi = psi - H * d_gradient(loss, gamma, theta, psi, penalty)
    return jnp.stack([theta - H * g_gradient(loss, theta, psi), psi])


def eigenvalues(step, loss, gamma):
    # Forward mode: in reverse mode H would pass through the losses' float32, and at a double root the rounding error of the
    # eigenvalues is the square root of that.
    return np.linalg.eigvals(jax.jacfwd(lambda y: step(loss, gamma, y))(jnp.zeros(2)))


def trajectory(step, loss, gamma, y, steps):
    """The initial state and the state after every step, [steps + 1, 2]."""

    def scan_step(y, _):
        y = step(loss, gamma, y)
        return y, y

    return np.vstack([y, jax.jit(lambda y: jax.lax.scan(scan_step, y, length=steps)[1])(y)])


LOGISTIC = [losses.minimax, losses.non_saturating, losses.relativistic]
LINEAR = [losses.wasserstein, losses.hinge]  # near the equilibrium the logits are within the hinge's margin
GAMMAS = (0.1, 0.3, 1.0, 2.0)
# |mu| at H = 0.1 for each gamma, computed by hand from the formulas above to six digits.
TABLE = [
    (LOGISTIC, simultaneous, (0.996243, 0.986154, 0.950000, 0.986603)),  # a double root at gamma = 2a = 1
    (LOGISTIC, alternating, (0.994987, 0.984886, 0.960000, 0.986793)),
    (LINEAR, simultaneous, (1.000000, 0.989949, 0.953939, 0.900000)),  # a double root at gamma = 2a = 2
    (LINEAR, alternating, (0.994987, 0.984886, 0.948683, 0.927016)),
]


@pytest.mark.parametrize(
    ("loss", "step", "rates"),
    [
        pytest.param(loss, step, rates, id=f"{loss.__name__}-{step.__name__}")
        for members, step, rates in TABLE
        for loss in members
    ],
)
def test_rate_of_convergence_with_r1(loss, step, rates):
    for gamma, rate in zip(GAMMAS, rates, strict=True):
        largest = np.abs(eigenvalues(step, loss, gamma)).max()
        np.testing.assert_allclose(largest, rate, atol=1e-6, err_msg=f"gamma = {gamma}")  # the table's last digit


@pytest.mark.parametrize(("loss", "a"), [(loss, 0.5) for loss in LOGISTIC] + [(loss, 1.0) for loss in LINEAR])
def test_without_penalty_the_equilibrium_circles(loss, a):
    """The field's eigenvalues are +-ia: simultaneous steps spiral outwards, alternating steps stay on the unit circle."""
    rotation = np.sort_complex(eigenvalues(simultaneous, loss, 0.0))
    np.testing.assert_allclose(rotation, [1 - 1j * H * a, 1 + 1j * H * a], atol=1e-12)
    rotation = eigenvalues(alternating, loss, 0.0)
    np.testing.assert_allclose(np.abs(rotation), 1, atol=1e-12)
    np.testing.assert_allclose(np.abs(rotation.imag), H * a * np.sqrt(1 - (H * a / 2) ** 2), atol=1e-12)


def test_wasserstein_simultaneous_grows_exactly():
    y = trajectory(simultaneous, losses.wasserstein, 0.0, jnp.array([0.6, 0.8]), 100)
    np.testing.assert_allclose(np.square(y).sum(1), (1 + H**2) ** np.arange(101), rtol=1e-12)


def test_wasserstein_alternating_stays_on_its_ellipse():
    theta, psi = trajectory(alternating, losses.wasserstein, 0.0, jnp.array([0.6, 0.8]), 100).T
    np.testing.assert_allclose(theta**2 + psi**2 - H * theta * psi, 1 - H * 0.48, rtol=1e-12)
    assert theta.min() < -0.9  # a full turn takes 63 steps: the game does move


@pytest.mark.parametrize("step", [simultaneous, alternating])
def test_minimax_converges_only_with_r1(step):
    """The nonlinear game from a distant start: the distance to the equilibrium after 500 steps."""
    start = jnp.array([0.6, 0.8])
    without, with_r1 = (np.linalg.norm(trajectory(step, losses.minimax, gamma, start, 500)[-1]) for gamma in (0.0, 0.3))
    assert without > 0.9
    assert with_r1 < 0.01  # .986^500 = .0009


# Each loss at its equilibrium, D(x) = psi x + bias: (bias*, a, curvature c, c_noise). bias* is the optimal logit of samples
# that are equally likely real or fake; a^2 is the product of the two players' slopes there; c is the second derivative of D's
# loss in the bias, whose eigenvalue is -c; c_noise v is what instance noise of variance v adds to the damping of psi: c v if
# real and fake logits enter separately, whereas the relativistic losses depend on the noise but not on the bias.
# By hand: e.g. kl, D's loss E exp(v - 1) - E v, is minimal at v = 1, where both slopes are 1, and exp(v - 1)'' = 1.
EQUILIBRIA = {
    losses.minimax: (0, 1 / 2, 1 / 2, 1 / 2),
    losses.non_saturating: (0, 1 / 2, 1 / 2, 1 / 2),
    # The target of real samples is 3/4: sigmoid(bias*) = 3/8, which is D's slope, c = 2 (3/8)(5/8); G's slope is 3/8, or 5/8.
    partial(losses.minimax, smoothing=0.25): (np.log(3 / 5), 3 / 8, 15 / 32, 15 / 32),
    partial(losses.non_saturating, smoothing=0.25): (np.log(3 / 5), np.sqrt(15) / 8, 15 / 32, 15 / 32),
    losses.least_squares: (1 / 2, 1 / 2, 2, 2),
    losses.wasserstein: (0, 1, 0, 0),
    losses.hinge: (0, 1, 0, 0),
    losses.relativistic: (0, 1 / 2, 0, 1 / 2),
    losses.relativistic_average: (0, 1, 0, 1 / 2),
    losses.kl: (1, 1, 1, 1),
    partial(losses.kl, non_saturating=True): (1, 1, 1, 1),
    losses.reverse_kl: (0, 1, 1, 1),
    losses.pearson: (0, 1, 1 / 2, 1 / 2),
    losses.squared_hellinger: (0, 1, 2, 2),
    losses.jensen_shannon: (0, 1 / 2, 1 / 2, 1 / 2),
    losses.total_variation: (0, 1 / 2, 0, 0),
}
# (gamma of R1, gamma of R2, variance of the noise); none of them gives a double root.
DAMPINGS = {"nothing": (0, 0, 0), "r1": (0.3, 0, 0), "r2": (0, 0.3, 0), "both": (0.25, 0.5, 0), "noise": (0, 0, 0.25)}


def field(loss, y, damping):
    """The direction in which both players descend from y = (theta, psi, bias)."""
    r1_gamma, r2_gamma, variance = damping
    # The noise is +-1 standard deviation, in all four combinations, so that a paired loss receives independent noise.
    real, fake_noise = jnp.sqrt(variance) * jnp.array([[[1], [-1], [1], [-1]], [[1], [1], [-1], [-1]]])

    def play(theta, psi, bias):
        def critic(x):
            return psi * x[:, 0] + bias

        fake = theta + fake_noise
        d_loss, g_loss = loss(critic(real), critic(fake))
        penalty = r1_gamma * penalties.r1(critic, real, fake, KEY) + r2_gamma * penalties.r2(critic, real, fake, KEY)
        return d_loss + penalty, g_loss

    d_gradient, g_gradient = jax.jacfwd(play, argnums=(0, 1, 2))(*y)
    return -jnp.stack([g_gradient[0], *d_gradient[1:]])


def loss_id(loss) -> str:
    return f"{loss.func.__name__}-{next(iter(loss.keywords))}" if isinstance(loss, partial) else loss.__name__


@pytest.mark.parametrize(("loss", "equilibrium"), EQUILIBRIA.items(), ids=map(loss_id, EQUILIBRIA))
def test_damping_of_each_loss(loss, equilibrium):
    """The field's Jacobian at the equilibrium is that of a damped oscillator, decoupled from the bias: l^2 + d l + a^2 = 0.
    R1 and R2 add their weights to d, and noise adds its variance times the curvature. With d = 0 the game circles."""
    bias, a, c, c_noise = equilibrium
    y = jnp.array([0.0, 0.0, bias])
    linearise = jax.jit(lambda damping: (field(loss, y, damping), jax.jacfwd(partial(field, loss))(y, damping)))
    for damping, (r1_gamma, r2_gamma, variance) in DAMPINGS.items():
        direction, jacobian = linearise(jnp.array([r1_gamma, r2_gamma, variance], float))
        d = r1_gamma + r2_gamma + c_noise * variance
        # The losses' float32 represents bias* to 3e-8.
        np.testing.assert_allclose(direction, 0, atol=1e-7, err_msg=damping)
        pair = np.linalg.eigvals(jacobian[:2, :2])
        np.testing.assert_allclose(np.sort_complex(pair), np.sort_complex(np.roots([1, d, a**2])), atol=1e-6, err_msg=damping)
        np.testing.assert_allclose(jacobian[2], [0, 0, -c], atol=1e-6, err_msg=damping)
        np.testing.assert_allclose(jacobian[:2, 2], 0, atol=1e-6, err_msg=damping)
        assert (np.abs(1 + H * pair).max() < 1) == (d > 0), damping  # simultaneous steps converge


def wgan_gp(step, weight, y, steps):
    return trajectory(partial(step, penalty=penalties.gradient_penalty), losses.wasserstein, weight, y, steps)


@pytest.mark.parametrize("theta", [0.3, -0.3])
@pytest.mark.parametrize("psi", [0.01, -0.01])
def test_gradient_penalty_drives_the_slope_from_its_equilibrium(theta, psi, weight=0.5):
    """If |theta| < 2 weight, the pull of (|psi| - 1)^2 on a small psi outweighs that of the data."""
    new_psi = wgan_gp(simultaneous, weight, jnp.array([theta, psi]), 1)[1, 1]
    growth = H * (2 * weight * (1 - abs(psi)) - theta * np.sign(psi))
    np.testing.assert_allclose(abs(new_psi) - abs(psi), growth, rtol=1e-6)  # the penalty's norms are float32
    assert growth > 0


@pytest.mark.parametrize("step", [simultaneous, alternating])
def test_gradient_penalty_prevents_convergence(step):
    """From a start close to the equilibrium, from which R1 of the same weight converges."""
    start = jnp.array([0.01, 0.01])
    late_states = wgan_gp(step, 0.3, start, 3000)[1000:]
    assert np.linalg.norm(late_states, axis=1).min() > 1
    assert np.linalg.norm(trajectory(step, losses.wasserstein, 0.3, start, 3000)[-1]) < 1e-6


@pytest.mark.parametrize("step", [simultaneous, alternating])
def test_strong_gradient_penalty_converges_far_from_the_data(step):
    """With a weight of 1 or more the game is overdamped and ends at theta = 2 weight, psi = 0+: there the penalty's upward pull
    and the data's downward pull balance, and the generator has no gradient to follow. Weight 2: l^2 + 4 l + 1 = 0."""
    theta, psi = wgan_gp(step, 2.0, jnp.array([0.6, 0.8]), 300).T
    np.testing.assert_allclose([theta[-1], psi[-1]], [4, 0], atol=5e-3)  # exp(-.268 * 30) = 3e-4 of an error of 4
    assert (psi > 0).all()
