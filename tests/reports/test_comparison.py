"""The comparison: it accounts for every seed, and its page is self-contained and escapes what it shows."""

import io
import json
import math
import re
import shlex
from dataclasses import asdict, replace

import numpy as np
import pytest
from made_runs import ATTACK, BASE, Page, compare, multi_seed_run, png, single_seed_run, write

from gan_jax.cli.flags import parse_seeds
from gan_jax.errors import InputError
from gan_jax.reports.comparison import comparison_table, write_comparison
from gan_jax.reports.comparison_page import format_estimate
from gan_jax.reports.published import PUBLISHED
from gan_jax.reports.results import Estimate
from gan_jax.reports.svg import Curve, svg
from gan_jax.spec.glossary import METRICS


def levels_of(page: Page) -> list[int]:
    import base64

    from PIL import Image

    return [Image.open(io.BytesIO(base64.b64decode(s.partition(",")[2]))).getpixel((0, 0)) for s in page.values("src")]


def test_runs_that_differ_only_in_the_seed_are_one_method(tmp_path):
    scores = [0.31, 0.29, 0.36]
    runs = [single_seed_run(tmp_path / f"s{seed}", {"fd": fd}, replace(BASE, seed=seed)) for seed, fd in enumerate(scores)]
    runs.append(single_seed_run(tmp_path / "other", {"fd": 0.5}, replace(BASE, loss="wasserstein", penalty="r1")))
    page, result = compare(tmp_path / "out", *runs)
    first, other = result["methods"]
    assert (first["name"], other["name"]) == ("loss hinge, penalty none", "loss wasserstein, penalty r1")
    assert first["seeds"] == [0, 1, 2]
    assert first["metrics"]["fd"]["mean"] == pytest.approx(np.mean(scores))
    assert first["metrics"]["fd"]["standard_error"] == pytest.approx(np.std(scores, ddof=1) / math.sqrt(3))
    assert other["metrics"]["fd"]["standard_error"] is None
    assert page.rows[1][1:3] == ["0.320± 0.021", "3"]
    assert page.rows[2][1:3] == ["0.500", "1"]
    table = comparison_table(runs)
    assert "0.320 ± 0.021" in table
    assert "†" not in table + page.text


def test_broken_seeds_are_reported_and_left_out_of_means(tmp_path):
    good = multi_seed_run(tmp_path / "good", {"modes": [8, 7, 8]}, replace(BASE, loss="relativistic"))
    bad = multi_seed_run(tmp_path / "bad", {"modes": [8, 6, 1, 7]}, broken={1: 13, 2: 17})
    page, result = compare(tmp_path / "out", good, bad)
    method = result["methods"][1]
    assert method["metrics"]["modes"]["mean"] == 7.5
    assert method["metrics"]["modes"]["seeds"] == {"0": 8.0, "3": 7.0}
    assert [(row["seed"], row["step"]) for row in method["broken"]] == [(1, 13), (2, 17)]
    assert page.rows[2] == ["loss hinge2 broke at steps 13 and 17", "7.50†± 0.50", "4mean over 2", "10 s"]
    assert "seed 1 at step 13, g/loss is nan; seed 2 at step 17, g/loss is nan" in page.text
    assert "status" in page.values("class")
    assert "†" not in "".join(page.rows[1])
    table = comparison_table([good, bad])
    assert "7.50 ± 0.50†" in table
    assert "4, 2 broke at steps 13 and 17" in table


def test_a_broken_run_of_one_seed_is_reported(tmp_path):
    environment = {"status": "training broke at step 17: d/loss is nan. The last good checkpoint stays as it is"}
    run = single_seed_run(tmp_path / "a", {"fd": 1.0}, environment=environment, upto=15)
    page, result = compare(tmp_path / "out", run)
    assert result["methods"][0]["broken"] == [{"seed": 0, "step": 17, "why": "d/loss is nan"}]
    assert result["methods"][0]["metrics"] == {}
    assert page.rows[1][0] == "toybroke at step 17"


def test_a_method_whose_seeds_all_broke_is_reported(tmp_path):
    page, result = compare(tmp_path / "out", multi_seed_run(tmp_path / "a", {"modes": [8, 6]}, broken={0: 13, 1: 13}))
    assert result["methods"][0]["metrics"] == {}
    assert page.rows[1][0] == "toyall broke at step 13"


