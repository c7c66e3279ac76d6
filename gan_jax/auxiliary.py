"""Auxiliary losses, which relate D's features to the labels: `f(real_features [B, F], fake_features [B, F], label,
num_classes) -> (d_loss, g_loss)`, float32 scalars that both players minimise in addition to the adversarial loss.

Each public function is a value of `--auxiliary`. Real sample i and fake sample i have label i. The functions run inside a
flax.linen module and create the layers they need, the same for real and fake; D's optimiser trains these. A label is a class
(int32 [B]), a multi-hot vector (int32 [B, K]) or a vector of real numbers (float32 [B, K]); `num_classes` is the number of
classes, or K.

log Q(label | x) is modelled by a linear layer on the features of x: for classes a softmax; for a multi-hot vector the sum over
its entries, each a sigmoid; for real numbers Gaussians of variance one around the layer's outputs, up to a constant,
-|label - output|^2 / 2. It is always the log-probability of the whole label, so it grows with K.

With `spectral` the layers have spectral norm. It is on where the authors' only discriminators have it, in these layers too
(TAC-GAN, ADC-GAN, ContraGAN, ReACGAN).
"""

import jax
import jax.numpy as jnp

from gan_jax.models.conditioning import label_vector
from gan_jax.models.layers import Dense
from gan_jax.types import Array


def ac_gan(
    real_features: Array, fake_features: Array, label: Array, num_classes: int, *, on_fake: bool = True, spectral: bool = False
) -> tuple[Array, Array]:
    """D predicts the label of every sample, and G generates samples whose label D can predict.

        d_loss = -E_real log Q(label | x) - E_fake log Q(label | x),   g_loss = -E_fake log Q(label | x)

    Without `on_fake` D learns to classify from real samples only, as in most later comparisons. Raises ValueError if features
    and labels do not match in shape.

    Source: Odena et al. 2017, arXiv:1610.09585, eq. 3; G's loss omits the term of the real samples, which G cannot change.
    """
    real, fake = _checked_features("ac_gan", real_features, fake_features, label, num_classes)
    classes = Dense(num_classes, spectral, name="classes")
    g_loss = _negative_log_likelihood(classes(fake), label)
    d_loss = _negative_log_likelihood(classes(real), label)
    return d_loss + g_loss if on_fake else d_loss, g_loss


def tac_gan(
    real_features: Array, fake_features: Array, label: Array, num_classes: int, *, on_fake: bool = False, spectral: bool = True
) -> tuple[Array, Array]:
    """`ac_gan` without its bias towards samples that are easy to classify: a twin classifier learns the labels of fake samples,
    and G generates samples whose label the classifier can predict and the twin cannot. If both agree, G gains nothing from
    being easy to classify.

        d_loss = -E_real log Q(label | x) - E_fake log Q_twin(label | x)
        g_loss = -E_fake log Q(label | x) + E_fake log Q_twin(label | x)

    With `on_fake` the first classifier learns from fake samples too. Raises ValueError if features and labels do not match in
    shape.

    Source: Gong et al. 2019, arXiv:1907.02690, TAC-GAN's objective; `on_fake` is off as in the authors' code.
    """
    real, fake = _checked_features("tac_gan", real_features, fake_features, label, num_classes)
    classes, twin = Dense(num_classes, spectral, name="classes"), Dense(num_classes, spectral, name="twin")
    classes_loss, twin_loss = _negative_log_likelihood(classes(fake), label), _negative_log_likelihood(twin(fake), label)
    d_loss = _negative_log_likelihood(classes(real), label) + twin_loss
    return d_loss + classes_loss if on_fake else d_loss, classes_loss - twin_loss


