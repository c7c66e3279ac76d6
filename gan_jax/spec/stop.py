"""Stopping rules as users type them: `--stop "duality_gap < 0.05"`, `--stop "eval/fid plateau(patience=8) or eval/fid < 5"`.

Whether a rule is met is a pure function of the evaluations logged so far, so a resumed run stops where the uninterrupted run
stops. Like `config.py`, this file does not import JAX.
"""

import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from gan_jax.errors import InputError, RunError, unknown
from gan_jax.spec.expressions import bind, parse_call
from gan_jax.spec.glossary import METRICS, describe_metric, published_protocol

# Metrics of the players, not of samples; measured only on request, since they need a training of their own.
GAPS = ("duality_gap", "d_exploitability", "g_exploitability")

_FORM = "METRIC < NUMBER, METRIC > NUMBER or METRIC plateau(patience=5, min_delta=0.01), or several joined by 'or'"


class Rule(NamedTuple):
    """A metric by its name in metrics.jsonl, and a function of its values, which describes how they meet the rule; None if they
    do not."""

    metric: str
    met: Callable[[Sequence[float]], str | None]  # the values of all evaluations, oldest first


def parse_stop(text: str) -> tuple[Rule, ...]:
    """Parse the rules in `text`, which are joined by "or". `fid` is short for `eval/fid`.

    Names after eval/ must be in the glossary of metrics, or be those of published protocols. Names `d/...` and `g/...` depend
    on the game, and are checked when the rule is first evaluated. Raises InputError for any other name, an unknown form of
    rule, an option out of range, and the plateau of a metric that has no better direction."""
    return tuple(_rule(text, part.strip()) for part in re.split(r"\bor\b", text))


def stop_reason(rules: Sequence[Rule], lines: Sequence[dict[str, Any]]) -> str | None:
    """Describe the first rule that is met, as in `eval/fid has not improved by 1% over 5 evaluations`; None if none is met.

    `lines` are those of metrics.jsonl of one seed, oldest first; only evaluations count: lines with any eval/... metric. Raises
    RunError if the newest lacks a rule's metric."""
    evaluations = [line for line in lines if any(name.startswith("eval/") for name in line)]
    if not evaluations:
        return None
    for rule in rules:
        if rule.metric not in evaluations[-1]:
            measured = ", ".join(sorted(name for name in evaluations[-1] if "/" in name))
            raise RunError(f"--stop uses {rule.metric}, which this run does not measure: choose one of {measured}")
        reason = rule.met([line[rule.metric] for line in evaluations if rule.metric in line])
        if reason is not None:
            return f"{rule.metric} {reason}"
    return None


def needs_gap(rules: Sequence[Rule]) -> bool:
    """Whether a rule depends on the duality gap or an exploitability."""
    return any(rule.metric.removeprefix("eval/") in GAPS for rule in rules)


def uses_sample_metrics(rules: Sequence[Rule]) -> bool:
    """Whether a rule depends on metrics of samples, and so on the split that they are compared with."""
    return any(rule.metric.startswith("eval/") and rule.metric.removeprefix("eval/") not in GAPS for rule in rules)


def _rule(text: str, part: str) -> Rule:
    match = re.fullmatch(r"([^\s<>]+)(?:\s*([<>])\s*([^\s<>]+)|\s+(plateau.*))", part, re.DOTALL)
    if match is None:
        raise InputError(f"stop {text!r} must be {_FORM}")
    metric, sign, number, call = match.groups()
    metric = _metric(metric)
    if sign is None:
        name, options = parse_call(call)
        if name != "plateau":
            raise InputError(f"stop {text!r} must be {_FORM}")
        return Rule(metric, _checked(text, bind("stop", "plateau", partial(_plateau, _better(metric)), options)))
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise InputError(f"stop {text!r}: {metric} must be compared with a finite number, got {number!r}")
    return Rule(metric, partial(_beyond, sign, bound))


def _metric(name: str) -> str:
    """Return the name of a metric in metrics.jsonl. Raises InputError for an unknown metric."""
    if name.startswith(("d/", "g/")):
        return name
    base = name.removeprefix("eval/")
    if base not in METRICS and base not in GAPS and not published_protocol(base):
        raise unknown("metric to stop by", name, [*(f"eval/{metric}" for metric in (*METRICS, *GAPS)), "d/...", "g/..."])
    return f"eval/{base}"


def _better(metric: str) -> str:
    """Return the direction in which a metric improves according to the glossary, ↓ or ↑. Raises InputError if it has none."""
    base = metric.removeprefix("eval/")
    better = "↓" if base in GAPS else describe_metric(base)[1]
    if not better:
        raise InputError(f"stop: {metric} has no better direction, and so no plateau; write {metric} < NUMBER, or >")
    return better


def _checked(text: str, plateau: Callable[[Sequence[float]], str | None]) -> Callable[[Sequence[float]], str | None]:
    """Return `plateau` after checking its options. Raises InputError if one is out of range."""
    try:
        plateau([])
    except ValueError as error:
        raise InputError(f"stop {text!r}: {error}") from error
    return plateau


def _beyond(sign: str, bound: float, values: Sequence[float]) -> str | None:
    """Describe the newest value if it is below (<) or above (>) the bound; None otherwise."""
    newest = values[-1]
    met = newest < bound if sign == "<" else newest > bound
    return f"is {newest:.4g}, {'below' if sign == '<' else 'above'} {bound:g}" if met else None


def _plateau(better: str, values: Sequence[float], *, patience: int = 5, min_delta: float = 0.01) -> str | None:
    """Describe a plateau if the best of the newest `patience` values does not improve on the best before them by more than the
    fraction `min_delta`; None otherwise. Values that are not finite count as no improvement."""
    if type(patience) is not int or patience < 1:
        raise ValueError(f"patience must be a whole number of at least 1, got {patience!r}")
    if type(min_delta) not in (int, float) or not 0 <= min_delta < math.inf:
        raise ValueError(f"min_delta must be a number of at least 0, got {min_delta!r}")
    if len(values) <= patience:
        return None
    losses = [(value if better == "↓" else -value) if math.isfinite(value) else math.inf for value in values]
    before, newest = min(losses[:-patience]), min(losses[-patience:])
    # If nothing was finite before, anything finite is an improvement.
    if newest < (before - min_delta * abs(before) if math.isfinite(before) else math.inf):
        return None
    return f"has not improved by {100 * min_delta:g}% over {patience} evaluation{'s' * (patience > 1)}"
