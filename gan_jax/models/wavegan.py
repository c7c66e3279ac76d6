"""WaveGAN: DCGAN in one dimension. Convolutions with windows of 25 samples and strides of 4, between raw waveforms and a short
sequence of wide features.

Source: Donahue et al. 2019, arXiv:1802.04208, section 3, and the tables in the appendix. There waveforms have 16,384 samples
and the short sequence has length 16; with the same number of strides, it has length 8 for waveforms of 8,192.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.models.conditioning import check_condition, discriminator_head, label_vector, with_label
from gan_jax.models.layers import Conv, Dense, check_norm, normalise
from gan_jax.types import Array

WINDOW, STRIDE = 25, 4
MIN_LENGTH = 8  # of the short sequence
LABEL_CHANNELS = 16  # channels of the embedded label that are appended to a waveform


class Generator(nn.Module):
    """z [B, Z] -> a short sequence of features -> transposed convolutions, each of which quadruples the length -> waveforms
    [B, T, C] in [-1, 1].

    `width` is the number of channels before the last convolution; each earlier sequence has twice as many. `condition`:
    "concat" appends the label, embedded as Z numbers, to z; "norm" sets the gain and bias of each norm by the label.
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
        short = (length // STRIDE**stages, self.width << (stages - 1))
        x = Dense(short[0] * short[1])(z).reshape(-1, *short)
        x = nn.relu(normalise(self.norm, x, train, style=style))
        for stage in reversed(range(1, stages)):
            x = Conv(self.width << (stage - 1), WINDOW, STRIDE, transpose=True)(x)
            x = nn.relu(normalise(self.norm, x, train, style=style))
        return jnp.tanh(Conv(channels, WINDOW, STRIDE, transpose=True)(x))


class Discriminator(nn.Module):
    """Waveforms [B, T, C] -> convolutions of stride 4 and leaky ReLUs -> logits and features, by `discriminator_head`.

    `width` is the number of channels after the first convolution; each later sequence has twice as many. Between
    convolutions, each sample's sequence is shifted in time by up to `shuffle` positions (`phase_shuffle`), so that D cannot
    reject samples by the phase of the artefacts of G's strides. `condition`: "concat" appends the label to the waveform as
    constant channels; for "projection" see `discriminator_head`.
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
            raise ValueError(f"shuffle must be 0 to {MIN_LENGTH - 1} positions, got {self.shuffle}")
        stages, spectral = num_stages(self.sample_shape), self.norm == "spectral"
        if self.condition == "concat":
            x = with_label(x, label, self.num_classes, LABEL_CHANNELS)
        for stage in range(stages):
            x = Conv(self.width << stage, WINDOW, STRIDE, spectral=spectral)(x)
            # No norm before the first activation, so that D receives the scale of the samples.
            x = nn.leaky_relu(normalise(self.norm if stage else "none", x, train), 0.2)
            if stage == 0:
                keys = sample_keys(x)
            if self.shuffle and stage < stages - 1:
                x = phase_shuffle(jax.vmap(jax.random.fold_in, (0, None))(keys, stage), x, self.shuffle)
        options = {"condition": self.condition, "outputs": self.outputs, "minibatch": self.minibatch, "spectral": spectral}
        return discriminator_head(x, label, self.num_classes, **options)


def phase_shuffle(keys: Array, x: Array, max_shift: int) -> Array:
    """Shift each sequence of x [B, T, C] by an integer drawn uniformly from [-`max_shift`, `max_shift`], with reflection at the
    ends. The shifts are drawn from `keys` [B]; gradients flow through the shifted values, not through the draw.

    Source: Donahue et al. 2019, arXiv:1802.04208, section 3.3.
    """
    shift = jax.vmap(lambda key: jax.random.randint(key, (), 0, 2 * max_shift + 1))(keys)
    padded = jnp.pad(x, [(0, 0), (max_shift, max_shift), (0, 0)], mode="reflect")
    # A one-hot weighted sum of all shifts: its derivatives of every order are as simple, while those of a gather are slow.
    selectors = enumerate(jax.nn.one_hot(shift, 2 * max_shift + 1, dtype=x.dtype).T)
    return sum(selected[:, None, None] * padded[:, offset : offset + x.shape[1]] for offset, selected in selectors)


def sample_keys(x: Array) -> Array:
    """Derive a random key from the bits of each x [B, ...], so that D needs no other randomness and stays a deterministic
    function of its arguments. D passes its first activations: they change with every update of D, so that the shifts of a
    real sample differ from step to step."""
    bits = jax.lax.bitcast_convert_type(x.astype(jnp.float32), jnp.uint32).reshape(x.shape[0], -1)
    odd = 2 * jnp.arange(bits.shape[1], dtype=jnp.uint32) + 1  # distinct odd multipliers: every bit and the order matter
    seeds = (bits * odd[None]).sum(axis=1, dtype=jnp.uint32)
    return jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(0), seed))(seeds)


def num_stages(sample_shape: tuple[int, ...]) -> int:
    """Return how often the length of a waveform can be divided by 4 while it stays an integer of at least 8: 5 for
    16,384 -> 16.

    Raises ValueError if `sample_shape` is not that of a waveform, or if its length cannot be divided at all."""
    if len(sample_shape) != 2:
        raise ValueError(f"wavegan needs waveforms (T, C), got samples of shape {sample_shape}")
    length, count = sample_shape[0], 0
    while length % STRIDE == 0 and length >= STRIDE * MIN_LENGTH:
        length, count = length // STRIDE, count + 1
    if count == 0:
        raise ValueError(f"wavegan needs a length that is a multiple of 4 and at least 32, got {sample_shape[0]}")
    return count
