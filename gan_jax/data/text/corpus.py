"""Text: the lines of a file, or windows of running text, as characters or as words.

A sample is a one-hot sequence of `length` symbols; shorter sequences are padded with symbol 0.
"""

import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from gan_jax.data.dataset import Data, Measure, Protocol, Source, Split
from gan_jax.data.paths import locate
from gan_jax.data.text.oracle import Oracle, oracle_network, sample_oracle
from gan_jax.errors import InputError, unknown

LEVELS = ("char", "word")
WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")  # a punctuation mark is a word
UNKNOWN = "<unk>"
METRICS = ("bleu", "self_bleu")  # slow: computed only on request
MIN_SAMPLES = 4  # of each split
HELD_OUT = 0.1  # fraction of the samples, if there is no test file


def text(
    data_dir: str | None = None,
    *,
    path: str | None = None,
    test: str | None = None,
    length: int = 32,
    level: str = "char",
    windows: bool = False,
    vocabulary: int | None = None,
    oracle: int | None = None,
) -> Source:
    """Read the lines of the file `path` for training and hold out those of the file `test`, or without it the first tenth of
    the samples. Null generates sentences of a small grammar.

    The first `length` symbols of each line are kept: characters, or with `level="word"` words and punctuation marks. With
    `windows` the text is cut into windows of that length instead, regardless of lines; `tfds:tiny_shakespeare`, or another
    prepared data set with a feature `text`, always is. The character set is that of both files. The words are those of the
    training lines, at most the `vocabulary` most frequent ones; all others become `<unk>`. `oracle` generates text with that
    number of words instead (see `oracle.py`). Raises InputError for a file that cannot be read as UTF-8, for too few samples,
    and for more than 65,535 symbols.
    """
    if vocabulary is not None and (type(vocabulary) is not int or vocabulary < 2 or level != "word"):
        raise InputError(f'data text: vocabulary must be a whole number of at least 2, with level="word", got {vocabulary!r}')
    if level not in LEVELS:
        raise InputError(f"data text: level must be one of {', '.join(LEVELS)}, got {level!r}")
    if type(length) is not int or length < 4:
        raise InputError(f"data text: length must be a whole number of at least 4, got {length!r}")
    if oracle is not None:
        if (path, test, vocabulary, windows) != (None, None, None, False):
            raise InputError("data text: oracle goes with length only: leave off path, test, vocabulary and windows")
        return _oracle_source(oracle, length)
    contents = _contents(path, test, data_dir)
    windows = windows or (path or "").startswith("tfds:")
    splits = [_sequences(content, level, length, windows) for content in contents]
    if len(splits) == 1:
        count = round(HELD_OUT * len(splits[0]))
        splits = [splits[0][count:], splits[0][:count]]
    if min(map(len, splits)) < MIN_SAMPLES:
        raise InputError(
            f"data text: {path} has too few samples: {' and '.join(str(len(s)) for s in splits)} of {length} symbols"
        )
    symbols = _vocabulary(splits, level, vocabulary)
    if len(symbols) >= 2**16:
        raise InputError(f"data text: {path} has {len(symbols):,} different symbols, more than 65,535")
    train, test_ids = (_encode(split, symbols, length) for split in splits)
    return _source(train, test_ids, symbols, " " if level == "word" else "")


def _source(train: np.ndarray, test: np.ndarray, symbols: list[str], separator: str, oracle: Oracle | None = None) -> Source:
    return Source(
        train=Split(train, None),
        test=Split(test, None),
        num_classes=0,
        to_float=partial(one_hot, size=len(symbols) + 1),
        show=lambda samples: {".txt": ("\n".join(decode(samples, symbols, separator)) + "\n").encode()},
        pack=lambda samples: {"text": np.array(decode(samples, symbols, separator))},
        evaluator=partial(_evaluator, symbols, separator, oracle),
        num_shown=40,
    )


def _oracle_source(size: int, length: int) -> Source:
    if type(size) is not int or not 2 <= size < 2**16:
        raise InputError(f"data text: oracle must be a number of words from 2 to 65,535, got {size!r}")
    return _source(*sample_oracle(size, length), [str(number) for number in range(1, size + 1)], " ", oracle_network(size))


def one_hot(ids, size: int):
    """Convert symbol numbers [..., T] to float32 [..., T, size]; runs on NumPy and inside jit."""
    return (ids[..., None] == np.arange(size, dtype=ids.dtype).reshape(*(1,) * ids.ndim, -1)).astype(np.float32)


def decode(samples: np.ndarray, symbols: list[str], separator: str) -> list[str]:
    """Convert samples [N, T, V] to texts, with the most likely symbol at each position."""
    return join(np.asarray(samples).argmax(axis=-1), symbols, separator)


def join(ids: np.ndarray, symbols: list[str], separator: str) -> list[str]:
    """Convert symbol numbers [N, T] to texts, without padding."""
    return [separator.join(symbols[i - 1] for i in row if i) for row in ids]


