"""The rules that all readers share: encodings, line ends, delimited rows, held-out rows, counts."""

import gzip
import zipfile

import numpy as np
import pytest

from gan_jax.data.load import load
from gan_jax.data.reading import counted, decode_text, lines, listed, read_rows, read_strings, read_text, split_rows
from gan_jax.errors import InputError


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_are_not_text(encoding):
    assert decode_text("naïve\n".encode(encoding), "here") == "naïve\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"one\ntwo \xe9\n", "line 2: byte 0xe9 is not UTF-8"),
        (b"one\ntwo\nthr\0ee\n", "line 3: a NUL character"),
        ("one".encode("utf-16-le"), "line 1: a NUL character"),
        ("café\n".encode("utf-16-le"), "line 1: byte 0xe9 is not UTF-8: .* iconv -f UTF-16LE"),
        (b"%PDF-1.4\n\xff", "is a PDF file"),
        ("one".encode("utf-16")[:-1], "the file is damaged"),
        (b"PK\x03\x04one", "is a zip file: unpack or convert it to text first"),
        (gzip.compress(gzip.compress(b"one\n", mtime=0), mtime=0), "is a gzip file: unpack or convert it to text first"),
    ],
)
def test_other_encodings_are_refused_with_their_line(tmp_path, content, message):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_text(tmp_path / "file", "data")


def test_compressed_files_are_read(tmp_path):
    (tmp_path / "file.gz").write_bytes(gzip.compress("naïve\n".encode("utf-8-sig")))
    assert read_text(tmp_path / "file.gz", "data") == "naïve\n"
    (tmp_path / "file.gz").write_bytes(gzip.compress(b"one\n" * 99)[:-9])
    with pytest.raises(InputError, match=r"data: .*file.gz is damaged"):
        read_text(tmp_path / "file.gz", "data")


def test_marks_of_joined_files_are_not_text():
    assert decode_text(b"\xef\xbb\xbfone\n\xef\xbb\xbftwo", "here") == "one\ntwo"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"data: .*absent cannot be read: No such file"):
        read_text(tmp_path / "absent", "data")


def test_strings_of_an_archive(tmp_path):
    np.savez(tmp_path / "a.npz", text=["one", ""], z=[1.0])
    assert read_strings(tmp_path / "a.npz", "text") == ["one", ""]
    with pytest.raises(InputError, match=r"an array `smiles` of strings \[N\] is needed, found text, z"):
        read_strings(tmp_path / "a.npz", "smiles")
    np.save(tmp_path / "c.npy", ["one"])
    (tmp_path / "b.npz").write_bytes(b"one")
    for name in ("b.npz", "c.npy"):
        with pytest.raises(InputError, match=rf"{name}: (not a readable .npz|a single array)"):
            read_strings(tmp_path / name, "text")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a\nb\n", ["a", "b"]),
        ("a\r\nb", ["a", "b"]),
        ("a\rb\r", ["a", "b"]),
        ("a\u2028b\x0cc\x85d\n\ne\n", ["a\u2028b\x0cc\x85d", "", "e"]),
        ("progress 1%\rprogress 2%\n", ["progress 1%\rprogress 2%"]),
        ("", []),
    ],
)
def test_lines_end_at_line_feeds_only(content, expected):
    assert lines(content) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a,b\n1, 2\n", [["a", "b"], ["1", "2"]]),
        ("a;b\n1,5;2,5\n3,5;4,5\n", [["a", "b"], ["1,5", "2,5"], ["3,5", "4,5"]]),
        ('a\tb\n"x, y, z"\t2\n', [["a", "b"], ["x, y, z", "2"]]),
        ('a,b\n"two\nlines",2\n', [["a", "b"], ["two\nlines", "2"]]),
        ("one\ntwo\n", [["one"], ["two"]]),
        ("a,b\r1,2\r", [["a", "b"], ["1", "2"]]),
        ("sep=;\r\na;b\r\n1,5;2,5\r\n", [["a", "b"], ["1,5", "2,5"]]),
    ],
)
def test_the_delimiter_is_the_one_that_divides_all_rows_alike(content, expected):
    assert [row.cells for row in read_rows(content, "here")] == expected


def test_rows_know_their_lines():
    assert [row.line for row in read_rows('a,b\n"1\n1",2\n\n3,4\n', "here")] == [1, 2, 5]
    assert [row.line for row in read_rows("sep=,\na,b\n\n1,2\n", "here")] == [2, 4]


def test_an_open_quote_is_refused_with_its_line():
    with pytest.raises(InputError, match="here, line 2"):
        read_rows('a,b\n"1,2\n3,4\n', "here")


def test_a_tenth_is_held_out_in_a_fixed_random_order():
    train, test = split_rows(100, 0.1)
    assert len(test) == 10 and sorted([*train, *test]) == list(range(100))
    assert not np.array_equal(np.sort(test), np.arange(10)) and np.array_equal(test, split_rows(100, 0.1)[1])


def test_classes_are_held_out_in_proportion():
    labels = np.repeat([0, 1, 2, 3], [70, 20, 2, 1])
    train, test = split_rows(len(labels), 0.1, labels)
    assert np.bincount(labels[test], minlength=4).tolist() == [7, 2, 1, 0]
    assert sorted([*train, *test]) == list(range(93))


def test_at_least_one_of_two_rows_is_held_out():
    assert [len(split_rows(count, 0.1)[1]) for count in (1, 2, 4, 14, 16)] == [0, 1, 1, 1, 2]


def test_what_is_dropped_is_counted_by_reason():
    note = "1,000 of 1,100 rows are used; dropped: 90 blank, 10 bad"
    assert counted(1000, 1100, "rows", {"bad": 10, "blank": 90, "long": 0}) == (note,)
    assert counted(5, 5, "rows", {"bad": 0}) == ()


def test_long_lists_of_names_are_shortened():
    assert listed(["a", "b", "c"], 2) == "a, b and 1 more"


def test_compressed_files_do_not_fill_the_memory(tmp_path, monkeypatch):
    """No file may expand more than 100 times; a gigabyte is always allowed, here 1,000 bytes."""
    monkeypatch.setattr("gan_jax.data.reading.ALWAYS", 1_000)
    monkeypatch.setattr("gan_jax.storage.npz.ALWAYS", 1_000)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b"\n" * 10**6))
    with pytest.raises(InputError, match=r"bomb.gz expands more than 100 times: if you trust the file, unpack it first"):
        read_text(tmp_path / "bomb.gz", "data")
    (tmp_path / "small.gz").write_bytes(gzip.compress(b"\n" * 1_000))
    assert read_text(tmp_path / "small.gz", "data") == "\n" * 1_000
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/0.wav", bytes(10**6))
        archive.writestr("a/0.png", bytes(10**6))
    for name in (str(tmp_path / "bomb.zip"), f"audio(path='{tmp_path / 'bomb.zip'}')"):
        with pytest.raises(InputError, match=r"bomb.zip: .* more than 100 times as many: .* unpack it and name the folder"):
            load(name, 0, 1)
