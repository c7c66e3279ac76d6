"""The Dirac-GAN: the smallest game there is, with our losses and our R1, behaves as its eigenvalues say.

Data at 0, the generator puts its one sample at theta, D_psi(x) = psi x; the equilibrium is (theta, psi) = (0, 0). There the
linearised field has a = f'(0) (1/2 for the logistic losses, 1 for Wasserstein and hinge), and with R1 of weight gamma its
eigenvalues solve l^2 + gamma l + a^2 = 0. A step of size h multiplies an error by |mu|, the largest modulus among the
eigenvalues of the step's Jacobian: below 1 the game converges, above it diverges, at 1 it circles.

Source: Mescheder et al. 2018, arXiv:1801.04406, sections 2 and 3.

Everything runs in float64, so that no tolerance hides a term. The losses cast logits to float32; their derivatives at the
equilibrium, and Wasserstein's everywhere, are 0, 1/2 and 1, which float32 holds exactly.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import losses, penalties

H = 0.1


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def d_gradient(loss, gamma, theta, psi):
    real, fake = jnp.zeros((1, 1)), theta.reshape(1, 1)

    def d_loss(psi):
        def critic(x):
            return psi * x[:, 0]

        return loss(critic(real), critic(fake))[0] + gamma * penalties.r1(critic, real, fake, None)

    return jax.grad(d_loss)(psi)


def g_gradient(loss, theta, psi):
    return jax.grad(lambda theta: loss(jnp.zeros(1), psi * theta.reshape(1))[1])(theta)


def simultaneous(loss, gamma, y):
    theta, psi = y
    return jnp.stack([theta - H * g_gradient(loss, theta, psi), psi - H * d_gradient(loss, gamma, theta, psi)])


def alternating(loss, gamma, y):
    theta, psi = y
    psi = psi - H * d_gradient(loss, gamma, theta, psi)
    return jnp.stack([theta - H * g_gradient(loss, theta, psi), psi])


def eigenvalues(step, loss, gamma):
    # Forward mode: in reverse H would pass through the losses' float32, and a double root takes the square root of that.
    return np.linalg.eigvals(jax.jacfwd(lambda y: step(loss, gamma, y))(jnp.zeros(2)))


def trajectory(step, loss, gamma, y, steps):
    """[steps + 1, 2]: where the game starts and every state after it."""

    def scan_step(y, _):
        y = step(loss, gamma, y)
        return y, y

    return np.vstack([y, jax.jit(lambda y: jax.lax.scan(scan_step, y, length=steps)[1])(y)])


LOGISTIC = [losses.minimax, losses.non_saturating, losses.relativistic]
LINEAR = [losses.wasserstein, losses.hinge]  # near the equilibrium, where the hinge is far from its margin
GAMMAS = (0.1, 0.3, 1.0, 2.0)
# |mu| at H = 0.1 for each gamma. Source: the formulas above by hand, to six digits.
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
    """The field's eigenvalues are +-ia: simultaneous steps spiral outwards, alternating ones turn on the unit circle."""
    rotation = np.sort_complex(eigenvalues(simultaneous, loss, 0.0))
    np.testing.assert_allclose(rotation, [1 - 1j * H * a, 1 + 1j * H * a], atol=1e-12)
    turn = eigenvalues(alternating, loss, 0.0)
    np.testing.assert_allclose(np.abs(turn), 1, atol=1e-12)
    np.testing.assert_allclose(np.abs(turn.imag), H * a * np.sqrt(1 - (H * a / 2) ** 2), atol=1e-12)


def test_wasserstein_simultaneous_grows_exactly():
    y = trajectory(simultaneous, losses.wasserstein, 0.0, jnp.array([0.6, 0.8]), 100)
    np.testing.assert_allclose(np.square(y).sum(1), (1 + H**2) ** np.arange(101), rtol=1e-12)


def test_wasserstein_alternating_stays_on_its_ellipse():
    theta, psi = trajectory(alternating, losses.wasserstein, 0.0, jnp.array([0.6, 0.8]), 100).T
    np.testing.assert_allclose(theta**2 + psi**2 - H * theta * psi, 1 - H * 0.48, rtol=1e-12)
    assert theta.min() < -0.9  # a turn takes 63 steps: the invariant is not that of a game that stands still


@pytest.mark.parametrize("step", [simultaneous, alternating])
def test_minimax_arrives_only_with_its_penalty(step):
    """The whole game from afar, not its linearisation: the distance to the equilibrium after 500 steps."""
    start = jnp.array([0.6, 0.8])
    without, with_r1 = (np.linalg.norm(trajectory(step, losses.minimax, gamma, start, 500)[-1]) for gamma in (0.0, 0.3))
    assert without > 0.9
    assert with_r1 < 0.01  # .986^500 = .0009
