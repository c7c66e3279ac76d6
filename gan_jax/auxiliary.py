"""Auxiliary losses, on what D's features say of the labels: `f(real_features [B, F], fake_features [B, F], label, num_classes)
-> (d_loss, g_loss)`, float32 scalars that both players minimise beside the adversarial loss.

Each public function here is a value of `--auxiliary`. Real sample i and fake sample i have label i. They run inside a
flax.linen module and make the layers they need, the same for real and fake; these are D's, for its optimiser to train. A label
is a class (int32 [B]), a multi-hot vector (int32 [B, K]) or numbers (float32 [B, K]), and `num_classes` how many classes, or K.

log Q(label | x) is what a linear layer on the features of x makes of it: for classes that of a softmax; for a multi-hot vector
the sum over its entries, each with a sigmoid; for numbers that of Gaussians of variance one around the layer's outputs, up to a
constant, -|label - output|^2 / 2. It is always the logarithm of the whole label's probability, so it grows with K.
"""

import jax
import jax.numpy as jnp

from gan_jax.models.conditioning import label_vector
from gan_jax.models.layers import Dense
from gan_jax.types import Array


def ac_gan(
    real_features: Array, fake_features: Array, label: Array, num_classes: int, *, on_fake: bool = True
) -> tuple[Array, Array]:
    """D tells the label of every sample, and G makes samples whose label D can tell.

        d_loss = -E_real log Q(label | x) - E_fake log Q(label | x),   g_loss = -E_fake log Q(label | x)

    Without `on_fake` D learns to tell labels from real samples only, as in most later comparisons. Raises ValueError for
    features and labels that do not fit together.

    Source: Odena et al. 2017, arXiv:1610.09585, eq. 3; G's loss leaves out the term of real samples, which G cannot change.
    """
    real, fake = _checked("ac_gan", real_features, fake_features, label, num_classes)
    classes = Dense(num_classes, name="classes")
    g_loss = _surprise(classes(fake), label)
    d_loss = _surprise(classes(real), label)
    return d_loss + g_loss if on_fake else d_loss, g_loss


def tac_gan(
    real_features: Array, fake_features: Array, label: Array, num_classes: int, *, on_fake: bool = False
) -> tuple[Array, Array]:
    """As `ac_gan`, against its easy samples: a twin of the classifier learns the labels of fake samples, and G makes samples
    whose label the classifier can tell and the twin cannot. Where both agree, G gains nothing by being easy to classify.

        d_loss = -E_real log Q(label | x) - E_fake log Q_twin(label | x)
        g_loss = -E_fake log Q(label | x) + E_fake log Q_twin(label | x)

    With `on_fake` the first classifier learns from fake samples too. Raises ValueError for features and labels that do not fit.

    Source: Gong et al. 2019, arXiv:1907.02690, TAC-GAN's objective; `on_fake` is off as in the authors' code.
    """
    real, fake = _checked("tac_gan", real_features, fake_features, label, num_classes)
    classes, twin = Dense(num_classes, name="classes"), Dense(num_classes, name="twin")
    first, second = _surprise(classes(fake), label), _surprise(twin(fake), label)
    d_loss = _surprise(classes(real), label) + second
    return d_loss + first if on_fake else d_loss, first - second


def adc_gan(real_features: Array, fake_features: Array, label: Array, num_classes: int) -> tuple[Array, Array]:
    """D tells the class of every sample and whether it is real, out of 2K classes: y (real) and K + y (fake). G is rewarded by
    the ratio of the two, whose optimum is the joint distribution of samples and classes.

        d_loss = -E_real log Q(y | x) - E_fake log Q(K + y | x),   g_loss = -E_fake [log Q(y | x) - log Q(K + y | x)]

    Raises ValueError for labels that are not classes.

    Source: Hou et al. 2022, arXiv:2107.10060, ADC-GAN's two objectives.
    """
    real, fake = _checked("adc_gan", real_features, fake_features, label, num_classes, classes_only=True)
    classes = Dense(2 * num_classes, name="classes")
    as_real, as_fake = _surprise(classes(fake), label), _surprise(classes(fake), label + num_classes)
    return _surprise(classes(real), label) + as_fake, as_real - as_fake


