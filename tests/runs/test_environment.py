"""environment.json: what is missing from a run is recorded once, and a damaged entry is refused."""

import json

import pytest

from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.runs.run_dir import RunDir


@pytest.fixture(scope="module")
def ring():
    return load("ring", 0, 16)


def begin(path, config, data, step=0):
    """Begin or resume a run at `step`; return its messages."""
    run = RunDir(path, config, data)
    messages = run.rewind(step)
    run.close()
    return messages


@pytest.mark.parametrize("left", [None, "", '{"step": 4}\n{"step": 12}\n'])
def test_lines_that_are_missing_are_reported_once(left, tiny, ring, tmp_path):
    begin(tmp_path / "run", tiny, ring)
    if left is not None:
        (tmp_path / "run" / "metrics.jsonl").write_text(left)
    missing = 1 if left else 3
    (message,) = begin(tmp_path / "run", tiny, ring, step=12)
    assert f"no line of {missing} logged steps up to 12, the first of them {8 if left else 4}" in message
    environment = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert [loss["missing"] for loss in environment["lost_lines"]] == [missing]
    assert begin(tmp_path / "run", tiny, ring, step=12) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("code", "x"),
        ("dispatch", "x"),
        ("dispatch", [1]),
        ("forked_from", "x"),
        ("forked_from", {"run_dir": 5}),
        ("data", None),
    ],
)
def test_a_damaged_entry_of_the_environment_is_refused(name, value, tiny, ring, tmp_path):
    run = RunDir(tmp_path, tiny, ring)
    run.note(**{name: value})
    run.close()
    before = (tmp_path / "environment.json").read_bytes()
    with pytest.raises(InputError, match=rf"environment.json is damaged: {name} cannot be"):
        RunDir(tmp_path, tiny, ring)
    assert (tmp_path / "environment.json").read_bytes() == before
