"""Molecules as latent vectors: an autoencoder of SMILES, on whose codes a GAN is trained.

It is a heteroencoder: it encodes a randomised SMILES of a molecule and decodes the canonical one, so that the code represents
the molecule and not one particular SMILES.

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

ORDERS = 4  # randomised SMILES per molecule, in addition to the canonical one
BATCH, RATE = 128, 1e-3
NOISE = 0.1  # standard deviation of the noise added to codes in training
BLOCK = 1_000  # molecules encoded or decoded at once


class Gru(nn.Module):
    """A gated recurrent unit along x [B, T, C] with initial state h [B, width]. Returns (the last state, all states
    [B, T, width]). Steps at which `mask` [B, T] is False keep the state. Source: Cho et al. 2014, arXiv:1406.1078, as in
    PyTorch and Keras."""

    width: int

    @nn.compact
    def __call__(self, x: Array, h: Array, mask: Array, reverse: bool = False) -> tuple[Array, Array]:
        kernel = self.param("kernel", nn.initializers.orthogonal(), (self.width, 3 * self.width))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))

        def step(h: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
            x_gates, h_gates = (jnp.split(y, 3, axis=-1) for y in (inputs[0], h @ kernel))
            active = inputs[1][:, None]
            reset, update = (jax.nn.sigmoid(a + b) for a, b in zip(x_gates[:2], h_gates[:2], strict=True))
            new = jnp.tanh(x_gates[2] + reset * (h_gates[2] + bias[None]))
            h = jnp.where(active, (1 - update) * new + update * h, h)
            return h, h

        inputs = nn.Dense(3 * self.width)(x)
        last, states = jax.lax.scan(step, h, (inputs.swapaxes(0, 1), mask.swapaxes(0, 1)), reverse=reverse)
        return last, states.swapaxes(0, 1)


class Autoencoder(nn.Module):
    """Encode symbol numbers [B, T], padded with 0, as codes [B, size]; decode codes to logits of the symbols and of the end.

    The encoder has half as many layers as the decoder, each of them bidirectional. The initial state of each decoder layer is
    computed from the code."""

    symbols: int
    size: int
    width: int
    layers: int

    def setup(self) -> None:
        # These names determine the initial parameters, and their order in cached files: do not rename them.
        self.embed, self.out = nn.Embed(self.symbols + 1, self.width), nn.Dense(self.symbols + 1)
        self.readers = [[Gru(self.width // 2), Gru(self.width // 2)] for _ in range(max(1, self.layers // 2))]
        self.writers = [Gru(self.width) for _ in range(self.layers)]
        self.narrow, self.widen = nn.Dense(self.size), [nn.Dense(self.width) for _ in range(self.layers)]

    def __call__(self, inputs: Array, targets: Array, key: Array) -> Array:
        """Return logits [B, T + 1, symbols + 1] of each symbol of `targets`, and of the end, given those before it."""
        code = self.encode(inputs)
        code = code + NOISE * jax.random.normal(key, code.shape)
        return self.decode(jnp.pad(targets, ((0, 0), (1, 0))), self.initial_states(code))[0]

    def encode(self, inputs: Array) -> Array:
        """Return the codes [B, size] of symbol numbers [B, T]."""
        x, mask, start = self.embed(inputs), inputs > 0, jnp.zeros((len(inputs), self.width // 2))
        for pair in self.readers:
            ends, states = zip(*(gru(x, start, mask, reverse=back) for back, gru in enumerate(pair)), strict=True)
            x = jnp.concatenate(states, axis=-1)
        return self.narrow(jnp.concatenate(ends, axis=-1))

    def initial_states(self, code: Array) -> list[Array]:
        """Return the decoder's states before the first symbol."""
        return [jnp.tanh(dense(code)) for dense in self.widen]

    def decode(self, previous: Array, states: list[Array]) -> tuple[Array, list[Array]]:
        """Return (the logits of the symbols that follow each of `previous` [B, T], the new states); 0 marks the start."""
        x, new_states, mask = self.embed(previous), [], jnp.ones(previous.shape, bool)
        for gru, state in zip(self.writers, states, strict=True):
            last, x = gru(x, state, mask)
            new_states.append(last)
        return self.out(x), new_states