def _contents(path: str | None, test: str | None, data_dir: str | None) -> list[str]:
    """Return the training text and, if there is one, the held-out text."""
    if path is None:
        if test is not None:
            raise InputError("data text: test needs a path")
        return ["\n".join(_sentences(2_000, 0)), "\n".join(_sentences(500, 1))]
    if path.startswith("tfds:"):
        from gan_jax.data.tfds import texts

        return texts(path.removeprefix("tfds:"), data_dir)
    return [_read(locate(file, data_dir)) for file in (path, test) if file is not None]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"data text: {path} cannot be read as UTF-8: {error}") from error


def _sequences(content: str, level: str, length: int, windows: bool) -> list[list[str]]:
    """Return the symbols of each sample, at most `length`."""
    if windows:
        symbols = _symbols(content, level)
        return [symbols[i : i + length] for i in range(0, len(symbols) - length + 1, length)]
    lines = (line.strip() for line in content.splitlines())
    return [_symbols(line, level)[:length] for line in lines if line]


def _symbols(content: str, level: str) -> list[str]:
    return WORD.findall(content) if level == "word" else list(content)


def _vocabulary(splits: list[list[list[str]]], level: str, max_size: int | None) -> list[str]:
    """Return the symbols, most frequent first; `UNKNOWN` is appended if some are left out."""
    counts = [Counter(symbol for sequence in split for symbol in sequence) for split in splits]
    total = sum(counts, Counter())
    counted = counts[0] if level == "word" else total
    symbols = sorted(counted, key=lambda symbol: (-counted[symbol], symbol))[:max_size]
    return symbols if len(symbols) == len(total) else [*symbols, UNKNOWN]


def _encode(sequences: list[list[str]], symbols: list[str], length: int) -> np.ndarray:
    """Return symbol numbers [N, length], uint8 or for many symbols uint16, padded with 0. Symbols that are not in `symbols`
    become the last one."""
    numbers = {symbol: i for i, symbol in enumerate(symbols, 1)}
    ids = np.zeros((len(sequences), length), np.uint8 if len(symbols) < 2**8 else np.uint16)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = [numbers.get(symbol, len(symbols)) for symbol in sequence]
    return ids


def _sentences(count: int, seed: int) -> list[str]:
    """Generate sentences of a small grammar, for a data set without a file. RandomState's stream never changes (NEP 19)."""
    random = np.random.RandomState(seed)
    nouns, verbs = ("dog", "cat", "bird", "child", "fish", "horse"), ("sees", "finds", "likes", "follows")
    adjectives, places = ("small", "old", "red", "quick"), ("in the house", "by the sea", "on a hill", "")

    def choice(words: tuple[str, ...]) -> str:
        return words[random.randint(len(words))]

    def noun_phrase() -> str:
        adjective = f"{choice(adjectives)} " if random.rand() < 0.5 else ""
        return f"{choice(('the', 'a'))} {adjective}{choice(nouns)}"

    return [f"{noun_phrase()} {choice(verbs)} {noun_phrase()} {choice(places)}".strip() for _ in range(count)]


def _evaluator(
    symbols: list[str], separator: str, oracle: Oracle | None, data: Data, protocol: Protocol = Protocol()
) -> Measure:
    """Measure n-grams; BLEU if `protocol.metrics` names it; a Fréchet distance if there is an extractor, a user's function
    f(list of str) -> [N, D]; and for text of an oracle the likelihood under this oracle."""
    from gan_jax.data.text.metrics import bleu_metrics, frechet_metric, ngram_metrics, oracle_metrics

    embed = _embedding(protocol.extractor) if protocol.extractor else None
    requested = METRICS if protocol.metrics == ("all",) else protocol.metrics
    for name in requested:
        if name not in METRICS:
            raise unknown(f"metric of {data.name}", name, METRICS)
    first = slice(protocol.max_samples)
    train, test = (split.samples[first] for split in (data.train, data.test))
    measures = [ngram_metrics(train, test, symbols, separator == "", data.train.samples, protocol.errors)]
    texts = partial(join, symbols=symbols, separator=separator)
    if requested:
        measures.append(bleu_metrics(train, test, texts, requested, protocol.errors))
    if embed is not None:
        measures.append(frechet_metric(train, test, lambda ids: embed(texts(ids)), protocol.errors))
    if oracle is not None:
        measures.append(oracle_metrics(train, test, oracle, protocol.errors))

    def measure_samples(samples: np.ndarray, label: np.ndarray | None = None) -> dict[str, float]:
        if samples.shape[1:] != data.sample_shape:
            raise InputError(f"samples of {data.name} must be {data.sample_shape} each, got {samples.shape}")
        ids = np.asarray(samples[first]).argmax(axis=-1)
        return {name: value for measure in measures for name, value in measure(ids).items()}

    description = f"n-grams of {len(test):,} held-out samples of {data.name}, {len(symbols)} symbols, and of training samples"
    facts = {"data": data.name, "checksum": data.checksum, "held_out": len(test), "symbols": len(symbols)}
    facts |= {"metrics": list(requested), "extractor": protocol.extractor}
    return Measure(measure_samples, description, facts)


def _embedding(extractor: str) -> Callable[[list[str]], np.ndarray]:
    if ":" not in extractor:
        raise InputError(f"text has no extractor {extractor!r}: name your own embedding, path.py:function, [str] -> [N, D]")
    from gan_jax.data.images import extractors
    from gan_jax.spec.lookup import find

    return find("extractor", extractor, extractors)