def test_unfinished_seeds_are_reported_and_left_out_of_means(tmp_path):
    done = [single_seed_run(tmp_path / f"s{seed}", {"fd": 0.2}, replace(BASE, seed=seed)) for seed in range(2)]
    behind = single_seed_run(tmp_path / "s2", {"fd": 9.0}, replace(BASE, seed=2), upto=15)
    page, result = compare(tmp_path / "out", *done, behind)
    assert result["methods"][0]["metrics"]["fd"]["mean"] == 0.2
    assert result["methods"][0]["unfinished"] == [{"seed": 2, "step": 15}]
    assert page.rows[1][:3] == ["toy1 unfinished at step 15 of 20", "0.200†± 0", "3mean over 2"]
    page, result = compare(tmp_path / "out", multi_seed_run(tmp_path / "all", {"fd": [1.0, 3.0]}, upto=15))
    assert result["methods"][0]["step"] == 15
    assert page.rows[1][:3] == ["toyall unfinished at step 15 of 20", "2.0± 1.0", "2"]


def test_single_and_multi_seed_runs_are_one_method_and_a_seed_counts_once(tmp_path):
    runs = [
        multi_seed_run(tmp_path / "many", {"fd": [1.0, 3.0]}),
        single_seed_run(tmp_path / "one", {"fd": 5.0}, replace(BASE, seed=7)),
    ]
    again = single_seed_run(tmp_path / "again", {"fd": 100.0}, replace(BASE, seed=1))
    page, result = compare(tmp_path / "out", *runs, runs[0], again)
    assert result["methods"][0]["seeds"] == [0, 1, 7]
    assert result["methods"][0]["metrics"]["fd"]["mean"] == 3.0
    note = f"Seed 1 of toy is in {runs[0]} and {again}: only the first counts."
    assert note in page.text
    assert "Seed 0 of" not in page.text  # the same directory twice
    assert note in comparison_table([*runs, again])


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ([{}], ["toy"]),
        ([{"name": "a"}, {"name": "b", "loss": "wasserstein", "steps": 20}], ["a", "b"]),
        ([{"name": "a"}, {"name": "b"}, {"name": "b", "gamma": 2.0}], ["a", "b, gamma 1.0", "b, gamma 2.0"]),
        ([{"posthoc_ema": True}, {"g_width": 32}], ["g_width none, posthoc_ema yes", "g_width 32, posthoc_ema no"]),
        ([{"name": ""}, {"name": "", "gamma": 2.0}], ["run0", "run1"]),
        ([{"d_norm": None}, {"d_norm": "none"}], ["d_norm none ({}/run0)", "d_norm none ({}/run1)"]),
    ],
)
def test_names_distinguish_methods(tmp_path, changes, names):
    runs = [single_seed_run(tmp_path / f"run{i}", {"fd": 1.0}, replace(BASE, **change)) for i, change in enumerate(changes)]
    _, result = compare(tmp_path / "out", *runs)
    assert [method["name"] for method in result["methods"]] == [name.format(tmp_path) for name in names]


def test_forks_are_a_separate_method(tmp_path):
    environment = {"forked_from": {"run_dir": "runs/first", "step": 500, "sha256": ""}}
    fork = single_seed_run(tmp_path / "fork", {"fd": 1.0}, environment=environment)
    table = comparison_table([single_seed_run(tmp_path / "run", {"fd": 2.0}), fork])
    assert [line.split("  ")[0] for line in table.splitlines()[1:3]] == ["toy", "toy, forked"]
    assert "toy, forked: started from runs/first at step 500; its time does not include that training." in table


def test_a_field_newer_than_the_run_has_its_default(tmp_path):
    config = asdict(BASE)
    del config["posthoc_ema"]
    runs = [
        single_seed_run(tmp_path / "new", {"fd": 1.0}),
        single_seed_run(tmp_path / "old", {"fd": 3.0}, replace(BASE, seed=1)),
    ]
    (runs[1] / "config.json").write_text(json.dumps(config | {"seed": 1}))
    _, result = compare(tmp_path / "out", *runs)
    assert [method["metrics"]["fd"]["mean"] for method in result["methods"]] == [2.0]


