"""The losses against hand-computed values and float64 formulas, at the limits of float32, and with invalid inputs. The meaning
of their values (divergences, optimal discriminators, bounds) is tested in test_theory.py.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import losses

F_GAN = [
    losses.kl,
    losses.reverse_kl,
    losses.pearson,
    losses.squared_hellinger,
    losses.jensen_shannon,
    losses.total_variation,
]
SMOOTHED = [losses.minimax, losses.non_saturating, losses.least_squares]
# Losses that require logits [B].
LOSSES = [*SMOOTHED, losses.wasserstein, losses.hinge, *F_GAN, losses.relativistic_average, losses.relativistic]
each_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
each_f_gan = pytest.mark.parametrize("loss", F_GAN, ids=lambda loss: loss.__name__)
each_smoothed = pytest.mark.parametrize("loss", SMOOTHED, ids=lambda loss: loss.__name__)

REAL, FAKE = np.array([2.0, 0.0, -1.0]), np.array([1.0, -1.5, 0.75])


def logits(*values) -> tuple[jax.Array, ...]:
    return tuple(jnp.asarray(value, jnp.float32) for value in values)


# Computed by hand from softplus(-1.5) = .2014133, softplus(-1) = .3132617, softplus(0) = .6931472, softplus(.75) = 1.1368710,
# softplus(1) = 1.3132617, softplus(1.75) = 1.9102242 and softplus(-a) = softplus(a) - a. E.g. hinge, d_loss: relu(1 - real) =
# 0, 1, 2 with mean 1; relu(1 + fake) = 2, 0, 1.75 with mean 1.25.
GOLDEN = {
    losses.minimax: (1.594960, -0.883849),
    losses.non_saturating: (1.594960, 0.800515),
    losses.least_squares: (1.635417, 1.052083),
    losses.wasserstein: (-0.25, -0.083333),
    losses.hinge: (2.25, -0.083333),
    losses.relativistic: (0.808300, 1.058300),
}


@pytest.mark.parametrize("loss", GOLDEN, ids=lambda loss: loss.__name__)
def test_golden_values(loss):
    np.testing.assert_allclose(loss(*logits(REAL, FAKE)), GOLDEN[loss], atol=1e-6)


# g_f and f* as printed in tables 2 and 6 of Nowozin et al. 2016; losses.py simplifies their composition.
ACTIVATION_AND_CONJUGATE = {
    losses.kl: (lambda v: v, lambda t: np.exp(t - 1)),
    losses.reverse_kl: (lambda v: -np.exp(-v), lambda t: -1 - np.log(-t)),
    losses.pearson: (lambda v: v, lambda t: t**2 / 4 + t),
    losses.squared_hellinger: (lambda v: 1 - np.exp(-v), lambda t: t / (1 - t)),
    losses.jensen_shannon: (lambda v: np.log(2) - np.log(1 + np.exp(-v)), lambda t: -np.log(2 - np.exp(t))),
    losses.total_variation: (lambda v: np.tanh(v) / 2, lambda t: t),
}


@each_f_gan
def test_f_gan_matches_the_published_activation_and_conjugate(loss):
    activation, conjugate = ACTIVATION_AND_CONJUGATE[loss]
    value = activation(REAL).mean() - conjugate(activation(FAKE)).mean()
    np.testing.assert_allclose(loss(*logits(REAL, FAKE)), (-value, -conjugate(activation(FAKE)).mean()), rtol=1e-6)
    expected = (-value, -activation(FAKE).mean())
    np.testing.assert_allclose(loss(*logits(REAL, FAKE), non_saturating=True), expected, rtol=1e-6)


def test_jensen_shannon_is_minimax_raised_by_log_4():
    d_loss, g_loss = losses.minimax(*logits(REAL, FAKE))
    # G's loss contains only the term of the fake samples, which holds half of log 4.
    np.testing.assert_allclose(losses.jensen_shannon(*logits(REAL, FAKE)), (d_loss - np.log(4), g_loss + np.log(2)), rtol=1e-6)


def softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x)


def test_relativistic_average_formula():
    real_gap, fake_gap = REAL - FAKE.mean(), FAKE - REAL.mean()
    expected = (softplus(-real_gap).mean() + softplus(fake_gap).mean(), softplus(real_gap).mean() + softplus(-fake_gap).mean())
    np.testing.assert_allclose(losses.relativistic_average(*logits(REAL, FAKE)), expected, rtol=1e-6)


def test_relativistic_average_of_one_pair_is_twice_relativistic():
    pair = logits([2.0], [0.5])
    np.testing.assert_allclose(losses.relativistic_average(*pair), 2 * np.array(losses.relativistic(*pair)), rtol=1e-6)


@each_smoothed
def test_smoothing_lowers_the_target_of_real_samples_only(loss):
    if loss is losses.least_squares:
        d_loss = ((REAL - 0.8) ** 2).mean() / 2 + (FAKE**2).mean() / 2
    else:
        probability = 1 / (1 + np.exp(-REAL))
        d_loss = -(0.8 * np.log(probability) + 0.2 * np.log(1 - probability)).mean() + softplus(FAKE).mean()
    np.testing.assert_allclose(loss(*logits(REAL, FAKE), smoothing=0.2), (d_loss, GOLDEN[loss][1]), rtol=1e-6)


def test_zero_smoothing_leaves_the_loss_bitwise_unchanged():
    real, fake = jax.random.normal(jax.random.key(0), (2, 64)) * 5
    d_loss = jax.nn.softplus(-real).mean() + jax.nn.softplus(fake).mean()
    for loss in (losses.minimax, losses.non_saturating):
        np.testing.assert_array_equal(loss(real, fake)[0], d_loss)
    np.testing.assert_array_equal(
        losses.least_squares(real, fake)[0], 0.5 * jnp.square(real - 1).mean() + 0.5 * jnp.square(fake).mean()
    )


@each_smoothed
@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_smoothing_out_of_range_is_rejected(loss, smoothing):
    with pytest.raises(ValueError, match=rf"^{loss.__name__}: .*0 <= smoothing < 1; got {smoothing}$"):
        loss(*logits(REAL, FAKE), smoothing=smoothing)


def test_hinge_of_patches():
    """Patch by patch, then the mean, as in FastGAN's and Projected GAN's code: max(0, 1 - l) is 0, 1, 2, .5 for real patches,
    max(0, 1 + l) 0, 3, 1.5, 0 for fake ones. Of the samples' mean logits, 1, -.25 and 0, -1, D's loss would be 1.125."""
    real, fake = logits([[2, 0], [-1, 0.5]], [[-2, 2], [0.5, -2.5]])
    np.testing.assert_allclose(losses.hinge(real, fake), (3.5 / 4 + 4.5 / 4, 2 / 4), rtol=1e-6)


@each_loss
def test_patches_are_averaged_like_samples(loss):
    """A relativistic pair is a patch of a real sample and the same patch of a fake one."""
    real, fake = jax.random.normal(jax.random.key(0), (2, 4, 3))
    np.testing.assert_allclose(loss(real, fake), loss(real.ravel(), fake.ravel()), rtol=1e-6)


# MMD


def squared_mmd(kernel, real: np.ndarray, fake: np.ndarray) -> float:
    """The unbiased estimate, as a loop over pairs."""

    def mean(x, y, skip_diagonal):
        pairs = [(i, j) for i in range(len(x)) for j in range(len(y)) if not (skip_diagonal and i == j)]
        return np.mean([kernel(np.sum((x[i] - y[j]) ** 2)) for i, j in pairs])

    return mean(real, real, True) + mean(fake, fake, True) - 2 * mean(real, fake, False)


KERNELS = {
    "rational_quadratic": lambda r2: sum((1 + r2 / (2 * a)) ** -a for a in (0.2, 0.5, 1, 2, 5)),
    "gaussian": lambda r2: sum(np.exp(-r2 / (2 * s**2)) for s in (1, 2, 4, 8, 16)),
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("real_shape", "fake_shape"), [((4,), (4,)), ((5,), (3,)), ((4, 3), (5, 3))])
def test_mmd_against_a_loop_over_pairs(kernel, real_shape, fake_shape):
    generator = np.random.default_rng(0)
    real, fake = generator.normal(size=real_shape) * 3, generator.normal(size=fake_shape) + 1
    expected = squared_mmd(KERNELS[kernel], real, fake)
    values = jax.jit(partial(losses.mmd, kernel=kernel))(*logits(real, fake))
    np.testing.assert_allclose(values, (-expected, expected), atol=2e-6)  # a sum of 5 kernels, rounded


def test_mmd_accepts_a_single_output_and_has_a_default_kernel():
    real, fake = logits(REAL, FAKE)
    np.testing.assert_array_equal(losses.mmd(real[:, None], fake[:, None]), losses.mmd(real, fake))
    np.testing.assert_array_equal(losses.mmd(real, fake), losses.mmd(real, fake, kernel="rational_quadratic"))


def test_mmd_keeps_small_distances_far_from_the_origin():
    """|x|^2 + |y|^2 - 2 x.y would lose the distance to rounding: float32 resolves 1000^2 to 1/16."""
    real, fake = np.array([1000.0, 1000.125]), np.array([1000.0, 1000.0])
    expected = squared_mmd(KERNELS["gaussian"], real, fake)
    np.testing.assert_allclose(losses.mmd(*logits(real, fake), kernel="gaussian")[1], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("real_shape", "fake_shape"),
    [((3,), (3, 1)), ((3, 2), (3, 4)), ((), ()), ((1,), (3,)), ((3,), (1,)), ((3, 2, 2), (3, 2, 2))],
)
def test_mmd_rejects_other_shapes(real_shape, fake_shape):
    with pytest.raises(ValueError, match=r"^mmd needs") as error:
        losses.mmd(jnp.zeros(real_shape), jnp.zeros(fake_shape))
    assert f"real {real_shape} and fake {fake_shape}" in str(error.value)


def test_mmd_rejects_an_unknown_kernel():
    with pytest.raises(ValueError, match=r"^mmd has no kernel 'rbf': choose rational_quadratic or gaussian$"):
        losses.mmd(*logits(REAL, FAKE), kernel="rbf")


# Multi-hinge with K = 2 classes and "fake".
CLASS_REAL = np.array([[2.0, 0.0, -1.0], [0.5, 0.25, 1.0], [0.0, 0.5, 0.0]])
CLASS_FAKE = np.array([[0.0, 1.0, -1.0], [-1.0, 0.0, 2.0], [0.25, 0.0, 0.5]])
LABEL = jnp.array([0, 1, 1])


def test_multi_hinge_by_hand():
    """Real samples, their class against the largest other logit: 0 (2 against 0), 1 + 1 - .25, 1 + 0 - .5. Fake samples, the
    last class: 1 + 1 + 1, 0 (2 against 0), 1 + .25 - .5. G, the label's class: 1 + 1 - 0, 1 + 2 - 0, 1 + .5 - 0."""
    expected = ((0 + 1.75 + 0.5) / 3 + (3 + 0 + 0.75) / 3, (2 + 3 + 1.5) / 3)
    np.testing.assert_allclose(losses.multi_hinge(*logits(CLASS_REAL, CLASS_FAKE), LABEL), expected, rtol=1e-6)


