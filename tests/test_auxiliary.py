"""Every auxiliary loss against float64 NumPy loops written from the papers' formulas; its optimum, its invariances, and the
direction in which it moves each player."""

import inspect
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import auxiliary
from gan_jax.auxiliary import ac_gan, adc_gan, contra_gan, d2d_ce, info_gan, tac_gan

B, F, K = 6, 5, 3
RNG = np.random.default_rng(0)
REAL, FAKE = RNG.normal(size=(2, B, F)).astype(np.float32)
CLASSES = np.array([2, 0, 1, 2, 2, 0], np.int32)
MULTI_HOT = RNG.integers(0, 2, (B, K)).astype(np.int32)
NUMBERS = RNG.uniform(-1, 1, (B, K)).astype(np.float32)
CODE = np.concatenate([np.eye(2)[[0, 1, 1, 0, 1, 0]], NUMBERS[:, :1]], axis=1).astype(
    np.float32
)  # two classes, one real number


class Head(nn.Module):
    """The module in which an auxiliary loss runs, without spectral norm unless set."""

    loss: Any
    spectral: bool = False

    @nn.compact
    def __call__(self, real, fake, label):
        options = {"spectral": self.spectral} if "spectral" in inspect.signature(self.loss).parameters else {}
        return self.loss(real, fake, label, K, **options)


def play(loss, label, real=REAL, fake=FAKE, params=None):
    """Return (d_loss, g_loss) and the parameters in float64, which are random unless passed."""
    head = Head(loss)
    if params is None:
        shapes = jax.eval_shape(partial(head.init, jax.random.key(0)), real, fake, label)["params"]
        rng = np.random.default_rng(1)
        params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes)
    params32 = jax.tree.map(jnp.float32, params)
    return head.apply({"params": params32}, real, fake, label), params


# The papers' formulas, in float64.


def linear(layer, x):
    return np.float64(x) @ layer["kernel"] + layer["bias"]


def negative_log_likelihood(output, label):
    """-log Q(label | x), averaged over samples."""
    total = 0.0
    for o, y in zip(output, label, strict=True):
        if np.ndim(y) == 0:
            total -= np.log(np.exp(o[y]) / np.exp(o).sum())
        elif y.dtype == np.int32:
            p = 1 / (1 + np.exp(-o))
            total -= sum(np.log(p[k]) if y[k] else np.log(1 - p[k]) for k in range(K))
        else:
            total += 0.5 * sum((o - y) ** 2)
    return total / len(label)