def test_one_seed_marks_nothing(tmp_path):
    a = {"fd": 0.5, "fd_floor": 0.1, "modes": 7.0, "spread": 0.9, "kd": math.nan}
    b = {"fd": 0.4, "fd_floor": 0.1, "modes": 7.0, "spread": 0.5, "kd": 3.5}
    runs = [single_seed_run(tmp_path / name, scores, replace(BASE, loss=name)) for name, scores in (("a", a), ("b", b))]
    page, result = compare(tmp_path / "out", *runs)
    assert page.bold == []
    assert [method["metrics"]["fd"]["best_mean"] for method in result["methods"]] == [False, True]
    assert [method["metrics"]["fd"]["better_than_all"] for method in result["methods"]] == [False, False]
    assert "spread" not in result["differences"]["two_moons"]  # it has no better direction
    assert result["methods"][0]["metrics"]["kd"]["mean"] is None
    assert page.rows[3] == ["Real data", "0.100", "", "", "", "", ""]
    page, _ = compare(tmp_path / "out", runs[0])
    assert page.bold == []


def test_each_data_set_has_its_own_table(tmp_path):
    runs = [
        single_seed_run(tmp_path / data, {"fd": fd}, replace(BASE, data=data, name=data))
        for data, fd in (("spiral", 1.0), ("x", 2.0))
    ]
    page, result = compare(tmp_path / "out", *runs)
    assert page.bold == []
    assert "Results: spiral" in page.text
    assert "Results: x" in page.text
    assert comparison_table(runs).count("mean ±") == 2
    assert [method["name"] for method in result["methods"]] == ["spiral", "x"]


def test_published_results_are_marked(tmp_path):
    run = single_seed_run(
        tmp_path / "a", {"modes": 5.0, "high_quality": 0.5, "reverse_kl": 1.0}, replace(BASE, data="ring(sigma = 0.01)")
    )
    page, result = compare(tmp_path / "out", run)
    rows = PUBLISHED["ring(sigma=0.01)"]
    assert [row["name"] for row in result["published"]["ring(sigma = 0.01)"]] == [row.name for row in rows]
    for shown, row in zip(page.rows[2:], rows, strict=False):
        assert shown[0].startswith(f"{row.name}[1]published")
        assert [float(cell) for cell in shown[1:4]] == list(row.metrics.values())
        assert ("not checked against the paper" in shown[0]) != row.checked
        assert row.source in page.text
        assert row.protocol in page.text
    assert page.bold == []
    assert f"{rows[0].name} (published)" in comparison_table([run])
    page, result = compare(tmp_path / "out", single_seed_run(tmp_path / "b", {"modes": 5.0}, replace(BASE, data="ring")))
    assert result["published"] == {"ring": []}
    assert "Published results are available for the data ring(sigma=0.01)." in page.text


def test_published_results_have_our_metrics_and_a_source():
    for rows in PUBLISHED.values():
        for row in rows:
            assert row.metrics.keys() <= METRICS.keys()
            assert 0 <= row.metrics.get("high_quality", 0) <= 1
            assert re.search(r"\d{4}.*arXiv:\d{4}\.\d{5}", row.source)
            assert row.protocol


def test_costs(tmp_path):
    environment = {"parameters": {"g": 12_345, "d": 1_200_000}}
    run = multi_seed_run(tmp_path / "a", {"fd": [1.0, 2.0, 3.0, 4.0]}, broken={1: 12}, environment=environment)
    page, result = compare(tmp_path / "out", run)
    assert result["methods"][0]["seconds"] == 10
    assert page.rows[1][-2:] == ["10 s", "12.3k + 1.2M"]
    runs = [
        single_seed_run(tmp_path / "b", {"fd": 1.0}),
        single_seed_run(tmp_path / "c", {"fd": 1.0}, replace(BASE, seed=1), {"seconds": 30}),
    ]
    _, result = compare(tmp_path / "out", *runs)
    assert result["methods"][0]["seconds"] == 40
    assert result["methods"][0]["ms_per_step_and_seed"] is None  # each interval contains compilation or evaluation
    assert result["methods"][0]["parameters"] is None