def contra_gan(
    real_features: Array, fake_features: Array, label: Array, num_classes: int, *, dim: int = 512, temperature: float = 1.0
) -> tuple[Array, Array]:
    """The 2C loss: a sample's embedding is to be near the proxy of its class and the other samples of its class in the batch,
    and far from the rest. D sees to it for real samples, G for fake ones. With unit vectors h_i = embedding and e_y = proxy,

        -log( (p_i + sum_{j != i, yj = yi} exp(h_i.h_j / t)) / (p_i + sum_{j != i} exp(h_i.h_j / t)) ),  p_i = exp(h_i.e_yi / t)

    Embeddings have `dim` numbers and are linear in the features, without a bias: only directions count. Raises ValueError for
    labels that are not classes.

    Source: Kang and Park 2020, arXiv:2006.12681, eq. 8.
    """
    real, fake = _checked("contra_gan", real_features, fake_features, label, num_classes, classes_only=True)
    embed, proxies = _embedding(dim)

    def loss(features: Array) -> Array:
        h, e = _unit(embed(features)), _unit(proxies(label_vector(label, num_classes)))
        alike, other = label[:, None] == label[None, :], ~jnp.eye(len(label), dtype=bool)
        closeness = jnp.concatenate([(h * e).sum(axis=1, keepdims=True), h @ h.T], axis=1) / temperature
        positive = jax.nn.logsumexp(closeness, axis=1, where=_beside_proxy(alike & other))
        return (jax.nn.logsumexp(closeness, axis=1, where=_beside_proxy(other)) - positive).mean()

    return loss(real), loss(fake)


def d2d_ce(
    real_features: Array,
    fake_features: Array,
    label: Array,
    num_classes: int,
    *,
    dim: int = 512,
    temperature: float = 0.5,
    m_p: float = 0.98,
    m_n: float = 0.02,
) -> tuple[Array, Array]:
    """The data-to-data cross-entropy of ReACGAN: a sample's embedding is to be nearer to the proxy of its class than to samples
    of other classes. What is close enough (`m_p`) or far enough (`m_n`) has no gradient. With h and e as in `contra_gan`,

        -log( exp([h_i.e_yi - m_p]_- / t) / (exp([h_i.e_yi - m_p]_- / t) + sum_{yj != yi} exp([h_i.h_j - m_n]_+ / t)) )

    where [.]_- = min(., 0) and [.]_+ = max(., 0). D minimises it for real samples and G for fake ones. Raises ValueError for
    labels that are not classes.

    Source: Kang et al. 2021, arXiv:2111.01118, eq. 6. The authors' code has m_n = 1 - m_p, and subtracts each row's maximum
    from the second exponents alone; we compute the formula.
    """
    real, fake = _checked("d2d_ce", real_features, fake_features, label, num_classes, classes_only=True)
    embed, proxies = _embedding(dim)

    def loss(features: Array) -> Array:
        h, e = _unit(embed(features)), _unit(proxies(label_vector(label, num_classes)))
        own = jnp.minimum((h * e).sum(axis=1, keepdims=True) - m_p, 0) / temperature
        exponents = jnp.concatenate([own, jnp.maximum(h @ h.T - m_n, 0) / temperature], axis=1)
        unlike = _beside_proxy(label[:, None] != label[None, :])
        return (jax.nn.logsumexp(exponents, axis=1, where=unlike) - own[:, 0]).mean()

    return loss(real), loss(fake)


