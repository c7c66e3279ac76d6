"""Workers take turns, and the command writes their times."""

import json
import sys

import pytest

from gan_jax.benchmark import measure, worker
from gan_jax.benchmark.cases import CASES, LAYERS, Layer
from gan_jax.cli import benchmark
from gan_jax.errors import InputError, RunError


def test_turns_alternate_and_last_a_whole_number_of_periods(monkeypatch):
    monkeypatch.setattr(measure, "PAUSE", 0.0)
    calls = []

    def run(name, seconds):
        def timed(count):
            calls.append((name, count))
            return seconds, 2 * seconds

        return timed

    times = measure.take_turns({"a": run("a", 0.1), "b": run("b", 1.0)}, repeats=2, multiple=2)
    # 0.3 s at 0.1 s a call are 3 calls, 4 in periods of 2; the calls that determine this number are not timed.
    assert calls[:3] == [("a", 2), ("a", 4), ("b", 2)]
    assert calls[3:] == [("a", 4), ("b", 2), ("b", 2), ("a", 4)]
    assert times["a"] == {"wall": [100.0, 100.0], "cpu": [200.0, 200.0]}


def test_a_worker_that_fails_raises_its_last_error():
    with worker.Worker() as process:
        first = process.start("distance", {"kind": "distance", "count": 20, "dim": 2})
        assert 0 < first["compile"] <= first["first"]
        wall, cpu = process.run("distance", 2)
        assert wall > 0 and cpu >= 0
        with pytest.raises(RunError, match="TypeError"):
            process.start("other", {"kind": "distance"})


def test_the_operations_of_a_layer_are_two_for_each_product():
    assert Layer("weights", 3, 2, 4, 5, 6).flops == 2 * 2 * 16 * 9 * 5 * 6
    assert len({layer.description for layer in LAYERS}) == len(LAYERS)


def test_the_command_measures_our_step_without_pytorch_and_compares(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(measure, "has_torch", lambda: False)
    monkeypatch.setattr(measure, "TURN", 0.01)
    monkeypatch.setitem(CASES, "mlp8", CASES["mlp8"].at(g_width=4, d_width=4, g_depth=1, d_depth=1))
    out, markdown = tmp_path / "new.json", tmp_path / "new.md"

    def run(*line):
        monkeypatch.setattr(sys, "argv", ["benchmark.py", *line])
        benchmark.main()
        return capsys.readouterr().out

    text = run("--cases", "mlp8", "--repeats", "2", "--json", str(out), "--markdown", str(markdown))
    assert "PyTorch is not installed" in text
    record = json.loads(out.read_text())
    ours = record["steps"]["mlp8"]["forms"]["ours"]
    assert len(ours["wall"]) == 2 and ours["memory"] > 1e7 and 0 < ours["compile"] < ours["first"]
    assert record["steps"]["mlp8"]["flops"] > 0 and record["steps"]["mlp8"]["flops_source"] == "XLA"
    assert record["peak"]["flops"] > 1e8 and {"jax", "python"} <= set(record["versions"])
    assert CASES["mlp8"].description in markdown.read_text()
    # The same file is not slower than itself; one with shorter times is.
    assert "nothing is slower" in run("--results", str(out), "--check", str(out))
    ours["wall"] = [x / 100 for x in ours["wall"]]
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(json.dumps(record | {"machine": record["machine"] | {"processor": "another"}}))
    with pytest.raises(InputError, match="different machines"):
        run("--cases", "mlp8", "--check", str(elsewhere))  # before anything is measured
    (tmp_path / "old.json").write_text(json.dumps(record))
    with pytest.raises(RunError, match="1 of the cases"):
        run("--results", str(out), "--check", str(tmp_path / "old.json"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["--cases", "dcgn"], "did you mean 'dcgan'"),
        (["--results", "a.json", "--growth"], "measures nothing"),
        (["--growth", "--cases", "dcgan"], "cases of its own"),
        (["--check", "nope.json", "--cases", "mlp8"], "nope.json"),
    ],
)
def test_impossible_options_are_refused_before_anything_is_measured(monkeypatch, line, message):
    monkeypatch.setattr(sys, "argv", ["benchmark.py", *line])
    with pytest.raises(InputError, match=message):
        benchmark.main()
