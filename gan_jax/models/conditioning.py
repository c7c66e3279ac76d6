"""Conditioning on labels, minibatch layers, and the head of a discriminator.

A label is a class (int32 [B]), a multi-hot vector (int32 [B, K]) or real numbers (float32 [B, K]); networks receive each as a
vector.
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
    """Raise ValueError if `condition` is not one of `allowed`, or if it needs labels and there are none."""
    check_choice("condition", condition, allowed)
    if condition != "none" and (label is None or num_classes < 1):
        raise ValueError(f"condition {condition!r} needs labels, the data has none")


def label_vector(label: Array, num_classes: int) -> Array:
    """Return labels as float32 vectors [B, num_classes]: classes one-hot, vectors unchanged. Raises ValueError for other shapes
    and dtypes."""
    if label.ndim == 1 and jnp.issubdtype(label.dtype, jnp.integer):
        return jax.nn.one_hot(label, num_classes, dtype=jnp.float32)
    if label.ndim != 2 or label.shape[1] != num_classes:
        raise ValueError(f"a label must be int [B] or a vector [B, {num_classes}], got {label.dtype} {label.shape}")
    return label.astype(jnp.float32)


def with_label(x: Array, label: Array, num_classes: int, size: int) -> Array:
    """Concatenate x [B, ..., C] with the label, embedded as `size` numbers that are the same at each position:
    [B, ..., C + size]. Creates the layer `label` in the calling module.

    Source: Mirza and Osindero 2014 (cGAN), arXiv:1411.1784, section 3.2. Their embedding has ReLUs; ours is linear.
    """
    # The embedding starts with a variance of about one, like z and the samples; only one entry of a one-hot vector is nonzero.
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
    """The head of a discriminator: its last activations x [B, ..., C] -> logits [B] ([B, outputs] if there are several) and
    features [B, F], which are x, flattened. Creates layers in the calling module.

    The features describe each sample alone; what the `minibatch` layer adds about the rest of the batch goes to the output
    layer only. With "projection", the product of the label's embedding and the features is added to the logits: y V phi(x) +
    psi(phi(x)), with one matrix V per output, spectrally normalised if `spectral`. Raises ValueError for an unknown
    `minibatch` and for `outputs` below 1.

    Source: Miyato and Koyama 2018, arXiv:1802.05637, eq. 3.
    """
    check_choice("minibatch", minibatch, MINIBATCH_LAYERS)
    if outputs < 1:
        raise ValueError(f"a discriminator needs at least 1 output, got {outputs}")
    features = output_input = x.reshape(x.shape[0], -1)
    if minibatch == "stddev":
        output_input = stddev(x).reshape(x.shape[0], -1)
    if minibatch == "discrimination":
        output_input = MinibatchDiscrimination(spectral=spectral)(features)
    logits = Dense(outputs, spectral=spectral, kernel_init=kernel_init)(output_input)
    if condition == "projection":
        size = features.shape[1]
        # The product starts at the scale of the output layer's logits, whatever the number of features.
        init = nn.initializers.normal(size**-0.5)
        embed = Dense(outputs * size, spectral=spectral, use_bias=False, kernel_init=init, name="projection")
        embedded = embed(label_vector(label, num_classes)).astype(x.dtype).reshape(-1, outputs, size)
        logits = logits + jnp.einsum("bof,bf->bo", embedded, features)
    return logits[:, 0] if outputs == 1 else logits, features


def stddev(x: Array, group: int = 4) -> Array:
    """Minibatch standard deviation: append to x [B, ..., C] one feature (map) that measures the variation within a group of
    samples, [B, ..., C + 1]. It is the standard deviation over the group, averaged over positions and channels, and so is the
    same for all samples of the group.

    Of M groups of `group` samples, group m consists of samples m, m + M, m + 2 M, ... It is the whole batch if `group` does not
    divide the batch size.

    Source: Karras et al. 2018 (PGGAN), arXiv:1710.10196, section 3, over the whole batch; groups of 4 follow their code, which
    refuses other batch sizes.
    """
    batch_size = x.shape[0]
    group = group if batch_size % group == 0 else batch_size
    grouped = x.astype(jnp.float32).reshape(group, batch_size // group, -1)
    # Without epsilon, the square root has no derivative if all samples are equal, as from a collapsed generator.
    deviation = jnp.sqrt(grouped.var(axis=0) + 1e-8).mean(axis=1)
    deviation = jnp.tile(deviation, group).reshape(-1, *(1,) * (x.ndim - 1))
    return jnp.concatenate([x, jnp.broadcast_to(deviation.astype(x.dtype), (*x.shape[:-1], 1))], axis=-1)


class MinibatchDiscrimination(nn.Module):
    """Append `kernels` features to x [B, F], each a sum over the batch (the sample itself included) of the closeness of
    sample i to sample j: sum_j exp(-|x_i T_k - x_j T_k|_1), with matrices T_k [F, dims]. Uses memory for B * B * kernels *
    dims numbers.

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
