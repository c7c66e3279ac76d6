"""WaveGAN: DCGAN along time. Windows of 25 samples in strides of 4, between raw waves and a short sequence of wide features.

Source: Donahue et al. 2019, arXiv:1802.04208, section 3, and the tables in the appendix. There waves are 16,384 samples and the
short sequence has 16 places; with as many strides, it has 8 for waves of 8,192.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.models.conditioning import check_condition, label_vector, discriminator_head, with_label
from gan_jax.models.layers import Conv, Dense, check_norm, normalise
from gan_jax.types import Array

WINDOW, STRIDE = 25, 4
MIN_LENGTH = 8  # places of the short sequence
LABEL_CHANNELS = 16  # of the label beside a wave


class Generator(nn.Module):
    """z [B, Z] -> a short sequence of features -> transposed convolutions, each four times as long -> waves [B, T, C] in
    [-1, 1].

    `width` is the channels before the last convolution; each earlier sequence has twice as many. `condition`: "concat" puts
    the label, embedded as Z numbers, beside z; "norm" has it set each norm's gain and bias.
    """

    sample_shape: tuple[int, ...]
    num_classes: int = 0
    width: int = 64
    norm: str = "none"
    condition: str = "none"

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool) -> Array:
        check_norm(self.norm, ("none", "batch", "layer", "instance"))
        check_condition(self.condition, ("none", "concat", "norm"), label, self.num_classes)
        style = label_vector(label, self.num_classes) if self.condition == "norm" else None
        if self.condition == "concat":
            z = with_label(z, label, self.num_classes, z.shape[-1])
        (length, channels), stages = self.sample_shape, num_stages(self.sample_shape)
        small = (length // STRIDE**stages, self.width << (stages - 1))
        x = Dense(small[0] * small[1])(z).reshape(-1, *small)
        x = nn.relu(normalise(self.norm, x, train, style=style))
        for stage in reversed(range(1, stages)):
            x = Conv(self.width << (stage - 1), WINDOW, STRIDE, transpose=True)(x)
            x = nn.relu(normalise(self.norm, x, train, style=style))
        return jnp.tanh(Conv(channels, WINDOW, STRIDE, transpose=True)(x))


class Discriminator(nn.Module):
    """waves [B, T, C] -> convolutions and leaky ReLUs, each four times as short -> logits and features, by `discriminator_head`.

    `width` is the channels after the first; each later sequence has twice as many. Between them each sample's sequence is moved
    in time by up to `shuffle` places (`phase_shuffle`), so that D does not reject samples by the phase that G's strides leave.
    `condition`: "concat" puts the label beside the wave, as constant channels; "projection" is `discriminator_head`'s.
    """

    sample_shape: tuple[int, ...]
    num_classes: int = 0
    width: int = 64
    norm: str = "none"
    condition: str = "none"
    outputs: int = 1
    minibatch: str = "none"
    shuffle: int = 2

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        check_norm(self.norm)
        check_condition(self.condition, ("none", "concat", "projection"), label, self.num_classes)
        if not 0 <= self.shuffle < MIN_LENGTH:
            raise ValueError(f"wavegan shuffles phases by 0 to {MIN_LENGTH - 1} places, got {self.shuffle}")
        stages, spectral = num_stages(self.sample_shape), self.norm == "spectral"
        if self.condition == "concat":
            x = with_label(x, label, self.num_classes, LABEL_CHANNELS)
        for stage in range(stages):
            x = Conv(self.width << stage, WINDOW, STRIDE, spectral=spectral)(x)
            # No norm before the first activation: D must see the samples' own scale.
            x = nn.leaky_relu(normalise(self.norm if stage else "none", x, train), 0.2)
            if stage == 0:
                keys = sample_keys(x)
            if self.shuffle and stage < stages - 1:
                x = phase_shuffle(jax.vmap(jax.random.fold_in, (0, None))(keys, stage), x, self.shuffle)
        end = {"condition": self.condition, "outputs": self.outputs, "minibatch": self.minibatch, "spectral": spectral}
        return discriminator_head(x, label, self.num_classes, **end)


def phase_shuffle(keys: Array, x: Array, most: int) -> Array:
    """Sequences x [B, T, C], each moved by a whole number of places from -`most` to `most`, all alike probable; what is missing
    at an end is its reflection. `keys` [B] draw them, so the derivative is that of the move.

    Source: Donahue et al. 2019, arXiv:1802.04208, section 3.3.
    """
    shift = jax.vmap(lambda key: jax.random.randint(key, (), 0, 2 * most + 1))(keys)
    padded = jnp.pad(x, [(0, 0), (most, most), (0, 0)], mode="reflect")
    # All moves, and one of them taken: its derivatives of any order are as simple, those of a gather are slow.
    moves = enumerate(jax.nn.one_hot(shift, 2 * most + 1, dtype=x.dtype).T)
    return sum(taken[:, None, None] * padded[:, place : place + x.shape[1]] for place, taken in moves)


def sample_keys(x: Array) -> Array:
    """A key for each x [B, ...], made of its own bits, so that D needs no other source of chance and stays a function of its
    arguments. Of the first activations: they change whenever D has moved, and so a real sample is moved otherwise each time."""
    bits = jax.lax.bitcast_convert_type(x.astype(jnp.float32), jnp.uint32).reshape(x.shape[0], -1)
    odd = 2 * jnp.arange(bits.shape[1], dtype=jnp.uint32) + 1  # so that no bit is lost, nor the order
    seeds = (bits * odd).sum(axis=1, dtype=jnp.uint32)
    return jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(0), seed))(seeds)


def num_stages(sample_shape: tuple[int, ...]) -> int:
    """How often a wave can be cut to a quarter before it would be shorter than 8 or no whole number: 16,384 -> 16 in 5.

    Raises ValueError for what is no wave, or cannot be cut at all."""
    if len(sample_shape) != 2:
        raise ValueError(f"wavegan needs waves (T, C), got samples of shape {sample_shape}")
    length, count = sample_shape[0], 0
    while length % STRIDE == 0 and length >= STRIDE * MIN_LENGTH:
        length, count = length // STRIDE, count + 1
    if count == 0:
        raise ValueError(f"wavegan needs a length that is a multiple of 4 and at least 32, got {sample_shape[0]}")
    return count
