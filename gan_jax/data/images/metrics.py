"""Image metrics: all that is said of a set of generated images, each number beside its value for real ones."""

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

import jax
import numpy as np
from tqdm import tqdm

from gan_jax.data.dataset import Data, Measure, Protocol, Split
from gan_jax.data.images import extractors, suite
from gan_jax.data.images.suite import NEIGHBOURS, PAIRS, Real, Side
from gan_jax.errors import InputError, unknown
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.metrics.frechet import frechet_distance
from gan_jax.metrics.jackknife import with_errors
from gan_jax.spec.expressions import parse_call
from gan_jax.spec.lookup import find, public_functions
from gan_jax.storage.cache import cache_path, read_cache, write_cache
from gan_jax.storage.weights import INCEPTION

_SEED = 0
QUICK = ("frechet", "kernel", "prdc", "inception_score", "classes", "nearest_train")
# Of these the real images beside the fakes are held out: they compare with the train split, or with none.
_HELD = ("inception_score", "memory", "frechet_infinity", "intra_class", "vendi", "ms_ssim")
_FID = {"fd": "fid", "kd": "kid"}  # what a distance is called in the features that the papers use


def evaluator(data: Data, protocol: Protocol = Protocol()) -> Measure:
    """`measure(samples float32 [N, H, W, C] in [-1, 1], label [N] or None) -> metrics`; what is slow is done here, once.

    Up to `protocol.cap` samples are compared with as many images of the held-out and of the train split. Beside each metric
    NAME (`suite.py`) there are
    NAME_floor or NAME_real: the same of n real images, n = min(N, train split). Those of the train split, for what compares
    with the held-out split, and the reverse. For fd it is the mean over as many sets of n as there are among the samples,
    drawn with replacement: what a generator would get that had the train split to draw from;
    NAME_error: the standard error, where asked for: by the jackknife over the samples, unless the metric knows its own.
    Distances in the original Inception network's features are called fid and kid.

    `measure.description` names the extractor and the sizes, `measure.facts` too, one by one. Raises InputError for a split too
    small, for an unknown extractor or metric, for samples of another shape or too few; ValueError where not finite.
    """
    if min(len(data.train.samples), len(data.test.samples)) <= NEIGHBOURS:
        sizes = f"{len(data.train.samples)} to train on, {len(data.test.samples)} held out"
        raise InputError(f"{data.name} is too small to measure: {sizes}, more than {NEIGHBOURS} of each are needed")
    extractor = extractor_of(data, protocol.extractor)
    real = Real(data, *(side_of(data, name, extractor, protocol.cap) for name in ("test", "train")))
    chosen = _chosen(protocol.metrics)
    each = partial(_each, chosen, bool(protocol.metrics) and "all" not in protocol.metrics)
    is_fid = extractor.hash == INCEPTION.sha256 and real.held.features.shape[1] == 2048

    @lru_cache(maxsize=8)
    def beside(n: int, sets: int) -> dict[str, float]:
        return _named_beside(each(lambda metric: _of_real(metric, real, n, sets)))

    def measure(samples: np.ndarray, label: np.ndarray | None = None) -> dict[str, float]:
        samples = np.asarray(samples, np.float32)
        if samples.shape[1:] != data.sample_shape or len(samples) <= NEIGHBOURS:
            raise InputError(
                f"samples of {data.name} must be {data.sample_shape} each and more than {NEIGHBOURS}: {samples.shape}"
            )
        if not np.isfinite(samples).all():
            raise ValueError(f"samples {samples.shape} must be finite")
        fake = _seen(extractor, _choose(samples, protocol.cap), None if label is None else _choose(label, protocol.cap))
        n = min(len(fake.samples), len(real.train.samples))
        result = each(lambda metric: _measured(metric, real, fake, n, protocol.errors)) | beside(n, len(fake.samples) // n)
        return {re.sub("^[fk]d", lambda found: _FID[found[0]], name): x for name, x in result.items()} if is_fid else result

    held, train = len(real.held.samples), len(real.train.samples)
    description = (
        f"{extractor.name}: up to {train:,} samples against {held:,} held-out images (kd and precision to coverage: "
        f"{min(train, PAIRS):,} of each), fd the mean over all sets of that size; beside them as many train images, for "
        f"fd drawn with replacement; nearest_train: against {len(data.train.samples):,} train images"
    )
    facts = {
        "extractor": extractor.name,
        "weights": extractor.hash,
        "resize": extractor.resize,
        "data": data.name,
        "checksum": data.checksum,
        "held_out": held,
        "train": train,
    }
    return Measure(measure, description, facts)


def find_extractor(text: str, data: Data) -> Extractor:
    """The extractor that `text` names; a user's function is any `f(samples [N, ...]) -> features [N, D]`. What it depends on
    is unknown, so its features are never cached."""
    function = find("extractor", text, extractors)
    name, _ = parse_call(text)
    if name in public_functions(extractors):
        return function(data)

    def features(samples: np.ndarray) -> tuple[np.ndarray, None]:
        return np.asarray(function(samples), np.float32), None

    return Extractor(features, text, "", "its own")


def extractor_of(data: Data, text: str | None) -> Extractor:
    """The extractor that `text` names; None is what the data calls for: a classifier where there are classes."""
    classes = data.train.labels is not None and data.train.labels.ndim == 1
    return find_extractor(text or ("classifier" if classes else "random"), data)


def _chosen(names: Sequence[str]) -> list[str]:
    """The functions of the suite to be called."""
    known = list(public_functions(suite))
    for name in names:
        if name not in (*known, "all"):
            raise unknown("metric", name, [*known, "all"])
    return known if "all" in names else list(dict.fromkeys(names or QUICK))


def _each(metrics: list[str], strict: bool, value_of: Callable[[str], dict[str, float]]) -> dict[str, float]:
    """The values of all metrics; without those that cannot be had of such samples, where nobody asked for them by name."""
    result = {}
    for metric in tqdm(metrics, desc="measuring", leave=False, disable=None):
        try:
            result |= value_of(metric)
        except InputError:
            if strict:
                raise
    return result


def _measured(metric: str, real: Real, fake: Side, n: int, errors: bool) -> dict[str, float]:
    function = public_functions(suite)[metric]
    if metric in ("kernel", "prdc"):
        # As many as the real ones beside them, on whose number these depend; here, for the jackknife to delete from them.
        fake = jax.tree.map(lambda x: x[: min(n, PAIRS)], fake)
    result = function(real, fake)
    if not errors or any(name.endswith("_error") for name in result):
        return result
    given = [x for x in fake if x is not None]  # what is None is no array to delete rows from

    def statistic(*rows: np.ndarray) -> dict[str, float]:
        left = iter(rows)
        return function(real, Side(*(None if x is None else next(left) for x in fake)))

    return with_errors(statistic, tuple(given))


def _of_real(metric: str, real: Real, n: int, sets: int) -> dict[str, float]:
    """The same metric of n real images."""
    if metric in ("nearest_train", "classes"):  # which say nothing of them
        return {}
    if metric == "frechet":
        # Drawn one by one as a generator draws them: chosen without replacement, a whole train split would have exactly its
        # own class counts, and no set of independent samples could come near its distance.
        draws = np.random.RandomState(_SEED).randint(len(real.train.features), size=(sets, n))
        return {"fd": float(np.mean([frechet_distance(real.held.features, real.train.features[rows]) for rows in draws]))}
    side = real.held if metric in _HELD else real.train
    values = public_functions(suite)[metric](real, jax.tree.map(lambda x: x[:n], side))
    return {name: value for name, value in values.items() if not name.endswith("_error")}


def _named_beside(values: dict[str, float]) -> dict[str, float]:
    return {f"{name}_floor" if name in ("fd", "kd") else f"{name}_real": value for name, value in values.items()}


def side_of(data: Data, split: str, extractor: Extractor, cap: int) -> Side:
    """The first `cap` images of a split (`Data` comes shuffled), their features from the cache where they are known."""
    stored: Split = getattr(data, split)
    samples = data.to_float(stored.samples[:cap])
    label = None if stored.labels is None else stored.labels[:cap]
    told = f"{data.checksum} {split} {len(samples)} {extractor.hash} {extractor.name} {extractor.resize}"
    path = cache_path(f"features-{hashlib.sha256(told.encode()).hexdigest()[:32]}.npz")
    known = read_cache(path) if extractor.hash else None
    if known is not None and len(known.get("features", ())) == len(samples):
        return Side(samples, known["features"], known.get("logits"), label)
    side = _seen(extractor, samples, label)
    if extractor.hash:
        write_cache(path, {name: x for name, x in (("features", side.features), ("logits", side.logits)) if x is not None})
    return side


def _seen(extractor: Extractor, samples: np.ndarray, label: np.ndarray | None) -> Side:
    features, logits = extractor.features(samples)
    if features.ndim != 2 or len(features) != len(samples):
        raise InputError(f"extractor {extractor.name} must return features [{len(samples)}, D], got {features.shape}")
    return Side(samples, features, logits, None if label is None else np.asarray(label))


def _choose(x: np.ndarray, n: int) -> np.ndarray:
    """At most `n` rows, at random but always the same: samples may come sorted by class."""
    return x[np.random.default_rng(_SEED).permutation(len(x))[:n]]
