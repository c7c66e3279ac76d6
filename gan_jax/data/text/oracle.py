"""The oracle: a recurrent network of random weights whose sentences are the data, so that the likelihood of any text is known.

Source: Yu et al. 2017 (SeqGAN), arXiv:1609.05473, section 4. Their weights have no licence; ours are of a seed, so that only
what lies between a figure and the oracle's own entropy can be compared with other work.
"""

import hashlib
from typing import NamedTuple

import numpy as np

from gan_jax.storage.cache import cached

SEED = 0  # of the weights
WIDTH = 32  # of embeddings and of the memory
TRAIN, HELD = 10_000, 2_000  # sentences
ROWS = 500  # that are worked on at once


class Oracle(NamedTuple):
    """An LSTM over words 1 to V; all its weights are N(0, 1), and what is before the first word is word 1."""

    embedding: np.ndarray  # [V, WIDTH]
    gates: np.ndarray  # [2 WIDTH, 4 WIDTH]: of the input and of the memory, into the gates i, f, o and the candidate
    gates_bias: np.ndarray
    scores: np.ndarray  # [WIDTH, V]
    scores_bias: np.ndarray

    def start(self, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The memory of nothing, and the word before the first: hidden, cell [N, WIDTH], words [N]."""
        empty = np.zeros((count, WIDTH), np.float32)
        return empty, empty, np.ones(count, np.int64)

    def step(self, hidden: np.ndarray, cell: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """-> (hidden, cell, log p [N, V] of the next word)"""
        seen = np.concatenate([self.embedding[words - 1], hidden], axis=1)
        *gates, candidate = np.split(seen @ self.gates + self.gates_bias, 4, axis=1)
        enter, forget, leave = (0.5 * (1 + np.tanh(gate / 2)) for gate in gates)
        cell = forget * cell + enter * np.tanh(candidate)
        hidden = leave * np.tanh(cell)
        logits = hidden @ self.scores + self.scores_bias
        logits -= logits.max(axis=1, keepdims=True)
        return hidden, cell, logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))

    def draw(self, count: int, length: int, random: np.random.RandomState) -> np.ndarray:
        """`count` sentences [N, length] of words 1 to V."""
        parts = []
        for begin in range(0, count, ROWS):
            rows = min(ROWS, count - begin)
            hidden, cell, words = self.start(rows)
            drawn = []
            for _ in range(length):
                hidden, cell, log_p = self.step(hidden, cell, words)
                below = np.cumsum(np.exp(log_p), axis=1)
                words = 1 + (below < random.rand(rows, 1) * below[:, -1:]).sum(axis=1)
                drawn.append(words)
            parts.append(np.stack(drawn, axis=1))
        return np.concatenate(parts)

    def log_probability(self, ids: np.ndarray) -> np.ndarray:
        """log p [N, T] of each word of sentences [N, T], given those before it, in nats. No word, 0, is as improbable as the
        oracle's least probable one, and followed as if it had been word 1."""
        parts = []
        for begin in range(0, len(ids), ROWS):
            rows = ids[begin : begin + ROWS].astype(np.int64)
            hidden, cell, words = self.start(len(rows))
            said = []
            for at in range(ids.shape[1]):
                hidden, cell, log_p = self.step(hidden, cell, words)
                words = np.maximum(rows[:, at], 1)
                known = np.take_along_axis(log_p, words[:, None] - 1, axis=1)[:, 0]
                said.append(np.where(rows[:, at] > 0, known, log_p.min(axis=1)))
            parts.append(np.stack(said, axis=1))
        return np.concatenate(parts)


def oracle(size: int) -> Oracle:
    """The oracle of `size` words."""
    random = np.random.RandomState(SEED)
    shapes = ((size, WIDTH), (2 * WIDTH, 4 * WIDTH), (4 * WIDTH,), (WIDTH, size), (size,))
    return Oracle(*(random.randn(*shape).astype(np.float32) for shape in shapes))


def made(size: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Its sentences to train on, and those held out. Cached: thousands of words take a minute."""
    kind = np.uint8 if size < 2**8 else np.uint16
    told = hashlib.sha256(f"{SEED} {WIDTH} {TRAIN} {HELD} {size} {length}".encode()).hexdigest()[:32]

    def make() -> tuple[np.ndarray, np.ndarray]:
        drawn = oracle(size).draw(TRAIN + HELD, length, np.random.RandomState(SEED + 1)).astype(kind)
        return drawn[:TRAIN], drawn[TRAIN:]

    return tuple(cached(f"oracle-{told}.npz", ("train", "held"), make))