def test_the_time_per_step_excludes_compilation_and_evaluation(tmp_path):
    """Two seeds take 10 ms a step together. Compiling takes 60 s, an evaluation 30 s. As in the training loop, a line is
    written one interval after its step, but at an evaluation immediately, together with the one before."""
    config = replace(BASE, steps=1000, log_every=100, eval_every=500, save_every=500)
    rows = []
    for step in range(100, 1001, 100):
        written_at = step if step % 500 == 0 else step + 100
        seconds = 60 + 0.01 * written_at + 30 * (written_at // 500)
        rows += [{"step": step, "seed": seed, "d/loss": 1.0, "seconds": seconds} for seed in (0, 1)]
    write(tmp_path / "a", config, {"seeds": [0, 1], "status": "finished"}, rows, {})
    page, result = compare(tmp_path / "out", tmp_path / "a")
    assert result["methods"][0]["ms_per_step_and_seed"] == pytest.approx(5)
    assert page.rows[1][-1] == "5"


@pytest.mark.parametrize(
    ("mean", "error", "expected"),
    [
        (0.1234567, None, ("0.123", "")),
        (8.0, 0.0, ("8", "0")),
        (0.1234567, 0.00456, ("0.1235", "0.0046")),
        (24.84, 0.213, ("24.84", "0.21")),
        (1234.5, 12.34, ("1,234", "12")),
        (0.5, 1e-7, ("0.5000", "0.0000")),
        (0.0, 0.02, ("0.000", "0.020")),
        (1.0, 340.0, ("1", "340")),
        (math.nan, 1.0, ("nan", "")),
    ],
)
def test_the_error_determines_the_digits(mean, error, expected):
    assert format_estimate(Estimate(mean, error)) == expected


def test_pictures_and_their_order(tmp_path):
    a = multi_seed_run(tmp_path / "a", {"fd": [1.0, 2.0, 3.0]}, broken={0: 12})
    (a / "samples" / "step-00000020-seed12.png").write_bytes(png(77))  # of a seed that is not in this run
    (a / "samples" / "interpolation-seed1.png").write_bytes(png(78))
    b = single_seed_run(tmp_path / "b", {"fd": 1.0}, replace(BASE, loss="x"))
    page, _ = compare(tmp_path / "out", a, b)
    # Real samples, a's first intact seed, b's seed; then, folded, a's other intact seed and its broken one.
    assert levels_of(page) == [99, 11, 1, 12, 10]
    assert "seed 0, step 10, broke at step 12" in page.text
    order = [tag for tag, _ in page.tags if tag in ("img", "details")]
    assert order == ["img"] * 3 + ["details"] + ["img"] * 2 + ["details"]


def test_page_is_self_contained_and_escaped(tmp_path):
    config = asdict(BASE) | {"name": ATTACK, "loss": ATTACK, ATTACK: 1}
    environment = {"evaluation": ATTACK, "status": f"training broke at step 5: {ATTACK}"}
    run = single_seed_run(tmp_path / "a<b>&'", {ATTACK: 1.0, "fd": 2.0}, BASE, environment)
    (run / "config.json").write_text(json.dumps(config))
    other = multi_seed_run(tmp_path / "b", {ATTACK: [1.0, 2.0], "fd": [1.0, 3.0]}, environment={"evaluation": ATTACK})
    (other / "config.json").write_text(json.dumps(config | {"gamma": ATTACK}))
    page, _ = compare(tmp_path / "out", run, other)
    source = (tmp_path / "out" / "comparison.html").read_text()
    assert "<script>alert" not in source
    assert page.tags.count(("script", {})) == 2  # our own
    assert ATTACK in page.text
    assert shlex.split(page.pre[0])[2] == str(run / "config.json")
    for name in ("src", "href", "xlink:href", "data", "srcset", "action"):
        assert all(value.startswith(("data:", "#")) for value in page.values(name)), name
    assert {value[1:] for value in page.values("xlink:href")} <= set(page.values("id"))
    assert not re.search(r"@import|url\((?!#)", source)
    assert "#0102" not in source  # every placeholder colour became a CSS variable


def test_commands_can_be_run_by_compare_and_train(tmp_path):
    runs = [
        multi_seed_run(tmp_path / "a b", {"fd": [1.0, 2.0, 3.0]}),
        single_seed_run(tmp_path / "c", {"fd": 1.0}, replace(BASE, loss="x")),
    ]
    page, _ = compare(tmp_path / "out", *runs)
    lines = [shlex.split(line) for line in page.pre]
    assert lines[0][:4] == ["gan_jax", "compare", str(runs[0] / "config.json"), "--seeds"]
    assert parse_seeds(lines[0][4]) == [0, 1, 2]
    assert lines[1] == ["gan_jax", "train", str(runs[1] / "config.json")]


def test_an_incomplete_last_line_is_left_out(tmp_path):
    run = multi_seed_run(tmp_path / "a", {"fd": [1.0, 2.0]})
    with open(run / "metrics.jsonl", "a") as log:
        log.write('{"step": 30, "se')
    assert compare(tmp_path / "out", run)[1]["methods"][0]["step"] == 20
    (run / "metrics.jsonl").unlink()
    page, result = compare(tmp_path / "out", run)
    assert result["methods"][0]["unfinished"] == [{"seed": 0, "step": 0}, {"seed": 1, "step": 0}]
    assert "Nothing has been evaluated yet" in page.text


def test_a_path_that_is_not_a_run_is_named_in_one_line(tmp_path):
    good = single_seed_run(tmp_path / "good", {"fd": 1.0})
    for name, files in (("absent", None), ("empty", {}), ("model", {"config.json": '{"hidden": 3}'})):
        if files is not None:
            (tmp_path / name).mkdir()
        for file, content in (files or {}).items():
            (tmp_path / name / file).write_text(content)
        for function in (comparison_table, lambda runs: write_comparison(runs, tmp_path / "out")):
            with pytest.raises(InputError, match=rf"^{re.escape(str(tmp_path / name))} is not a run directory: [^\n]+$"):
                function([good, tmp_path / name])
    (good / "metrics.jsonl").write_text('{"step": 1}\n{"st\n{"step": 2}\n')
    assert comparison_table([good]).endswith("metrics.jsonl: line 2 of 3 cannot be read, and are left out.")
    with pytest.raises(InputError, match="nothing to compare"):
        comparison_table([])
    assert not (tmp_path / "out").exists()


def test_the_text_table_fits_the_terminal(tmp_path, monkeypatch):
    scores = {f"metric_{i}": [i + 0.25, i + 0.75] for i in range(12)}
    runs = [multi_seed_run(tmp_path / loss, scores, replace(BASE, loss=loss)) for loss in ("hinge", "wasserstein")]
    monkeypatch.setenv("COLUMNS", "70")
    lines = comparison_table(runs).splitlines()
    assert max(map(len, lines)) <= 70
    for i in range(12):
        assert sum(f"metric_{i} " in f"{line} " for line in lines) == 1
    monkeypatch.setenv("COLUMNS", "1000")
    assert len(comparison_table(runs).splitlines()) < len(lines)


def test_twenty_methods_have_different_line_styles(tmp_path):
    runs = [single_seed_run(tmp_path / f"{i}", {"fd": 1.0 + i}, replace(BASE, gamma=float(i))) for i in range(20)]
    page, result = compare(tmp_path / "out", *runs)
    assert len(result["methods"]) == 20
    marks = [
        (attributes["stroke"], attributes["stroke-dasharray"])
        for tag, attributes in page.tags
        if tag == "line" and attributes.get("stroke", "").startswith("var(--m")
    ]
    assert len(set(marks)) == 20


def test_band_spans_minimum_to_maximum():
    curve = Curve("a", "m0", "-", {10: 2.0, 20: 2.0}, {10: (1.0, 3.0), 20: (1.0, 9.0)})
    with_band = svg("band", "step", "fd", [curve], legend=False)
    assert "fill-opacity: 0.18" in with_band
    assert ">8</text>" in with_band  # the axis includes the band
    without = svg("band", "step", "fd", [curve._replace(band=None)], legend=False)
    assert "fill-opacity" not in without
    assert ">8</text>" not in without


def test_the_page_is_reproducible(tmp_path):
    run = multi_seed_run(tmp_path / "a", {"fd": [1.0, 2.0]})
    pages = [write_comparison([run], tmp_path / f"out{i}").read_bytes() for i in range(2)]
    assert pages[0] == pages[1]