def test_multi_hinge_of_one_class_is_hinge():
    """There are two logits, and only their difference matters."""
    real, fake = logits(REAL, FAKE)
    logit_pairs = [jnp.stack([3 + x, jnp.full(3, 3.0)], axis=1) for x in (real, fake)]
    d_loss, g_loss = losses.multi_hinge(*logit_pairs, jnp.zeros(3, int))
    np.testing.assert_allclose(d_loss, losses.hinge(real, fake)[0], rtol=1e-6)
    np.testing.assert_allclose(g_loss, np.maximum(0, 1 - FAKE).mean(), rtol=1e-6)


@pytest.mark.parametrize("label", [-1, 2, 3])  # 2 is "fake", which is not a valid label
def test_multi_hinge_of_a_label_out_of_range_is_nan(label):
    for value in losses.multi_hinge(*logits(CLASS_REAL, CLASS_FAKE), LABEL.at[1].set(label)):
        assert np.isnan(value)


@pytest.mark.parametrize(
    ("real_shape", "fake_shape", "label", "message"),
    [
        ((3,), (3,), LABEL, r"needs K \+ 1 logits per sample: set d_outputs .*real \(3,\) and fake \(3,\)"),
        ((3, 1), (3, 1), LABEL, r"needs K \+ 1 logits per sample: set d_outputs .*real \(3, 1\) and fake \(3, 1\)"),
        ((3, 3), (2, 3), LABEL, r"the same label: logits real \(3, 3\) and fake \(2, 3\) differ"),
        ((3, 3), (3, 4), LABEL, r"the same label: logits real \(3, 3\) and fake \(3, 4\) differ"),
        ((3, 3), (3, 3), None, "needs the class of each sample, but this data has no labels"),
        ((3, 3), (3, 3), LABEL[:2], r"integers \[B\]: got int32 \(2,\) with logits real \(3, 3\)"),
        ((3, 3), (3, 3), jnp.zeros((3, 2), int), r"integers \[B\]: got int32 \(3, 2\) with"),
        ((3, 3), (3, 3), jnp.zeros(3), r"integers \[B\]: got float32 \(3,\) with"),
    ],
)
def test_multi_hinge_rejects_other_shapes_and_labels(real_shape, fake_shape, label, message):
    with pytest.raises(ValueError, match=f"^multi_hinge .*{message}") as error:
        losses.multi_hinge(jnp.zeros(real_shape), jnp.zeros(fake_shape), label)
    assert "\n" not in str(error.value)