def adc_gan(
    real_features: Array, fake_features: Array, label: Array, num_classes: int, *, spectral: bool = True
) -> tuple[Array, Array]:
    """D predicts the class of every sample and whether it is real, out of 2K classes: y (real) and K + y (fake). G maximises
    the ratio of the two; its optimum is the joint distribution of real samples and classes.

        d_loss = -E_real log Q(y | x) - E_fake log Q(K + y | x),   g_loss = -E_fake [log Q(y | x) - log Q(K + y | x)]

    Raises ValueError for labels that are not classes.

    Source: Hou et al. 2022, arXiv:2107.10060, ADC-GAN's two objectives.
    """
    real, fake = _checked_features("adc_gan", real_features, fake_features, label, num_classes, classes_only=True)
    classes = Dense(2 * num_classes, spectral, name="classes")
    output = classes(fake)
    as_real = _negative_log_likelihood(output, label)
    as_fake = _negative_log_likelihood(output, label + num_classes)
    return _negative_log_likelihood(classes(real), label) + as_fake, as_real - as_fake


def contra_gan(
    real_features: Array,
    fake_features: Array,
    label: Array,
    num_classes: int,
    *,
    dim: int = 512,
    temperature: float = 1.0,
    spectral: bool = True,
) -> tuple[Array, Array]:
    """The 2C loss: a sample's embedding should be close to the proxy of its class and to the other samples of its class in the
    batch, and far from the rest. D minimises it for real samples, G for fake ones. With unit vectors h_i = embedding of sample
    i and e_y = proxy of class y, the loss is the mean over samples of

        -log( (p_i + sum_{j != i, yj = yi} exp(h_i.h_j / t)) / (p_i + sum_{j != i} exp(h_i.h_j / t)) ),  p_i = exp(h_i.e_yi / t)

    Embeddings have `dim` dimensions and are linear in the features, with a bias as in the authors' code. Raises ValueError for
    labels that are not classes.

    Source: Kang and Park 2020, arXiv:2006.12681, eq. 8.
    """
    real, fake = _checked_features("contra_gan", real_features, fake_features, label, num_classes, classes_only=True)
    embed, proxies = _embedding(dim, spectral)

    def loss(features: Array) -> Array:
        h, e = _unit(embed(features)), _unit(proxies(label_vector(label, num_classes)))
        same_class, other_sample = label[:, None] == label[None, :], ~jnp.eye(len(label), dtype=bool)
        similarity = jnp.concatenate([(h * e).sum(axis=1, keepdims=True), h @ h.T], axis=1) / temperature
        positive = jax.nn.logsumexp(similarity, axis=1, where=_with_proxy(same_class & other_sample))
        return (jax.nn.logsumexp(similarity, axis=1, where=_with_proxy(other_sample)) - positive).mean()

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
    spectral: bool = True,
) -> tuple[Array, Array]:
    """The data-to-data cross-entropy of ReACGAN: a sample's embedding should be closer to the proxy of its class than to
    samples of other classes. Similarities above `m_p` to the proxy, or below `m_n` to other samples, have no gradient. With h
    and e as in `contra_gan`, the loss is the mean over samples of

        -log( exp([h_i.e_yi - m_p]_- / t) / (exp([h_i.e_yi - m_p]_- / t) + sum_{yj != yi} exp([h_i.h_j - m_n]_+ / t)) )

    where [.]_- = min(., 0) and [.]_+ = max(., 0). D minimises it for real samples and G for fake ones. Raises ValueError for
    labels that are not classes.

    Source: Kang et al. 2021, arXiv:2111.01118, eq. 6. The authors' code sets m_n = 1 - m_p, and subtracts each row's maximum
    from the second exponents only; we compute the formula.
    """
    real, fake = _checked_features("d2d_ce", real_features, fake_features, label, num_classes, classes_only=True)
    embed, proxies = _embedding(dim, spectral)

    def loss(features: Array) -> Array:
        h, e = _unit(embed(features)), _unit(proxies(label_vector(label, num_classes)))
        positive = jnp.minimum((h * e).sum(axis=1, keepdims=True) - m_p, 0) / temperature
        exponents = jnp.concatenate([positive, jnp.maximum(h @ h.T - m_n, 0) / temperature], axis=1)
        included = _with_proxy(label[:, None] != label[None, :])
        return (jax.nn.logsumexp(exponents, axis=1, where=included) - positive[:, 0]).mean()

    return loss(real), loss(fake)


