"""Stopping rules: the grammar, one-line errors for anything else, and when each rule is met."""

import json
import math
import subprocess
import sys

import pytest

from gan_jax.errors import InputError, RunError
from gan_jax.spec.stop import needs_gap, parse_stop, stop_reason


def evaluations(*values: float, metric: str = "eval/fid") -> list[dict]:
    """Return a log as a run writes it: for each value, two lines of losses, then an evaluation."""
    lines = []
    for i, value in enumerate(values):
        lines += [{"step": 300 * i + 100 * k, "d/loss": 1.0, "g/loss": 2.0, "seconds": 1.0} for k in (1, 2)]
        lines.append({"step": 300 * i + 300, "d/loss": 1.0, "g/loss": 2.0, "eval/modes": 25.0, metric: value, "seconds": 1.0})
    return lines


def reason(text: str, *values: float, metric: str = "eval/fid") -> str | None:
    return stop_reason(parse_stop(text), evaluations(*values, metric=metric))


@pytest.mark.parametrize(
    ("text", "metrics"),
    [
        ("duality_gap < 0.05", ["eval/duality_gap"]),
        ("eval/duality_gap<5e-2", ["eval/duality_gap"]),
        ("  g_exploitability < -.1 ", ["eval/g_exploitability"]),
        ("eval/fid plateau", ["eval/fid"]),
        ("eval/fd plateau(patience=5, min_delta=0.01)", ["eval/fd"]),
        ("eval/modes > 24", ["eval/modes"]),
        ("fid10k_full < 20 or pr10k3_full_recall plateau", ["eval/fid10k_full", "eval/pr10k3_full_recall"]),
        ("d/real_logit > 10", ["d/real_logit"]),
        ("fid<5 or eval/fid plateau (patience=2) or d/loss < 0", ["eval/fid", "eval/fid", "d/loss"]),
    ],
)
def test_valid_rules(text, metrics):
    assert [rule.metric for rule in parse_stop(text)] == metrics


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "METRIC < NUMBER"),
        ("eval/fid", "METRIC plateau"),
        ("eval/fid < ", "METRIC < NUMBER"),
        ("eval/fid <= 5", "METRIC < NUMBER"),
        ("eval/fid = 5", "METRIC < NUMBER"),
        ("5 > eval/fid > 4", "METRIC < NUMBER"),
        ("eval/fid < 5 and eval/kid < 1", "joined by 'or'"),
        ("eval/fid < 5 or", "joined by 'or'"),
        ("eval/fid < 5, eval/kid < 1", "joined by 'or'"),
        ("eval/fid < five", "finite number, got 'five'"),
        ("eval/fid < nan", "finite number, got 'nan'"),
        ("eval/fid plateaus", "METRIC plateau"),
        ("eval/fidplateau", "METRIC plateau"),
        ("eval/fid plateau(5)", "NAME(key=value"),
        ("eval/fid plateau(patience=5) x", "NAME(key=value"),
        ("eval/fid plateau(patients=5)", "did you mean 'patience'"),
        ("eval/fid plateau(patience=0)", "patience must be a whole number of at least 1, got 0"),
        ("eval/fid plateau(patience=2.5)", "patience must be"),
        ("eval/fid plateau(patience=True)", "patience must be"),
        ("eval/fid plateau(min_delta=-1)", "min_delta must be a number of at least 0, got -1"),
        ("eval/fid plateau(min_delta='x')", "min_delta must be"),
        ("eval/fidd < 5", "did you mean 'eval/fid'"),
        ("dualitygap < 5", "did you mean 'eval/duality_gap'"),
        ("duality_gap < 5 or steps > 5", "unknown metric to stop by 'steps'"),
        ("eval/spread plateau", "has no better direction"),
        ("d/loss plateau", "has no better direction"),
    ],
)
def test_invalid_rules_are_refused_in_one_line(text, words):
    with pytest.raises(InputError) as caught:
        parse_stop(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bound():
    assert reason("fid < 5", 9, 4, 5) is None  # the newest evaluation counts, and 5 is not below 5
    assert reason("fid < 5", 9, 6, 4.98765) == "eval/fid is 4.988, below 5"
    assert reason("modes > 24", 1) == "eval/modes is 25, above 24"
    assert reason("modes > 25", 1) is None
    assert reason("fid < 5", math.nan) is None
    assert reason("g/loss > 1", 9) == "g/loss is 2, above 1"
    assert stop_reason(parse_stop("g/loss > 1"), evaluations(9)[:2]) is None  # no evaluation yet


def test_plateau_if_lower_is_better():
    rule = "fid plateau(patience=3, min_delta=0.1)"
    assert reason(rule, 10, 11, 12) is None  # three evaluations and none before them
    assert reason(rule, 10, 11, 12, 13) == "eval/fid has not improved by 10% over 3 evaluations"
    assert reason(rule, 10, 9.5, 9.2, 9.01) == "eval/fid has not improved by 10% over 3 evaluations"
    assert reason(rule, 10, 9.5, 9.2, 8.99) is None
    assert reason(rule, 10, 8, 20, 20) is None  # the improvement is among the last three
    assert reason(rule, 10, 8, 20, 20, 20) is not None
    assert reason(rule, 20, 9, 12, 11, 10) is not None  # falling, but not below the best
    assert reason("fid plateau(patience=1, min_delta=0)", 10, 9.99) is None
    assert reason("fid plateau(patience=1, min_delta=0)", 10, 10) == "eval/fid has not improved by 0% over 1 evaluation"


def test_plateau_if_higher_is_better():
    rule, metric = "coverage plateau(patience=2, min_delta=0.1)", "eval/coverage"
    assert reason(rule, 0.5, 0.54, 0.56, metric=metric) is None
    assert reason(rule, 0.5, 0.54, 0.3, metric=metric) == "eval/coverage has not improved by 10% over 2 evaluations"


def test_plateau_across_zero():
    """Unbiased metrics can be negative: an improvement is still a fraction of the absolute value."""
    rule, metric = "kid plateau(patience=1, min_delta=0.1)", "eval/kid"
    assert reason(rule, -1.0, -1.2, metric=metric) is None
    assert reason(rule, -1.0, -1.05, metric=metric) is not None
    assert reason(rule, 0.1, -0.1, metric=metric) is None


def test_default_options():
    assert reason("fid plateau", 10, 9.95, 9.94, 9.93, 9.92) is None
    assert reason("fid plateau", 10, 9.95, 9.94, 9.93, 9.92, 9.91) == "eval/fid has not improved by 1% over 5 evaluations"
    assert reason("fid plateau", 10, 9.95, 9.94, 9.93, 9.92, 9.89) is None


def test_values_that_are_not_finite_are_no_improvement():
    rule = "fid plateau(patience=2)"
    assert reason(rule, 10, math.nan, math.nan) is not None
    assert reason(rule, math.nan, 10, math.nan) is None
    assert reason(rule, math.nan, math.nan, math.nan) is not None
    assert reason(rule, 10, -math.inf, 11) is not None


def test_the_first_rule_that_is_met_is_reported():
    rule = "fid < 1 or modes > 24 or fid plateau(patience=1)"
    assert reason(rule, 10, 10) == "eval/modes is 25, above 24"


def test_a_metric_that_the_run_does_not_measure_is_an_error():
    assert stop_reason(parse_stop("kid < 1"), []) is None
    with pytest.raises(RunError, match=r"--stop uses eval/kid.*choose one of d/loss, eval/fid, eval/modes, g/loss"):
        reason("kid < 1", 10)


def test_the_reason_depends_only_on_the_log():
    """At every length, it is the same after a round trip through JSON."""
    rules = parse_stop("fid plateau(patience=3)")
    lines = evaluations(10, 8, 6, 6, 6, 6.5, 7)
    reasons = [stop_reason(rules, lines[:n]) for n in range(len(lines) + 1)]
    again = [stop_reason(rules, [json.loads(json.dumps(line)) for line in lines[:n]]) for n in range(len(lines) + 1)]
    assert reasons == again
    assert next(n for n, text in enumerate(reasons) if text) == 18  # the third evaluation after the first value of 6


def test_needs_gap():
    assert needs_gap(parse_stop("fid < 5 or d_exploitability < 0.1"))
    assert not needs_gap(parse_stop("fid < 5 or d/loss < 0.1"))


def test_imports_no_jax():
    code = "import sys, gan_jax.spec.stop; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