def units(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def two_c(params, x, t):
    h, e = units(linear(params["embedding"], x)), units(params["proxies"]["kernel"])
    total = 0.0
    for i, y in enumerate(CLASSES):
        numerator = denominator = np.exp(h[i] @ e[y] / t)
        for j in range(B):
            if j != i:
                denominator += np.exp(h[i] @ h[j] / t)
                numerator += np.exp(h[i] @ h[j] / t) if CLASSES[j] == y else 0
        total -= np.log(numerator / denominator)
    return total / B


def data_to_data(params, x, t, m_p, m_n):
    h, e = units(linear(params["embedding"], x)), units(params["proxies"]["kernel"])
    total = 0.0
    for i, y in enumerate(CLASSES):
        positive = np.exp(min(h[i] @ e[y] - m_p, 0) / t)
        negatives = sum(np.exp(max(h[i] @ h[j] - m_n, 0) / t) for j in range(B) if CLASSES[j] != y)
        total -= np.log(positive / (positive + negatives))
    return total / B


@pytest.mark.parametrize("label", [CLASSES, MULTI_HOT, NUMBERS], ids=["classes", "multi-hot", "numbers"])
@pytest.mark.parametrize("on_fake", [True, False])
def test_ac_gan_and_tac_gan(label, on_fake):
    (d_loss, g_loss), params = play(partial(ac_gan, on_fake=on_fake), label)
    real, fake = (negative_log_likelihood(linear(params["classes"], x), label) for x in (REAL, FAKE))
    np.testing.assert_allclose((d_loss, g_loss), (real + fake if on_fake else real, fake), rtol=1e-5)

    (d_loss, g_loss), params = play(partial(tac_gan, on_fake=on_fake), label)
    real, fake = (negative_log_likelihood(linear(params["classes"], x), label) for x in (REAL, FAKE))
    twin = negative_log_likelihood(linear(params["twin"], FAKE), label)
    np.testing.assert_allclose((d_loss, g_loss), (real + twin + (fake if on_fake else 0), fake - twin), rtol=1e-5)


def test_adc_gan():
    (d_loss, g_loss), params = play(adc_gan, CLASSES)
    assert params["classes"]["kernel"].shape == (F, 2 * K)
    real, fake = (linear(params["classes"], x) for x in (REAL, FAKE))
    as_real, as_fake = negative_log_likelihood(fake, CLASSES), negative_log_likelihood(fake, CLASSES + K)
    np.testing.assert_allclose(
        (d_loss, g_loss), (negative_log_likelihood(real, CLASSES) + as_fake, as_real - as_fake), rtol=1e-5
    )


def test_contra_gan():
    losses, params = play(partial(contra_gan, dim=4, temperature=0.7), CLASSES)
    np.testing.assert_allclose(losses, [two_c(params, x, 0.7) for x in (REAL, FAKE)], rtol=1e-5)


@pytest.mark.parametrize("margins", [(0.98, 0.02), (0.3, -0.2)])
def test_d2d_ce(margins):
    m_p, m_n = margins
    losses, params = play(partial(d2d_ce, dim=4, temperature=0.4, m_p=m_p, m_n=m_n), CLASSES)
    np.testing.assert_allclose(losses, [data_to_data(params, x, 0.4, m_p, m_n) for x in (REAL, FAKE)], rtol=1e-5)


def test_spectral_norm_divides_kernels_by_their_largest_singular_value():
    """On in the losses whose authors' discriminators have it, and off in Odena's; a single power iteration from the singular
    vector itself is exact."""
    defaults = {f.__name__: inspect.signature(f).parameters["spectral"].default for f in (ac_gan, tac_gan, adc_gan, contra_gan)}
    assert defaults == {"ac_gan": False, "tac_gan": True, "adc_gan": True, "contra_gan": True}
    _, params = play(tac_gan, CLASSES)
    kernels = {name: np.linalg.svd(layer["kernel"]) for name, layer in params.items()}
    states = {name: {"left": jnp.float32(rows[0])} for name, (_, _, rows) in kernels.items()}
    variables = {"params": jax.tree.map(jnp.float32, params), "spectral": states}
    losses = Head(tac_gan, spectral=True).apply(variables, REAL, FAKE, CLASSES)
    scaled = {name: layer | {"kernel": layer["kernel"] / kernels[name][1][0]} for name, layer in params.items()}
    np.testing.assert_allclose(losses, play(tac_gan, CLASSES, params=scaled)[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("label", "classes"), [(CLASSES, 0), (MULTI_HOT, 0), (NUMBERS, 0), (CODE, 2), (np.eye(K, dtype=np.float32)[CLASSES], K)]
)
def test_info_gan(label, classes):
    (d_loss, g_loss), params = play(partial(info_gan, classes=classes), label)
    code = linear(params["code"], FAKE)
    expected = negative_log_likelihood(code[:, classes:], label[:, classes:] if classes else label)
    if classes:
        expected += negative_log_likelihood(code[:, :classes], label[:, :classes].argmax(axis=1))
    np.testing.assert_allclose((d_loss, g_loss), (expected, expected), rtol=1e-5)


# Features that encode the class, and a layer that decodes it.

ONE_HOT = 50 * np.eye(F, dtype=np.float32)[CLASSES]
DECODER = {"kernel": np.eye(F, K), "bias": np.zeros(K)}
COUNTS = np.bincount(CLASSES)[CLASSES]  # for each sample, the number of samples of its class


def test_losses_of_perfect_classifiers_are_zero():
    losses, _ = play(ac_gan, CLASSES, ONE_HOT, ONE_HOT, {"classes": DECODER})
    np.testing.assert_allclose(losses, (0, 0), atol=1e-6)
    losses, _ = play(tac_gan, CLASSES, ONE_HOT, ONE_HOT, {"classes": DECODER, "twin": DECODER})
    np.testing.assert_allclose(losses, (0, 0), atol=1e-6)
    losses, _ = play(info_gan, CLASSES, ONE_HOT, ONE_HOT, {"code": DECODER})
    np.testing.assert_allclose(losses, (0, 0), atol=1e-6)
    signs = {"kernel": 2 * np.eye(F, K) - 1, "bias": np.zeros(K)}
    losses, _ = play(ac_gan, np.eye(K, dtype=np.int32)[CLASSES], ONE_HOT, ONE_HOT, {"classes": signs})
    np.testing.assert_allclose(losses, (0, 0), atol=1e-6)
    losses, _ = play(info_gan, ONE_HOT[:, :K], ONE_HOT, ONE_HOT, {"code": DECODER})
    np.testing.assert_allclose(losses, (0, 0), atol=1e-6)


def test_g_loss_of_a_perfect_adc_classifier_is_its_margin():
    """Real samples lie on the first axes, fake ones on their negatives: G's loss is the difference of two logits, +-50."""
    layer = {"kernel": np.concatenate([np.eye(F, K), -np.eye(F, K)], axis=1), "bias": np.zeros(2 * K)}
    losses, _ = play(adc_gan, CLASSES, ONE_HOT, -ONE_HOT, {"classes": layer})
    np.testing.assert_allclose(losses, (0, 100), atol=1e-5)
    losses, _ = play(adc_gan, CLASSES, ONE_HOT, ONE_HOT, {"classes": layer})
    np.testing.assert_allclose(losses, (100, -100), atol=1e-5)  # G has won if D classifies its samples as real


def test_contrastive_losses_for_orthogonal_classes():
    """Each embedding is the proxy of its class. For a class of n samples 2C is log(1 + (B - n) / (n e)), and D2D-CE is
    log(1 + B - n)."""
    params = {"embedding": {"kernel": np.eye(F), "bias": np.zeros(F)}, "proxies": {"kernel": np.eye(K, F)}}
    losses, _ = play(partial(contra_gan, dim=F), CLASSES, ONE_HOT, ONE_HOT, params)
    np.testing.assert_allclose(losses, [np.log(1 + (B - COUNTS) / (COUNTS * np.e)).mean()] * 2, rtol=1e-5)
    losses, _ = play(partial(d2d_ce, dim=F), CLASSES, ONE_HOT, ONE_HOT, params)
    np.testing.assert_allclose(losses, [np.log(1 + B - COUNTS).mean()] * 2, rtol=1e-5)


@pytest.mark.parametrize("loss", [contra_gan, d2d_ce])
def test_contrastive_losses_depend_on_directions_only(loss):
    """The lengths of features and proxies do not matter, except through the bias of the embedding."""
    loss = partial(loss, dim=4)
    _, params = play(loss, CLASSES)
    params["embedding"]["bias"] *= 0
    losses, _ = play(loss, CLASSES, params=params)
    lengths = np.linspace(0.1, 10, B, dtype=np.float32)[:, None]
    scaled_params = params | {"proxies": {"kernel": params["proxies"]["kernel"] * np.array([[2.0], [0.5], [9.0]])}}
    scaled, _ = play(loss, CLASSES, REAL * lengths, FAKE * lengths, scaled_params)
    np.testing.assert_allclose(scaled, losses, rtol=1e-5)


def test_d2d_ce_has_no_gradient_within_its_margins():
    """Features within both margins have no gradient; features slightly outside either margin do."""
    params = {"embedding": {"kernel": np.eye(F), "bias": np.zeros(F)}, "proxies": {"kernel": np.eye(K, F)}}

    @jax.jit
    def gradient_size(features, m_p, m_n):
        head = Head(partial(d2d_ce, dim=F, m_p=m_p, m_n=m_n))
        gradient = jax.grad(lambda x: head.apply({"params": jax.tree.map(jnp.float32, params)}, x, x, CLASSES)[0])
        return jnp.abs(gradient(features)).max()

    features = ONE_HOT + 0.1 * RNG.normal(size=ONE_HOT.shape).astype(np.float32)
    assert gradient_size(features, 0.9, 0.1) == 0
    assert gradient_size(features, 1.1, 0.1) > 0
    assert gradient_size(features, 0.9, -0.1) > 0


@pytest.mark.parametrize(
    ("loss", "d_signs", "g_signs"),
    [
        # whether gradient descent raises (1) or lowers (-1) the bias of the label's output (in adc_gan: as real, and as fake)
        (ac_gan, {"classes": [1]}, {"classes": [1]}),
        (partial(ac_gan, on_fake=False), {"classes": [1]}, {"classes": [1]}),
        (tac_gan, {"classes": [1], "twin": [1]}, {"classes": [1], "twin": [-1]}),
        (adc_gan, {"classes": [1, 1]}, {"classes": [1, -1]}),
        (info_gan, {"code": [1]}, {"code": [1]}),
    ],
)
def test_signs_of_the_gradients(loss, d_signs, g_signs):
    """All samples are equal and of class 1, and D's parameters are zero."""
    label, features = np.ones(B, np.int32), np.ones((B, F), np.float32)
    head = Head(loss)
    shapes = jax.eval_shape(partial(head.init, jax.random.key(0)), features, features, label)["params"]
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes)
    gradients = jax.jit(jax.jacobian(lambda params: head.apply({"params": params}, features, features, label)))(params)
    for gradient, signs in zip(gradients, (d_signs, g_signs), strict=True):
        for layer, rows in signs.items():
            np.testing.assert_array_equal(np.sign(-gradient[layer]["bias"].reshape(-1, K)[:, 1]), rows)


@pytest.mark.parametrize("loss", [contra_gan, d2d_ce])
@pytest.mark.parametrize("player", [0, 1])
def test_contrastive_losses_pull_samples_to_their_proxies(loss, player):
    """A step of each player's features towards the proxies of their classes lowers that player's loss."""
    params = {"embedding": {"kernel": np.eye(F), "bias": np.zeros(F)}, "proxies": {"kernel": np.eye(K, F)}}
    losses, _ = play(partial(loss, dim=F), CLASSES, params=params)
    features = [REAL, FAKE]
    features[player] = features[player] + 0.2 * np.eye(K, F, dtype=np.float32)[CLASSES]
    nearer, _ = play(partial(loss, dim=F), CLASSES, *features, params=params)
    assert nearer[player] < losses[player] - 0.01
    assert nearer[1 - player] == losses[1 - player]


def test_zero_features_have_finite_gradients():
    """The features of a dead layer of D, which have no direction."""
    zero = jnp.zeros((B, F))
    for loss in (contra_gan, d2d_ce):
        head = Head(partial(loss, dim=4))
        gradient = jax.jit(jax.grad(lambda params, x, head=head: sum(head.apply({"params": params}, x, x, CLASSES)), (0, 1)))
        _, params = play(partial(loss, dim=4), CLASSES)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient(jax.tree.map(jnp.float32, params), zero)))


