"""What a network sees besides its sample: the label, and the other samples of the batch; and how a discriminator ends.

A label is a class (int32 [B]), a multi-hot vector (int32 [B, K]) or numbers (float32 [B, K]); to a network each is a vector.
"""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.models.layers import Dense, check_choice
from gan_jax.types import Array

MINIBATCH_LAYERS = ("none", "stddev", "discrimination")
INIT = nn.initializers.lecun_normal()


def check_condition(condition: str, allowed: Sequence[str], label: Array | None, num_classes: int) -> None:
    """Raises ValueError for a way of conditioning that a network does not have, or that needs labels where there are none."""
    check_choice("condition", condition, allowed)
    if condition != "none" and (label is None or num_classes < 1):
        raise ValueError(f"condition {condition!r} needs labels, the data has none")


def label_vector(label: Array, num_classes: int) -> Array:
    """Labels as vectors [B, num_classes], float32: a class is one-hot, a vector is what it is. Raises ValueError for others."""
    if label.ndim == 1 and jnp.issubdtype(label.dtype, jnp.integer):
        return jax.nn.one_hot(label, num_classes, dtype=jnp.float32)
    if label.ndim != 2 or label.shape[1] != num_classes:
        raise ValueError(f"a label must be int [B] or a vector [B, {num_classes}], got {label.dtype} {label.shape}")
    return label.astype(jnp.float32)


def with_label(x: Array, label: Array, num_classes: int, size: int) -> Array:
    """x [B, ..., C] with the label beside it, embedded as `size` numbers, the same at each position: [B, ..., C + size]. It
    makes the layer `label` of the module that calls it.

    Source: Mirza and Osindero 2014 (cGAN), arXiv:1411.1784, section 3.2. Their embedding has ReLUs; ours is linear.
    """
    # Embedded labels begin with a variance of about one, as z and the samples have: one number of a one-hot vector is 1.
    init = nn.initializers.normal(1.0) if label.ndim == 1 else INIT
    embedded = Dense(size, kernel_init=init, name="label")(label_vector(label, num_classes)).astype(x.dtype)
    embedded = embedded.reshape(x.shape[0], *(1,) * (x.ndim - 2), size)
    return jnp.concatenate([x, jnp.broadcast_to(embedded, (*x.shape[:-1], size))], axis=-1)


def discriminator_head(
    x: Array,
    label: Array | None,
    num_classes: int,
    *,
    condition: str = "none",
    outputs: int = 1,
    minibatch: str = "none",
    spectral: bool = False,
    kernel_init: Callable = INIT,
) -> tuple[Array, Array]:
    """The end of a discriminator: its last activations x [B, ..., C] -> logits [B] ([B, outputs] where there are several) and
    features [B, F], which are x, flattened. It makes layers of the module that calls it.

    The features are those of the sample itself; what `minibatch` says of the others is beside them in the output layer only.
    With "projection" the label's embedding is multiplied with the features and added to the logits: y V phi(x) + psi(phi(x)),
    a matrix V for each output, spectrally normalised if the rest is. Raises ValueError for an option that there is not.

    Source: Miyato and Koyama 2018, arXiv:1802.05637, eq. 3.
    """
    check_choice("minibatch", minibatch, MINIBATCH_LAYERS)
    if outputs < 1:
        raise ValueError(f"a discriminator needs at least 1 output, got {outputs}")
    features = seen = x.reshape(x.shape[0], -1)
    if minibatch == "stddev":
        seen = stddev(x).reshape(x.shape[0], -1)
    if minibatch == "discrimination":
        seen = MinibatchDiscrimination(spectral=spectral)(features)
    logits = Dense(outputs, spectral=spectral, kernel_init=kernel_init)(seen)
    if condition == "projection":
        size = features.shape[1]
        # The product begins at the scale of the output layer's, however many features there are.
        init = nn.initializers.normal(size**-0.5)
        embed = Dense(outputs * size, spectral=spectral, use_bias=False, kernel_init=init, name="projection")
        embedded = embed(label_vector(label, num_classes)).astype(x.dtype).reshape(-1, outputs, size)
        logits = logits + jnp.einsum("bof,bf->bo", embedded, features)
    return logits[:, 0] if outputs == 1 else logits, features


def stddev(x: Array, group: int = 4) -> Array:
    """How much the samples around one differ, as one more feature (map) of x [B, ..., C]: [B, ..., C + 1]. It is the standard
    deviation over a group, averaged over positions and channels, and so the same for all in the group.

    A group is `group` samples that follow each other; the whole batch where its size is no multiple of that.

    Source: Karras et al. 2018 (PGGAN), arXiv:1710.10196, section 3, over the whole batch; the groups of 4 are their code's.
    """
    batch_size = x.shape[0]
    group = group if batch_size % group == 0 else batch_size
    grouped = x.astype(jnp.float32).reshape(batch_size // group, group, -1)
    # Where all are alike, as a constant generator's samples are, sqrt has no derivative: the small number gives it one.
    deviation = jnp.sqrt(grouped.var(axis=1) + 1e-8).mean(axis=1)
    deviation = jnp.repeat(deviation, group).reshape(-1, *(1,) * (x.ndim - 1))
    return jnp.concatenate([x, jnp.broadcast_to(deviation.astype(x.dtype), (*x.shape[:-1], 1))], axis=-1)


class MinibatchDiscrimination(nn.Module):
    """Features x [B, F] with `kernels` more of them, each a sum over the batch (the sample itself included) of how close its
    samples are: sum_j exp(-|x_i T_k - x_j T_k|_1), with matrices T_k [F, dims]. It keeps B * B * kernels * dims numbers.

    Source: Salimans et al. 2016, arXiv:1606.03498, section 3.2.
    """

    kernels: int = 50
    dims: int = 5
    spectral: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        rows = Dense(self.kernels * self.dims, spectral=self.spectral, use_bias=False, name="tensor")(x)
        rows = rows.astype(jnp.float32).reshape(-1, self.kernels, self.dims)
        distance = jnp.abs(rows[:, None] - rows[None, :]).sum(axis=-1)
        return jnp.concatenate([x, jnp.exp(-distance).sum(axis=1).astype(x.dtype)], axis=-1)
