"""Which methods differ in a metric over seeds: a test of every pair of methods, and sentences about the results.

All pairs are one family for Holm's correction, although only those with the best or the first method are shown: the choice of
the best method depends on the same values, and its pairs include the largest difference.
"""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from gan_jax.reports.formatting import format_number, plain_text
from gan_jax.reports.results import Method
from gan_jax.reports.significance import LEVEL, MAX_SEEDS, POWER, Test, holm, paired_test, seeds_needed, welch_test
from gan_jax.spec.glossary import describe_metric

FAMILY = (
    f"significantly better than every other method: p < {LEVEL:g} in two-sided t-tests over seeds, paired if both methods "
    "have the same seeds, otherwise Welch’s, after Holm’s correction over all pairs of methods, separately for each metric; a "
    "method with a broken seed is never marked"
)
PLAN = (
    f"The number of seeds that would tell methods apart is that for a power of {POWER:.0%}, if the difference and the spread "
    "stay the same"
)


class Difference(NamedTuple):
    """The difference of two methods in a metric: the mean of `a` minus the mean of `b`."""

    a: Method
    b: Method
    paired: bool  # whether the test compares values of the same seed
    counts: tuple[int, int]  # numbers of seeds compared
    test: Test | None
    why_untested: str  # empty if it was tested
    p_holm: float = math.nan
    needed: int | None = None  # seeds that would tell the methods apart; None if more than MAX_SEEDS

    def with_first(self, first: Method) -> "Difference":
        """The same difference with the method `first` as `a`."""
        if first is self.a:
            return self
        test = self.test
        if test is not None:
            low, high = test.interval
            test = Test(-test.difference, (-high, -low), test.p_value, -test.effect_size)
        return self._replace(a=self.b, b=self.a, counts=self.counts[::-1], test=test)

    @property
    def seeds(self) -> str:
        """The number of seeds compared, as text: `3`, or `3 and 5`."""
        return " and ".join(map(str, dict.fromkeys(self.counts)))

    def describe_needed(self) -> str:
        """The number of seeds that would tell the methods apart, as text; empty if the seeds compared do."""
        if self.test is None or self.distinct:
            return ""
        count = f"more than {MAX_SEEDS:,}" if self.needed is None else f"about {self.needed:,}"
        return count if self.counts[0] == self.counts[1] else f"{count} of each"

    @property
    def distinct(self) -> bool:
        """Whether the methods differ significantly, after Holm's correction."""
        return self.test is not None and self.p_holm < LEVEL


class Differences(NamedTuple):
    """All pairs of the methods in which a metric was measured."""

    metric: str
    methods: list[Method]  # those with values, in the order of the table
    best: Method | None  # by the mean; None if the values are not comparable
    pairs: list[Difference]

    def between(self, a: Method, b: Method) -> Difference:
        return next(pair for pair in self.pairs if {id(pair.a), id(pair.b)} == {id(a), id(b)}).with_first(a)

    def against(self, method: Method) -> list[Difference]:
        """The pairs of `method` with each other one."""
        return [self.between(method, other) for other in self.methods if other is not method]

    @property
    def winner(self) -> Method | None:
        """The method that is significantly better than every other, if none of its seeds broke."""
        if self.best is None or self.best.broken:
            return None
        return self.best if all(pair.distinct for pair in self.against(self.best)) else None

    @property
    def shown(self) -> list[Difference]:
        """The pairs with the best method, then those with the first one."""
        first = self.methods[0]
        if self.best is None:
            return []
        return self.against(self.best) + [
            pair for pair in self.against(first) if first is not self.best and pair.b is not self.best
        ]


def find_differences(methods: Sequence[Method], metric: str) -> Differences | None:
    """Test all pairs of methods; None if the metric has no better direction or fewer than two methods were measured."""
    better = {"↑": max, "↓": min}.get(describe_metric(metric)[1])
    means = {method.name: estimate.mean for method in methods if (estimate := method.estimate(metric)) is not None}
    finite = [mean for mean in means.values() if math.isfinite(mean)]
    if better is None or len(means) < 2 or not finite:
        return None
    measured = [method for method in methods if method.name in means]
    if why := _why_not_comparable(measured, metric):
        pairs = [Difference(a, b, False, (0, 0), None, why) for a, b in combinations(measured, 2)]
        return Differences(metric, measured, None, pairs)
    best = next(method for method in measured if means[method.name] == better(finite))
    pairs = [_difference(a, b, metric) for a, b in combinations(measured, 2)]
    tested = [i for i, pair in enumerate(pairs) if pair.test is not None]
    for i, p_holm in zip(tested, holm([pairs[i].test.p_value for i in tested]), strict=True):
        pairs[i] = pairs[i]._replace(p_holm=p_holm)
    # Holm's strictest level, which suffices for a difference whatever the other pairs are.
    pairs = [
        pair if pair.test is None or pair.distinct else pair._replace(needed=_needed(pair, metric, LEVEL / len(tested)))
        for pair in pairs
    ]
    return Differences(metric, measured, best, pairs)


