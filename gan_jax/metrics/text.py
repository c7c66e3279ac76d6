"""Metrics of text: sequences of symbols in, numbers out. Symbol 0 is nothing: it ends a sequence early and is never counted.

A divergence of n-grams depends on how many samples there are: compare only figures of equal numbers, beside their floor.
"""

from collections import Counter
from collections.abc import Callable, Iterable

import numpy as np

from gan_jax.metrics.jackknife import with_errors

ORDERS = (1, 2, 3, 4)
SPACE = " "


def judge(
    train: np.ndarray, test: np.ndarray, symbols: list[str], characters: bool, known: np.ndarray, errors: bool
) -> Callable[[np.ndarray], dict[str, float]]:
    """ids [N, T] -> what is said of generated text, each number beside the same of as many training samples: NAME_floor of
    divergences to `test` [M, T], else NAME_real. `known` are the samples [K, T] whose words are the vocabulary of "words", the
    share of a sample's words that are of it; that is said of characters only."""
    vocabulary = set(words(known, symbols)) if characters else set()

    def statistic(ids: np.ndarray) -> dict[str, float]:
        m = min(len(ids), len(test))
        found = {f"jsd{n}": jensen_shannon(ngrams(ids[:m], n), ngrams(test[:m], n)) for n in ORDERS}
        found |= {f"distinct{n}": distinct(ids, n) for n in (2, 4)}
        found["unique"] = len({row.tobytes() for row in np.ascontiguousarray(ids)}) / len(ids)
        if characters:
            spoken = list(words(ids, symbols))
            found["words"] = sum(word in vocabulary for word in spoken) / max(1, len(spoken))
        return found

    def measure(ids: np.ndarray) -> dict[str, float]:
        ids = ids.astype(test.dtype)
        beside = statistic(train[: len(ids)])
        named = {f"{name}_floor" if name.startswith("jsd") else f"{name}_real": value for name, value in beside.items()}
        return (with_errors(statistic, (ids,)) if errors else statistic(ids)) | named

    return measure


def ngrams(ids: np.ndarray, n: int) -> Counter:
    """The n symbols that follow each other within samples [N, T], counted; runs with a 0 in them are none."""
    windows = np.lib.stride_tricks.sliding_window_view(ids, n, axis=1).reshape(-1, n)
    kept, counts = np.unique(windows[(windows > 0).all(axis=1)], axis=0, return_counts=True)
    return Counter(dict(zip(map(tuple, kept.tolist()), counts.tolist(), strict=True)))


def jensen_shannon(p: Counter, q: Counter) -> float:
    """Jensen-Shannon divergence of two distributions, given as counts, in bits: from 0 to 1, where nothing is in both. 1 where
    one is empty.

    Source: Lin 1991, IEEE Transactions on Information Theory 37(1), eq. 4.1, with equal weights; of n-grams: Gulrajani et al.
    2017, arXiv:1704.00028, section 5.6.
    """
    if not p or not q:
        return 1.0
    p_total, q_total = p.total(), q.total()
    keys = list(p.keys() | q.keys())
    a = np.array([p[key] for key in keys]) / p_total
    b = np.array([q[key] for key in keys]) / q_total
    middle = (a + b) / 2

    def divergence(x: np.ndarray) -> float:
        seen = x > 0
        return float((x[seen] * np.log2(x[seen] / middle[seen])).sum())

    return (divergence(a) + divergence(b)) / 2


def distinct(ids: np.ndarray, n: int) -> float:
    """How many different n-grams there are, over how many there are in all; 0 where there are none.

    Source: Li et al. 2016, arXiv:1510.03055, section 5 (distinct-n)."""
    counted = ngrams(ids, n)
    return len(counted) / max(1, counted.total())


def words(ids: np.ndarray, symbols: list[str]) -> Iterable[str]:
    """The words of samples [N, T] of characters. One that a sample's end may have cut off is none."""
    for row in ids:
        spelt = "".join(symbols[i - 1] for i in row if i)
        found = spelt.split(SPACE)
        yield from filter(None, found[:-1] if row[-1] else found)
