"""Measure a set of generated images: the metrics of `suite.py`, each together with its value for real images."""

import hashlib
import sys
from collections.abc import Callable
from functools import lru_cache

import jax
import numpy as np
from tqdm import tqdm

from gan_jax.data.dataset import Data, Measure, Protocol, Split
from gan_jax.data.images import extractors, suite
from gan_jax.data.images.suite import NEIGHBOURS, NO_LOGITS, PAIRS, ImageSet, Metric, RealImages, Values
from gan_jax.errors import InputError, unknown
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.metrics.features.inception import RESIZE
from gan_jax.metrics.features.inception_tensors import FID_NETWORK
from gan_jax.metrics.jackknife import with_errors
from gan_jax.metrics.protocols import FAMILIES
from gan_jax.spec.expressions import parse_call
from gan_jax.spec.lookup import find, find_function, public_functions
from gan_jax.storage.cache import cache_path, read_cache, write_cache

TRUSTED = 100  # real images with which the standard error of a fraction, such as precision, is at most .05
_SEED = 0
QUICK = tuple(name for name, metric in public_functions(suite).items() if metric.quick)


def evaluator(data: Data, protocol: Protocol = Protocol()) -> Measure:
    """Return `measure(samples float32 [N, H, W, C] in [-1, 1], label [N] or None) -> metrics`, after the slow preparation.

    Up to `protocol.max_samples` samples are compared with as many images of the held-out and of the train split. For each
    metric NAME (`suite.py`) the result also holds
    NAME_floor or NAME_real: the metric of n real images, n = min(N, train split). They come from the train split for metrics
    that compare with the held-out split, and vice versa. For fd it is the mean over as many sets of n as the samples make,
    drawn with replacement: what a generator of the train split would get;
    NAME_error: the standard error, if `protocol.errors`: by the jackknife over the samples, unless the metric computes its own.
    In the features of the FID's Inception network, recognised by its tensors, distances are called fid and kid.

    With `protocol.whole` all samples are compared with all real images, and the values of such metrics are called NAME_all.
    Metrics that need more real images, or held-out ones that do not exist, are omitted; the description names them. If there
    are fewer than `TRUSTED` real images, it says that no value can be trusted, and few_real is their number.

    Raises InputError if a metric that `protocol` names cannot be measured, the extractor or a metric is unknown, or samples
    have another shape or are too few; ValueError if they are not finite.
    """
    if protocol.whole and data.streamed:
        raise InputError(
            f"{data.name} takes over a quarter of the memory, and whole sets are compared in memory: use smaller images"
        )
    metrics = _choose_metrics(protocol.metrics)
    strict = bool(protocol.metrics) and "all" not in protocol.metrics
    omitted = {name: why for name, metric in metrics.items() if (why := _obstacle(metric, data, protocol.whole))}
    if omitted and (strict or len(omitted) == len(metrics)):
        raise InputError(
            "; ".join(f"--metrics {name} cannot be measured on {data.name}: {why}" for name, why in omitted.items())
        )
    metrics = {name: metric for name, metric in metrics.items() if name not in omitted}
    extractor = choose_extractor(data, protocol.extractor)
    for name, metric in metrics.items():
        if strict and metric.needs_logits and not extractor.classifies:
            raise InputError(f"--metrics {name} {NO_LOGITS}")
    splits = ("whole",) if protocol.whole else ("test", "train")
    sets = [image_set(data, split, extractor, protocol.max_samples) for split in splits]
    real = RealImages(data, sets[0], sets[-1])
    fid_names = is_fid(extractor, real.held_out.features)

    @lru_cache(maxsize=8)
    def values_of_real(n: int, sets: int) -> Values:
        def value(metric: Metric) -> Values:
            if real.whole and metric.compares:
                return {}  # the real images would be compared with themselves
            return _rename(metric, _measure_real(metric, real, n, sets), fid_names, "_floor" if metric.floor else "_real")

        return _measure_each(metrics, strict, value)

    def measure(samples: np.ndarray, label: np.ndarray | None = None) -> Values:
        samples = np.asarray(samples, np.float32)
        if samples.shape[1:] != data.sample_shape or len(samples) <= NEIGHBOURS:
            raise InputError(
                f"samples of {data.name} must be {data.sample_shape} each and more than {NEIGHBOURS}, got {samples.shape}"
            )
        if not np.isfinite(samples).all():
            raise ValueError(f"samples {samples.shape} must be finite")
        label = None if label is None else subsample(label, protocol.max_samples)
        fake = extract(extractor, subsample(samples, protocol.max_samples), label)
        n = min(len(fake.samples), len(real.train.samples))

        def value(metric: Metric) -> Values:
            suffix = "_all" if real.whole and metric.compares else ""
            return _rename(metric, _measure_fake(metric, real, fake, n, protocol.errors), fid_names, inner_suffix=suffix)

        return _measure_each(metrics, strict, value) | values_of_real(n, len(fake.samples) // n) | few_real

    held_out, train = len(real.held_out.samples), len(real.train.samples)
    few_real = {"few_real": float(min(held_out, train))} if min(held_out, train) < TRUSTED else {}
    caution = (
        f"too few real images, {min(held_out, train)}: with fewer than {TRUSTED}, no value of these metrics can be trusted"
    )
    omissions = ", ".join(f"{name} ({why})" for name, why in omitted.items())
    description = "; ".join(
        [
            _describe_whole(train, extractor) if protocol.whole else _describe_splits(data, held_out, train, extractor),
            *([f"not measured: {omissions}"] if omitted else []),
            *([caution] if few_real else []),
        ]
    )
    facts = {
        "extractor": extractor.name,
        "weights": extractor.hash,
        "resize": extractor.resize,
        "features": real.train.features.shape[1],
        "data": data.name,
        "checksum": data.checksum,
        **({"real": train} if protocol.whole else {"held_out": held_out, "train": train}),
        **({"not measured": omitted} if omitted else {}),
        **({"caution": caution} if few_real else {}),
    }
    return Measure(measure, description, facts)


def _describe_splits(data: Data, held_out: int, train: int, extractor: Extractor) -> str:
    return (
        f"{extractor.name}: up to {train:,} samples against {held_out:,} held-out images (kd and precision to coverage: "
        f"{min(train, PAIRS):,} of each), fd the mean over all sets of that size; for comparison as many train images, for "
        f"fd drawn with replacement; nearest_train: against {len(data.train.samples):,} train images"
    )


def _describe_whole(count: int, extractor: Extractor) -> str:
    return (
        f"{extractor.name}: all samples against all {count:,} real images, none of them held out (kd and precision to "
        f"coverage: at most {PAIRS:,} random ones of each)"
    )


def _obstacle(metric: Metric, data: Data, whole: bool) -> str:
    """Return why a metric cannot be measured, whatever the samples; "" if it can."""
    train, held_out = data.train.count, data.test.count
    if whole:
        return "it depends on which real images are held out, and none are" if metric.two_splits else ""
    if min(train, held_out) < metric.least:
        return f"it needs {metric.least} real images of each split, there are {train} to train on and {held_out} held out"
    return ""


def find_extractor(text: str, data: Data) -> Extractor:
    """Return the extractor called `text`; a user's function is any `f(samples [N, ...]) -> features [N, D]`. Its features are
    never cached, because what they depend on is unknown. Raises InputError for data that is not images."""
    if type(data.sample_shape) is not tuple or len(data.sample_shape) != 3:
        raise InputError(f"the extractor {text} needs images: samples of {data.name} are {data.sample_shape}")
    function = find("extractor", text, extractors)
    name, _ = parse_call(text)
    if name in public_functions(extractors):
        return function(data)

    def features(samples: np.ndarray) -> tuple[np.ndarray, None]:
        return np.asarray(function(samples), np.float32), None

    return Extractor(features, text, "", "its own")


def is_fid(extractor: Extractor, features: np.ndarray) -> bool:
    """Whether distances of the features [N, D] of an extractor are those of the FID and KID."""
    return (extractor.hash, extractor.resize) == (FID_NETWORK, RESIZE) and features.shape[1] == 2048


def choose_extractor(data: Data, text: str | None) -> Extractor:
    """Return the extractor called `text`; by default a classifier if the data has classes, otherwise random features."""
    classes = data.train.labels is not None and data.train.labels.ndim == 1
    return find_extractor(text or ("classifier" if classes else "random"), data)


def _choose_metrics(names: tuple[str, ...]) -> dict[str, Metric]:
    """Return the metrics of `--metrics` by name."""
    known = public_functions(suite)
    metrics = dict(known) if "all" in names else {}
    for name in names or QUICK:
        if name != "all":
            metrics[name] = _find_metric(name, known)
    return metrics


def _find_metric(name: str, known: dict[str, Metric]) -> Metric:
    if name not in known and ":" not in name:
        papers = (family.example for family in FAMILIES.values())
        raise unknown("metric", name, [*known, *papers, "all", "path/file.py:function"])
    metric = find_function("metric", name, known)
    if not isinstance(metric, Metric):
        how_to = f"decorate it with @functools.partial(Metric, reference=...), where Metric is that of {suite.__name__}"
        raise InputError(f"--metrics {name} is not a Metric: {how_to}")
    return metric


def _measure_each(metrics: dict[str, Metric], strict: bool, value: Callable[[Metric], Values]) -> Values:
    """Return the values of all metrics; unless `strict`, skip those that do not apply to the samples. Raises InputError naming
    a metric that cannot be computed."""
    result = {}
    for name, metric in tqdm(metrics.items(), desc="measuring", leave=False, disable=None):
        try:
            result |= value(metric)
        except InputError:
            if strict:
                raise
        except ValueError as error:  # too few samples, or too few of a class
            if strict:
                raise InputError(f"--metrics {name}: {error}") from error
            tqdm.write(f"not measured: {name}: {error}", file=sys.stderr)
    return result


def _measure_fake(metric: Metric, real: RealImages, fake: ImageSet, n: int, errors: bool) -> Values:
    if metric.max_fakes is not None:
        # As many as the real images measured for comparison, because the value depends on their number. Cut here, so that the
        # jackknife deletes from these.
        fake = jax.tree.map(lambda x: x[: min(n, metric.max_fakes)], fake)
    result = metric(real, fake)
    if not errors or any(name.endswith("_error") for name in result):
        return result
    arrays = [x for x in fake if x is not None]  # those with rows to delete

    def statistic(*arrays: np.ndarray) -> Values:
        remaining = iter(arrays)
        return metric(real, ImageSet(*(None if x is None else next(remaining) for x in fake)))

    return with_errors(statistic, tuple(arrays))


def _measure_real(metric: Metric, real: RealImages, n: int, sets: int) -> Values:
    """Return the values of n real images, without standard errors; `sets` is how many disjoint sets of n the fakes make."""
    if metric.reference is None:
        return {}
    if metric.real_values is not None:
        return metric.real_values(real, n, sets)
    images = real.train if metric.reference == "train" else real.held_out
    values = metric(real, jax.tree.map(lambda x: x[:n], images))
    return {name: value for name, value in values.items() if not name.endswith("_error")}


def _rename(metric: Metric, values: Values, fid_names: bool, suffix: str = "", inner_suffix: str = "") -> Values:
    """Append a suffix to the names, and `inner_suffix` before _error; use those of the FID's features if these are measured."""
    names = metric.inception_names if fid_names else {}
    result = {}
    for name, value in values.items():
        base = name.removesuffix("_error")
        result[f"{names.get(base, base)}{inner_suffix}{name[len(base) :]}{suffix}"] = value
    return result


def image_set(data: Data, split: str, extractor: Extractor, max_samples: int) -> ImageSet:
    """Return the first images of a split (`Data` is shuffled), of all "training" images, including those set aside for
    validation, or of the "whole" data, with their features, from the cache if possible."""
    if split == "training":
        stored = data.train if data.validation is None else _joined(data.train, data.validation)
    else:
        stored = _joined(data.train, data.test) if split == "whole" else getattr(data, split)
    samples = data.to_float(stored.samples[:max_samples])
    label = None if stored.labels is None else stored.labels[:max_samples]
    key = f"{data.checksum} {split} {len(samples)} {extractor.hash} {extractor.name} {extractor.resize}"
    path = cache_path(f"features-{hashlib.sha256(key.encode()).hexdigest()[:32]}.npz")
    cached = read_cache(path) if extractor.hash else None
    if cached is not None and len(cached.get("features", ())) == len(samples):
        return ImageSet(samples, cached["features"], cached.get("logits"), label)
    kept = f", kept in {path.parent}" if extractor.hash else ""
    tqdm.write(f"computing the features of {len(samples):,} {split} images{kept}", file=sys.stderr)
    images = extract(extractor, samples, label)
    if extractor.hash:
        arrays = {"features": images.features, "logits": images.logits}
        write_cache(path, {name: x for name, x in arrays.items() if x is not None})
    return images


def _joined(*splits: Split) -> Split:
    """Return the images of both splits, in random order."""
    order = np.random.RandomState(_SEED).permutation(sum(split.count for split in splits))
    return Split(*(None if x is None else np.concatenate([x, y])[order] for x, y in zip(*splits, strict=True)))


def extract(extractor: Extractor, samples: np.ndarray, label: np.ndarray | None) -> ImageSet:
    features, logits = extractor.features(samples)
    if features.ndim != 2 or len(features) != len(samples):
        raise InputError(f"extractor {extractor.name} must return features [{len(samples)}, D], got {features.shape}")
    return ImageSet(samples, features, logits, None if label is None else np.asarray(label))


def subsample(x: np.ndarray, n: int) -> np.ndarray:
    """Return at most `n` rows, chosen at random but always the same: samples may be sorted by class."""
    return x[np.random.default_rng(_SEED).permutation(len(x))[:n]]