@pytest.mark.parametrize(
    ("loss", "real", "label", "message"),
    [
        (ac_gan, REAL, None, "ac_gan needs labels, but the data has none"),
        (tac_gan, REAL, None, "tac_gan needs labels, but the data has none"),
        (info_gan, REAL[:2], CLASSES, r"info_gan needs features \[B, F\] .* got \(2, 5\) and \(6, 5\)"),
        (ac_gan, REAL[:, None], CLASSES, r"ac_gan needs features \[B, F\] .* got \(6, 1, 5\) and \(6, 5\)"),
        (ac_gan, REAL, MULTI_HOT[:, :2], r"ac_gan needs a label .* int \[6\] or \[6, 3\], got int32 \(6, 2\)"),
        (tac_gan, REAL, NUMBERS[:, 0], r"tac_gan needs a label .* int \[6\] or \[6, 3\], got float32 \(6,\)"),
        (adc_gan, REAL, MULTI_HOT, r"adc_gan needs classes, int \[6\], got labels int32 \(6, 3\)"),
        (contra_gan, REAL, NUMBERS, r"contra_gan needs classes, int \[6\], got labels float32 \(6, 3\)"),
        (d2d_ce, REAL, CLASSES[:2], r"d2d_ce needs classes, int \[6\], got labels int32 \(2,\)"),
        (partial(info_gan, classes=2), REAL, CLASSES, r"info_gan needs classes from 0 to 3, .* got 2 and int32 \(6,\)"),
        (partial(info_gan, classes=4), REAL, NUMBERS, r"info_gan needs classes from 0 to 3, .* got 4 and float32 \(6, 3\)"),
    ],
)
def test_mismatched_inputs_are_rejected_in_one_line(loss, real, label, message):
    with pytest.raises(ValueError, match=message) as error:
        Head(loss).init(jax.random.key(0), real, FAKE, label)
    assert "\n" not in str(error.value)


def test_every_auxiliary_loss_is_tested():
    """This file covers every public function of the module."""
    public = {n for n, f in vars(auxiliary).items() if getattr(f, "__module__", "") == auxiliary.__name__ and n[0] != "_"}
    assert public == {"ac_gan", "tac_gan", "adc_gan", "contra_gan", "d2d_ce", "info_gan"}
