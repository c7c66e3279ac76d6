"""Molecules as points: an autoencoder learns to write their SMILES from few numbers, and a GAN plays with such numbers.

It reads a molecule in one of the many orders in which it can be written and writes it in the canonical one, so that numbers
stand for the molecule and not for a text of it: a heteroencoder.

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

from gan_jax.data.molecules.selfies import numbered
from gan_jax.errors import InputError
from gan_jax.storage.cache import cached
from gan_jax.types import Array

ORDERS = 4  # in which each molecule is written, beside the canonical one
BATCH, RATE = 128, 1e-3
NOISE = 0.1  # on the numbers, while it learns
BLOCK = 1_000  # molecules that are read or written at once


class Gru(nn.Module):
    """A gated recurrent unit along x [B, T, C], from the state h [B, width] -> (the last state, all states [B, T, width]).
    Where `mask` [B, T] is False, the state stays. Source: Cho et al. 2014, arXiv:1406.1078, as in PyTorch and Keras."""

    width: int

    @nn.compact
    def __call__(self, x: Array, h: Array, mask: Array, reverse: bool = False) -> tuple[Array, Array]:
        kernel = self.param("kernel", nn.initializers.orthogonal(), (self.width, 3 * self.width))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))

        def step(h: Array, told: tuple[Array, Array]) -> tuple[Array, Array]:
            (of_x, of_h), keep = (jnp.split(y, 3, axis=-1) for y in (told[0], h @ kernel)), told[1][:, None]
            reset, update = (jax.nn.sigmoid(a + b) for a, b in zip(of_x[:2], of_h[:2], strict=True))
            new = jnp.tanh(of_x[2] + reset * (of_h[2] + bias))
            h = jnp.where(keep, (1 - update) * new + update * h, h)
            return h, h

        inputs = nn.Dense(3 * self.width)(x)
        last, states = jax.lax.scan(step, h, (inputs.swapaxes(0, 1), mask.swapaxes(0, 1)), reverse=reverse)
        return last, states.swapaxes(0, 1)


class Autoencoder(nn.Module):
    """Symbols' numbers [B, T], 0 where a text has ended -> `size` numbers -> logits of the symbols and of the end.

    Half as many layers read, in both directions, as write, each from a state of its own that is made of the numbers."""

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
        """Logits [B, T + 1, symbols + 1] of each symbol of `written`, and of its end, after those before it."""
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
        """The writers' states before the first symbol."""
        return [jnp.tanh(dense(vector)) for dense in self.widen]

    def write(self, before: Array, states: list[Array]) -> tuple[Array, list[Array]]:
        """(the logits after each of the symbols `before` [B, T], the first of which is 0; the states then)"""
        x, after, mask = self.embed(before), [], jnp.ones(before.shape, bool)
        for gru, state in zip(self.writers, states, strict=True):
            last, x = gru(x, state, mask)
            after.append(last)
        return self.out(x), after


