"""RelGAN: a recurrent network that writes one word after another, and a discriminator that looks through several embeddings.

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
EMBEDDING_SIZE = 64  # numbers that all embeddings of a word have together
WINDOWS = (2, 3, 4, 5)  # words that a filter sees


class Generator(nn.Module):
    """Symbols [B, T, V], each drawn by softmax(logits / temperature), given those before it; after symbol 0, the end, there are
    no others. In training they are Gumbel-softmax of that `softness` instead: probabilities that come near the symbols drawn as
    it goes to 0, and have a gradient. What is written next follows the symbols drawn, as in the paper.

    z is nothing but the seed of what is drawn, its first two numbers' bits; z_dim 2 is enough. `memory` of `width` numbers is
    an "lstm" or "relational". Raises ValueError for another, for samples that are no sequences, and for a z of one number.
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
        # The last is what stands before the first symbol.
        self.embedded = self.param("embedding", nn.initializers.normal(1.0), (symbols + 1, self.embedding))
        self.cell = nn.OptimizedLSTMCell(self.width) if self.memory == "lstm" else RelationalMemory(self.width)
        self.scores = Dense(symbols)

    def __call__(self, z: Array, label: Array | None, train: bool) -> Array:
        length, symbols = _sizes(self.sample_shape)
        noise = _gumbel(z, (length, symbols))

        def write(self, carry, noise: Array):
            state, previous, ended = carry
            state, hidden = self.cell(state, self.embedded[previous])
            disturbed = self._logits(hidden) + noise
            drawn = jnp.where(ended, 0, disturbed.argmax(axis=-1))
            hard = jax.nn.one_hot(drawn, symbols)
            soft = jnp.where(ended[:, None], hard, jax.nn.softmax(disturbed / self.softness))
            return (state, drawn, ended | (drawn == 0)), soft if train else hard

        carry = (*self._start(len(z)), jnp.zeros(len(z), bool))
        return _scan(write)(self, carry, noise)[1]

    def log_likelihood(self, x: Array) -> tuple[Array, Array]:
        """One-hot symbols [B, T, V] -> (log p [B] of each sequence, in nats; its symbols [B], the end counted)."""
        ids = x.argmax(axis=-1)
        state, first = self._start(len(ids))
        previous = jnp.concatenate([first[:, None], ids[:, :-1]], axis=1)
        _, hidden = _scan(lambda self, state, previous: self.cell(state, self.embedded[previous]))(self, state, previous)
        said = jnp.take_along_axis(jax.nn.log_softmax(self._logits(hidden)), ids[..., None], axis=-1)[..., 0]
        counts = jnp.cumprod(jnp.concatenate([jnp.ones_like(first)[:, None], ids[:, :-1]], axis=1) > 0, axis=1)
        return (said * counts).sum(axis=1), counts.sum(axis=1)

    def _start(self, count: int) -> tuple[tuple[Array, ...] | Array, Array]:
        """The memory of nothing, and the symbol before the first."""
        empty = jnp.zeros((count, self.width), self.embedded.dtype)
        return (empty, empty) if self.memory == "lstm" else empty, jnp.full(count, len(self.embedded) - 1)

    def _logits(self, hidden: Array) -> Array:
        return self.scores(hidden).astype(jnp.float32) / self.temperature


class RelationalMemory(nn.Module):
    """A memory [B, width] that attends to itself and to the input x [B, C], and is changed through gates.

    Source: Santoro et al. 2018, arXiv:1806.01822, section 3; one slot of two heads, as RelGAN has it. Ours begins with zeros.
    """

    width: int
    heads: int = 2

    @nn.compact
    def __call__(self, memory: Array, x: Array) -> tuple[Array, Array]:
        heard = jnp.stack([memory, Dense(self.width, name="input")(x)], axis=1)
        attended = nn.MultiHeadDotProductAttention(self.heads)(memory[:, None], heard)[:, 0]
        y = nn.LayerNorm()(memory + attended)
        y = nn.LayerNorm()(y + Dense(self.width)(nn.relu(Dense(self.width)(y))))
        gates = Dense(2 * self.width, name="gate_input")(x) + Dense(2 * self.width, name="gate_memory")(jnp.tanh(memory))
        enter, forget = jnp.split(gates, 2, axis=-1)
        memory = jax.nn.sigmoid(forget + 1) * memory + jax.nn.sigmoid(enter) * jnp.tanh(y)
        return memory, memory


class Discriminator(nn.Module):
    """Sequences [B, T, V] -> `embeddings` of them, `EMBEDDING_SIZE` numbers a symbol together -> of each, by the same weights, the
    largest response over time of `width` filters for each of `WINDOWS`, a highway layer and a dense one -> the mean logit and
    features over embeddings.

    The paper takes the loss of each embedding's logit, where we take that of their mean, and has dropout before it.
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
    """`body(module, carry, x)` over places, the axis 1 of x and of what it returns; each with the same weights."""
    return nn.scan(body, variable_broadcast="params", split_rngs={"params": False}, in_axes=1, out_axes=1)


def _gumbel(z: Array, shape: tuple[int, ...]) -> Array:
    """Gumbel noise [B, *shape] that z [B, Z] decides, each row's by itself: z of one number for each would fill the memory."""
    if z.shape[-1] < 2:
        raise ValueError(f"relgan's noise is seeded by two numbers of z: set z_dim to 2 at least, not {z.shape[-1]}")
    bits = jax.lax.bitcast_convert_type(z[:, :2].astype(jnp.float32), jnp.uint32)
    return jax.vmap(lambda seed: jax.random.gumbel(jax.random.wrap_key_data(seed, impl="threefry2x32"), shape))(bits)


def _sizes(sample_shape: Shape) -> tuple[int, int]:
    if type(sample_shape) is not tuple or len(sample_shape) != 2:
        raise ValueError(f"relgan needs sequences (T, V) of one-hot symbols, got samples of shape {sample_shape}")
    return sample_shape


def log_likelihood(generator: nn.Module, variables: Any, x: Sample) -> tuple[Array, Array]:
    """Samples [B, T, V] -> (log p [B] in nats, symbols [B]) under a generator. Raises ValueError for one that cannot tell."""
    if not hasattr(generator, "log_likelihood"):
        raise ValueError("a likelihood needs a generator that writes symbol after symbol, as relgan's: this one has none")
    return generator.apply(variables, x, method="log_likelihood")