def info_gan(
    real_features: Array, fake_features: Array, label: Array, num_classes: int, *, classes: int = 0
) -> tuple[Array, Array]:
    """D recovers the latent code of a fake sample, and G generates samples from which it can be recovered: minus the loss is a
    lower bound on their mutual information, up to the code's entropy.

        d_loss = g_loss = -E_fake log Q(code | x)

    The first `classes` entries of a code of real numbers [B, K] are a one-hot categorical code, recovered with a softmax. Real
    samples have no code. Raises ValueError if features and codes do not match in shape, or for `classes` with another kind of
    code.

    Source: Chen et al. 2016, arXiv:1606.03657, eqs. 5 and 6. Their Q has a hidden layer and may learn the Gaussians' variances.
    """
    _, fake = _checked_features("info_gan", real_features, fake_features, label, num_classes)
    real_valued = label.ndim == 2 and jnp.issubdtype(label.dtype, jnp.floating)
    if classes and not (real_valued and 0 < classes <= num_classes):
        allowed = f"classes from 0 to {num_classes}, with a code float [{len(label)}, {num_classes}]"
        raise ValueError(f"info_gan needs {allowed}, got {classes} and {label.dtype} {label.shape}")
    code = Dense(num_classes, name="code")(fake)
    loss = _negative_log_likelihood(code[:, classes:], label[:, classes:] if classes else label)
    if classes:
        one_hot = label[:, :classes].astype(jnp.float32)
        loss = loss - (one_hot * jax.nn.log_softmax(code[:, :classes])).sum(axis=1).mean()
    return loss, loss


def _checked_features(
    name: str, real: Array, fake: Array, label: Array | None, num_classes: int, classes_only: bool = False
) -> tuple[Array, Array]:
    """Return real and fake features in float32. Raises ValueError if they or the labels have another shape or type."""
    if label is None or num_classes < 1:
        raise ValueError(f"{name} needs labels, but the data has none")
    if real.ndim != 2 or real.shape != fake.shape:
        raise ValueError(
            f"{name} needs features [B, F] of equally many real and fake samples, got {real.shape} and {fake.shape}"
        )
    integers = jnp.issubdtype(label.dtype, jnp.integer)
    if classes_only and not (integers and label.shape == real.shape[:1]):
        raise ValueError(f"{name} needs classes, int [{real.shape[0]}], got labels {label.dtype} {label.shape}")
    if label.shape != (real.shape[0], num_classes) and not (integers and label.shape == real.shape[:1]):
        allowed = f"int [{real.shape[0]}] or [{real.shape[0]}, {num_classes}]"
        raise ValueError(f"{name} needs a label for each sample, {allowed}, got {label.dtype} {label.shape}")
    return real.astype(jnp.float32), fake.astype(jnp.float32)


def _negative_log_likelihood(output: Array, label: Array) -> Array:
    """-log Q(label | x), averaged over samples. `output` [B, K] is that of the linear layer; see the top of this file for Q."""
    if label.ndim == 1:
        return -(jax.nn.one_hot(label, output.shape[1]) * jax.nn.log_softmax(output)).sum(axis=1).mean()
    target = label.astype(jnp.float32)
    if jnp.issubdtype(label.dtype, jnp.integer):
        return (jax.nn.softplus(output) - target * output).sum(axis=1).mean()  # -log sigmoid(+-output)
    return 0.5 * jnp.square(output - target).sum(axis=1).mean()


def _embedding(dim: int, spectral: bool) -> tuple[Dense, Dense]:
    """The layers that embed features and classes; class embeddings are the proxies."""
    return Dense(dim, spectral, name="embedding"), Dense(dim, spectral, use_bias=False, name="proxies")


def _with_proxy(pairs: Array) -> Array:
    """Extend a mask over pairs of samples, [B, B], to [proxy, sample 1, ..., sample B]: the proxy is always included."""
    return jnp.concatenate([jnp.ones_like(pairs[:, :1]), pairs], axis=1)


def _unit(x: Array) -> Array:
    """Normalise rows to length one. Rows of zeros stay zero, with a finite gradient."""
    return x * jax.lax.rsqrt(jnp.maximum(jnp.square(x).sum(axis=1, keepdims=True), 1e-12))
