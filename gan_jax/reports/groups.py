"""Methods that were trained on the same data, with their differences and the published results for that data."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from gan_jax.reports.differences import Differences, find_differences
from gan_jax.reports.formatting import plain_text
from gan_jax.reports.html import metric_names
from gan_jax.reports.published import PUBLISHED, Published
from gan_jax.reports.results import Method


@dataclass(frozen=True)
class Group:
    """Methods that were trained on the same data: only their metrics are comparable."""

    data: str
    methods: list[Method]
    metrics: list[str]
    published: list[Published]
    real: dict[str, tuple[float, float]]  # metric -> minimum and maximum measured on real samples

    @cached_property
    def differences(self) -> dict[str, Differences]:
        """The differences between methods, by metric, for metrics with a better direction."""
        by_metric = {name: find_differences(self.methods, name) for name in self.metrics}
        return {name: differences for name, differences in by_metric.items() if differences is not None}

    def is_winner(self, method: Method, metric: str) -> bool:
        """Whether the method is significantly better than every other."""
        return metric in self.differences and self.differences[metric].winner is method

    @property
    def protocols(self) -> list[str]:
        """How the metrics were measured, and of which methods if not all were measured alike."""
        names: dict[str, dict[str, None]] = {}
        for method in self.methods:
            for run in method.runs:
                names.setdefault(plain_text(run.environment.get("evaluation") or ""), {})[method.name] = None
        if len(names) == 1:
            return list(filter(None, names))
        return [f"{protocol} ({'; '.join(methods)})" for protocol, methods in names.items() if protocol]


def group_by_data(methods: Sequence[Method]) -> list[Group]:
    """Group the methods by their data, with the metrics measured and the published results for that data."""
    groups = []
    for data in dict.fromkeys(method.config["data"] for method in methods):
        same_data = [method for method in methods if method.config["data"] == data]
        rows = [row for method in same_data for seed in method.seeds for row in seed.rows.values()]
        logged = {key for row in rows for key in row}
        metrics = [n for base in metric_names(rows) for n in (base, f"{base}_train") if f"eval/{n}" in logged]
        last_rows = [seed.rows[method.step] for method in same_data for seed in method.evaluated] or rows
        real = {}
        for name in metrics:
            keys = [f"eval/{name}{suffix}" for suffix in ("_floor", "_real")]
            if values := [row[key] for key in keys for row in last_rows if key in row]:
                real[name] = (min(values), max(values))
        groups.append(Group(str(data), same_data, metrics, PUBLISHED.get(str(data).replace(" ", ""), []), real))
    return groups