def vectors(
    molecules: Callable[[], Sequence[Any]],
    taught: slice,
    told: bytes,
    *,
    size: int = 64,
    width: int = 256,
    layers: int = 1,
    epochs: int = 10,
) -> tuple[np.ndarray, Callable[[np.ndarray], list[Any]]]:
    """Molecules -> (the numbers [M, size] of each, float32 with mean 0 and deviation 1 over those that are `taught`, and what
    makes molecules, or None where the text is none, of such numbers). Cached under `told`, which must tell the molecules."""
    for name, value, least in (("size", size, 2), ("width", width, 2), ("layers", layers, 1), ("epochs", epochs, 1)):
        if type(value) is not int or value < least:
            raise InputError(f"data molecules: {name} of latent must be a whole number of at least {least}, got {value!r}")

    def made() -> tuple[np.ndarray, ...]:
        texts, symbols = _texts(molecules())
        network = Autoencoder(len(symbols), size, width, layers)
        params = _fit(network, texts[taught], epochs)
        encode = jax.jit(partial(network.apply, {"params": params}, method="encode"))
        found = np.concatenate([encode(texts[i : i + BLOCK, 0]) for i in range(0, len(texts), BLOCK)])
        mean, deviation = found[taught].mean(axis=0), found[taught].std(axis=0) + 1e-6
        flat = np.asarray(ravel_pytree(params)[0])
        return (found - mean) / deviation, mean, deviation, flat, symbols, np.array(texts.shape[-1])

    told = hashlib.sha256(told + f"{size} {width} {layers} {epochs} {ORDERS} {BATCH} {RATE} {NOISE}".encode()).hexdigest()[:32]
    keys = ("vectors", "mean", "deviation", "params", "symbols", "length")
    found, mean, deviation, flat, symbols, length = cached(f"latent-{told}.npz", keys, made)
    network = Autoencoder(len(symbols), size, width, layers)
    params = ravel_pytree(jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), jax.eval_shape(partial(_params, network))))[1](
        flat
    )
    write = jax.jit(partial(_written, network, params, int(length)))

    def read(samples: np.ndarray) -> list[Any]:
        blocks = [samples[i : i + BLOCK] * deviation + mean for i in range(0, len(samples), BLOCK)]
        texts = ["".join(symbols[i - 1] for i in row if i) for block in blocks for row in np.asarray(write(block))]
        return list(map(_molecule, texts))

    return found.astype(np.float32), read


def _texts(molecules: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """(numbers of the characters of each molecule's SMILES, the canonical one first [M, 1 + ORDERS, T], the characters)"""
    from rdkit import Chem

    written = []
    for seed, molecule in enumerate(molecules):
        others = Chem.MolToRandomSmilesVect(molecule, ORDERS, randomSeed=seed + 1)
        written += [list(text) for text in (Chem.MolToSmiles(molecule), *others)]
    ids, symbols = numbered(written)
    return ids.reshape(-1, 1 + ORDERS, ids.shape[-1]), symbols


def _molecule(text: str) -> Any:
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(text) if text and "." not in text else None
    return molecule if molecule is not None and molecule.GetNumAtoms() else None


def _params(network: Autoencoder) -> Any:
    ids = jnp.zeros((1, 1), jnp.uint8)
    return network.init(jax.random.key(0), ids, ids, jax.random.key(0))["params"]


def _fit(network: Autoencoder, texts: np.ndarray, epochs: int) -> Any:
    """Parameters that write each molecule's canonical text with the least cross-entropy, by Adam."""
    random, count = np.random.RandomState(0), -(-len(texts) // BATCH)
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, epochs * count))
    params = jax.jit(partial(_params, network))()
    moments = optimizer.init(params)

    def error(params: Any, read: Array, written: Array, key: Array) -> Array:
        logits = network.apply({"params": params}, read, written, key)
        target = jnp.pad(written, ((0, 0), (0, 1)))
        counts = jnp.pad(written > 0, ((0, 0), (1, 0)), constant_values=True)  # the end counts, what follows it does not
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
        told = f"autoencoder of SMILES: epoch {epoch + 1} of {epochs}, {float(jnp.stack(losses).mean()):.4f} nats a symbol"
        print(told, file=sys.stderr)
    return params


def _written(network: Autoencoder, params: Any, length: int, vectors: Array) -> Array:
    """The likeliest symbol after each other, [B, length] int32, 0 from where a text ends."""

    def apply(*arguments: Any, method: str) -> Any:
        return network.apply({"params": params}, *arguments, method=method)

    def step(carry: tuple[Array, list[Array], Array], _: None) -> tuple[tuple[Array, list[Array], Array], Array]:
        before, states, going = carry
        logits, states = apply(before[:, None], states, method="write")
        symbol = jnp.where(going, logits[:, 0].argmax(axis=-1), 0)
        return (symbol, states, going & (symbol > 0)), symbol

    start = jnp.zeros(len(vectors), int), apply(vectors, method="begin"), jnp.ones(len(vectors), bool)
    return jax.lax.scan(step, start, None, length=length)[1].T