# The limits of float32


@each_loss
def test_large_logits_stay_finite(loss):
    signs = jnp.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])
    logits = 1e4 * jnp.repeat(signs[:, :, None], 3, axis=2)  # [case, real or fake, B]

    def values_and_gradients(logits):
        return loss(*logits), jax.jacobian(loss, argnums=(0, 1))(*logits)

    leaves = jax.tree.leaves(jax.jit(jax.vmap(values_and_gradients))(logits))
    assert all(np.isfinite(leaf).all() for leaf in leaves)


# (d_loss, g_loss) if D is confident and wrong, real logits -1e4 and fake logits 1e4: exactly linear or quadratic in the error,
# where a sigmoid followed by a logarithm would be clipped; where an exponential would overflow, its tangent at 40.
TANGENT = np.exp(40) * (1 + 1e4 - 40)
CONFIDENTLY_WRONG = {
    losses.minimax: (2e4, -1e4),
    losses.non_saturating: (2e4, 0),
    losses.least_squares: (1e8, 5e7),
    losses.wasserstein: (2e4, -1e4),
    losses.hinge: (2e4, -1e4),
    losses.relativistic: (2e4, 0),
    losses.relativistic_average: (4e4, 0),
    losses.kl: (TANGENT, -TANGENT),
    losses.reverse_kl: (TANGENT, -1e4),
    losses.pearson: (2.5e7, -2.5e7),
    losses.squared_hellinger: (2 * TANGENT, -TANGENT),
    losses.jensen_shannon: (2e4, -1e4),
    losses.total_variation: (1, -0.5),  # bounded
}