def vectors(
    molecules: Callable[[], Sequence[Any]],
    train_rows: slice,
    digest: bytes,
    *,
    size: int = 64,
    width: int = 256,
    layers: int = 1,
    epochs: int = 10,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Train an autoencoder on the rows `train_rows` of the molecules. Return (the codes of all M molecules, float32 [M, size],
    with mean 0 and standard deviation 1 over `train_rows`; the arguments of `decoder`, which decodes such codes). Cached under
    `digest`, which must identify the molecules."""
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

    settings = f"{size} {width} {layers} {epochs} {ORDERS} {BATCH} {RATE} {NOISE}"
    name = hashlib.sha256(digest + settings.encode()).hexdigest()[:32]
    keys = ("vectors", "mean", "deviation", "params", "symbols", "length")
    codes, *decoding = cached(f"latent-{name}.npz", keys, train)
    facts = dict(zip(keys[1:], decoding, strict=True)) | {"width": width, "layers": layers}
    return codes.astype(np.float32), facts | {"length": int(facts["length"])}


def decoder(
    mean: np.ndarray, deviation: np.ndarray, params: np.ndarray, symbols: np.ndarray, length: int, width: int, layers: int
) -> Callable[[np.ndarray], list[Any]]:
    """Return the function that decodes codes [N, size] to molecules, None for invalid SMILES. `params` are the parameters of
    the autoencoder in one vector, `mean` and `deviation` [size] scale codes to its own."""
    network = Autoencoder(len(symbols), len(mean), width, layers)
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), jax.eval_shape(partial(_params, network)))
    tree = ravel_pytree(zeros)[1](params)
    generate = jax.jit(partial(_generate, network, tree, length))

    def decode(samples: np.ndarray) -> list[Any]:
        blocks = [samples[i : i + BLOCK] * deviation + mean for i in range(0, len(samples), BLOCK)]
        texts = ["".join(symbols[i - 1] for i in row if i) for block in blocks for row in np.asarray(generate(block))]
        return list(map(_molecule, texts))

    return decode


def _texts(molecules: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return (the character numbers of each molecule's SMILES, the canonical one first, [M, 1 + ORDERS, T]; the characters)."""
    from rdkit import Chem

    texts = []
    for seed, molecule in enumerate(molecules):
        randomised = Chem.MolToRandomSmilesVect(molecule, ORDERS, randomSeed=seed + 1)
        texts += [list(text) for text in (Chem.MolToSmiles(molecule), *randomised)]
    ids, symbols = number_symbols(texts)
    return ids.reshape(-1, 1 + ORDERS, ids.shape[-1]), symbols


def _molecule(text: str) -> Any:
    from rdkit import Chem

    molecule = Chem.MolFromSmiles(text) if text and "." not in text else None
    return molecule if molecule is not None and molecule.GetNumAtoms() else None


def _params(network: Autoencoder) -> Any:
    ids = jnp.zeros((1, 1), jnp.uint8)
    return network.init(jax.random.key(0), ids, ids, jax.random.key(0))["params"]


def _fit(network: Autoencoder, texts: np.ndarray, epochs: int) -> Any:
    """Return parameters that minimise the cross-entropy of the canonical SMILES, by Adam."""
    random, num_batches = np.random.RandomState(0), -(-len(texts) // BATCH)
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, epochs * num_batches))
    params = jax.jit(partial(_params, network))()
    moments = optimizer.init(params)

    def cross_entropy(params: Any, inputs: Array, targets: Array, key: Array) -> Array:
        logits = network.apply({"params": params}, inputs, targets, key)
        labels = jnp.pad(targets, ((0, 0), (0, 1)))
        mask = jnp.pad(targets > 0, ((0, 0), (1, 0)), constant_values=True)  # the end counts, padding does not
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return (losses * mask.astype(losses.dtype)).sum() / mask.sum().astype(losses.dtype)

    @jax.jit
    def step(params: Any, moments: Any, batch: tuple[Array, Array], key: Array) -> tuple[Any, Any, Array]:
        loss, gradients = jax.value_and_grad(cross_entropy)(params, *batch, key)
        updates, moments = optimizer.update(gradients, moments)
        return optax.apply_updates(params, updates), moments, loss

    for epoch in range(epochs):
        order, losses = random.permutation(len(texts)), []
        for i in range(num_batches):
            rows = np.resize(order[i * BATCH : (i + 1) * BATCH], BATCH)
            batch = texts[rows, random.randint(1 + ORDERS, size=BATCH)], texts[rows, 0]
            params, moments, loss = step(params, moments, batch, jax.random.key(epoch * num_batches + i))
            losses.append(loss)
        loss = float(jnp.stack(losses).mean())
        print(f"autoencoder of SMILES: epoch {epoch + 1} of {epochs}, {loss:.4f} nats per symbol", file=sys.stderr)
    return params


def _generate(network: Autoencoder, params: Any, length: int, codes: Array) -> Array:
    """Decode codes greedily: return the most likely symbol at each step, [B, length] int32, 0 after the end."""

    def apply(*arguments: Any, method: str) -> Any:
        return network.apply({"params": params}, *arguments, method=method)

    def step(carry: tuple[Array, list[Array], Array], _: None) -> tuple[tuple[Array, list[Array], Array], Array]:
        previous, states, active = carry
        logits, states = apply(previous[:, None], states, method="decode")
        symbol = jnp.where(active, logits[:, 0].argmax(axis=-1), 0)
        return (symbol, states, active & (symbol > 0)), symbol

    start = jnp.zeros(len(codes), int), apply(codes, method="initial_states"), jnp.ones(len(codes), bool)
    return jax.lax.scan(step, start, None, length=length)[1].T
