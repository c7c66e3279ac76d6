"""How text files are read: line ends, Unicode, columns, and what the notes count."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_jax.data.load import load
from gan_jax.data.text.corpus import text
from gan_jax.data.text.sequences import read_lines, sequences, split_symbols, vocabulary_of
from gan_jax.errors import InputError

LINE = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0\ufeff"), max_size=12)


def all_samples(source):
    packs = [source.pack(source.to_float(split.samples))["text"] for split in (source.train, source.test)]
    return sorted(np.concatenate(packs).tolist())


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfone\ntwo\n",
        "one\r\ntwo\r\n".encode("utf-16"),
        b"one\rtwo\r",
        b"one\n\xef\xbb\xbftwo",  # two files with marks, joined
    ],
)
def test_marks_and_line_ends_are_no_symbols(tmp_path, content):
    (tmp_path / "a.txt").write_bytes(content)
    assert read_lines(tmp_path / "a.txt", None) == ["one", "two"]


def test_other_separators_are_symbols_within_a_line():
    samples, notes = sequences(["a\u2028b\x0cc"], "char", 9, windows=False)
    assert samples == [["a", "\u2028", "b", "\x0c", "c"]]
    assert notes == ("1 lines contain other line ends than LF and CRLF, such as CR or U+2028, which are symbols in them",)
    assert sequences(["a\u2028b\x0cc"], "word", 9, windows=False).samples == [["a", "b", "c"]]


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("id\ttext", "{}\tgo, now", r"rows of a table: column=.* as in the first line: id, text"),
        ("1\tgo", "{}\tgo, now", "rows of a table"),
        ("id,text", '{},"go now"', "rows of a table"),
        ('{{"text": "go"}}', '{{"text": "go {}"}}', "JSON records"),
    ],
)
def test_records_are_no_sentences(tmp_path, header, row, message):
    (tmp_path / "a.txt").write_text("\n".join([header.format(), *map(row.format, range(9))]))
    with pytest.raises(InputError, match=message):
        read_lines(tmp_path / "a.txt", None)


def test_sentences_with_commas_are_no_records(tmp_path):
    sentences = ["go, now", "\tstay, please"] * 9
    (tmp_path / "a.txt").write_text("\n".join(sentences))
    assert read_lines(tmp_path / "a.txt", None) == sentences


def test_composed_and_decomposed_characters_are_the_same():
    samples, notes = sequences(["cafe\u0301", "café"], "char", 9, windows=False)
    assert samples == [list("café")] * 2
    assert notes == ("1 lines had decomposed characters, which were composed (Unicode NFC)",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("the cat's well-known, 2.5 m", ["the", "cat's", "well-known", ",", "2", ".", "5", "m"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),  # vowel signs are combining marks
        ("می\u200cخواهم", ["می\u200cخواهم"]),  # a joiner within a word
        ("a <unk> b", ["a", "<unk>", "b"]),
        ("e\u030a!", ["e\u030a", "!"]),  # a letter without a composed form
    ],
)
def test_words(content, words):
    assert split_symbols(content, "word") == words


@settings(max_examples=30, deadline=None)
@given(LINE)
def test_words_joined_by_spaces_are_the_same_words(line):
    words = split_symbols(line, "word")
    assert split_symbols(" ".join(words), "word") == words


@settings(max_examples=15, deadline=None)
@given(lines=st.lists(LINE, min_size=45, max_size=50))
def test_text_files_are_written_back_as_they_were(tmp_path_factory, lines):
    first, second = (tmp_path_factory.mktemp("text") / name for name in ("a.txt", "b.txt"))
    lines += [f"{i}" for i in range(40)]
    first.write_text("\n".join(lines), encoding="utf-8", newline="")
    once = all_samples(text(path=str(first), length=40))
    normal = [sample for line in lines for sample in sequences([line], "char", 40, False).samples]
    assert once == sorted("".join(sample) for sample in normal)
    second.write_text("\n".join(once), encoding="utf-8", newline="")
    assert all_samples(text(path=str(second), length=40)) == once


def test_the_notes_count_what_was_dropped_and_cut(tmp_path):
    lines = [f"line {i:02}" for i in range(45)] + ["", "  "] + ["line 00"] * 3 + ["x" * 70] * 2
    (tmp_path / "a.txt").write_text("\n".join(lines))
    (tmp_path / "b.txt").write_text("line 44\nline 45\nline 46\n\nline 43\n")
    source = text(path=str(tmp_path / "a.txt"), test=str(tmp_path / "b.txt"), length=30)
    assert source.notes == (
        "training text: 50 of 52 lines are used; dropped: 2 blank",
        "training text: 2 of 50 lines have more than 30 symbols (length) and are cut there",
        "held-out text: 4 of 5 lines are used; dropped: 1 blank",
        "4 of 50 training samples repeat an earlier one; they are kept",
        "2 of 4 held-out samples are also training samples; they are kept",
    )
    assert load(f"text(path='{tmp_path / 'a.txt'}', test='{tmp_path / 'b.txt'}', length=30)", 0, 8).notes == source.notes
    assert "50 of 50 lines have more than 4 symbols (length) and are cut there; 95% of all lines have at most 7" in " ".join(
        text(path=str(tmp_path / "a.txt"), length=4).notes
    )


def test_unknown_words_are_counted(tmp_path):
    (tmp_path / "a.txt").write_text("a b c\n" * 3 + "a b <unk>\n")
    (tmp_path / "b.txt").write_text("a d\n" * 4)
    source = text(path=str(tmp_path / "a.txt"), test=str(tmp_path / "b.txt"), length=4, level="word", vocabulary=2)
    assert "4 of 12 training words are outside the vocabulary and became <unk>" in source.notes
    assert "4 of 8 held-out words are outside the vocabulary and became <unk>" in source.notes
    assert vocabulary_of([[["a", "<unk>"]], [["d"]]], "word", None) == (["a", "<unk>"], {"<unk>", "d"}, " ")


def test_a_column_of_a_delimited_file(tmp_path):
    rows = "".join(f'{i};"say ""no, {i}""\nor yes"\n' for i in range(44)) + "44;NA\n"
    (tmp_path / "a.csv").write_text("id;text\n" + rows, encoding="utf-8-sig")
    source = text(path=str(tmp_path / "a.csv"), column="text")
    assert all_samples(source) == sorted(f'say "no, {i}" or yes' for i in range(44))
    assert "44 of 45 lines are used; dropped: 1 blank" in source.notes


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("a.csv", "id,text\n1,a\n", {}, r'a.csv: which column holds the text\? column="..." names one of id, text'),
        ("a.tsv", "id\ttext\n1\ta\n", {"column": "words"}, "no column 'words'.*one of id, text"),
        ("a.csv", "id,text\n1,a\n2,a\n3,well, b\n", {"column": "text"}, "a.csv, line 4: 3 cells, the header has 2"),
        ("a.jsonl", '{"text": "a"}\n', {}, "JSON is not read: write a sentence per line, as in jq"),
        ("a.txt", "PK\x03\x04", {}, "a.txt is a zip file: unpack or convert it"),
        ("a.txt", "one\ntwo\0\n", {}, "a.txt, line 2: a NUL character"),
        ("a.txt", "a long line " * 900, {}, "too few samples: 1 and 0 of 32 symbols; windows=True cuts running text"),
    ],
)
def test_files_that_are_refused(tmp_path, name, content, options, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        text(path=str(tmp_path / name), **options)
    assert "\n" not in str(caught.value) and not re.search("Traceback", str(caught.value))