@each_loss
def test_large_errors_are_not_clipped(loss):
    values = loss(jnp.full(3, -1e4), jnp.full(3, 1e4))
    np.testing.assert_allclose(
        values, CONFIDENTLY_WRONG[loss], rtol=1e-3
    )  # margins, log 2 and linear terms are small next to 1e4


@pytest.mark.parametrize(("logit", "slope"), [(38.0, np.exp(37)), (41.0, np.exp(40)), (50.0, np.exp(40))])
def test_exponentials_are_exact_up_to_forty_and_linear_beyond(logit, slope):
    g_loss, g_gradient = jax.jit(jax.value_and_grad(lambda v: losses.kl(jnp.zeros(1), v[None])[1]))(logit)
    np.testing.assert_allclose(g_loss, -slope * (1 + max(0.0, logit - 41)), rtol=1e-5)  # exp(v - 1) becomes linear at v = 41
    np.testing.assert_allclose(g_gradient, -slope, rtol=1e-5)


@each_loss
def test_bfloat16_logits_are_computed_in_float32(loss):
    real_logits, fake_logits = jnp.array([2.0, 0.3, -1.0], jnp.bfloat16), jnp.array([1.0, -1.5, 0.7], jnp.bfloat16)
    values = loss(real_logits, fake_logits)
    assert [value.dtype for value in values] == [jnp.float32, jnp.float32]
    expected = loss(real_logits.astype(jnp.float32), fake_logits.astype(jnp.float32))
    np.testing.assert_array_equal(values, expected)  # bfloat16 arithmetic would be off by 1e-3


@pytest.mark.parametrize(("loss", "width"), [(losses.mmd, 2), (losses.multi_hinge, 3)])
def test_bfloat16_vectors_are_computed_in_float32(loss, width):
    real_logits, fake_logits = jax.random.normal(jax.random.key(0), (2, 3, width), jnp.bfloat16)
    label = [LABEL] if loss is losses.multi_hinge else []
    values = loss(real_logits, fake_logits, *label)
    assert [value.dtype for value in values] == [jnp.float32, jnp.float32]
    expected = loss(real_logits.astype(jnp.float32), fake_logits.astype(jnp.float32), *label)
    np.testing.assert_array_equal(values, expected)


@each_loss
@pytest.mark.parametrize(("real_shape", "fake_shape"), [((3, 1), (3,)), ((3,), (3, 1)), ((), (3,)), ((2, 3), (3, 2))])
def test_logits_of_another_rank_are_rejected(loss, real_shape, fake_shape):
    with pytest.raises(ValueError, match=f"^{loss.__name__}: logits must be") as error:
        loss(jnp.zeros(real_shape), jnp.zeros(fake_shape))
    assert f"real {real_shape} and fake {fake_shape}" in str(error.value)
    assert "\n" not in str(error.value)


def test_relativistic_rejects_unpaired_batches():
    with pytest.raises(ValueError, match=r"\(3,\).*\(1,\)"):  # would broadcast silently
        losses.relativistic(jnp.zeros(3), jnp.zeros(1))


@pytest.mark.parametrize("loss", LOSSES[:-1], ids=lambda loss: loss.__name__)
def test_unpaired_losses_accept_batches_of_different_sizes(loss):
    real_logits, fake_logits = jnp.array([2.0, 0.0, -1.0]), jnp.array([1.0, -1.5])
    np.testing.assert_allclose(
        loss(real_logits, fake_logits), loss(jnp.tile(real_logits, 2), jnp.tile(fake_logits, 3)), atol=1e-6
    )
