"""The log of a run: every line that reads is kept, and the others are counted."""

import json

import pytest

from gan_jax.storage.log import Log, read_log

LINE = {"step": 4, "d/loss": 0.5, "g/loss": float("nan"), "seconds": 1.0}
GOOD = json.dumps(LINE)


@pytest.mark.parametrize(
    "bad",
    [
        *(b"{", b"[]", b"null", b"\0\0\0", b"\xff\xfe{}", b"[" * 99_999),
        *(b'{"loss": 1}', b'{"step": true}', b'{"step": 1.5}', b'{"step": -1}', b'{"step": 1, "broken": 2}'),
        *(b'{"step": 1, "d/loss": "x"}', b'{"step": 1, "d/loss": [1]}', b'{"step": 1, "d/loss": 1' + b"0" * 400 + b"}"),
    ],
)
def test_lines_after_a_damaged_one_are_read(tmp_path, bad):
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(b"\n".join([GOOD.encode(), bad, b"", GOOD.replace("4", "8").encode(), b""]))
    log = read_log(file)
    assert [line["step"] for line in log.lines] == [4, 8] and log.damaged == [2]
    assert log.damage == "line 2 of 3 cannot be read"
    file.write_bytes(f"{GOOD}\n".encode() + bad)  # no newline: killed while writing
    assert (len(read_log(file).lines), read_log(file).damage) == (1, "")


def test_what_is_said_of_many_damaged_lines():
    assert Log([LINE] * 8, [3, 5]).damage == "lines 3, 5 of 10 cannot be read"
    assert Log([LINE], list(range(2, 9))).damage == "7 lines (2, 3, 4, 5, 6, ...) of 8 cannot be read"
    assert Log([LINE], []).damage == ""


def test_a_broken_run_says_why_in_words(tmp_path):
    (tmp_path / "log").write_text('{"step": 4, "seed": 1, "broken": "d/loss is nan"}\n')
    assert read_log(tmp_path / "log").lines == [{"step": 4, "seed": 1, "broken": "d/loss is nan"}]
    assert read_log(tmp_path / "none") == Log([], [])
