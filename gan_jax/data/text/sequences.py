"""From text files to sequences of symbols, characters or words, and to their numbers."""

import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_jax.data.reading import DELIMITERS, MISSING, counted, lines, listed, read_rows, read_strings, read_text
from gan_jax.errors import InputError

LEVELS = ("char", "word")
UNKNOWN = "<unk>"
EXAMINED, MIN_RECORDS = 50, 4  # number of first lines by which a table or JSON is recognised
_COLUMNS = ("id", "text", "label", "sentence", "content", "caption", "title", "review", "comment", "message", "description")
_OTHER_ENDS = re.compile("[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
DELIMITED, JSON = (".csv", ".tsv"), (".json", ".jsonl", ".ndjson")  # suffixes of files whose lines are not sentences


def read_lines(path: Path, column: str | None) -> list[str]:
    """Return the lines of a text file, or the cells of a column of a delimited file, "" for missing ones; line ends within a
    cell become spaces. Raises InputError for a delimited file without `column`, for JSON, for lines that are records
    of either, and for rows of the wrong length."""
    where, suffix = f"data text: {path}", path.suffix.lower()
    if suffix in JSON:
        raise InputError(f"{where}: JSON is not read: write a sentence per line, as in jq -r .text {path.name} > sentences.txt")
    content = read_text(path, "data text")
    if column is None and suffix not in DELIMITED:
        result = lines(content)
        _reject_records(result, where)
        return result
    rows = read_rows(content, where, "\t" if suffix == ".tsv" else None)
    header = rows[0].cells if rows else []
    if header.count(column) != 1:
        many = "several columns" if column in header else "no column"
        question = "which column holds the text?" if column is None else f"{many} {column!r}."
        raise InputError(f'{where}: {question} column="..." names one of {listed(header, 20)}')
    for line, cells in rows:
        if len(cells) != len(header):
            raise InputError(f"{where}, line {line}: {len(cells)} cells, the header has {len(header)}: check its quotes")
    cells = [re.sub(r"\s*[\r\n]+\s*", " ", row.cells[header.index(column)]) for row in rows[1:]]
    return ["" if cell.lower() in MISSING else cell for cell in cells]


def _reject_records(content: Sequence[str], where: str) -> None:
    """Raise InputError if the lines of a file are no sentences but records: JSON, or the cells of a table."""
    filled = [line.strip() for line in content[:EXAMINED] if line.strip()]
    if len(filled) < MIN_RECORDS:
        return
    if all(line.startswith('{"') and line.endswith("}") for line in filled):
        raise InputError(f"{where}: its lines are JSON records: write a sentence per line, as in jq -r .text")
    for mark in DELIMITERS:
        cells = [cell.strip(' "') for cell in filled[0].split(mark)]
        # Commas are in all sentences of some texts, but not under names of columns.
        named = mark == "\t" or not {cell.lower() for cell in cells}.isdisjoint(_COLUMNS)
        if len(cells) > 1 and named and {line.count(mark) for line in filled} == {len(cells) - 1}:
            example = f'column="..." names the one of text, as in the first line: {listed(cells, 20)}'
            raise InputError(f"{where}: its lines are the rows of a table: {example}")


class Sequences(NamedTuple):
    """Samples as lists of symbols."""

    samples: list[list[str]]  # at most `length` symbols each
    notes: tuple[str, ...]  # what was dropped


def sequences(content: Sequence[str], level: str, length: int, windows: bool, keep_blank: bool = False) -> Sequences:
    """Return the first `length` symbols of each line, without blank lines unless `keep_blank`, or with `windows` consecutive
    windows of that length of the lines joined. Composed and decomposed characters become the same symbols (Unicode's NFC)."""
    texts = [unicodedata.normalize("NFC", line) for line in content]
    changed = sum(a != b for a, b in zip(texts, content, strict=True))
    notes = (f"{changed:,} lines had decomposed characters, which were composed (Unicode NFC)",) if changed else ()
    if other := sum(bool(_OTHER_ENDS.search(line.strip())) for line in texts):
        notes += (f"{other:,} lines contain other line ends than LF and CRLF, such as CR or U+2028, which are symbols in them",)
    if windows:
        symbols = split_symbols("\n".join(texts), level)
        samples = [symbols[i : i + length] for i in range(0, len(symbols) - length + 1, length)]
        rest = len(symbols) - length * len(samples)
        return Sequences(samples, (*notes, f"the last {rest} symbols do not fill a window and are dropped") if rest else notes)
    used = [text for text in map(str.strip, texts) if text or keep_blank]
    notes += counted(len(used), len(texts), "lines", {"blank": len(texts) - len(used)})
    whole = [split_symbols(text, level) for text in used]
    sizes = np.array([len(symbols) for symbols in whole])
    if (longer := int((sizes > length).sum())) > 0:
        percentile = int(np.percentile(sizes, 95, method="higher"))
        limit = f"; 95% of all lines have at most {percentile}" if percentile > length else ""
        notes += (f"{longer:,} of {len(used):,} lines have more than {length} symbols (length) and are cut there{limit}",)
    return Sequences([symbols[:length] for symbols in whole], notes)


def read_sequences(path: Path, level: str, length: int, windows: bool = False, column: str | None = None) -> Sequences:
    """Return the samples in a file that any program wrote, read as the real text is: from the array `text` of an .npz, or else
    the lines of a file, blank ones included, its windows, or its column."""
    if path.suffix == ".npz":
        return sequences(read_strings(path, "text"), level, length, windows=False, keep_blank=True)
    content = read_lines(path, column if path.suffix.lower() in DELIMITED else None)
    return sequences(content, level, length, windows, keep_blank=True)


def split_symbols(text: str, level: str) -> list[str]:
    """Return the characters of a text; or its words, punctuation marks included, without white space."""
    return _word_pattern().findall(text) if level == "word" else list(text)


@cache
def _word_pattern() -> re.Pattern:
    # Python's \w lacks combining marks, such as the vowel signs of Hindi, and the joiners within words of Persian and Hindi.
    marks = "".join(chr(i) for i in range(sys.maxunicode + 1) if unicodedata.category(chr(i)).startswith("M"))
    letters = rf"[\w{marks}\u200c\u200d]+"
    return re.compile(rf"{re.escape(UNKNOWN)}|{letters}(?:['’-]{letters})*|[^\w\s]")


class Vocabulary(NamedTuple):
    """The symbols of a data set, numbered from 1; 0 is padding."""

    symbols: list[str]  # most frequent first; `UNKNOWN` is last if there are others
    others: frozenset[str]  # symbols of the data set that became `UNKNOWN`
    separator: str  # between symbols

    def encode(self, samples: Sequence[Sequence[str]], length: int) -> np.ndarray:
        """Return symbol numbers [N, length], of the smallest unsigned type, padded with 0; `others` become `UNKNOWN`."""
        numbers = {symbol: i for i, symbol in enumerate(self.symbols, 1)}
        numbers |= dict.fromkeys(self.others, numbers.get(UNKNOWN, 0))
        ids = np.zeros((len(samples), length), np.min_scalar_type(len(self.symbols)))
        for row, sample in enumerate(samples):
            ids[row, : len(sample)] = [numbers[symbol] for symbol in sample]
        return ids

    def extended(self, samples: Sequence[Sequence[str]]) -> "Vocabulary":
        """Return the vocabulary with the symbols of `samples` that the data set lacks appended, none of them `UNKNOWN`."""
        present = dict.fromkeys(symbol for sample in samples for symbol in sample)
        known = self.others.union(self.symbols)
        return self._replace(symbols=[*self.symbols, *(symbol for symbol in present if symbol not in known)])

    def join(self, ids: np.ndarray) -> list[str]:
        """Convert symbol numbers [N, T] to texts, without padding."""
        return [self.separator.join(self.symbols[i - 1] for i in row if i) for row in ids]


def vocabulary_of(splits: Sequence[Sequence[Sequence[str]]], level: str, max_size: int | None) -> Vocabulary:
    """Return the characters of all splits, or the words of the first one, at most the `max_size` most frequent."""
    counts = [Counter(symbol for sample in split for symbol in sample) for split in splits]
    total = sum(counts, Counter())
    eligible = counts[0] if level == "word" else total
    if level == "word":
        del eligible[UNKNOWN]
    symbols = sorted(eligible, key=lambda symbol: (-eligible[symbol], symbol))[:max_size]
    others = frozenset(total) - set(symbols)
    return Vocabulary([*symbols, UNKNOWN] if others else symbols, others, " " if level == "word" else "")
