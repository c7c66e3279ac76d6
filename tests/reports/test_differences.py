"""Differences between methods: which is marked as better, the sentences about them, and the files for other programs."""

import csv
import io
import json
from dataclasses import replace

import pytest
from made_runs import ATTACK, BASE, compare, multi_seed_run, single_seed_run

from gan_jax.reports.comparison import comparison_table, export
from gan_jax.reports.exports import escape_latex

CLEAR = {"hinge": [1.0, 1.2, 1.1], "minimax": [5.2, 5.1, 5.3], "wasserstein": [9.1, 8.9, 9.2]}
CLOSE = {"hinge": [1.0, 1.2, 1.1], "minimax": [1.4, 1.1, 1.3]}


@pytest.fixture
def make(tmp_path):
    """Write a run of each method, {loss: its values of fd}, and return the directories."""

    def make(values, broken=None, **environment):
        return [
            multi_seed_run(
                tmp_path / loss, {"fd": fd}, replace(BASE, loss=loss), (broken or {}).get(loss), environment=environment
            )
            for loss, fd in values.items()
        ]

    return make


def line_about(runs, metric="fd") -> str:
    return next(line for line in comparison_table(runs).splitlines() if line.startswith(f"{metric} ↓: "))


def test_only_a_method_that_is_better_than_every_other_is_marked(tmp_path, make):
    runs = make(CLEAR)
    page, result = compare(tmp_path / "out", *runs)
    assert [method["metrics"]["fd"]["better_than_all"] for method in result["methods"]] == [True, False, False]
    assert page.bold[0] == "1.100"
    assert "1.100 ± 0.058*" in comparison_table(runs)
    assert line_about(runs) == "fd ↓: Best mean: loss hinge. Better than loss minimax; loss wasserstein."


def test_the_p_values_are_corrected_over_all_pairs(tmp_path, make):
    """By hand: t = mean / (s / sqrt 3) of the differences, and with two degrees of freedom p = 1 - t / sqrt(t^2 + 2)."""
    _, result = compare(tmp_path / "out", *make(CLEAR))
    pairs = result["differences"]["two_moons"]["fd"]
    p_values = []
    for a, b in (("hinge", "minimax"), ("hinge", "wasserstein"), ("minimax", "wasserstein")):
        d = [x - y for x, y in zip(CLEAR[a], CLEAR[b], strict=True)]
        mean = sum(d) / 3
        t = abs(mean) / (sum((x - mean) ** 2 for x in d) / 2 / 3) ** 0.5
        p_values.append(1 - t / (t**2 + 2) ** 0.5)
    assert [pair["p"] for pair in pairs] == pytest.approx(p_values)
    assert {pair["test"] for pair in pairs} == {"paired t-test"}
    ranks = sorted(range(3), key=lambda i: p_values[i])
    expected = [3 * p_values[ranks[0]], 2 * p_values[ranks[1]], p_values[ranks[2]]]
    expected = [max(expected[: i + 1]) for i in range(3)]
    assert [pairs[i]["p_holm"] for i in ranks] == pytest.approx(expected)


def test_methods_that_cannot_be_told_apart(tmp_path, make):
    runs = make(CLOSE)
    page, result = compare(tmp_path / "out", *runs)
    assert page.bold == []
    needed = result["differences"]["two_moons"]["fd"][0]["seeds_needed"]
    assert 3 < needed < 100
    assert line_about(runs) == f"fd ↓: 3 seeds cannot tell loss hinge and loss minimax apart: about {needed} would."
    assert f"about {needed} would" in page.text
    assert "Holm’s correction over all pairs" in page.text


def test_each_method_is_compared_with_the_first(make):
    runs = make({"minimax": CLEAR["minimax"], "hinge": CLEAR["hinge"], "wasserstein": CLEAR["wasserstein"]})
    assert line_about(runs).endswith("First method: loss minimax. Worse than loss hinge. Better than loss wasserstein.")


