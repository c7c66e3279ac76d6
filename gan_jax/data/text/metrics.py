"""Metrics of text: sequences of symbols in, numbers out. Symbol 0 is nothing: it ends a sequence early and is never counted.

A divergence of n-grams depends on how many samples there are: compare only figures of equal numbers, beside their floor.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache

import numpy as np

from gan_jax.data.text.oracle import Oracle
from gan_jax.errors import InputError
from gan_jax.metrics.frechet import frechet_distance
from gan_jax.metrics.jackknife import with_errors

ORDERS = (1, 2, 3, 4)
BLEU_ORDERS = (2, 3, 4, 5)
HYPOTHESES, REFERENCES = 200, 500  # sentences whose BLEU is taken, and those it is taken against
SPACE = " "
Judge = Callable[[np.ndarray], dict[str, float]]  # symbols [N, T] -> what is said of them
Texts = Callable[[np.ndarray], list[str]]  # symbols [N, T] -> N texts


def judge(train: np.ndarray, test: np.ndarray, symbols: list[str], characters: bool, known: np.ndarray, errors: bool) -> Judge:
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


def bleus(train: np.ndarray, test: np.ndarray, texts: Texts, asked: Sequence[str], errors: bool) -> Judge:
    """BLEU and self-BLEU, what is `asked` for, of as many sentences as `HYPOTHESES` and `REFERENCES` say, beside the same of
    training samples. BLEU rises with the number of references: compare figures of equal numbers only."""

    def scores(ids: np.ndarray) -> dict[str, np.ndarray]:
        """{metric: a number a sentence [M]}"""
        own = texts(ids[:REFERENCES])
        found = {}
        if "bleu" in asked:
            found |= _named("bleu", bleu(own[:HYPOTHESES], texts(test[:REFERENCES])))
        if "self_bleu" in asked:
            found |= _named("self_bleu", self_bleu(own, HYPOTHESES))
        return found

    @cache
    def beside(count: int) -> dict[str, float]:
        return {f"{name}_real": float(of_each.mean()) for name, of_each in scores(train[:count]).items()}

    def measure(ids: np.ndarray) -> dict[str, float]:
        found = {}
        for name, of_each in scores(ids).items():
            found |= _mean(name, of_each, errors)
        return found | beside(min(len(ids), REFERENCES))

    return measure


def _named(name: str, scores: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{name}{n}": of_each for n, of_each in zip(BLEU_ORDERS, scores.T, strict=True)}


def _mean(name: str, of_each: np.ndarray, errors: bool) -> dict[str, float]:
    def statistic(of_each: np.ndarray) -> dict[str, float]:
        return {name: float(of_each.mean())}

    return with_errors(statistic, (of_each,)) if errors else statistic(of_each)


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """BLEU-2 to BLEU-5 of each of N sentences against all references, [N, 4]: nltk's, words between blanks, equal weights,
    precisions of 0 smoothed as in Texygen (`method1`). Raises InputError where nltk is not installed.

    Source: Papineni et al. 2002, BLEU, ACL; of generated text: Zhu et al. 2018 (Texygen), arXiv:1802.01886, section 3."""
    try:
        from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
    except ImportError as error:
        raise InputError(f"BLEU needs a package: pip install 'gan_jax[text]' ({error})") from error
    weights = [(1 / n,) * n for n in BLEU_ORDERS]
    known, smooth = [text.split() for text in references], SmoothingFunction().method1
    scores = [sentence_bleu(known, text.split(), weights, smooth) if text else [0.0] * len(weights) for text in hypotheses]
    return np.array(scores, np.float64)


def self_bleu(texts: Sequence[str], most: int) -> np.ndarray:
    """BLEU of each of the first `most` texts against all others, [M, 4]: high is little variety.

    Source: Zhu et al. 2018 (Texygen), arXiv:1802.01886, section 3."""
    return np.concatenate([bleu([text], [*texts[:i], *texts[i + 1 :]]) for i, text in enumerate(texts[:most])])


def frechet(train: np.ndarray, test: np.ndarray, embed: Callable[[np.ndarray], np.ndarray], errors: bool) -> Judge:
    """The Fréchet distance "fd" between embeddings [N, D] of samples and of held-out ones, beside that of training samples.

    Source: de Masson d'Autume et al. 2019 (ScratchGAN), arXiv:1905.09922, section 4, with another embedding."""
    held = np.asarray(embed(test), np.float32)

    def statistic(features: np.ndarray) -> dict[str, float]:
        return {"fd": frechet_distance(held, features)}

    @cache
    def floor(count: int) -> float:
        return statistic(np.asarray(embed(train[:count]), np.float32))["fd"]

    def measure(ids: np.ndarray) -> dict[str, float]:
        features = np.asarray(embed(ids), np.float32)
        if features.ndim != 2 or features.shape != (len(ids), held.shape[-1]):
            raise InputError(f"an embedding of text must be [N, D], D always the same: {features.shape} of {len(ids)} texts")
        found = with_errors(statistic, (features,)) if errors else statistic(features)
        return found | {"fd_floor": floor(len(ids))}

    return measure


def nll_oracle(train: np.ndarray, test: np.ndarray, oracle: Oracle, errors: bool) -> Judge:
    """-log p of a symbol, in nats, under the oracle that the data are of; and how far that is from the oracle's own entropy,
    taken from its samples `test`. Below it are samples of too few kinds: never to be read without what tells variety."""

    def of_each(ids: np.ndarray) -> np.ndarray:
        return -oracle.log_probability(ids).mean(axis=1)

    entropy, own = float(of_each(test).mean()), float(of_each(train).mean())

    def measure(ids: np.ndarray) -> dict[str, float]:
        found = of_each(ids)
        named = _mean("nll_oracle", found, errors) | _mean("nll_oracle_gap", found - entropy, errors)
        return named | {"nll_oracle_real": own, "nll_oracle_gap_floor": own - entropy}

    return measure