def _why_not_comparable(methods: Sequence[Method], metric: str) -> str:
    """The facts in which the measurements of a metric differ, with their values; empty if all values were measured alike."""
    measured = [{name: plain_text(fact) for name, fact in run.measured(metric).items()} for m in methods for run in m.runs]
    names = dict.fromkeys(name for facts in measured for name in facts)
    values = {name: list(dict.fromkeys(facts.get(name, "not recorded") for facts in measured)) for name in names}
    differing = [f"{name}: {', '.join(map(_shortened, texts))}" for name, texts in values.items() if len(texts) > 1]
    return f"not measured alike ({'; '.join(differing)})" if differing else ""


def _shortened(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _difference(a: Method, b: Method, metric: str) -> Difference:
    paired, x, y = _values(a, b, metric)
    untested = Difference(a, b, paired, (len(x), len(y)), None, "")
    for method in (a, b):
        if wrong := [seed for seed, value in method.values(metric).items() if not math.isfinite(value)]:
            return untested._replace(why_untested=f"not finite for seed {', '.join(map(str, wrong))} of {method.name}")
    if a.step != b.step and (early := next((method for method in (a, b) if method.unfinished), None)):
        return untested._replace(
            why_untested=f"{early.name} is unfinished, at step {early.step:,} of {early.config['steps']:,}"
        )
    if min(len(x), len(y)) < 2:
        return untested._replace(why_untested="one seed is not enough for a test" if len(x) else "they share no intact seed")
    if test := (paired_test if paired else welch_test)(x, y):
        return untested._replace(test=test)
    if x.mean() == y.mean():
        return untested._replace(why_untested="equal for every seed compared")
    constant = f"they differ by {format_number(abs(float(x.mean() - y.mean())))} for every seed"
    return untested._replace(why_untested=f"{constant}, without the spread that a t-test needs")


def _values(a: Method, b: Method, metric: str) -> tuple[bool, np.ndarray, np.ndarray]:
    """Whether the seeds are paired, and the values of both methods; a pair with a missing value is left out."""
    x, y = a.values(metric), b.values(metric)
    paired = [seed.number for seed in a.seeds] == [seed.number for seed in b.seeds]
    if paired:
        common = [seed for seed in x if seed in y]
        x, y = ({seed: values[seed] for seed in common} for values in (x, y))
    return paired, np.array(list(x.values())), np.array(list(y.values()))


def _needed(pair: Difference, metric: str, level: float) -> int | None:
    paired, x, y = _values(pair.a, pair.b, metric)
    return seeds_needed(x, y, paired, level)


def conclusions(by_metric: dict[str, Differences]) -> dict[str, str]:
    """A text about each metric; if nothing could be tested, for a single reason, one text under the name ""."""
    reasons = {pair.why_untested for differences in by_metric.values() for pair in differences.pairs}
    if len(reasons) == 1 and "" not in reasons:
        return {"": f"Nothing was tested: {reasons.pop()}."}
    return {metric: _conclude(differences) for metric, differences in by_metric.items()}


def _conclude(differences: Differences) -> str:
    """The best method against the others, then each against the first."""
    best, first = differences.best, differences.methods[0]
    if best is None or (len({pair.why_untested for pair in differences.pairs}) == 1 and differences.pairs[0].test is None):
        return f"{'; '.join(method.name for method in differences.methods)}: {differences.pairs[0].why_untested}."
    if len(differences.methods) == 2:
        return _pair_sentence(differences.against(best)[0])
    sentences = [f"Best mean: {best.name}.", *_grouped(differences.against(best), differences.metric)]
    if first is not best:
        sentences += [f"First method: {first.name}.", *_grouped(differences.against(first), differences.metric)]
    if best.broken:
        left_out = "is" if len(best.broken) == 1 else "are"
        sentences.append(f"{len(best.broken)} of {len(best.seeds)} seeds of {best.name} broke and {left_out} not in its mean.")
    return " ".join(sentences)


def _pair_sentence(pair: Difference) -> str:
    """About two methods, of which `a` has the better mean."""
    if pair.test is None:
        return f"{pair.a.name} and {pair.b.name}: {pair.why_untested}."
    low, high = map(format_number, pair.test.interval)
    if pair.distinct:
        broken = f"; but {len(pair.a.broken)} of its {len(pair.a.seeds)} seeds broke" if pair.a.broken else ""
        return f"{pair.a.name} is better than {pair.b.name}: difference {low} to {high}, p {format_p(pair.p_holm)}{broken}."
    return f"{pair.seeds} seeds cannot tell {pair.a.name} and {pair.b.name} apart: {pair.describe_needed()} would."


def _grouped(pairs: list[Difference], metric: str) -> list[str]:
    """Sentences on the other methods, by how they compare with `a`, which all pairs share. Names are separated by semicolons,
    because they may contain commas."""
    sign = 1 if describe_metric(metric)[1] == "↑" else -1
    groups: dict[str, list[str]] = {}
    for pair in pairs:
        name = pair.b.name
        if pair.distinct:
            head = "Better than " if sign * pair.test.difference > 0 else "Worse than "
        elif pair.test is not None:
            head = f"{pair.seeds} seeds cannot tell it from "
            name += f" ({pair.describe_needed()} would)"
        else:
            head = f"Not tested, {pair.why_untested}: "
        groups.setdefault(head, []).append(name)
    return [f"{head}{'; '.join(names)}." for head, names in groups.items()]


def format_p(p: float) -> str:
    """The p-value after its sign, for a sentence: `= 0.012`, or `< 0.0001`."""
    return "< 0.0001" if p < 1e-4 else f"= {p:.2g}"
