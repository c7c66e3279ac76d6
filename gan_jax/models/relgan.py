"""RelGAN: a recurrent generator that writes one word after another, and a discriminator over several embeddings of a sequence.

Source: Nie, Narodytska and Patel 2019, RelGAN: relational generative adversarial networks for text generation, ICLR; layers and
initial weights are those of the authors' code, github.com/weilinie/RelGAN (models/rmc_vanilla.py).
"""

import math
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.models.conditioning import discriminator_head
from gan_jax.models.layers import Conv, Dense, check_choice
from gan_jax.types import Array, Sample, Shape

MEMORIES = ("lstm", "relational")
EMBEDDING_SIZE = 64  # of a symbol in D: the sizes of all its embeddings together
WINDOWS = (2, 3, 4, 5)  # of D's filters, in symbols


def linear_init(key: Array, shape: tuple[int, int], dtype: Any = jnp.float32) -> Array:
    """Initial weights [inputs, outputs]: a normal of variance 1 / inputs, redrawn beyond two standard deviations."""
    return nn.initializers.truncated_normal(shape[0] ** -0.5)(key, shape, dtype)


class Generator(nn.Module):
    """Sequences of symbols [B, T, V], sampled one after another from softmax(logits / temperature), each conditioned on the
    previous ones. Symbol 0 ends a sequence: only 0 follows.

    Outside training the output is one-hot. In training it is the Gumbel-softmax relaxation with temperature `softness`:
    probabilities that have a gradient and approach the one-hot samples as `softness` goes to 0. The next symbol is always
    conditioned on the sampled symbols, as in the paper.

    z only seeds the sampling: the bits of its first two numbers are the random seed, so that z_dim 2 is enough. `memory`, of
    `width` numbers, is "lstm" or "relational". Raises ValueError for another memory, for samples that are not sequences, and
    for z_dim below 2. Two things differ from the authors' code: a symbol of its own precedes the first word (theirs is the
    first word of the vocabulary), and after the end symbol nothing is sampled.
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
        self.embedded = self.param("embedding", linear_init, (symbols + 1, self.embedding))
        self.cell = nn.OptimizedLSTMCell(self.width) if self.memory == "lstm" else RelationalMemory(self.width)
        self.scores = Dense(symbols, kernel_init=linear_init)

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

        carry = (*self._start(z.shape[0]), jnp.zeros(z.shape[0], bool))
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
        empty, first = jnp.zeros((count, self.width), self.embedded.dtype), jnp.full(count, len(self.embedded) - 1)
        # A slot of the relational memory starts as its row of the identity matrix.
        return ((empty, empty) if self.memory == "lstm" else empty.at[:, 0].set(1)), first

    def _logits(self, hidden: Array) -> Array:
        return self.scores(hidden).astype(jnp.float32) / self.temperature


class RelationalMemory(nn.Module):
    """A memory [B, width] and the input x [B, C], projected to that width, attend to each other and themselves with `heads`
    heads; then the memory is updated through gates. Raises ValueError unless `heads` divides `width`.

    Source: Santoro et al. 2018, arXiv:1806.01822, section 3, in the version of RelGAN's authors: one slot; queries, keys and
    values are normalised together, and attended values are added without a projection; statistics of layer norm cover both
    rows, where the original normalises each row alone; dot products are divided by sqrt(3 width / heads), not by
    sqrt(width / heads); no biases before layer norm and in the gates, which read the projected input.
    """

    width: int
    heads: int = 2

    @nn.compact
    def __call__(self, memory: Array, x: Array) -> tuple[Array, Array]:
        if self.width % self.heads:
            raise ValueError(f"a relational memory needs a width that {self.heads} heads divide, got {self.width}")
        x = Dense(self.width, kernel_init=linear_init, name="input")(x)
        rows = jnp.stack([memory, x], axis=1)
        rows = _norm("attention_norm")(rows + self._attend(rows))
        hidden = nn.relu(Dense(self.width, kernel_init=linear_init)(rows))
        rows = _norm("mlp_norm")(rows + Dense(self.width, kernel_init=linear_init)(hidden))
        gate_input = Dense(2 * self.width, use_bias=False, kernel_init=linear_init, name="gate_input")(x)
        gate_memory = Dense(2 * self.width, use_bias=False, kernel_init=linear_init, name="gate_memory")(jnp.tanh(memory))
        input_gate, forget_gate = jnp.split(gate_input + gate_memory, 2, axis=-1)
        memory = jax.nn.sigmoid(forget_gate + 1) * memory + jax.nn.sigmoid(input_gate) * jnp.tanh(rows[:, 0])
        return memory, memory

    def _attend(self, rows: Array) -> Array:
        """Rows [B, 2, width] -> the values that each row attends to, [B, 2, width]."""
        qkv = _norm("qkv_norm")(Dense(3 * self.width, use_bias=False, kernel_init=linear_init, name="qkv")(rows))
        q, k, v = jnp.split(qkv.reshape(*rows.shape[:2], self.heads, -1), 3, axis=-1)
        products = jnp.einsum("bihd,bjhd->bhij", q, k) * (3 * self.width // self.heads) ** -0.5
        weights = jax.nn.softmax(products.astype(jnp.float32)).astype(rows.dtype)
        return jnp.einsum("bhij,bjhd->bihd", weights, v).reshape(rows.shape)


class Discriminator(nn.Module):
    """Sequences [B, T, V] -> `embeddings` embeddings, of `EMBEDDING_SIZE` numbers per symbol in total -> for each, with shared
    weights: the maximum over time of `width` filters for each of `WINDOWS`, a highway layer and two dense layers, with no
    activation in between -> logits [B, embeddings], of each of which the loss is computed, and features [B, 100], the means
    over the embeddings.

    The paper has dropout of .25 after the highway layer; ours is a deterministic function of its sample.
    """

    sample_shape: Shape
    num_classes: int = 0
    width: int = 300
    embeddings: int = 64
    patches: ClassVar[bool] = True  # the logits of a sample's embeddings

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        length, _ = _sizes(self.sample_shape)
        if EMBEDDING_SIZE % self.embeddings:
            raise ValueError(f"embeddings must divide {EMBEDDING_SIZE}, got {self.embeddings}")
        batch = len(x)
        x = Dense(EMBEDDING_SIZE, use_bias=False, kernel_init=linear_init, name="embed")(x)
        x = x.reshape(batch, length, self.embeddings, -1).swapaxes(1, 2).reshape(batch * self.embeddings, length, -1)
        windows = [window for window in WINDOWS if window <= length]
        x = jnp.concatenate([nn.relu(self._filter(window)(x)).max(axis=1) for window in windows], axis=-1)
        gate = jax.nn.sigmoid(Dense(x.shape[-1], use_bias=False, kernel_init=linear_init, name="gate")(x))
        x = gate * nn.relu(Dense(x.shape[-1], use_bias=False, kernel_init=linear_init, name="highway")(x)) + (1 - gate) * x
        x = Dense(100, kernel_init=linear_init)(x)
        logits, features = discriminator_head(x, label, self.num_classes, kernel_init=linear_init)
        logits, features = (y.reshape(batch, self.embeddings, *y.shape[1:]) for y in (logits, features))
        return logits[:, 0] if self.embeddings == 1 else logits, features.mean(axis=1)

    def _filter(self, window: int) -> Conv:
        init = nn.initializers.truncated_normal(math.sqrt(2 / (window * (EMBEDDING_SIZE // self.embeddings))))
        return Conv(self.width, window, padding="VALID", kernel_init=init)


def _norm(name: str) -> nn.LayerNorm:
    """Layer norm of [B, rows, C] over rows and features, with a gain and a bias for each feature."""
    return nn.LayerNorm(epsilon=1e-12, reduction_axes=(-2, -1), feature_axes=-1, name=name)


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
