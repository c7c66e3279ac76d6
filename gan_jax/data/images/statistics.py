"""The Frechet distance to the mean and covariance of features in a file, and files with those of a data set."""

import sys
from pathlib import Path

import numpy as np

from gan_jax.data.dataset import Data, Measure, Protocol
from gan_jax.data.images.metrics import find_extractor, image_set, is_fid
from gan_jax.errors import InputError
from gan_jax.metrics.frechet import gaussian_frechet_distance, moments
from gan_jax.metrics.jackknife import with_errors
from gan_jax.storage.statistics import Statistics, read_statistics, write_statistics
from gan_jax.storage.weights import sha256

EXTRACTOR = "inception"  # unless another is named: the network of published statistics


def evaluator(data: Data, protocol: Protocol, path: Path) -> Measure:
    """Return `measure(samples float32 [N, H, W, C] in [-1, 1]) -> {"fid": distance}` of all samples to the statistics in a file
    (`storage/statistics.py`); "fd" unless the features are those of the FID.

    Raises InputError if the file cannot be read, or its features have another dimension than those of the extractor."""
    reference = read_statistics(path)
    extractor = find_extractor(protocol.extractor or EXTRACTOR, data)

    def measure(samples: np.ndarray, label: np.ndarray | None = None) -> dict[str, float]:
        if samples.shape[1:] != data.sample_shape or len(samples) < 2:
            raise InputError(f"samples of {data.name} must be {data.sample_shape} each and at least 2, got {samples.shape}")
        features, _ = extractor.features(samples)
        if features.shape[1:] != reference.mean.shape:
            dimensions = f"{len(reference.mean)} dimensions, but there are {features.shape[1]} features of {extractor.name}"
            raise InputError(f"{path} has statistics of {dimensions}: choose the --extractor of the statistics")

        def distance(features: np.ndarray) -> dict[str, float]:
            fake = moments(features)
            value = gaussian_frechet_distance(*reference, fake.mean, fake.covariance)
            return {"fid" if is_fid(extractor, features) else "fd": value}

        return with_errors(distance, (features,)) if protocol.errors else distance(features)

    facts = {"extractor": extractor.name, "weights": extractor.hash, "resize": extractor.resize}
    facts |= {"statistics": str(path), "sha256": sha256(path)}
    return Measure(measure, f"{extractor.name}: all samples against the statistics in {path}", facts)


def save(data: Data, split: str, extractor: str | None, path: Path) -> str:
    """Write the statistics of a split of real images, or of both splits ("whole"); return what was written, in words. Features
    are cached as in any evaluation. Raises InputError if they cannot be computed or written."""
    chosen = find_extractor(extractor or EXTRACTOR, data)
    if data.streamed:
        why = "takes over a quarter of the memory, and the features of all images are computed at once"
        raise InputError(f"{data.name} {why}: use fewer images")
    features = image_set(data, split, chosen, sys.maxsize).features
    if len(features) < 2:
        raise InputError(f"statistics need at least 2 images, the {split} split of {data.name} has {len(features)}")
    computed = moments(features)
    write_statistics(path, Statistics(computed.mean, computed.covariance))
    which = "all images" if split == "whole" else f"the {split} split"
    return f"mu and sigma of {which} of {data.name} ({len(features):,}), {chosen.name}"
