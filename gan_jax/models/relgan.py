"""RelGAN: a recurrent generator that writes one word after another, and a discriminator over several embeddings of a sequence.

Source: Nie, Narodytska and Patel 2019, RelGAN: relational generative adversarial networks for text generation, ICLR.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.models.conditioning import discriminator_head
from gan_jax.models.layers import Conv, Dense, check_choice
from gan_jax.types import Array, Sample, Shape

MEMORIES = ("lstm", "relational")
EMBEDDING_SIZE = 64  # of a symbol in D: the sizes of all its embeddings together
WINDOWS = (2, 3, 4, 5)  # of D's filters, in symbols


class Generator(nn.Module):
    """Sequences of symbols [B, T, V], sampled one after another from softmax(logits / temperature), each conditioned on the
    previous ones. Symbol 0 ends a sequence: only 0 follows.

    Outside training the output is one-hot. In training it is the Gumbel-softmax relaxation with temperature `softness`:
    probabilities that have a gradient and approach the one-hot samples as `softness` goes to 0. The next symbol is always
    conditioned on the sampled symbols, as in the paper.

    z only seeds the sampling: the bits of its first two numbers are the random seed, so that z_dim 2 is enough. `memory`, of
    `width` numbers, is "lstm" or "relational". Raises ValueError for another memory, for samples that are not sequences, and
    for z_dim below 2.
    """

    sample_shape: Shape
    num_classes: int = 0
    width: int = 512
    embedding: int = 32
    memory: str = "relational"
    temperature: float | Array = 1.0
    softness: float | Array = 1.0

    def setup(self) -> None:
        check_choice("memory", self.memory, MEMORIES)
        _, symbols = _sizes(self.sample_shape)
        # The last row embeds the start of a sequence.
        self.embedded = self.param("embedding", nn.initializers.normal(1.0), (symbols + 1, self.embedding))
        self.cell = nn.OptimizedLSTMCell(self.width) if self.memory == "lstm" else RelationalMemory(self.width)
        self.scores = Dense(symbols)

    def __call__(self, z: Array, label: Array | None, train: bool) -> Array:
        length, symbols = _sizes(self.sample_shape)
        noise = _gumbel(z, (length, symbols))

        def write(self, carry, noise: Array):
            state, previous, ended = carry
            state, hidden = self.cell(state, self.embedded[previous])
            perturbed = self._logits(hidden) + noise
            sampled = jnp.where(ended, 0, perturbed.argmax(axis=-1))
            hard = jax.nn.one_hot(sampled, symbols)
            soft = jnp.where(ended[:, None], hard, jax.nn.softmax(perturbed / self.softness))
            return (state, sampled, ended | (sampled == 0)), soft if train else hard

        carry = (*self._start(len(z)), jnp.zeros(len(z), bool))
        return _scan(write)(self, carry, noise)[1]

    def log_likelihood(self, x: Array) -> tuple[Array, Array]:
        """One-hot sequences [B, T, V] -> (log p [B] of each sequence, in nats; its number of symbols [B], including the
        end)."""
        ids = x.argmax(axis=-1)
        state, first = self._start(len(ids))
        previous = jnp.concatenate([first[:, None], ids[:, :-1]], axis=1)
        _, hidden = _scan(lambda self, state, previous: self.cell(state, self.embedded[previous]))(self, state, previous)
        log_p = jnp.take_along_axis(jax.nn.log_softmax(self._logits(hidden)), ids[..., None], axis=-1)[..., 0]
        counts = jnp.cumprod(jnp.concatenate([jnp.ones_like(first)[:, None], ids[:, :-1]], axis=1) > 0, axis=1)
        return (log_p * counts.astype(log_p.dtype)).sum(axis=1), counts.sum(axis=1)

    def _start(self, count: int) -> tuple[tuple[Array, ...] | Array, Array]:
        """Return the initial memory, and the start symbol that precedes the first."""
        empty = jnp.zeros((count, self.width), self.embedded.dtype)
        return (empty, empty) if self.memory == "lstm" else empty, jnp.full(count, len(self.embedded) - 1)

    def _logits(self, hidden: Array) -> Array:
        return self.scores(hidden).astype(jnp.float32) / self.temperature


class RelationalMemory(nn.Module):
    """A memory [B, width] that attends to itself and to the input x [B, C], and is updated through gates.

    Source: Santoro et al. 2018, arXiv:1806.01822, section 3; one slot with two heads, as in RelGAN. Ours is initialised to
    zeros.
    """

    width: int
    heads: int = 2

    @nn.compact
    def __call__(self, memory: Array, x: Array) -> tuple[Array, Array]:
        context = jnp.stack([memory, Dense(self.width, name="input")(x)], axis=1)
        attended = nn.MultiHeadDotProductAttention(self.heads)(memory[:, None], context)[:, 0]
        y = nn.LayerNorm()(memory + attended)
        y = nn.LayerNorm()(y + Dense(self.width)(nn.relu(Dense(self.width)(y))))
        gates = Dense(2 * self.width, name="gate_input")(x) + Dense(2 * self.width, name="gate_memory")(jnp.tanh(memory))
        input_gate, forget_gate = jnp.split(gates, 2, axis=-1)
        memory = jax.nn.sigmoid(forget_gate + 1) * memory + jax.nn.sigmoid(input_gate) * jnp.tanh(y)
        return memory, memory


class Discriminator(nn.Module):
    """Sequences [B, T, V] -> `embeddings` embeddings, of `EMBEDDING_SIZE` numbers per symbol in total -> for each, with shared
    weights: the maximum over time of `width` filters for each of `WINDOWS`, a highway layer and a dense layer -> logits and
    features, averaged over embeddings.

    The paper computes the loss for each embedding's logit, we for their mean; the paper has dropout before the logit, we do
    not.
    """

    sample_shape: Shape
    num_classes: int = 0
    width: int = 300
    embeddings: int = 64
    outputs: int = 1

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        length, _ = _sizes(self.sample_shape)
        if EMBEDDING_SIZE % self.embeddings:
            raise ValueError(f"embeddings must divide {EMBEDDING_SIZE}, got {self.embeddings}")
        batch = len(x)
        x = Dense(EMBEDDING_SIZE, use_bias=False, name="embed")(x).reshape(batch, length, self.embeddings, -1)
        x = x.swapaxes(1, 2).reshape(batch * self.embeddings, length, -1)
        windows = [window for window in WINDOWS if window <= length]
        x = jnp.concatenate([nn.relu(Conv(self.width, w, padding="VALID")(x)).max(axis=1) for w in windows], axis=-1)
        gate = jax.nn.sigmoid(Dense(x.shape[-1])(x))
        x = gate * nn.relu(Dense(x.shape[-1])(x)) + (1 - gate) * x
        logits, features = discriminator_head(nn.relu(Dense(100)(x)), label, self.num_classes, outputs=self.outputs)
        return tuple(y.reshape(batch, self.embeddings, *y.shape[1:]).mean(axis=1) for y in (logits, features))


def _scan(body):
    """Scan `body(module, carry, x)` over positions, axis 1 of x and of the outputs, with the same weights at each."""
    return nn.scan(body, variable_broadcast="params", split_rngs={"params": False}, in_axes=1, out_axes=1)


def _gumbel(z: Array, shape: tuple[int, ...]) -> Array:
    """Return Gumbel noise [B, *shape], each row seeded by the same row of z [B, Z]. Computing it from one number of z for
    each would use too much memory."""
    if z.shape[-1] < 2:
        raise ValueError(f"relgan's noise is seeded by two numbers of z: set z_dim to at least 2, not {z.shape[-1]}")
    bits = jax.lax.bitcast_convert_type(z[:, :2].astype(jnp.float32), jnp.uint32)
    return jax.vmap(lambda seed: jax.random.gumbel(jax.random.wrap_key_data(seed, impl="threefry2x32"), shape))(bits)


def _sizes(sample_shape: Shape) -> tuple[int, int]:
    if type(sample_shape) is not tuple or len(sample_shape) != 2:
        raise ValueError(f"relgan needs sequences (T, V) of one-hot symbols, got samples of shape {sample_shape}")
    return sample_shape


def log_likelihood(generator: nn.Module, variables: Any, x: Sample) -> tuple[Array, Array]:
    """Samples [B, T, V] -> (log p [B] in nats, number of symbols [B]) under an autoregressive generator. Raises ValueError if
    the generator is not one."""
    if not hasattr(generator, "log_likelihood"):
        raise ValueError("a likelihood needs an autoregressive generator, such as relgan's")
    return generator.apply(variables, x, method="log_likelihood")