def test_values_of_different_protocols_are_not_tested(tmp_path):
    """Features of another network, fewer samples, other images: such distances differ for that reason alone. The published
    protocol, which both have in common, is tested."""
    published = {"fid500_test": {"protocol": "fid500_test: 500 samples", "weights": "f5"}}
    runs = [
        multi_seed_run(
            tmp_path / loss,
            {"fd": values, "fid500_test": values},
            replace(BASE, loss=loss, eval_samples=samples),
            environment={
                "data": {"checksum": "9a"},
                "evaluation": f"{weights}; fid500_test",
                "protocol": {"weights": weights, "protocols": published},
            },
        )
        for loss, values, samples, weights in (
            ("hinge", [1.0, 1.2, 1.1], 100, "a classifier"),
            ("minimax", [5.2, 5.1, 5.4], 9000, "Inception"),
        )
    ]
    text = comparison_table(runs)
    assert "fd ↓: loss hinge" in text
    assert "not measured alike (samples: 100, 9000; weights: a classifier, Inception)." in text
    assert "fid500_test ↓: loss hinge, eval_samples 100 is better than loss minimax, eval_samples 9000" in text
    assert "measured on a classifier; fid500_test (loss hinge, eval_samples 100)" in text
    _, result = compare(tmp_path / "out", *runs)
    assert [method["metrics"]["fd"]["best_mean"] for method in result["methods"]] == [False, False]
    assert [method["metrics"]["fid500_test"]["best_mean"] for method in result["methods"]] == [True, False]


def test_values_on_other_images_are_not_tested(make, tmp_path):
    runs = make({"hinge": CLEAR["hinge"]}, data={"checksum": "9a"})
    runs += make({"minimax": CLEAR["minimax"]}, data={"checksum": "7b"})
    assert "Nothing was tested: not measured alike (checksum: 9a, 7b)." in comparison_table(runs)


def test_an_unfinished_method_is_not_tested_against_one_at_another_step(tmp_path, make):
    (run,) = make({"hinge": CLEAR["hinge"]})
    early = multi_seed_run(tmp_path / "b", {"fd": CLEAR["minimax"]}, replace(BASE, loss="minimax", steps=100), upto=15)
    text = comparison_table([run, early])
    assert "Nothing was tested: loss minimax, steps 100 is unfinished, at step 15 of 100." in text


def test_sentences(tmp_path, make):
    runs = make(
        {"hinge": [1.0, 1.2, 1.1, 1.05], "minimax": [5.2, 5.1, 5.3, 5.2], "wasserstein": [8, 9, 8, 7]}, {"hinge": {3: 12}}
    )
    assert line_about(runs).endswith("1 of 4 seeds of loss hinge broke and is not in its mean.")
    assert "difference -4." in line_about(runs[:2])
    assert ", p = 0.0" in line_about(runs[:2])
    tiny = [tmp_path / name for name in ("low", "high")]
    for path, fd in zip(tiny, ([1e-9, 1.2e-9, 1.1e-9], [5e-9, 5.000000012e-9, 5.2e-9]), strict=True):
        multi_seed_run(path, {"fd": fd}, replace(BASE, loss=path.name))
    assert "1.10e-09 ± 5.8e-11" in comparison_table(tiny)


def test_different_seeds_are_not_paired(tmp_path):
    runs = [
        single_seed_run(tmp_path / f"{loss}{seed}", {"fd": fd}, replace(BASE, loss=loss, seed=seed))
        for loss, first, values in (("hinge", 0, [1.0, 1.2, 1.1]), ("minimax", 3, [5.0, 5.2, 5.3, 5.1]))
        for seed, fd in enumerate(values, first)
    ]
    _, result = compare(tmp_path / "out", *runs)
    (pair,) = result["differences"]["two_moons"]["fd"]
    assert (pair["test"], pair["seeds"]) == ("Welch's t-test", "3 and 4")
    far = [single_seed_run(tmp_path / f"far{i}", {"fd": fd}, replace(BASE, seed=i + 7)) for i, fd in enumerate([1.0, 9.0])]
    text = line_about([*runs[3:], *far])
    assert "2 and 4 seeds cannot tell" in text
    assert text.endswith(" of each would.")


