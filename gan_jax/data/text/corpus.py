"""Text: sentences of a file, a line each, or windows of a running text, as characters or as words.

A sample is a sequence of `length` symbols, one-hot; what ends earlier is filled with symbol 0, which stands for nothing.
"""

import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from gan_jax.data.dataset import Data, Measure, Protocol, Source, Split
from gan_jax.data.paths import locate
from gan_jax.data.text.oracle import Oracle
from gan_jax.errors import InputError, unknown

LEVELS = ("char", "word")
WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")  # a mark is a word of its own
UNKNOWN = "<unk>"
METRICS = ("bleu", "self_bleu")  # that take longer
FEW = 4  # samples of a split, at least
HELD_OUT = 0.1  # of a text that comes without a test file


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
    """The sentences of the file `path`, and of `test` held out, or a tenth of the first; null is a small grammar of our own.

    `length` symbols of each sentence are kept, a symbol being a character, or a word or mark where `level` says so. With
    `windows`, the text is cut into pieces of that length instead, whatever its lines; `tfds:tiny_shakespeare`, or another
    prepared set with a feature `text`, always is. Characters are those of both files. Words are those of the training
    sentences, the `vocabulary` most frequent ones where that is given, and `<unk>` for all others. `oracle` makes the text
    instead, of that many words (data/oracle.py). Raises InputError for a file that cannot be read as UTF-8, has too few samples
    or more than 65,535 symbols.
    """
    if vocabulary is not None and (type(vocabulary) is not int or vocabulary < 2 or level != "word"):
        raise InputError(f'data text: vocabulary must be a whole number of at least 2, with level="word", got {vocabulary!r}')
    if level not in LEVELS:
        raise InputError(f"data text: level must be one of {', '.join(LEVELS)}, got {level!r}")
    if type(length) is not int or length < 4:
        raise InputError(f"data text: length must be a whole number of at least 4, got {length!r}")
    if oracle is not None:
        if (path, test, vocabulary, windows) != (None, None, None, False):
            raise InputError("data text: an oracle takes a length, and no path, test, vocabulary or windows")
        return _of_oracle(oracle, length)
    contents = _contents(path, test, data_dir)
    windows = windows or (path or "").startswith("tfds:")
    splits = [_sequences(content, level, length, windows) for content in contents]
    if len(splits) == 1:
        count = round(HELD_OUT * len(splits[0]))
        splits = [splits[0][count:], splits[0][:count]]
    if min(map(len, splits)) < FEW:
        raise InputError(
            f"data text: {path} has too few samples: {' and '.join(str(len(s)) for s in splits)} of {length} symbols"
        )
    symbols = _vocabulary(splits, level, vocabulary)
    if len(symbols) >= 2**16:
        raise InputError(f"data text: {path} has {len(symbols):,} different symbols, more than 65,535")
    train, held = (_encoded(split, symbols, length) for split in splits)
    return _source(train, held, symbols, " " if level == "word" else "")


def _source(train: np.ndarray, held: np.ndarray, symbols: list[str], joint: str, oracle: "Oracle | None" = None) -> Source:
    return Source(
        train=Split(train, None),
        test=Split(held, None),
        num_classes=0,
        to_float=partial(one_hot, size=len(symbols) + 1),
        show=lambda samples: {".txt": ("\n".join(decoded(samples, symbols, joint)) + "\n").encode()},
        pack=lambda samples: {"text": np.array(decoded(samples, symbols, joint))},
        evaluator=partial(_evaluator, symbols, joint, oracle),
        num_shown=40,
    )


def _of_oracle(size: int, length: int) -> Source:
    from gan_jax.data.text.oracle import made, oracle

    if type(size) is not int or not 2 <= size < 2**16:
        raise InputError(f"data text: an oracle knows 2 to 65,535 words, got {size!r}")
    return _source(*made(size, length), [str(number) for number in range(1, size + 1)], " ", oracle(size))


def one_hot(ids, size: int):
    """Symbols [..., T] -> float32 [..., T, size], on the host and inside jit."""
    return (ids[..., None] == np.arange(size)).astype(np.float32)


def decoded(samples: np.ndarray, symbols: list[str], joint: str) -> list[str]:
    """Samples [N, T, V] as text, the likeliest symbol at each place."""
    return joined(np.asarray(samples).argmax(axis=-1), symbols, joint)


def joined(ids: np.ndarray, symbols: list[str], joint: str) -> list[str]:
    """Symbols' numbers [N, T] as text."""
    return [joint.join(symbols[i - 1] for i in row if i) for row in ids]


def _contents(path: str | None, test: str | None, data_dir: str | None) -> list[str]:
    """The text to train on, and that to hold out where there is one."""
    if path is None:
        if test is not None:
            raise InputError("data text: test is for a path of your own")
        return ["\n".join(_sentences(2_000, 0)), "\n".join(_sentences(500, 1))]
    if path.startswith("tfds:"):
        from gan_jax.data.tfds import texts

        return texts(path.removeprefix("tfds:"), data_dir)
    return [_read(locate(each, data_dir)) for each in (path, test) if each is not None]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"data text: {path} cannot be read as UTF-8: {error}") from error


