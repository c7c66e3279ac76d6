"""Metrics of a run, or of one set of samples against another, with the protocol by which they were measured."""

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.config import Config
from gan_jax.data.dataset import Data, Measure, Protocol
from gan_jax.data.images import statistics
from gan_jax.data.images.metrics import choose_extractor
from gan_jax.data.images.protocols import refuse_too_few, samples_needed
from gan_jax.data.load import load
from gan_jax.data.paths import locate
from gan_jax.errors import InputError
from gan_jax.evaluation.generator import LoadedGenerator
from gan_jax.evaluation.path_length import path_length
from gan_jax.evaluation.sample import (
    check_samples,
    conditional,
    labels,
    latents,
    path_key,
    sample_keys,
    sampler,
    standing_statistics,
)
from gan_jax.metrics.protocols import parse_protocol
from gan_jax.reports.doctor import diagnose
from gan_jax.reports.html import read_lines
from gan_jax.runs.averages import posthoc_average
from gan_jax.runs.load import load_run
from gan_jax.spec.expressions import parse_call

GENERATORS = ("average", "raw")


def evaluate_run(
    path: Path,
    protocol: Protocol,
    count: int | None = None,
    seed: int = 0,
    data_dir: str | None = None,
    step: int | None = None,
    generator: str = "average",
    ema: float | None = None,
    standing: int | None = None,
    path_pairs: int | None = None,
) -> dict[str, Any]:
    """Return the metrics of a run's generator on `count` samples, whose latents depend on `seed`.

    The generator is that of the newest intact checkpoint, or of the checkpoint at `step`: the averaged or the raw one, or, if
    `ema` is given, the average of that relative width reconstructed from the run's power-function averages. `standing` is the
    number of batches for `standing_statistics`; None keeps the running statistics. `path_pairs` adds the path length over that
    many pairs of latents, in the features of the protocol's extractor.

    Raises InputError if the run, the checkpoint or the average does not exist."""
    config, data, game, state = load_run(path, _say, data_dir, step)
    count = sample_count(config, data, protocol) if count is None else count
    if count < 2:
        raise InputError(f"--samples must be at least 2, got {count}")
    refuse_too_few(protocol.metrics, data, count)
    check_samples(game, count)
    z_key, label_key, statistics_key = sample_keys(seed)
    measure = _prepare(data, replace(protocol, max_samples=max(protocol.max_samples, count)))
    raw = {"params": state.g.params, **state.g.stats}
    average = state.ema if ema is None else posthoc_average(path, config, state, ema)
    variables = average if generator == "average" or ema is not None else raw
    which = f"{generator} generator" if ema is None else f"average of relative width {ema:g}"
    if standing is not None:
        variables = standing_statistics(game, data, variables, standing, statistics_key)
        which += f", standing statistics of {standing} batches"
    label = labels(game, data, label_key, count)
    _say(f"drawing {count:,} samples")
    samples = sampler(game)(variables, latents(game, z_key, count), label)
    class_label = label if conditional(game) and game.real_labelled else None
    fake = f"{path}, step {int(state.step)}, {which}, {count} samples, seed {seed}"
    _say("measuring")
    result = _result(
        fake, measure, measure(samples, class_label), count=count, seed=seed, step=int(state.step), generator=which
    )
    if path_pairs is not None:
        d_variables = {"params": state.d.params, **state.d.stats}
        loaded = LoadedGenerator(config, data, game, variables, d_variables, z_key, label_key)
        extractor = choose_extractor(data, protocol.extractor)
        result["metrics"]["path_length"] = path_length(loaded, extractor, path_pairs, path_key(seed))
        result["facts"]["path_length"] = f"{path_pairs} pairs, in {'w' if loaded.has_w else 'z'}, in {extractor.name}"
    return result


def sample_count(config: Config, data: Data, protocol: Protocol) -> int:
    """The number of samples to generate: what published protocols need, and `config.eval_samples` for other metrics."""
    needed = samples_needed(data, protocol.metrics)
    alone = needed and all(parse_protocol(name) for name in protocol.metrics)
    return needed if alone else max(config.eval_samples, needed)


def evaluate_samples(fake: str, real: str, protocol: Protocol, data_dir: str | None = None) -> dict[str, Any]:
    """Return the metrics of all samples of `fake` against all of `real`. `real` is a name that `data.load` accepts; `fake` is
    another, or the path of a file with samples of the same kind, which is read by the schema of `real`. `protocol.statistics`
    takes the place of `real`.

    Raises InputError if one of them cannot be read or if their shapes differ."""
    if protocol.statistics is not None:
        data, samples, count = _all_samples(fake, data_dir)
        measure = _prepare(data, protocol)
        _say("measuring")
        return _result(f"{fake}, {count} samples", measure, measure(samples), count=count, notes=[])
    protocol = replace(protocol, whole=True, max_samples=sys.maxsize)
    real_data = load(real, 0, 1, data_dir)
    for note in real_data.notes:
        _say(f"{real}: {note}")
    measure = _prepare(real_data, protocol)
    if measure.measure_file is not None:
        path = locate(_path(fake, real), data_dir)
        _say("measuring")
        count, metrics, notes = measure.measure_file(path)
        for note in notes:
            _say(f"{fake}: {note}")
        return _result(f"{fake}, {count} samples", measure, metrics, count=count, notes=list(notes))
    fake_data, samples, count = _all_samples(fake, data_dir)
    samples, notes = _with_channels_of(real_data, samples, fake, real)
    label = _labels_as_in(real_data, fake_data, notes)
    for note in notes:
        _say(f"{fake}: {note}")
    _say("measuring")
    return _result(f"{fake}, {count} samples", measure, measure(samples, label), count=count, notes=notes)


