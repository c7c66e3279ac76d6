"""Stopping rules as users type them: `--stop "duality_gap < 0.05"`, `--stop "eval/fid plateau(patience=8) or eval/fid < 5"`.

Whether a rule is met is a pure function of the evaluations logged so far: a run that goes on from a checkpoint stops where
the run that was never interrupted stops. Like `config.py`, nothing here imports JAX.
"""

import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from gan_jax.errors import InputError, RunError, unknown
from gan_jax.spec.expressions import bind, parse_call
from gan_jax.spec.glossary import METRICS

# What `metrics.duality_gap` measures: of the players, not of samples, and only where it is asked for, as it costs a training.
GAPS = ("duality_gap", "d_exploitability", "g_exploitability")

_FORM = "METRIC < NUMBER, METRIC > NUMBER or METRIC plateau(patience=5, min_delta=0.01), or several joined by 'or'"


class Rule(NamedTuple):
    """A metric, as metrics.jsonl calls it, and what its values must do: what they did in words, or None."""

    metric: str
    met: Callable[[Sequence[float]], str | None]  # the values of all evaluations, oldest first


def parse_stop(text: str) -> tuple[Rule, ...]:
    """The rules that `text` joins by "or". `fid` is short for `eval/fid`.

    Names after eval/ must be in the glossary of metrics. What else a line of metrics.jsonl holds, `d/...` and `g/...`, is the
    page's own affair: `stop_reason` finds out. Raises InputError for any other name, a rule of no known form, an option out
    of range, and the plateau of a metric that is no better high than low."""
    return tuple(_rule(text, part.strip()) for part in re.split(r"\bor\b", text))


def stop_reason(rules: Sequence[Rule], lines: Sequence[dict[str, Any]]) -> str | None:
    """Why to stop, by the first rule that is met: `eval/fid has not improved by 1% over 5 evaluations`; None where none is.

    `lines` are those of metrics.jsonl of one seed, oldest first; only evaluations count, which are those that have an
    eval/... of any kind. Raises RunError where the newest has no such metric as a rule is about."""
    evaluations = [line for line in lines if any(name.startswith("eval/") for name in line)]
    if not evaluations:
        return None
    for rule in rules:
        if rule.metric not in evaluations[-1]:
            measured = ", ".join(sorted(name for name in evaluations[-1] if "/" in name))
            raise RunError(f"--stop asks for {rule.metric}, which this run does not measure: choose one of {measured}")
        how = rule.met([line[rule.metric] for line in evaluations if rule.metric in line])
        if how is not None:
            return f"{rule.metric} {how}"
    return None


def needs_gap(rules: Sequence[Rule]) -> bool:
    """Whether a rule is about what `metrics.duality_gap` measures."""
    return any(rule.metric.removeprefix("eval/") in GAPS for rule in rules)


def selects(rules: Sequence[Rule]) -> bool:
    """Whether a rule looks at metrics of samples, and so at the split that these are measured against."""
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
        return Rule(metric, _with_options(text, bind("stop", "plateau", partial(_plateau, _better(metric)), options)))
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise InputError(f"stop {text!r}: {metric} must be compared with a finite number, got {number!r}")
    return Rule(metric, partial(_beyond, sign, bound))


def _metric(name: str) -> str:
    """The name as metrics.jsonl has it."""
    if name.startswith(("d/", "g/")):
        return name
    base = name.removeprefix("eval/")
    if base not in METRICS and base not in GAPS:
        raise unknown("metric to stop by", name, [*(f"eval/{known}" for known in (*METRICS, *GAPS)), "d/...", "g/..."])
    return f"eval/{base}"


def _better(metric: str) -> str:
    """The direction in which a metric improves, as the glossary has it: ↓ or ↑."""
    base = metric.removeprefix("eval/")
    better = "↓" if base in GAPS else METRICS.get(base, ("", "", ""))[1]
    if not better:
        raise InputError(f"stop: {metric} is no better high than low, so it has no plateau; write {metric} < NUMBER, or >")
    return better


def _with_options(text: str, plateau: Callable[[Sequence[float]], str | None]) -> Callable[[Sequence[float]], str | None]:
    """`plateau`, its options checked."""
    try:
        plateau([])
    except ValueError as error:
        raise InputError(f"stop {text!r}: {error}") from error
    return plateau


def _beyond(sign: str, bound: float, values: Sequence[float]) -> str | None:
    """Whether the newest value is below (<) or above (>) the bound."""
    newest = values[-1]
    beyond = newest < bound if sign == "<" else newest > bound
    return f"is {newest:.4g}, {'below' if sign == '<' else 'above'} {bound:g}" if beyond else None


def _plateau(better: str, values: Sequence[float], *, patience: int = 5, min_delta: float = 0.01) -> str | None:
    """Whether the best of the newest `patience` values is no better than the best before them by `min_delta` of its size. A
    value that is not finite improves on none."""
    if type(patience) is not int or patience < 1:
        raise ValueError(f"patience must be a whole number of at least 1, got {patience!r}")
    if type(min_delta) not in (int, float) or not 0 <= min_delta < math.inf:
        raise ValueError(f"min_delta must be a number of at least 0, got {min_delta!r}")
    if len(values) <= patience:
        return None
    losses = [(value if better == "↓" else -value) if math.isfinite(value) else math.inf for value in values]
    before, newest = min(losses[:-patience]), min(losses[-patience:])
    # Nothing finite before: anything finite improves on that.
    if newest < (before - min_delta * abs(before) if math.isfinite(before) else math.inf):
        return None
    return f"has not improved by {100 * min_delta:g}% over {patience} evaluation{'s' * (patience > 1)}"
