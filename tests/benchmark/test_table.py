"""Records of the benchmark: their tables, how they are compared, and which files are refused."""

import copy
import json

import numpy as np
import pytest

from gan_jax.benchmark import growth, table
from gan_jax.errors import InputError


def times(*wall):
    return {"wall": list(wall), "cpu": [2 * x for x in wall]}


def results():
    extra = {"first": 12.0, "compile": 9.0, "memory": 5e8}
    steps = {
        "forms": {
            "ours": times(90.0, 100.0, 110.0, 100.0) | extra,
            "eager": times(150.0, 150.0, 150.0) | extra,
            "compiled": times(120.0, 125.0, 130.0) | extra,
        },
        **{"description": "a step", "bar": 1.5, "flops": 4e9, "flops_source": "PyTorch"},
    }
    layers = {"a layer": {"flops": 2e9, "forms": {"ours": times(10.0), "stock": times(40.0), "eager": times(20.0)}}}
    laws = {"batch": {"description": "a step by batch", "sizes": [1, 2], "ms": [3.0, 6.0], "exponent": 1.0, "factor": 3.0}}
    machine = {"processor": "P", "cores": 2, "system": "Linux"}
    head = {"command": "benchmark.py", "machine": machine, "versions": {"jax": "1"}, "commit": "abc"}
    return {**head, "peak": {"flops": 1e11}, "steps": {"dcgan": steps}, "layers": layers, "growth": laws}


def test_the_tables_hold_speed_share_of_peak_and_bar():
    record = results()
    ours = table.step_rows(record)[0]
    cells = dict(zip(table.STEP_HEAD, ours, strict=True))
    assert cells["ms"] == "100" and cells["CPU ms"] == "200"
    assert cells["of peak"] == "40%"  # 4 GFLOP in 0.1 s are 40 of 100 GFLOP/s
    assert cells["our speed"] == "1.25" and cells["bar"] == "1.5"  # 125 ms of the faster form of PyTorch
    assert table.layer_rows(record)[0] == ["a layer", "10.0 (200)", "40.0 (50)", "20.0 (100)", "2.00"]
    assert table.growth_rows(record)[0][-1] == "3 n^1.00"
    for text in (table.as_text(record), table.as_markdown(record)):
        assert "PyTorch compiled" in text and "commit abc" in text and "jax 1" in text


def test_a_form_that_failed_is_named_with_its_reason():
    record = results()
    record["steps"]["dcgan"]["forms"]["compiled"] = {"failed": "no compiler"}
    assert table.speed(record["steps"]["dcgan"]) == (1.5, "eager")
    assert "- a step, PyTorch compiled: no compiler" in table.as_markdown(record)


def test_the_spread_is_the_standard_deviation_of_normal_times():
    normal = np.random.default_rng(0).normal(100.0, 3.0, 4001)
    assert table.spread({"wall": list(normal)}) == pytest.approx(0.03, rel=0.05)
    assert table.spread(times(5.0)) == 0.0


@pytest.mark.parametrize(
    ("old", "new", "slower"),
    [
        ((100, 100, 100), (104, 104, 104), False),  # below the least change
        ((100, 100, 100), (107, 107, 107), True),
        ((90, 100, 110), (107, 107, 107), False),  # quartiles 95 and 105: s = 7.4%, so 22% are noise
        ((90, 100, 110), (125, 125, 125), True),
        ((100, 100, 100), (50, 50, 50), False),
    ],
)
def test_a_regression_exceeds_the_noise_of_both_records(old, new, slower):
    before, after = results(), results()
    before["steps"]["dcgan"]["forms"]["ours"] |= times(*old)
    after["steps"]["dcgan"]["forms"]["ours"] |= times(*new)
    lines = table.regressions(before, after)
    assert bool(lines) == slower
    assert all("a step" in line for line in lines)


def test_records_of_another_machine_or_of_other_cases_are_not_compared():
    other = results()
    other["machine"] = {"processor": "Q", "cores": 2, "system": "Linux"}
    with pytest.raises(InputError, match="different machines"):
        table.regressions(other, results())
    with pytest.raises(InputError, match="nothing"):
        table.regressions({**results(), "steps": {}, "layers": {}}, results())


def test_records_of_one_machine_and_commit_are_merged():
    first, second = results(), results()
    first["growth"], second["steps"], second["peak"] = {}, {}, {}
    merged = table.merge([first, second])
    assert merged["steps"] and merged["growth"] and merged["peak"]
    with pytest.raises(InputError, match="one commit"):
        table.merge([first, {**second, "commit": "def"}])


@pytest.mark.parametrize("part", ["steps", "layers", "machine", "peak", "growth"])
def test_a_file_that_is_not_a_record_is_refused(tmp_path, part):
    file = tmp_path / "record.json"
    file.write_text(json.dumps(results()))
    assert table.read_results(file) == results()
    for value in (None, [1], {"x": 1}, "text"):
        broken = copy.deepcopy(results())
        broken[part] = value
        if part in ("machine", "peak") and isinstance(value, dict):
            del broken[part]
        file.write_text(json.dumps(broken))
        with pytest.raises(InputError, match=r"record\.json"):
            table.read_results(file)
    file.write_text("{")
    with pytest.raises(InputError, match=r"record\.json"):
        table.read_results(file)


@pytest.mark.parametrize("wall", [[], [0.0], [-1.0], ["1"], [float("nan")], None])
def test_times_that_are_not_positive_numbers_are_refused(tmp_path, wall):
    record = results()
    record["steps"]["dcgan"]["forms"]["ours"]["wall"] = wall
    (tmp_path / "record.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"record\.json"):
        table.read_results(tmp_path / "record.json")


def test_the_law_of_exact_times_is_found():
    assert growth.fit([1, 10, 100], [5.0, 5.0 * 10**1.5, 5000.0]) == pytest.approx((1.5, 5.0))
