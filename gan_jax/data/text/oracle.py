"""The oracle: a recurrent network with random weights that generates the data, so that the likelihood of any text is known.

Source: Yu et al. 2017 (SeqGAN), arXiv:1609.05473, section 4. Their weights have no licence; ours are drawn from a fixed seed,
so only the difference from the oracle's entropy can be compared with other work.
"""

import hashlib
from typing import NamedTuple

import numpy as np

from gan_jax.storage.cache import cached

SEED = 0  # of the weights
WIDTH = 32  # of embeddings and of the hidden state
TRAIN, TEST = 10_000, 2_000  # sentences
BATCH = 500  # sentences processed at once


class Oracle(NamedTuple):
    """An LSTM over words 1 to V with weights N(0, 1); the input before the first word is word 1."""

    embedding: np.ndarray  # [V, WIDTH]
    gates: np.ndarray  # [2 WIDTH, 4 WIDTH]: from input and hidden state to the gates i, f, o and the candidate
    gates_bias: np.ndarray
    scores: np.ndarray  # [WIDTH, V]
    scores_bias: np.ndarray

    def start(self, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the initial state and the word before the first one: hidden, cell [N, WIDTH], words [N]."""
        zeros = np.zeros((count, WIDTH), np.float32)
        return zeros, zeros, np.ones(count, np.int64)

    def step(self, hidden: np.ndarray, cell: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Process one word. Return (hidden, cell, log p [N, V] of the next word)."""
        inputs = np.concatenate([self.embedding[words - 1], hidden], axis=1)
        *gates, candidate = np.split(inputs @ self.gates + self.gates_bias, 4, axis=1)
        input_gate, forget_gate, output_gate = (0.5 * (1 + np.tanh(gate / 2)) for gate in gates)
        cell = forget_gate * cell + input_gate * np.tanh(candidate)
        hidden = output_gate * np.tanh(cell)
        logits = hidden @ self.scores + self.scores_bias
        logits -= logits.max(axis=1, keepdims=True)
        return hidden, cell, logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def draw(self, count: int, length: int, random: np.random.RandomState) -> np.ndarray:
        """Draw `count` sentences [N, length] of words 1 to V."""
        parts = []
        for begin in range(0, count, BATCH):
            rows = min(BATCH, count - begin)
            hidden, cell, words = self.start(rows)
            sequence = []
            for _ in range(length):
                hidden, cell, log_p = self.step(hidden, cell, words)
                cumulative = np.cumsum(np.exp(log_p), axis=1)
                words = 1 + (cumulative < random.rand(rows, 1) * cumulative[:, -1:]).sum(axis=1)
                sequence.append(words)
            parts.append(np.stack(sequence, axis=1))
        return np.concatenate(parts)

    def log_probability(self, ids: np.ndarray) -> np.ndarray:
        """Return log p [N, T], in nats, of each word of sentences [N, T] given the words before it. Padding, 0, has the
        probability of the least probable word; the words after it are predicted as if it were word 1."""
        parts = []
        for begin in range(0, len(ids), BATCH):
            rows = ids[begin : begin + BATCH].astype(np.int64)
            hidden, cell, words = self.start(len(rows))
            log_ps = []
            for position in range(ids.shape[1]):
                hidden, cell, log_p = self.step(hidden, cell, words)
                words = np.maximum(rows[:, position], 1)
                word_log_p = np.take_along_axis(log_p, words[:, None] - 1, axis=1)[:, 0]
                log_ps.append(np.where(rows[:, position] > 0, word_log_p, log_p.min(axis=1)))
            parts.append(np.stack(log_ps, axis=1))
        return np.concatenate(parts)


def oracle_network(size: int) -> Oracle:
    """Return the oracle with `size` words."""
    random = np.random.RandomState(SEED)
    shapes = ((size, WIDTH), (2 * WIDTH, 4 * WIDTH), (4 * WIDTH,), (WIDTH, size), (size,))
    return Oracle(*(random.randn(*shape).astype(np.float32) for shape in shapes))


def sample_oracle(size: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return training and held-out sentences of the oracle with `size` words. Cached: thousands of words take a minute."""
    dtype = np.uint8 if size < 2**8 else np.uint16
    digest = hashlib.sha256(f"{SEED} {WIDTH} {TRAIN} {TEST} {size} {length}".encode()).hexdigest()[:32]

    def generate() -> tuple[np.ndarray, np.ndarray]:
        drawn = oracle_network(size).draw(TRAIN + TEST, length, np.random.RandomState(SEED + 1)).astype(dtype)
        return drawn[:TRAIN], drawn[TRAIN:]

    return tuple(cached(f"oracle-{digest}.npz", ("train", "held"), generate))
