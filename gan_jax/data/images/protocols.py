"""Measure generated images by the published protocols of `metrics/protocols.py`, each in the features of its own network."""

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np

from gan_jax.data.dataset import Data, Measure, Protocol
from gan_jax.data.images import metrics
from gan_jax.errors import InputError
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.metrics.features.inception_tensors import FID_NETWORK
from gan_jax.metrics.jackknife import with_errors
from gan_jax.metrics.protocols import PublishedProtocol, min_samples, parse_protocol, too_few_samples
from gan_jax.spec.expressions import parse_call


def evaluator(data: Data, protocol: Protocol = Protocol()) -> Measure:
    """Return the measure of `protocol.metrics`: those of `suite.py` as `metrics.evaluator` measures them, and published
    protocols, each with its own number of samples and real images. With `protocol.errors`, values whose metric computes no
    standard error get that of the jackknife over the samples.

    Raises InputError for a protocol that does not apply to the data, and as `metrics.evaluator` does."""
    named = {name: parsed for name in protocol.metrics if (parsed := parse_protocol(name)) is not None}
    others = tuple(name for name in protocol.metrics if name not in named)
    if not named:
        return metrics.evaluator(data, protocol)
    rest = metrics.evaluator(data, replace(protocol, metrics=others)) if others else None
    real_images = {name: _real_images(data, parsed, protocol.whole) for name, parsed in named.items()}
    texts = {name: _extractor_text(parsed, protocol.extractor) for name, parsed in named.items()}
    loaded = {text: metrics.find_extractor(text, data) for text in dict.fromkeys(texts.values())}
    for name, parsed in named.items():
        _check_network(parsed, loaded[texts[name]])

    @cache
    def real_features(text: str, split: str, count: int) -> np.ndarray:
        return metrics.image_set(data, split, loaded[text], count).features

    def measure(samples: np.ndarray, label: np.ndarray | None = None) -> dict[str, float]:
        samples = np.asarray(samples, np.float32)
        if samples.shape[1:] != data.sample_shape:
            raise InputError(f"samples of {data.name} must be {data.sample_shape} each, got {samples.shape}")
        for name, parsed in named.items():
            if len(samples) < (parsed.samples or real_images[name].count):
                raise too_few_samples(parsed, parsed.samples or real_images[name].count, len(samples))
        values = {} if rest is None else rest(samples, label)

        @cache
        def fake_images(text: str, count: int) -> metrics.ImageSet:
            return metrics.extract(loaded[text], metrics.subsample(samples, count), None)

        for name, parsed in named.items():
            fake = fake_images(texts[name], parsed.samples or real_images[name].count)
            real = real_features(texts[name], *real_images[name]) if parsed.family.compares else None
            values |= _measure(parsed, real, fake, protocol.errors)
        return values

    facts = {name: _facts(parsed, data, real_images[name].count, loaded[texts[name]]) for name, parsed in named.items()}
    first = [rest.description] if rest else []
    about = rest.facts if rest else {"data": data.name, "checksum": data.checksum}
    description = "; ".join([*first, *(fact["protocol"] for fact in facts.values())])
    return Measure(measure, description, about | {"protocols": facts})


class Selection(NamedTuple):
    """The real images with which samples are compared."""

    split: str  # of `metrics.image_set`
    count: int  # how many of its images, from the first on


def samples_needed(data: Data, names: tuple[str, ...]) -> int:
    """The number of samples that the published protocols among `names` need; 0 if there are none. Raises InputError for data
    that is not images."""
    published = [name for name in names if parse_protocol(name)]
    if published and (type(data.sample_shape) is not tuple or len(data.sample_shape) != 3):
        raise InputError(f"{published[0]} needs images: samples of {data.name} are {data.sample_shape}")
    return min_samples(names, {"full": _training_images(data), "test": data.test.count})


def refuse_too_few(names: tuple[str, ...], data: Data, count: int) -> None:
    """Raise InputError if a published protocol among `names` needs more than `count` samples."""
    for name in names:
        if (parsed := parse_protocol(name)) and count < (needed := samples_needed(data, (name,))):
            raise too_few_samples(parsed, needed, count)


def _training_images(data: Data) -> int:
    """The number of training images, with those set aside for validation."""
    return data.num_train + (0 if data.validation is None else data.validation.count)


def _real_images(data: Data, parsed: PublishedProtocol, whole: bool) -> Selection:
    """The real images of a protocol. In a comparison of two sets (`whole`), all real images count as training images, unless
    the data has a test split of its own. Raises InputError if the data does not have them."""
    if not parsed.family.compares:
        return Selection("", 0)
    if data.streamed:
        raise InputError(f"{parsed.name} needs all images in memory, but {data.name} is streamed: set --stream never")
    if parsed.real == "test":
        held = data.validation
        if held is not None and np.array_equal(data.test.samples, held.samples):
            raise InputError(
                f"{parsed.name} needs the test images, which --validation reserves for the end: evaluate afterwards, or omit it"
            )
        if whole and data.random_test:
            raise InputError(
                f"{parsed.name} needs test images, and {data.name} has no split: {parsed.name[:-4]}full compares with all"
            )
        return Selection("test", data.test.count)
    split = "whole" if whole and data.random_test else "training"
    count = data.train.count + data.test.count if split == "whole" else _training_images(data)
    if parsed.real == "" and parsed.samples > count:
        raise InputError(f"{parsed.name} needs as many training images, and {data.name} has {count:,}: use {parsed.name}_full")
    return Selection(split, count if parsed.real else parsed.samples)


def _extractor_text(parsed: PublishedProtocol, named: str | None) -> str:
    """The protocol's network, with the weights that --extractor names. Raises InputError for another network."""
    network, options = parse_call(parsed.family.extractor)
    if named is not None:
        name, given = parse_call(named)
        if name != network or set(given) - {"weights"}:
            remedy = f"leave off --extractor, or use {network}(weights='PATH')"
            raise InputError(f"{parsed.name} is measured by {parsed.family.extractor}: {remedy}")
        options |= given
    arguments = ", ".join(f"{key}={value!r}" for key, value in options.items())
    return f"{network}({arguments})" if arguments else network


def _check_network(parsed: PublishedProtocol, extractor: Extractor) -> None:
    """Raise InputError for weights that are not those of the protocol, or cannot compute its values."""
    if parse_call(parsed.family.extractor)[0] == "inception" and extractor.hash != FID_NETWORK:
        raise InputError(f"{parsed.name} needs the original Inception network, not {extractor.name}")
    if not parsed.family.compares and not extractor.classifies:
        raise InputError(f"{parsed.name} needs a network that classifies, not {extractor.name}")


def _measure(parsed: PublishedProtocol, real: np.ndarray | None, fake: metrics.ImageSet, errors: bool) -> dict[str, float]:
    array = fake.features if parsed.family.compares else fake.logits
    try:
        values = parsed.measure(real, array)
        if not errors:
            return {name: value for name, value in values.items() if not name.endswith("_error")}
        if any(name.endswith("_error") for name in values):
            return values
        return with_errors(lambda x: parsed.measure(real, x), (array,))
    except ValueError as error:  # too few samples
        raise InputError(f"{parsed.name}: {error}") from error


def _facts(parsed: PublishedProtocol, data: Data, real: int, extractor: Extractor) -> dict[str, str]:
    at_random = ", the test images held out at random" if parsed.real == "test" and data.random_test else ""
    return {
        "protocol": parsed.describe(parsed.samples or real, real, extractor) + at_random,
        "extractor": extractor.name,
        "weights": extractor.hash,
        "resize": extractor.resize,
        "source": parsed.family.source,
    }