def _sequences(content: str, level: str, length: int, windows: bool) -> list[list[str]]:
    """The samples' symbols, at most `length` each."""
    if windows:
        symbols = _symbols(content, level)
        return [symbols[i : i + length] for i in range(0, len(symbols) - length + 1, length)]
    lines = (line.strip() for line in content.splitlines())
    return [_symbols(line, level)[:length] for line in lines if line]


def _symbols(content: str, level: str) -> list[str]:
    return WORD.findall(content) if level == "word" else list(content)


def _vocabulary(splits: list[list[list[str]]], level: str, most: int | None) -> list[str]:
    """The symbols, the commonest first; where there are others too, `UNKNOWN` is the last."""
    counts = [Counter(symbol for sequence in split for symbol in sequence) for split in splits]
    all_of_them = sum(counts, Counter())
    counted = counts[0] if level == "word" else all_of_them
    symbols = sorted(counted, key=lambda symbol: (-counted[symbol], symbol))[:most]
    return symbols if len(symbols) == len(all_of_them) else [*symbols, UNKNOWN]


def _encoded(sequences: list[list[str]], symbols: list[str], length: int) -> np.ndarray:
    """[N, length] uint8, or uint16 where there are many symbols; 0 where a sequence has ended. What is not among the symbols is
    the last of them."""
    numbers = {symbol: i for i, symbol in enumerate(symbols, 1)}
    ids = np.zeros((len(sequences), length), np.uint8 if len(symbols) < 2**8 else np.uint16)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = [numbers.get(symbol, len(symbols)) for symbol in sequence]
    return ids


def _sentences(count: int, seed: int) -> list[str]:
    """Sentences of a small grammar: real structure that needs no file. RandomState's stream never changes (NEP 19)."""
    random = np.random.RandomState(seed)
    nouns, verbs = ("dog", "cat", "bird", "child", "fish", "horse"), ("sees", "finds", "likes", "follows")
    adjectives, places = ("small", "old", "red", "quick"), ("in the house", "by the sea", "on a hill", "")

    def one_of(words: tuple[str, ...]) -> str:
        return words[random.randint(len(words))]

    def thing() -> str:
        adjective = f"{one_of(adjectives)} " if random.rand() < 0.5 else ""
        return f"{one_of(('the', 'a'))} {adjective}{one_of(nouns)}"

    return [f"{thing()} {one_of(verbs)} {thing()} {one_of(places)}".strip() for _ in range(count)]


def _evaluator(symbols: list[str], joint: str, oracle: "Oracle | None", data: Data, protocol: Protocol = Protocol()) -> Measure:
    """n-grams always; BLEU where `protocol.metrics` ask for it, a Fréchet distance where an extractor of the user's embeds
    texts, f(list of str) -> [N, D]; and of an oracle's text what the oracle says."""
    from gan_jax.data.text.metrics import bleus, frechet, judge, nll_oracle

    embed = _embedding(protocol.extractor) if protocol.extractor else None
    asked = METRICS if protocol.metrics == ("all",) else protocol.metrics
    for name in asked:
        if name not in METRICS:
            raise unknown(f"metric of {data.name}", name, METRICS)
    cap = protocol.max_samples
    train, test = (split.samples[:cap] for split in (data.train, data.test))
    measures = [judge(train, test, symbols, joint == "", data.train.samples, protocol.errors)]
    texts = partial(joined, symbols=symbols, joint=joint)
    if asked:
        measures.append(bleus(train, test, texts, asked, protocol.errors))
    if embed is not None:
        measures.append(frechet(train, test, lambda ids: embed(texts(ids)), protocol.errors))
    if oracle is not None:
        measures.append(nll_oracle(train, test, oracle, protocol.errors))

    def of_samples(samples: np.ndarray, label: np.ndarray | None = None) -> dict[str, float]:
        if samples.shape[1:] != data.sample_shape:
            raise InputError(f"samples of {data.name} must be {data.sample_shape} each: {samples.shape}")
        ids = np.asarray(samples[:cap]).argmax(axis=-1)
        return {name: value for measure in measures for name, value in measure(ids).items()}

    description = (
        f"n-grams of {len(test):,} held-out samples of {data.name}, {len(symbols)} symbols; beside it the same of training ones"
    )
    facts = {"data": data.name, "checksum": data.checksum, "held_out": len(test), "symbols": len(symbols)}
    facts |= {"metrics": list(asked), "extractor": protocol.extractor}
    return Measure(of_samples, description, facts)


def _embedding(text: str) -> Callable[[list[str]], np.ndarray]:
    if ":" not in text:
        raise InputError(f"text has no extractor {text!r}: name an embedding of your own, path.py:function, [str] -> [N, D]")
    from gan_jax.data.images import extractors
    from gan_jax.spec.lookup import find

    return find("extractor", text, extractors)