def info_gan(
    real_features: Array, fake_features: Array, label: Array, num_classes: int, *, classes: int = 0
) -> tuple[Array, Array]:
    """D recovers from a fake sample the code it was made of, and G makes samples that tell it: a lower bound on their mutual
    information, up to the code's entropy.

        d_loss = g_loss = -E_fake log Q(code | x)

    Of a code of numbers [B, K] the first `classes` are one categorical code, one-hot, to be recovered with a softmax. Real
    samples have no code. Raises ValueError for features and codes that do not fit, and for `classes` with codes that have none.

    Source: Chen et al. 2016, arXiv:1606.03657, eqs. 5 and 6. Their Q has a hidden layer and may learn its Gaussians' widths.
    """
    _, fake = _checked("info_gan", real_features, fake_features, label, num_classes)
    numbers = label.ndim == 2 and jnp.issubdtype(label.dtype, jnp.floating)
    if classes and not (numbers and 0 < classes <= num_classes):
        allowed = f"classes from 0 to {num_classes}, of a code float [{len(label)}, {num_classes}]"
        raise ValueError(f"info_gan needs {allowed}, got {classes} and {label.dtype} {label.shape}")
    code = Dense(num_classes, name="code")(fake)
    loss = _surprise(code[:, classes:], label[:, classes:] if classes else label)
    if classes:
        one_hot = label[:, :classes].astype(jnp.float32)
        loss = loss - (one_hot * jax.nn.log_softmax(code[:, :classes])).sum(axis=1).mean()
    return loss, loss


def _checked(
    name: str, real: Array, fake: Array, label: Array | None, num_classes: int, classes_only: bool = False
) -> tuple[Array, Array]:
    """Both players' features in float32."""
    if label is None or num_classes < 1:
        raise ValueError(f"{name} needs labels, the data has none")
    if real.ndim != 2 or real.shape != fake.shape:
        raise ValueError(f"{name} needs features [B, F] of real and fake samples alike, got {real.shape} and {fake.shape}")
    integers = jnp.issubdtype(label.dtype, jnp.integer)
    if classes_only and not (integers and label.shape == real.shape[:1]):
        raise ValueError(f"{name} needs classes, int [{real.shape[0]}], got labels {label.dtype} {label.shape}")
    if label.shape != (real.shape[0], num_classes) and not (integers and label.shape == real.shape[:1]):
        allowed = f"int [{real.shape[0]}] or [{real.shape[0]}, {num_classes}]"
        raise ValueError(f"{name} needs a label for each sample, {allowed}, got {label.dtype} {label.shape}")
    return real.astype(jnp.float32), fake.astype(jnp.float32)


def _surprise(output: Array, label: Array) -> Array:
    """-log Q(label | x), averaged over the samples, with Q as at the top of this file; output [B, K]."""
    if label.ndim == 1:
        return -(jax.nn.one_hot(label, output.shape[1]) * jax.nn.log_softmax(output)).sum(axis=1).mean()
    target = label.astype(jnp.float32)
    if jnp.issubdtype(label.dtype, jnp.integer):
        return (jax.nn.softplus(output) - target * output).sum(axis=1).mean()  # -log sigmoid of the right sign
    return 0.5 * jnp.square(output - target).sum(axis=1).mean()


def _embedding(dim: int) -> tuple[Dense, Dense]:
    """The layers that embed features, and classes: the proxies."""
    return Dense(dim, use_bias=False, name="embedding"), Dense(dim, use_bias=False, name="proxies")


def _beside_proxy(pairs: Array) -> Array:
    """Which of [own proxy, sample 1, ..., sample B] count, given which of the samples do [B, B]: the proxy always does."""
    return jnp.concatenate([jnp.ones_like(pairs[:, :1]), pairs], axis=1)


def _unit(x: Array) -> Array:
    """Rows of length one; a row of zeros stays, with a gradient that is finite."""
    return x * jax.lax.rsqrt(jnp.maximum(jnp.square(x).sum(axis=1, keepdims=True), 1e-12))