def test_a_method_with_a_broken_seed_is_never_marked(tmp_path, make):
    runs = make(CLEAR | {"hinge": [1.0, 1.2, 1.1, 1.05], "minimax": [5.2, 5.1, 5.3, 5.2]}, {"hinge": {3: 12}})[:2]
    page, result = compare(tmp_path / "out", *runs)
    (pair,) = result["differences"]["two_moons"]["fd"]
    assert (pair["test"], pair["seeds"], pair["distinct"]) == ("paired t-test", "3", True)  # pairs without the broken seed
    assert not result["methods"][0]["metrics"]["fd"]["better_than_all"]
    assert "1.100" not in page.bold
    assert line_about(runs).endswith("; but 1 of its 4 seeds broke.")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([[8.0, 8.0, 8.0], [8.0, 8.0, 8.0]], "equal for every seed compared."),
        ([[7.0, 7.0, 7.0], [8.0, 8.0, 8.0]], "they differ by 1 for every seed, without the spread that a t-test needs."),
        ([[1.0], [2.0]], "one seed is not enough for a test."),
        ([[1.0, float("nan")], [2.0, 3.0]], "not finite for seed 1 of loss a."),
    ],
)
def test_what_cannot_be_tested_is_reported_once(make, values, sentence):
    text = comparison_table(make(dict(zip("ab", values, strict=True))))
    assert f"Nothing was tested: {sentence}" in text
    assert "cannot tell" not in text


def test_the_protocol_is_shown_with_the_table(make):
    runs = make(CLOSE, evaluation="features of X, 10,000 samples")
    assert "measured on features of X, 10,000 samples" in comparison_table(runs)
    assert "Measured on features of X, 10,000 samples." in export(runs, ".tex")
    assert json.loads(export(runs, ".json"))["protocols"] == {"two_moons": ["features of X, 10,000 samples"]}


def test_csv_has_a_row_per_seed(make):
    rows = list(csv.reader(io.StringIO(export(make(CLOSE, {"minimax": {2: 12}}), ".csv"))))
    assert rows[0] == ["data", "method", "seed", "step", "status", "fd"]
    assert [float(row[5]) for row in rows[1:6]] == [1.0, 1.2, 1.1, 1.4, 1.1]
    assert rows[6] == ["two_moons", "loss minimax", "2", "12", "broken: g/loss is nan", ""]


def test_latex_marks_the_best_method_and_escapes_text(make):
    text = export(make(CLEAR), ".tex")
    assert r"loss hinge & \textbf{1.100 $\pm$ 0.058} & 3 \\" in text
    assert r"loss minimax & 5.200 $\pm$ 0.058 & 3 \\" in text
    assert text.count("{") == text.count("}")
    assert escape_latex("[a] *b") == "{[}a] {*}b"  # not an argument of the end of the row before
    assert escape_latex("50% of a_b & c\n\\x") == r"50\% of a\_b \& c \textbackslash{}x"


def test_names_are_escaped(tmp_path, make):
    (run,) = make({"hinge": [1.0, 1.2, 1.1]})
    other = multi_seed_run(tmp_path / "b", {"fd": [2.0, 2.2, 2.3]}, replace(BASE, loss=ATTACK))
    compare(tmp_path / "out", run, other)
    broken_line = multi_seed_run(tmp_path / "c", {"fd": [2.0, 2.2, 2.3]}, replace(BASE, loss='a\n"b",c'))
    rows = list(csv.reader(io.StringIO(export([run, broken_line], ".csv"))))
    assert [row[1] for row in rows[4:]] == ['loss a "b",c'] * 3
    assert "<script>alert" not in (tmp_path / "out" / "comparison.html").read_text()
