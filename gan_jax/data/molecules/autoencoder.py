"""Molecules as latent vectors: an autoencoder of SMILES, on whose codes a GAN is trained.

It reads a molecule as one of its many randomised SMILES and generates the canonical one, so that the code represents the
molecule and not a particular text: a heteroencoder.

Source: Prykhodko et al. 2019 (LatentGAN), doi:10.1186/s13321-019-0397-9; Bjerrum and Sattarov 2018, arXiv:1806.09300.
"""

import hashlib
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from gan_jax.data.molecules.selfies import number_symbols
from gan_jax.errors import InputError
from gan_jax.storage.cache import cached
from gan_jax.types import Array

ORDERS = 4  # randomised SMILES of each molecule, in addition to the canonical one
BATCH, RATE = 128, 1e-3
NOISE = 0.1  # added to the codes in training
BLOCK = 1_000  # molecules encoded or decoded at once


class Gru(nn.Module):
    """A gated recurrent unit along x [B, T, C], from the state h [B, width] -> (the last state, all states [B, T, width]).
    Where `mask` [B, T] is False, the state is kept. Source: Cho et al. 2014, arXiv:1406.1078, as in PyTorch and Keras."""

    width: int

    @nn.compact
    def __call__(self, x: Array, h: Array, mask: Array, reverse: bool = False) -> tuple[Array, Array]:
        kernel = self.param("kernel", nn.initializers.orthogonal(), (self.width, 3 * self.width))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))

        def step(h: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
            (x_gates, h_gates), active = (jnp.split(y, 3, axis=-1) for y in (inputs[0], h @ kernel)), inputs[1][:, None]
            reset, update = (jax.nn.sigmoid(a + b) for a, b in zip(x_gates[:2], h_gates[:2], strict=True))
            new = jnp.tanh(x_gates[2] + reset * (h_gates[2] + bias))
            h = jnp.where(active, (1 - update) * new + update * h, h)
            return h, h

        inputs = nn.Dense(3 * self.width)(x)
        last, states = jax.lax.scan(step, h, (inputs.swapaxes(0, 1), mask.swapaxes(0, 1)), reverse=reverse)
        return last, states.swapaxes(0, 1)


class Autoencoder(nn.Module):
    """Symbol numbers [B, T], padded with 0 -> codes of length `size` -> logits of the symbols and of the end.

    The encoder has half as many layers as the decoder, each in both directions. The initial state of each decoder layer is
    computed from the code."""

    symbols: int
    size: int
    width: int
    layers: int

    def setup(self) -> None:
        self.embed, self.out = nn.Embed(self.symbols + 1, self.width), nn.Dense(self.symbols + 1)
        self.readers = [[Gru(self.width // 2), Gru(self.width // 2)] for _ in range(max(1, self.layers // 2))]
        self.writers = [Gru(self.width) for _ in range(self.layers)]
        self.narrow, self.widen = nn.Dense(self.size), [nn.Dense(self.width) for _ in range(self.layers)]

    def __call__(self, read: Array, written: Array, key: Array) -> Array:
        """Logits [B, T + 1, symbols + 1] of each symbol of `written`, and of its end, given the previous ones."""
        vector = self.encode(read)
        vector = vector + NOISE * jax.random.normal(key, vector.shape)
        return self.write(jnp.pad(written, ((0, 0), (1, 0))), self.begin(vector))[0]

    def encode(self, read: Array) -> Array:
        """[B, size]"""
        x, mask, start = self.embed(read), read > 0, jnp.zeros((len(read), self.width // 2))
        for pair in self.readers:
            ends, states = zip(*(gru(x, start, mask, reverse=back) for back, gru in enumerate(pair)), strict=True)
            x = jnp.concatenate(states, axis=-1)
        return self.narrow(jnp.concatenate(ends, axis=-1))

    def begin(self, vector: Array) -> list[Array]:
        """The decoder's states before the first symbol."""
        return [jnp.tanh(dense(vector)) for dense in self.widen]

    def write(self, before: Array, states: list[Array]) -> tuple[Array, list[Array]]:
        """-> (logits after each of the symbols `before` [B, T], of which the first is 0; the states afterwards)"""
        x, after, mask = self.embed(before), [], jnp.ones(before.shape, bool)
        for gru, state in zip(self.writers, states, strict=True):
            last, x = gru(x, state, mask)
            after.append(last)
        return self.out(x), after


def vectors(
    molecules: Callable[[], Sequence[Any]],
    train_rows: slice,
    digest: bytes,
    *,
    size: int = 64,
    width: int = 256,
    layers: int = 1,
    epochs: int = 10,
) -> tuple[np.ndarray, Callable[[np.ndarray], list[Any]]]:
    """Molecules -> (their codes [M, size], float32 with mean 0 and standard deviation 1 over `train_rows`, on which the
    autoencoder is trained; a function from codes to molecules, None for invalid text). Cached under `digest`, which must
    identify the molecules."""
    for name, value, minimum in (("size", size, 2), ("width", width, 2), ("layers", layers, 1), ("epochs", epochs, 1)):
        if type(value) is not int or value < minimum:
            raise InputError(f"data molecules: {name} of latent must be a whole number of at least {minimum}, got {value!r}")

    def train() -> tuple[np.ndarray, ...]:
        texts, symbols = _texts(molecules())
        network = Autoencoder(len(symbols), size, width, layers)
        params = _fit(network, texts[train_rows], epochs)
        encode = jax.jit(partial(network.apply, {"params": params}, method="encode"))
        codes = np.concatenate([encode(texts[i : i + BLOCK, 0]) for i in range(0, len(texts), BLOCK)])
        mean, deviation = codes[train_rows].mean(axis=0), codes[train_rows].std(axis=0) + 1e-6
        flat = np.asarray(ravel_pytree(params)[0])
        return (codes - mean) / deviation, mean, deviation, flat, symbols, np.array(texts.shape[-1])

    name = hashlib.sha256(digest + f"{size} {width} {layers} {epochs} {ORDERS} {BATCH} {RATE} {NOISE}".encode()).hexdigest()[
        :32
    ]
    keys = ("vectors", "mean", "deviation", "params", "symbols", "length")
    codes, mean, deviation, flat, symbols, length = cached(f"latent-{name}.npz", keys, train)
    network = Autoencoder(len(symbols), size, width, layers)
    params = ravel_pytree(jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), jax.eval_shape(partial(_params, network))))[1](
        flat
    )
    write = jax.jit(partial(_generate, network, params, int(length)))

    def read(samples: np.ndarray) -> list[Any]:
        blocks = [samples[i : i + BLOCK] * deviation + mean for i in range(0, len(samples), BLOCK)]
        texts = ["".join(symbols[i - 1] for i in row if i) for block in blocks for row in np.asarray(write(block))]
        return list(map(_molecule, texts))

    return codes.astype(np.float32), read


def _texts(molecules: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """-> (the character numbers of the SMILES of each molecule, canonical one first [M, 1 + ORDERS, T]; the characters)"""
    from rdkit import Chem

    written = []
    for seed, molecule in enumerate(molecules):
        others = Chem.MolToRandomSmilesVect(molecule, ORDERS, randomSeed=seed + 1)
        written += [list(text) for text in (Chem.MolToSmiles(molecule), *others)]
    ids, symbols = number_symbols(written)
    return ids.reshape(-1, 1 + ORDERS, ids.shape[-1]), symbols


def _molecule(text: str) -> Any:
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(text) if text and "." not in text else None
    return molecule if molecule is not None and molecule.GetNumAtoms() else None


def _params(network: Autoencoder) -> Any:
    ids = jnp.zeros((1, 1), jnp.uint8)
    return network.init(jax.random.key(0), ids, ids, jax.random.key(0))["params"]


def _fit(network: Autoencoder, texts: np.ndarray, epochs: int) -> Any:
    """Parameters that minimise the cross-entropy of the canonical SMILES, by Adam."""
    random, count = np.random.RandomState(0), -(-len(texts) // BATCH)
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, epochs * count))
    params = jax.jit(partial(_params, network))()
    moments = optimizer.init(params)

    def error(params: Any, read: Array, written: Array, key: Array) -> Array:
        logits = network.apply({"params": params}, read, written, key)
        target = jnp.pad(written, ((0, 0), (0, 1)))
        counts = jnp.pad(written > 0, ((0, 0), (1, 0)), constant_values=True)  # the end counts, padding does not
        return (optax.softmax_cross_entropy_with_integer_labels(logits, target) * counts).sum() / counts.sum()

    @jax.jit
    def step(params: Any, moments: Any, both: tuple[Array, Array], key: Array) -> tuple[Any, Any, Array]:
        loss, gradients = jax.value_and_grad(error)(params, *both, key)
        updates, moments = optimizer.update(gradients, moments)
        return optax.apply_updates(params, updates), moments, loss

    for epoch in range(epochs):
        order, losses = random.permutation(len(texts)), []
        for i in range(count):
            rows = np.resize(order[i * BATCH : (i + 1) * BATCH], BATCH)
            both = texts[rows, random.randint(1 + ORDERS, size=BATCH)], texts[rows, 0]
            params, moments, loss = step(params, moments, both, jax.random.key(epoch * count + i))
            losses.append(loss)
        loss = float(jnp.stack(losses).mean())
        print(f"autoencoder of SMILES: epoch {epoch + 1} of {epochs}, {loss:.4f} nats per symbol", file=sys.stderr)
    return params


def _generate(network: Autoencoder, params: Any, length: int, vectors: Array) -> Array:
    """Greedy decoding: the most likely symbol at each step, [B, length] int32, 0 after the end."""

    def apply(*arguments: Any, method: str) -> Any:
        return network.apply({"params": params}, *arguments, method=method)

    def step(carry: tuple[Array, list[Array], Array], _: None) -> tuple[tuple[Array, list[Array], Array], Array]:
        before, states, active = carry
        logits, states = apply(before[:, None], states, method="write")
        symbol = jnp.where(active, logits[:, 0].argmax(axis=-1), 0)
        return (symbol, states, active & (symbol > 0)), symbol

    start = jnp.zeros(len(vectors), int), apply(vectors, method="begin"), jnp.ones(len(vectors), bool)
    return jax.lax.scan(step, start, None, length=length)[1].T