def _all_samples(name: str, data_dir: str | None) -> tuple[Data, Any, int]:
    """Load the data called `name`: return it, the samples of both of its splits, and their number."""
    data = load(name, 0, 1, data_dir)
    for note in data.notes:
        _say(f"{name}: {note}")
    if data.streamed:
        why = "takes over a quarter of the memory, and whole sets are compared in memory"
        raise InputError(f"{name} {why}: use fewer or smaller samples")
    stored = jax.tree.map(lambda *splits: np.concatenate(splits), data.train.samples, data.test.samples)
    return data, data.to_float(stored), data.train.count + data.test.count


def _with_channels_of(real_data: Data, samples: Any, fake: str, real: str) -> tuple[Any, list[str]]:
    """Return the samples, and notes on their conversion. Grey images are colour images of three equal channels: either may be
    compared with the other. Raises InputError if shapes differ in another way."""
    shape, expected = jax.tree.map(lambda x: x.shape[1:], samples), real_data.sample_shape
    if shape == expected:
        return samples, []
    if all(type(s) is tuple and len(s) == 3 for s in (shape, expected)) and shape[:2] == expected[:2]:
        if shape[2] == 1:
            return np.repeat(samples, 3, axis=3), [f"grey images are compared with the colour images of {real}"]
        if (samples == samples[..., :1]).all():
            return samples[..., :1], ["images whose three channels are equal are compared as grey ones"]
        raise InputError(f"{fake} has colour images, {real} grey ones: convert one of them")
    resize = ": folder(path=..., side=N) brings images to one size" if len(expected) == 3 else ""
    raise InputError(f"samples of {fake} have shape {shape}, those of {real} {expected}: they must agree{resize}")


def _labels_as_in(real_data: Data, fake_data: Data, notes: list[str]) -> np.ndarray | None:
    """Return the classes [N] of all fake samples by their numbers in the real data; None if they have none. Classes with names
    are matched by name; if that is impossible, a note says so."""
    train, test = fake_data.train.labels, fake_data.test.labels
    if train is None or train.ndim != 1 or real_data.train.labels is None or real_data.train.labels.ndim != 1:
        return None
    label, names, real_names = np.concatenate([train, test]), fake_data.classes, real_data.classes
    if names and real_names:
        if set(names) <= set(real_names):
            return np.array([real_names.index(name) for name in names], label.dtype)[label]
        notes.append("its labels are not used: some of its classes are not those of the real samples")
        return None
    if fake_data.num_classes > real_data.num_classes:
        notes.append(f"its labels are not used: it has {fake_data.num_classes} classes, the real data {real_data.num_classes}")
        return None
    return label


def _path(fake: str, real: str) -> str:
    """Return the path in `fake`: a path, or NAME(path="...") with the NAME of `real` and no other options."""
    if "(" not in fake or Path(fake).exists():
        return fake
    name, options = parse_call(fake)
    if name != parse_call(real)[0] or set(options) != {"path"}:
        raise InputError(f"{fake} is read by the options of {real}: name the file or folder of samples alone")
    return options["path"]


def diagnose_run(path: Path) -> str:
    """Return the doctor's diagnoses from a run's log, one line per alarm. Raises InputError unless it is the log of one run."""
    lines, damage = read_lines(path / "metrics.jsonl") if (path / "metrics.jsonl").is_file() else ([], "")
    if damage:
        _say(f"warning: {damage}")
    if not lines:
        raise InputError(f"{path} is not a run directory, or has no logged steps yet: metrics.jsonl is missing or empty")
    if "seed" in lines[-1]:
        raise InputError(f"{path} holds several seeds, and the doctor diagnoses one: train it on its own")
    diagnoses = diagnose(lines)
    has_vitals = any(name.startswith("doctor/") for line in lines for name in line)
    hint = "" if has_vitals else "; train with --doctor for more checks"
    return "\n".join(map(str, diagnoses)) or f"no alarms at step {lines[-1]['step']:,}{hint}"


def table(result: dict[str, Any]) -> str:
    """The metrics as text, each with its standard error and its floor (or its value for real samples)."""
    metrics = result["metrics"]
    width = max(16, *map(len, metrics))
    lines = [f"{result['fake']}, measured on {result['measured on']}", f"{'':{width}s} {'fake':>10s} {'±':>8s} {'real':>10s}"]
    for name, value in metrics.items():
        if not name.endswith(("_floor", "_real", "_error")):
            real = metrics.get(f"{name}_floor", metrics.get(f"{name}_real"))
            cells = [_cell(value, 10), _cell(metrics.get(f"{name}_error"), 8), _cell(real, 10)]
            lines.append(f"{name:{width}s} {' '.join(cells)}".rstrip())
    return "\n".join(lines)


def _cell(value: float | None, width: int) -> str:
    """The number to four decimals, or to two digits if these would show less."""
    if value is None:
        return " " * width
    return f"{value:{width}.4f}" if value == 0 or abs(value) >= 1e-3 else f"{value:{width}.2g}"


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _prepare(data: Data, protocol: Protocol) -> Measure:
    _say("preparing the metrics")
    if protocol.statistics is not None:
        return statistics.evaluator(data, protocol, protocol.statistics)
    return data.evaluator(data, protocol)


def _result(fake: str, measure: Measure, metrics: dict[str, float], **facts: Any) -> dict[str, Any]:
    metrics = {name: value if math.isfinite(value) else None for name, value in metrics.items()}
    return {"fake": fake, "measured on": measure.description, "facts": measure.facts | facts, "metrics": metrics}
