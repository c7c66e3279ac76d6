"""Metrics of text, computed from sequences of symbol numbers. Symbol 0 is padding and is never counted.

A divergence of n-grams depends on the number of samples: compare it only for equal numbers, and with its floor.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache, partial
from types import ModuleType

import numpy as np

from gan_jax.data.text.oracle import Oracle
from gan_jax.data.text.sequences import Vocabulary
from gan_jax.errors import InputError, needs
from gan_jax.metrics.frechet import frechet_distance
from gan_jax.metrics.jackknife import with_errors

ORDERS = (1, 2, 3, 4)
BLEU_ORDERS = (2, 3, 4, 5)
HYPOTHESES, REFERENCES = 200, 500  # maximum number of sentences scored by BLEU, and of sentences they are compared with
SPACE = " "
# (symbol numbers [N, T], the vocabulary that they are in, which begins with that of the data) -> metrics
TextMetric = Callable[[np.ndarray, Vocabulary], dict[str, float]]


def ngram_metrics(
    train: np.ndarray, test: np.ndarray, vocabulary: Vocabulary, corpus: np.ndarray, errors: bool, whole: bool = False
) -> TextMetric:
    """Return a metric of generated text: divergences of n-grams from as many samples of `test` [M, T], or from all if `whole`,
    and statistics of the text itself. Each NAME comes with its value for the same number of training samples: NAME_floor for
    divergences (not if `whole`, since `test` contains these samples), else NAME_real. "words", for characters only, is the
    fraction of words that occur in the samples `corpus` [K, T]."""
    characters = vocabulary.separator == ""
    corpus_words = set(words(corpus, vocabulary.symbols)) if characters else set()

    @lru_cache(maxsize=3 * len(ORDERS))  # a standard error takes groups of two sizes
    def reference(count: int, n: int) -> Counter:
        return ngrams(test[:count], n)

    def statistic(ids: np.ndarray, symbols: list[str]) -> dict[str, float]:
        m, count = (len(ids), len(test)) if whole else (min(len(ids), len(test)),) * 2
        values = {f"jsd{n}": jensen_shannon(ngrams(ids[:m], n), reference(count, n)) for n in ORDERS}
        values |= {f"distinct{n}": distinct(ids, n) for n in (2, 4)}
        values["unique"] = len({row.tobytes() for row in np.ascontiguousarray(ids)}) / len(ids)
        if characters:
            sample_words = list(words(ids, symbols))
            values["words"] = sum(word in corpus_words for word in sample_words) / max(1, len(sample_words))
        return values

    @lru_cache(maxsize=2)
    def real(count: int) -> dict[str, float]:
        values = statistic(train[:count], vocabulary.symbols)
        floors = {} if whole else {f"{name}_floor": value for name, value in values.items() if name.startswith("jsd")}
        return floors | {f"{name}_real": value for name, value in values.items() if not name.startswith("jsd")}

    def measure(ids: np.ndarray, vocabulary: Vocabulary) -> dict[str, float]:
        function = partial(statistic, symbols=vocabulary.symbols)
        return (with_errors(function, (ids,)) if errors else function(ids)) | real(len(ids))

    return measure


def ngrams(ids: np.ndarray, n: int) -> Counter:
    """Count the n-grams within samples [N, T], except those that contain padding."""
    windows = np.lib.stride_tricks.sliding_window_view(ids, n, axis=1).reshape(-1, n)
    grams, counts = np.unique(windows[(windows > 0).all(axis=1)], axis=0, return_counts=True)
    return Counter(dict(zip(map(tuple, grams.tolist()), counts.tolist(), strict=True)))


def jensen_shannon(p: Counter, q: Counter) -> float:
    """Jensen-Shannon divergence of two distributions, passed as counts, in bits: from 0 to 1 (disjoint). 1 if one is empty.

    Source: Lin 1991, IEEE Transactions on Information Theory 37(1), eq. 4.1, with equal weights; of n-grams: the code of
    Gulrajani et al. 2017, arXiv:1704.00028 (gan_language.py).
    """
    if not p or not q:
        return 1.0
    p_total, q_total = p.total(), q.total()
    keys = list(p.keys() | q.keys())
    a = np.array([p[key] for key in keys]) / p_total
    b = np.array([q[key] for key in keys]) / q_total
    middle = (a + b) / 2

    def divergence(x: np.ndarray) -> float:
        positive = x > 0
        return float((x[positive] * np.log2(x[positive] / middle[positive])).sum())

    return (divergence(a) + divergence(b)) / 2


def distinct(ids: np.ndarray, n: int) -> float:
    """Number of distinct n-grams divided by the number of all n-grams; 0 if there are no n-grams.

    Source: Li et al. 2016, arXiv:1510.03055, section 5 (distinct-n)."""
    counts = ngrams(ids, n)
    return len(counts) / max(1, counts.total())


def words(ids: np.ndarray, symbols: list[str]) -> Iterable[str]:
    """Yield the words of samples [N, T] of characters, except those that the end of a sample may have truncated."""
    for row in ids:
        row_words = "".join(symbols[i - 1] for i in row if i).split(SPACE)
        yield from filter(None, row_words[:-1] if row[-1] else row_words)


def bleu_metrics(train: np.ndarray, test: np.ndarray, vocabulary: Vocabulary, names: Sequence[str], errors: bool) -> TextMetric:
    """Return a metric that computes BLEU and self-BLEU, if they are in `names`, for `HYPOTHESES` sentences against `REFERENCES`
    sentences of `test`, and their values for training samples, if there are two. BLEU rises with the number of references:
    compare it only for equal numbers. Raises InputError without nltk."""
    _nltk_bleu()  # before anything is trained or generated

    def scores(ids: np.ndarray, texts: Callable[[np.ndarray], list[str]]) -> dict[str, np.ndarray]:
        """Return {metric: its value for each sentence [M]}."""
        sentences = texts(ids[:REFERENCES])
        by_name = {}
        if "bleu" in names:
            by_name |= _by_order("bleu", bleu(sentences[:HYPOTHESES], vocabulary.join(test[:REFERENCES])))
        if "self_bleu" in names:
            by_name |= _by_order("self_bleu", self_bleu(sentences, HYPOTHESES))
        return by_name

    @cache
    def real(count: int) -> dict[str, float]:
        return {f"{name}_real": float(values.mean()) for name, values in scores(train[:count], vocabulary.join).items()}

    def measure(ids: np.ndarray, vocabulary: Vocabulary) -> dict[str, float]:
        metrics = {}
        for name, values in scores(ids, vocabulary.join).items():
            metrics |= _mean(name, values, errors)
        return metrics | (real(min(len(ids), REFERENCES)) if len(train) > 1 else {})

    return measure


def _by_order(name: str, scores: np.ndarray) -> dict[str, np.ndarray]:
    return {f"{name}{n}": values for n, values in zip(BLEU_ORDERS, scores.T, strict=True)}


def _mean(name: str, values: np.ndarray, errors: bool) -> dict[str, float]:
    def statistic(values: np.ndarray) -> dict[str, float]:
        return {name: float(values.mean())}

    return with_errors(statistic, (values,)) if errors else statistic(values)


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> np.ndarray:
    """BLEU-2 to BLEU-5 of each of N sentences against all references, [N, 4], computed by nltk. Words are separated by spaces,
    the weights are equal, and zero precisions are smoothed as in Texygen (`method1`). Raises InputError without nltk.

    Source: Papineni et al. 2002, BLEU, ACL; of generated text: Zhu et al. 2018 (Texygen), arXiv:1802.01886, section 3."""
    nltk = _nltk_bleu()
    weights = [(1 / n,) * n for n in BLEU_ORDERS]
    reference_words, smooth = [text.split() for text in references], nltk.SmoothingFunction().method1
    scores = [
        nltk.sentence_bleu(reference_words, text.split(), weights, smooth) if text else [0.0] * len(weights)
        for text in hypotheses
    ]
    return np.array(scores, np.float64)


def _nltk_bleu() -> ModuleType:
    with needs("BLEU needs nltk", "gan_jax[text]"):
        import nltk.translate.bleu_score as module
    return module


def self_bleu(texts: Sequence[str], count: int) -> np.ndarray:
    """BLEU of each of the first `count` texts against all others, [M, 4]. High values mean low diversity.

    Source: Zhu et al. 2018 (Texygen), arXiv:1802.01886, section 3."""
    return np.concatenate([bleu([text], [*texts[:i], *texts[i + 1 :]]) for i, text in enumerate(texts[:count])])


def frechet_metric(
    train: np.ndarray,
    test: np.ndarray,
    vocabulary: Vocabulary,
    embed: Callable[[list[str]], np.ndarray],
    errors: bool,
    whole: bool = False,
) -> TextMetric:
    """Return the metric "fd", the Fréchet distance between embeddings [N, D] of generated samples and of those in `test`, and
    its value for training samples, unless `test` contains them (`whole`).

    Source: de Masson d'Autume et al. 2019 (ScratchGAN), arXiv:1905.09922, section 4, with another embedding."""
    test_features = np.asarray(embed(vocabulary.join(test)), np.float32)

    def statistic(features: np.ndarray) -> dict[str, float]:
        return {"fd": frechet_distance(test_features, features)}

    @cache
    def floor(count: int) -> float:
        return statistic(np.asarray(embed(vocabulary.join(train[:count])), np.float32))["fd"]

    def measure(ids: np.ndarray, vocabulary: Vocabulary) -> dict[str, float]:
        features = np.asarray(embed(vocabulary.join(ids)), np.float32)
        if features.ndim != 2 or features.shape != (len(ids), test_features.shape[-1]):
            raise InputError(f"an embedding of text must be [N, D] with constant D: got {features.shape} for {len(ids)} texts")
        metrics = with_errors(statistic, (features,)) if errors else statistic(features)
        return metrics if whole else metrics | {"fd_floor": floor(len(ids))}

    return measure


def oracle_metrics(train: np.ndarray, test: np.ndarray, oracle: Oracle, errors: bool) -> TextMetric:
    """Return a metric with -log p per symbol, in nats, under the oracle that generated the data, and its difference from the
    oracle's entropy, estimated from the samples `test`. Values below the entropy mean low diversity: read them together with a
    metric of diversity."""

    def nll(ids: np.ndarray) -> np.ndarray:
        words_only = np.where(ids <= len(oracle.embedding), ids, 0)  # other symbols are as improbable as padding
        return -oracle.log_probability(words_only).mean(axis=1)

    entropy, train_nll = float(nll(test).mean()), float(nll(train).mean())

    def measure(ids: np.ndarray, vocabulary: Vocabulary) -> dict[str, float]:
        values = nll(ids)
        metrics = _mean("nll_oracle", values, errors) | _mean("nll_oracle_gap", values - entropy, errors)
        return metrics | {"nll_oracle_real": train_nll, "nll_oracle_gap_floor": train_nll - entropy}

    return measure
