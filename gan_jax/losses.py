"""Adversarial losses: `f(real_logits [B], fake_logits [B]) -> (d_loss, g_loss)`, float32 scalars, both to be minimised. Logits
may also be [B, P], one per patch of a sample: each term is computed for every patch, then averaged over patches and samples.

Each public function is a value of `--loss`; its keyword-only arguments are options, as in `minimax(smoothing=0.1)`. One
function returns both players' losses, so that a game can be read in a few lines; XLA removes the half that a step does not
use. G's loss omits terms that do not depend on G.

`smoothing` lowers D's target for real samples from 1 to 1 - smoothing, so that no logit has to grow without bound. It is
one-sided: the target of fake samples stays 0, and G's loss is unchanged (Salimans et al. 2016, arXiv:1606.03498, section 3.4).

The f-GAN family (`kl`, `reverse_kl`, `pearson`, `squared_hellinger`, `jensen_shannon`, `total_variation`): D maximises
V = E T(real) - E f*(T(fake)), a lower bound on the divergence E_q f(p/q) between the data distribution p and the generator's
distribution q, tight at T = f'(p/q). T = g_f(v) maps a logit v into the domain of the convex conjugate f*. G minimises V or,
with `non_saturating`, maximises E T(fake), whose gradient does not vanish when D rejects the fake samples.
Source: Nowozin et al. 2016, arXiv:1606.00709, eqs. 4 to 7 and section 3.2.
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from gan_jax.types import Array, ComparativeLoss, LabelledLoss


def minimax(real_logits: Array, fake_logits: Array, *, smoothing: float = 0.0) -> tuple[Array, Array]:
    """The original, saturating game: D maximises V = E log D(x) + E log(1 - D(G(z))) and G minimises it.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, eq. 1.
    """
    real_logits, fake_logits = _float32("minimax", real_logits, fake_logits)
    g_loss = -jax.nn.softplus(fake_logits).mean()  # log(1 - sigmoid(l)) = -softplus(l)
    return _real_cross_entropy("minimax", real_logits, smoothing) - g_loss, g_loss


def non_saturating(real_logits: Array, fake_logits: Array, *, smoothing: float = 0.0) -> tuple[Array, Array]:
    """D as in `minimax`; G maximises E log D(G(z)), whose gradient does not vanish when D rejects the fake samples.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, section 3.
    """
    real_logits, fake_logits = _float32("non_saturating", real_logits, fake_logits)
    d_loss = _real_cross_entropy("non_saturating", real_logits, smoothing) + jax.nn.softplus(fake_logits).mean()
    return d_loss, jax.nn.softplus(-fake_logits).mean()


def least_squares(real_logits: Array, fake_logits: Array, *, smoothing: float = 0.0) -> tuple[Array, Array]:
    """LSGAN: D regresses real samples to 1 and fake samples to 0, G its samples to 1. Samples far on the right side of the
    decision boundary are pulled back towards it.

    Source: Mao et al. 2017, arXiv:1611.04076, eq. 9.
    """
    real_logits, fake_logits = _float32("least_squares", real_logits, fake_logits)
    _check_smoothing("least_squares", smoothing)
    d_loss = 0.5 * jnp.square(real_logits - (1 - smoothing)).mean() + 0.5 * jnp.square(fake_logits).mean()
    return d_loss, 0.5 * jnp.square(fake_logits - 1).mean()


def wasserstein(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """The critic estimates the Wasserstein-1 distance, provided that a penalty keeps it Lipschitz.

    Source: Arjovsky et al. 2017, arXiv:1701.07875, eq. 2 and algorithm 1.
    """
    real_logits, fake_logits = _float32("wasserstein", real_logits, fake_logits)
    return fake_logits.mean() - real_logits.mean(), -fake_logits.mean()


def hinge(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """D ignores samples that it classifies correctly by a margin of one; G raises the logits of its samples.

    Source: Lim and Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, eqs. 16 and 17.
    """
    real_logits, fake_logits = _float32("hinge", real_logits, fake_logits)
    return jax.nn.relu(1 - real_logits).mean() + jax.nn.relu(1 + fake_logits).mean(), -fake_logits.mean()


@partial(LabelledLoss, outputs=lambda num_classes: num_classes + 1)
def multi_hinge(real_logits: Array, fake_logits: Array, label: Array | None) -> tuple[Array, Array]:
    """Hinge loss with K classes and an extra last class, "fake". D raises the logit of a real sample's class, and the last
    logit of a fake sample, above all others by a margin of one; G raises that of the class it generated the sample for. With
    c_y the logit of class y and c_not-y the largest other one, each term is E max(0, 1 - c_y + c_not-y) (Crammer and Singer).

    Logits are [B, K + 1]; labels are int [B] in 0..K-1, shared by real and fake sample i. Raises ValueError for logits of
    another rank or width, batches of different sizes, and missing or non-integer labels; a label out of range gives NaN.
    Source: Kavalerov et al. 2021, arXiv:1912.04216, section 3.
    """
    real_logits, fake_logits = jnp.asarray(real_logits, jnp.float32), jnp.asarray(fake_logits, jnp.float32)
    shapes = f"logits real {real_logits.shape} and fake {fake_logits.shape}"
    if real_logits.ndim != 2 or fake_logits.ndim != 2 or real_logits.shape[1] < 2:
        raise ValueError(f"multi_hinge needs K + 1 logits per sample: set d_outputs to the number of classes + 1, got {shapes}")
    if real_logits.shape != fake_logits.shape:
        raise ValueError(f"multi_hinge gives real and fake sample i the same label: {shapes} differ")
    if label is None:
        raise ValueError("multi_hinge needs the class of each sample, but this data has no labels")
    if jnp.shape(label) != real_logits.shape[:1] or not jnp.issubdtype(jnp.result_type(label), jnp.integer):
        got = f"{jnp.result_type(label)} {jnp.shape(label)}"
        raise ValueError(f"multi_hinge needs the class of each sample, integers [B]: got {got} with {shapes}")
    last = jnp.full_like(label, real_logits.shape[1] - 1)
    label = jnp.where((label >= 0) & (label < last), label, last + 1)  # "fake" is not a valid label
    d_loss = _multiclass_hinge(real_logits, label) + _multiclass_hinge(fake_logits, last)
    return d_loss, _multiclass_hinge(fake_logits, label)


@ComparativeLoss
def relativistic(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """Relativistic pairing: D raises the logit of real sample i above that of fake sample i, G does the reverse. No fake sample
    can be ignored for being easy to reject, so the loss landscape has no collapsed minima.

    Source: Jolicoeur-Martineau 2019, arXiv:1807.00734, section 4.1; Huang et al. 2024 (R3GAN), arXiv:2501.05441, eq. 2.
    """
    real_logits, fake_logits = _float32("relativistic", real_logits, fake_logits)
    if real_logits.shape != fake_logits.shape:
        shapes = f"{real_logits.shape} and {fake_logits.shape}"
        raise ValueError(f"relativistic pairs each real logit with a fake one: shapes {shapes} differ")
    gap = real_logits - fake_logits
    return jax.nn.softplus(-gap).mean(), jax.nn.softplus(gap).mean()


@ComparativeLoss
def relativistic_average(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """RaSGAN: D raises real logits above the batch mean of the fake ones, and lowers fake logits below the batch mean of the
    real ones; G does the reverse, so it also pushes the real logits down. The means are over all patches.

    Source: Jolicoeur-Martineau 2019, arXiv:1807.00734, section 4.3.
    """
    real_logits, fake_logits = _float32("relativistic_average", real_logits, fake_logits)
    real_gap, fake_gap = real_logits - fake_logits.mean(), fake_logits - real_logits.mean()
    d_loss = jax.nn.softplus(-real_gap).mean() + jax.nn.softplus(fake_gap).mean()
    return d_loss, jax.nn.softplus(real_gap).mean() + jax.nn.softplus(-fake_gap).mean()


@ComparativeLoss
def mmd(real_logits: Array, fake_logits: Array, *, kernel: str = "rational_quadratic") -> tuple[Array, Array]:
    """MMD-GAN: D maps samples to outputs x (real) and y (fake) in which a kernel tells the two apart. D maximises and G
    minimises the unbiased estimate of MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y), which can be negative. Use a penalty:
    otherwise D can grow the distances between its outputs without bound.

    Logits are [B], or vectors [B, K] with `d_outputs` K. With r the distance between two outputs, `rational_quadratic` is
    sum_a (1 + r^2 / 2a)^-a over a = .2, .5, 1, 2, 5; `gaussian` is sum_s exp(-r^2 / 2s^2) over s = 1, 2, 4, 8, 16. Raises
    ValueError for an unknown kernel, logits of another rank or of different widths, and fewer than two real or fake samples.
    Source: Li et al. 2017, arXiv:1705.08584, eq. 3 (Gaussian kernels; we omit their autoencoder and square root);
    Binkowski et al. 2018, arXiv:1801.01401, section 2 (rational quadratic kernel, unbiased estimate).
    """
    kernels = {"rational_quadratic": _rational_quadratic, "gaussian": _gaussian}
    if kernel not in kernels:
        raise ValueError(f"mmd has no kernel {kernel!r}: choose {' or '.join(kernels)}")
    real, fake = jnp.asarray(real_logits, jnp.float32), jnp.asarray(fake_logits, jnp.float32)
    if real.ndim not in (1, 2) or real.ndim != fake.ndim or real.shape[1:] != fake.shape[1:] or min(len(real), len(fake)) < 2:
        got = f"got real {real.shape} and fake {fake.shape}"
        raise ValueError(f"mmd needs logits [B] or [B, K], of equal width and from at least two samples each: {got}")
    k, distances = kernels[kernel], _squared_distances
    within = _off_diagonal_mean(k(distances(real, real))) + _off_diagonal_mean(k(distances(fake, fake)))
    squared_mmd = within - 2 * k(distances(real, fake)).mean()
    return -squared_mmd, squared_mmd


def kl(real_logits: Array, fake_logits: Array, *, non_saturating: bool = False) -> tuple[Array, Array]:
    """f-GAN for KL(p | q) = E_p log p/q, unbounded if G misses part of the data. T = v, f*(T) = exp(v - 1); optimal
    v = 1 + log p/q. G minimises -E exp(v - 1) or, with `non_saturating`, -E v.

    Source: Nowozin et al. 2016, arXiv:1606.00709, tables 1, 2 and 6.
    """
    return _f_gan("kl", real_logits, fake_logits, lambda v: v, lambda v: _exp(v - 1), non_saturating)


def reverse_kl(real_logits: Array, fake_logits: Array, *, non_saturating: bool = False) -> tuple[Array, Array]:
    """f-GAN for KL(q | p) = E_q log q/p, unbounded if G makes samples outside the data. T = -exp(-v), f*(T) = -1 - log(-T)
    = v - 1; optimal v = log p/q. G minimises E (1 - v), which does not saturate; with `non_saturating`, E exp(-v).

    Source: Nowozin et al. 2016, arXiv:1606.00709, tables 1, 2 and 6.
    """
    return _f_gan("reverse_kl", real_logits, fake_logits, lambda v: -_exp(-v), lambda v: v - 1, non_saturating)


def pearson(real_logits: Array, fake_logits: Array, *, non_saturating: bool = False) -> tuple[Array, Array]:
    """f-GAN for Pearson's chi^2, the integral of (p - q)^2 / q. T = v, f*(T) = v^2 / 4 + v; optimal v = 2 (p/q - 1). G
    minimises -E (v^2 / 4 + v) or, with `non_saturating`, -E v. f* is that of table 2, on all of R: it rises again below
    v = -2, where p/q would be negative, so D is pushed back up and a G that minimises V further down.

    Source: Nowozin et al. 2016, arXiv:1606.00709, tables 2 and 6. (Table 1 prints the integral with p and q swapped.)
    """
    return _f_gan("pearson", real_logits, fake_logits, lambda v: v, lambda v: jnp.square(v) / 4 + v, non_saturating)


def squared_hellinger(real_logits: Array, fake_logits: Array, *, non_saturating: bool = False) -> tuple[Array, Array]:
    """f-GAN for the integral of (sqrt p - sqrt q)^2. T = 1 - exp(-v), f*(T) = T / (1 - T) = exp(v) - 1; optimal
    v = log(p/q) / 2. G minimises E (1 - exp(v)) or, with `non_saturating`, E (exp(-v) - 1).

    Source: Nowozin et al. 2016, arXiv:1606.00709, tables 1, 2 and 6.
    """
    return _f_gan("squared_hellinger", real_logits, fake_logits, lambda v: 1 - _exp(-v), lambda v: _exp(v) - 1, non_saturating)


def jensen_shannon(real_logits: Array, fake_logits: Array, *, non_saturating: bool = False) -> tuple[Array, Array]:
    """f-GAN for *twice* the Jensen-Shannon divergence: the game of `minimax` with V raised by log 4, so that V = 0 at p = q.
    T = log 2 - softplus(-v), f*(T) = -log(2 - exp T) = softplus(v) - log 2; optimal v = log p/q. G minimises
    E (log 2 - softplus(v)) or, with `non_saturating`, E (softplus(-v) - log 2).

    Source: Nowozin et al. 2016, arXiv:1606.00709, tables 2 and 6. (Table 1 prints half of the divergence that its f gives.)
    """
    name, log_2 = "jensen_shannon", math.log(2)
    critic, conjugate = (lambda v: log_2 - jax.nn.softplus(-v)), (lambda v: jax.nn.softplus(v) - log_2)
    return _f_gan(name, real_logits, fake_logits, critic, conjugate, non_saturating)


def total_variation(real_logits: Array, fake_logits: Array, *, non_saturating: bool = False) -> tuple[Array, Array]:
    """f-GAN for half the integral of |p - q|. T = tanh(v) / 2 = f*(T); optimal v is +infinity or -infinity, with the sign of
    p - q. G minimises -E tanh(v) / 2, with or without `non_saturating`.

    Source: Nowozin et al. 2016, arXiv:1606.00709, tables 1, 2 and 6.
    """
    name = "total_variation"
    return _f_gan(name, real_logits, fake_logits, lambda v: jnp.tanh(v) / 2, lambda v: jnp.tanh(v) / 2, non_saturating)


def vocoder_least_squares(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """`least_squares` without its factor 1/2: E (D(x) - 1)^2 + E D(G)^2 and E (D(G) - 1)^2.

    Source: Kong et al. 2020 (HiFi-GAN), arXiv:2010.05646, eqs. 1 and 2; they sum over discriminators instead.
    """
    real, fake = _float32("vocoder_least_squares", real_logits, fake_logits)
    return jnp.square(real - 1).mean() + jnp.square(fake).mean(), jnp.square(fake - 1).mean()


def vocoder_hinge(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """`hinge` with a margin for G too: E max(0, 1 - D(x)) + E max(0, 1 + D(G)) and E max(0, 1 - D(G)).

    Source: Siuzdak 2023 (Vocos), arXiv:2306.00814.
    """
    real, fake = _float32("vocoder_hinge", real_logits, fake_logits)
    return jax.nn.relu(1 - real).mean() + jax.nn.relu(1 + fake).mean(), jax.nn.relu(1 - fake).mean()


def _f_gan(
    name: str,
    real_logits: Array,
    fake_logits: Array,
    critic: Callable[[Array], Array],
    conjugate: Callable[[Array], Array],
    non_saturating: bool,
) -> tuple[Array, Array]:
    """`critic` is T = g_f(v) of a logit v. `conjugate` is f*(g_f(v)), simplified by hand: rounding cannot take it out of the
    domain of f*, and it avoids logarithms of exponentials."""
    real_logits, fake_logits = _float32(name, real_logits, fake_logits)
    g_value = -conjugate(fake_logits).mean()
    return -critic(real_logits).mean() - g_value, -critic(fake_logits).mean() if non_saturating else g_value


def _exp(x: Array) -> Array:
    """exp up to x = 40 and its tangent beyond: Adam squares gradients, and exp(40) squared still fits into float32. Exact for
    density ratios up to 2e17; for larger ones the value is too small, but the gradient keeps its sign."""
    bounded = jnp.minimum(x, 40.0)
    return jnp.exp(bounded) * (1 + (x - bounded))


def _multiclass_hinge(logits: Array, label: Array) -> Array:
    """E max(0, 1 - c_y + c_not-y); NaN if a label is out of range."""
    label_logit = jnp.take_along_axis(logits, label[:, None], axis=1, mode="fill", fill_value=jnp.nan)[:, 0]
    others = jnp.where(jax.nn.one_hot(label, logits.shape[1], dtype=bool), -jnp.inf, logits)
    return jax.nn.relu(1 - label_logit + others.max(axis=1)).mean()


def _squared_distances(x: Array, y: Array) -> Array:
    """|x_i - y_j|^2 [B, B'] for vectors [B, K] and [B', K], or numbers [B] and [B']. The expansion into inner products would
    round small distances away."""
    squares = jnp.square(x[:, None] - y[None])
    return squares if squares.ndim == 2 else squares.sum(axis=2)


def _rational_quadratic(squared_distance: Array) -> Array:
    return sum((1 + squared_distance / (2 * a)) ** -a for a in (0.2, 0.5, 1.0, 2.0, 5.0))


def _gaussian(squared_distance: Array) -> Array:
    return sum(jnp.exp(squared_distance / (-2 * s**2)) for s in (1.0, 2.0, 4.0, 8.0, 16.0))


def _off_diagonal_mean(kernel: Array) -> Array:
    """The mean of a matrix [B, B] without its diagonal: pairs of a sample with itself would bias the estimate."""
    size = kernel.shape[0]
    return jnp.where(jnp.eye(size, dtype=bool), 0, kernel).sum() / (size * (size - 1))


def _real_cross_entropy(name: str, real_logits: Array, smoothing: float) -> Array:
    """Cross-entropy of real samples with the target 1 - smoothing."""
    _check_smoothing(name, smoothing)
    return (jax.nn.softplus(-real_logits) + smoothing * real_logits).mean()


def _check_smoothing(name: str, smoothing: float) -> None:
    if not 0 <= smoothing < 1:
        raise ValueError(f"{name}: smoothing lowers the target 1 of real samples, 0 <= smoothing < 1; got {smoothing}")


def _float32(name: str, real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """Return both logits as float32: a loss computed in bfloat16 loses its gradient near the optimum."""
    real_logits, fake_logits = jnp.asarray(real_logits), jnp.asarray(fake_logits)
    if {real_logits.ndim, fake_logits.ndim} not in ({1}, {2}) or real_logits.shape[1:] != fake_logits.shape[1:]:
        got = f"got real {real_logits.shape} and fake {fake_logits.shape}"
        raise ValueError(f"{name}: logits must be [B], one per sample, or [B, P], one per patch, {got}")
    return real_logits.astype(jnp.float32), fake_logits.astype(jnp.float32)
